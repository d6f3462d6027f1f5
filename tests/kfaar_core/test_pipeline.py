from __future__ import annotations

import gc
import logging
import re
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from kfaar_core import image, pipeline
from kfaar_core.assemble import Stages
from kfaar_core.errors import BadKey, BadSetting, BadWeights, NoFaceFound, OtherPerson, TooManyTries
from kfaar_core.keys import UserKey
from kfaar_core.methods import readable
from kfaar_core.pipeline import STEPS, AnonymiseRequest
from kfaar_core.presets import TINY
from kfaar_core.records import Face, Payload, Photo, Posture, Rejection, VirtualFace
from kfaar_core.servers import AnonymisationServer, AuthenticationServer, User
from kfaar_core.stages import place
from kfaar_core.stages.correct import vector_of
from kfaar_core.stages.generate import render_face
from kfaar_core.stages.locate import Detector, FaceLocator
from kfaar_core.stages.tiny import TinyDetector

KEY = UserKey.parse("c3" * 32)


def asked(photo: Photo, key: UserKey, **settings: object) -> AnonymiseRequest:
    return AnonymiseRequest(photo=photo, key=key, **settings)  # type: ignore[arg-type]


@pytest.fixture
def server(tiny) -> AnonymisationServer:
    return AnonymisationServer(tiny)


@pytest.fixture(scope="module", params=readable())
def stages(request) -> Stages:
    """Every stage of the tiny preset with each method."""
    return pipeline.load(replace(TINY, method=request.param), "cpu")


def with_preset(stages: Stages, **changes: object) -> Stages:
    return replace(stages, preset=replace(stages.preset, **changes))


def never_close(stages: Stages) -> Stages:
    return replace(with_preset(stages, look_min=0.0), calibration=replace(stages.calibration, judge_fmr_1=1.1))


def always_close(stages: Stages) -> Stages:
    return with_preset(stages, look_min=9.0)


class Two(Detector):
    """A face in the left half and a smaller one in the right half."""

    def faces(self, photo: Photo) -> list[Face]:
        five = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
        return [
            Face(np.array([x, y, x + s, y + s], np.float32), ((x, y) + s * five).astype(np.float32), 1.0)
            for x, y, s in ((15, 20, 30), (85, 40, 24))
        ]


def seeing(stages: Stages, detector: type[Detector]) -> Stages:
    """The stages with another detector."""
    locator = FaceLocator(detector(stages.preset), stages.geometry, stages.preset.side, stages.device)
    return replace(stages, locator=locator)


@pytest.fixture
def two(tiny) -> Stages:
    return seeing(never_close(tiny), Two)


@pytest.fixture
def wide(rng) -> Photo:
    """130 x 90 px of smooth colours."""
    y, x = np.mgrid[:90, :130] / 20
    return Photo((127 + 120 * np.stack([np.sin(x), np.cos(y), np.sin(x - y)], axis=-1)).astype(np.uint8))


def same(a: VirtualFace, b: VirtualFace) -> bool:
    pictures = all(
        np.array_equal(getattr(a, name), getattr(b, name)) for name in ("picture", "portrait", "draft", "latent")
    )
    return pictures and a.judge_cosine == b.judge_cosine and a.look_distance == b.look_distance and a.key == b.key


def test_the_same_photo_and_key_give_the_same_face(stages, photo):
    server = AnonymisationServer(stages)
    first = server.anonymise(asked(photo, KEY))
    assert same(first, server.anonymise(asked(photo, KEY))) and same(
        first, AnonymisationServer(stages).anonymise(asked(photo, KEY))
    )
    assert same(first, AnonymisationServer(pipeline.load(stages.preset, "cpu")).anonymise(asked(photo, KEY)))


def test_each_method_draws_a_face_of_its_own(photo):
    portraits = [
        AnonymisationServer(pipeline.load(replace(TINY, method=name), "cpu")).anonymise(asked(photo, KEY)).portrait
        for name in readable()
    ]
    for i, one in enumerate(portraits):
        assert all((one != other).mean() > 0.5 for other in portraits[:i])


def test_a_wrong_bit_or_another_photo_gives_another_face(stages, photo, other_photo):
    server = AnonymisationServer(stages)
    first = server.anonymise(asked(photo, KEY))
    for changed in (server.anonymise(asked(photo, KEY.flip([255]))), server.anonymise(asked(other_photo, KEY))):
        assert not np.array_equal(first.portrait, changed.portrait)


def test_an_answer_is_complete(stages, photo):
    found = AnonymisationServer(stages).anonymise(asked(photo, KEY))
    assert found.picture.shape == found.portrait.shape == found.draft.shape == found.crop.picture.shape == (32, 32, 3)
    assert found.latent.shape == (3, 512) and found.latent.dtype == np.float32
    assert tuple(found.seconds) == tuple(step for step in STEPS if step != "refine") and all(
        seconds >= 0 for seconds in found.seconds.values()
    )
    assert found.judge_threshold == stages.judge_threshold
    assert found.anonymous == (found.judge_cosine < found.judge_threshold)
    assert found.rekeyed == 0 and found.key == KEY


def test_an_answer_shows_no_key(server, photo):
    text = repr(server.anonymise(asked(photo, KEY)))
    assert "UserKey" not in text and KEY.hex()[:8] not in text and str(KEY.data) not in text


def test_notes_about_the_photo_reach_the_user(tiny, photo):
    noted = replace(photo, notes=("The picture is an animation.",))
    assert AnonymisationServer(never_close(tiny)).anonymise(asked(noted, KEY)).warnings == noted.notes


@pytest.mark.parametrize("mode", pipeline.MODES)
def test_the_portrait_does_not_depend_on_the_mode(server, photo, mode):
    np.testing.assert_array_equal(
        server.anonymise(asked(photo, KEY, mode=mode)).portrait, server.anonymise(asked(photo, KEY)).portrait
    )


@pytest.mark.parametrize("side", [32, 64])
def test_pasting_back_changes_the_face_and_nothing_outside_the_mask(server, photo, monkeypatch, side):
    masks: list[np.ndarray] = []
    draw = place.face_mask
    monkeypatch.setattr(place, "face_mask", lambda *given: masks.append(draw(*given)) or masks[-1])
    found = server.anonymise(asked(photo, KEY, mode="paste", side=side))
    assert found.picture.shape == photo.pixels.shape
    y, x = np.mgrid[: photo.pixels.shape[0], : photo.pixels.shape[1]]
    centres = np.stack([x, y], axis=-1) + 0.5
    at = np.floor(image.apply(image.invert(found.crop.to_photo), centres)).astype(int)  # the crop is level here
    away = distance_transform_edt(np.pad(masks[0], 2 * side) == 0)  # px of the portrait to the mask
    away = away[tuple(np.clip(at[..., ::-1] + 2 * side, 0, 5 * side - 1).transpose(2, 0, 1))]
    changed = (found.picture != photo.pixels).any(axis=2)
    assert 0.2 < changed.mean() < 0.9 and (away > 3 * side / 40 + 2).mean() > 0.1
    assert not changed[away > 3 * side / 40 + 2].any()  # the soft edge is a fortieth of the side
    assert changed[away == 0].mean() > 0.9


@pytest.mark.parametrize("side", [32, 64])
def test_both_sizes_on_offer(tiny, photo, side):
    found = AnonymisationServer(tiny).anonymise(asked(photo, KEY, side=side))
    assert found.portrait.shape == (side, side, 3) and found.crop.picture.shape == (side, side, 3)
    assert tiny.locator.locate(photo, found.crop.face).crop.picture.shape == (32, 32, 3)


def test_a_larger_portrait_shows_the_same_at_a_finer_grain(server, photo):
    small, large = (server.anonymise(asked(photo, KEY, side=side)) for side in (32, 64))
    halved = large.portrait.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    assert np.abs(halved - small.portrait).mean() < 4
    pasted = [server.anonymise(asked(photo, KEY, side=side, mode="paste")).picture.astype(int) for side in (32, 64)]
    assert np.abs(pasted[0] - pasted[1]).mean() < 4


def test_the_crop_is_where_its_matrix_says(two, wide):
    """Also when the face is turned and the size is not the preset's."""
    turned = Photo(np.ascontiguousarray(np.rot90(wide.pixels)))
    for photo in (wide, turned):
        found = AnonymisationServer(seeing(two, Leaning)).anonymise(asked(photo, KEY, side=64))
        again = image.warp(photo.pixels, found.crop.to_photo, (64, 64))
        np.testing.assert_array_equal(found.crop.picture, again)


class Leaning(Detector):
    """One face, turned by 30 degrees."""

    def faces(self, photo: Photo) -> list[Face]:
        five = np.array([[-8.0, -5], [8, -5], [0, 3], [-6, 10], [6, 10]])
        angle = np.deg2rad(30)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points = five @ turn.T + (45, 45)
        return [Face(np.array([25, 25, 65, 65], np.float32), points.astype(np.float32), 1.0)]


def test_a_leaning_head_leans_in_the_answer(tiny, wide):
    """The tiny geometry measures no roll of its own, so that all of it is the turn of the frame."""
    stages = seeing(never_close(tiny), Leaning)
    located = stages.locator.locate(wide)
    found = AnonymisationServer(stages).anonymise(asked(wide, KEY))
    assert located.rotation == pytest.approx(30, abs=0.5)
    assert found.posture_original.roll == pytest.approx(30, abs=0.5)
    assert found.posture_after.roll == pytest.approx(found.posture_original.roll)


def test_all_faces_and_one_by_number(stages, wide):
    server = AnonymisationServer(seeing(never_close(stages), Two))
    both = server.anonymise_all(asked(wide, KEY))
    assert len(both) == 2 == len(server.faces(wide))
    for number, answer in enumerate(both):
        alone = server.anonymise(asked(wide, KEY, face=number))
        assert same(alone, answer)
    assert same(server.anonymise(asked(wide, KEY, face="largest")), both[0])
    assert not np.array_equal(both[0].portrait, both[1].portrait)


def test_pasting_all_faces_adds_them_up(two, wide):
    server = AnonymisationServer(two)
    first, second = server.anonymise_all(asked(wide, KEY, mode="paste"))
    left, right = (server.anonymise(asked(wide, KEY, face=number, mode="paste")).picture for number in (0, 1))
    np.testing.assert_array_equal(first.picture, left)
    changed = (right != wide.pixels).any(axis=2)
    np.testing.assert_array_equal(second.picture[~changed], left[~changed])
    assert (second.picture != left).any()


def test_faces_that_do_not_exist(two, wide, server, photo):
    with pytest.raises(NoFaceFound, match="Face number 2 was asked for, but the picture has 2"):
        AnonymisationServer(two).anonymise(asked(wide, KEY, face=2))
    blank = Photo(np.full((50, 60, 3), 7, dtype=np.uint8))
    for ask in (server.anonymise, server.anonymise_all):
        with pytest.raises(NoFaceFound, match="No face was found in the 60 x 50 px picture"):
            ask(asked(blank, KEY))
    assert server.faces(blank) == []


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [({"mode": "blur"}, "Choose portrait or paste"), ({"side": 48}, "Choose 32 or 64 px")],
)
def test_unknown_settings(server, photo, wrong, sentence):
    for ask in (server.anonymise, server.anonymise_all):
        with pytest.raises(BadSetting, match=sentence):
            ask(asked(photo, KEY, **wrong))


def test_presets_methods_and_devices_that_are_not_there(tiny):
    with pytest.raises(BadWeights, match=r"4 files that are not here .* lab needs neither and works now"):
        pipeline.load("paper")
    with pytest.raises(BadSetting, match="lab, paper, tiny"):
        pipeline.load("huge")
    with pytest.raises(BadSetting, match=r"'mlp'.*bits, blur, floor"):
        pipeline.load(replace(tiny.preset, method="mlp"))
    with pytest.raises(BadSetting, match="auto, cpu or cuda"):
        pipeline.load("tiny", device="gpu")


def test_progress_names_every_stage_in_order(server, photo):
    calls: list[tuple[str, int, int]] = []
    server.anonymise(asked(photo, KEY), progress=lambda *call: calls.append(call))
    assert calls == [(name, done, 1) for name in STEPS if name != "refine" for done in (0, 1)]


def test_a_face_that_comes_too_close_takes_the_next_key(tiny, photo):
    """The judge's threshold is put between two keys' cosines, so that the first key fails and the next one passes."""
    keys = [KEY, KEY.next(), KEY.next().next()]
    free = AnonymisationServer(never_close(tiny))
    cosines = [free.anonymise(asked(photo, key)).judge_cosine for key in keys]
    start = 0 if cosines[0] > cosines[1] else 1
    assert cosines[start] > cosines[start + 1], "choose another KEY for this test"
    threshold = (cosines[start] + cosines[start + 1]) / 2
    stages = replace(with_preset(tiny, look_min=0.0), calibration=replace(tiny.calibration, judge_fmr_1=threshold))
    server = AnonymisationServer(stages)
    kept = server.anonymise(asked(photo, keys[start]))
    assert not kept.anonymous and kept.rekeyed == 0 and kept.key == keys[start]
    assert kept.rejection is Rejection.TOO_CLOSE
    moved = server.anonymise(asked(photo, keys[start], rekey=3))
    assert moved.rekeyed == 1 and moved.key == keys[start + 1] and moved.anonymous
    assert moved.rejection is None
    np.testing.assert_array_equal(moved.portrait, free.anonymise(asked(photo, keys[start + 1])).portrait)


@pytest.mark.parametrize("tries", [0, 1, 3])
def test_rekeying_is_bounded_and_reported(tiny, photo, tries):
    found = AnonymisationServer(always_close(tiny)).anonymise(asked(photo, KEY, rekey=tries))
    expected = KEY
    for _ in range(tries):
        expected = expected.next()
    assert found.rekeyed == tries and found.key == expected
    assert found.rejection is Rejection.TOO_CLOSE and found.warnings == ()  # which hold notes about the photo alone


class Blind(TinyDetector):
    """Sees a face in the photo, and none in any square portrait."""

    def faces(self, photo: Photo) -> list[Face]:
        return [] if photo.pixels.shape[0] == photo.pixels.shape[1] else super().faces(photo)


def test_a_portrait_in_which_no_face_is_seen_is_said_and_takes_the_next_key(tiny, photo):
    assert AnonymisationServer(never_close(tiny)).anonymise(asked(photo, KEY)).detected
    found = AnonymisationServer(seeing(never_close(tiny), Blind)).anonymise(asked(photo, KEY, rekey=1))
    assert not found.detected and found.rekeyed == 1 and found.key == KEY.next()
    assert found.rejection is Rejection.NO_FACE


@cache
def hashed() -> Stages:
    return pipeline.load(replace(TINY, method="hashed"), "cpu")


def refining(refine: Callable[..., Tensor] = lambda latent, *_: latent) -> Stages:
    """The stages of `hashed` with a refinement of the test's own; that of the preset tiny has no steps."""
    return replace(hashed(), refiner=refine)  # type: ignore[arg-type]


def test_a_refined_face_that_its_key_does_not_read_takes_the_next_key(tiny, photo):
    """The threshold is put between what two keys read; a face that nobody refined is never found fault with."""
    stages = never_close(refining())
    keys = [KEY, KEY.next(), KEY.next().next()]
    read = [AnonymisationServer(stages).anonymise(asked(photo, key)).reading.cosine for key in keys]
    start = 0 if read[0] < read[1] else 1
    assert read[start] < read[start + 1], "choose another KEY for this test"
    threshold = (read[start] + read[start + 1]) / 2
    server = AnonymisationServer(replace(stages, calibration=replace(stages.calibration, kvfa_dev=threshold)))
    kept = server.anonymise(asked(photo, keys[start]))
    assert not kept.reading.same_person and kept.reading.threshold == threshold
    assert kept.rejection is Rejection.NOT_READ
    moved = server.anonymise(asked(photo, keys[start], rekey=3))
    assert moved.rekeyed == 1 and moved.key == keys[start + 1] and moved.reading.same_person
    quick = server.anonymise(asked(photo, keys[start], refine=False))
    assert quick.reading is None and quick.rejection is None


def test_a_refined_face_that_is_read_without_a_key_takes_the_next_one(tiny, photo):
    """The threshold is what the key-less reading of one key's face just reaches, and those of the next do not."""
    stages = never_close(refining())

    def looks() -> Iterator[tuple[UserKey, float, float]]:
        key = KEY
        for _ in range(120):
            answer = AnonymisationServer(stages).anonymise(asked(photo, key))
            yield key, answer.reading.cosine, answer.keyless.cosine
            key = key.next()

    (key, _, threshold), (follower, _, _) = next(
        (one, other) for one, other in pairwise(looks()) if other[1] > one[2] > other[2] and one[1] > one[2]
    )
    server = AnonymisationServer(replace(stages, calibration=replace(stages.calibration, kvfa_dev=threshold)))
    kept = server.anonymise(asked(photo, key))
    assert kept.reading.same_person and kept.keyless.same_person and not kept.keyless.key_used
    assert kept.rejection is Rejection.READ_WITHOUT_KEY
    moved = server.anonymise(asked(photo, key, rekey=3))
    assert moved.rekeyed == 1 and moved.key == follower and not moved.keyless.same_person


def test_what_the_server_reads_is_what_kvfa_reads(tiny, photo):
    stages = refining()
    answer = AnonymisationServer(stages).anonymise(asked(photo, KEY))
    verdict = AuthenticationServer(stages).compare(Photo(answer.portrait), photo).with_key(KEY)
    assert answer.reading.cosine == pytest.approx(verdict.cosine, abs=1e-6)
    assert answer.reading.threshold == verdict.threshold
    without = AuthenticationServer(stages).compare(Photo(answer.portrait), photo).without_key()
    assert (
        answer.keyless.cosine == pytest.approx(without.cosine, abs=1e-6) and without.compared in answer.keyless.compared
    )


# ---- what remains


def reachable(*roots: object) -> list[object]:
    """Everything that the roots hold, but for code: modules, classes and the globals of functions."""
    skipped = (type, type(gc), type(lambda: 0), type(len))
    found, waiting = {id(root): root for root in roots}, list(roots)
    while waiting:
        for thing in gc.get_referents(waiting.pop()):
            if id(thing) not in found and not isinstance(thing, skipped):
                found[id(thing)] = thing
                waiting.append(thing)
    return list(found.values())


def test_the_anonymisation_server_keeps_nothing(stages, tmp_path, monkeypatch, caplog, photo):
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.DEBUG)
    server = AnonymisationServer(stages)
    server.anonymise(asked(photo, UserKey.parse("11" * 32), mode="paste", side=64))  # what is made once is there now
    before = {id(thing) for thing in reachable(server)}
    secret, own = UserKey.parse("5a" * 32), Photo(photo.pixels.copy())
    features: list[weakref.ref] = []
    embed = type(stages.encoder).embed

    def spied(self, *given):
        found = embed(self, *given)
        features.append(weakref.ref(found))
        return found

    monkeypatch.setattr(type(stages.encoder), "embed", spied)
    answer = server.anonymise(asked(own, secret, mode="paste", side=64, rekey=1))
    remains = [weakref.ref(own), weakref.ref(own.pixels), weakref.ref(answer), weakref.ref(answer.latent), *features]
    assert len(features) >= 1
    del answer, own
    gc.collect()
    assert [thing() for thing in remains] == [None] * len(remains)
    held = reachable(server)
    assert not [thing for thing in held if isinstance(thing, UserKey | Photo | VirtualFace)]
    assert not [thing for thing in held if isinstance(thing, bytes) and secret.data in thing]
    new = [thing for thing in held if id(thing) not in before and isinstance(thing, np.ndarray | bytes | str)]
    assert not new
    assert secret.hex() not in caplog.text and secret.hex()[:16] not in caplog.text
    assert not caplog.records  # nothing at all is logged about a photo
    assert not list(tmp_path.rglob("*"))


# ---- authentication


@pytest.fixture
def virtual(server, photo) -> Photo:
    return Photo(server.anonymise(asked(photo, KEY)).portrait)


def test_both_conditions(stages, photo, virtual):
    server = AuthenticationServer(stages)
    with_key, without = server.authenticate(virtual, photo, KEY), server.authenticate(virtual, photo, None)
    comparison = server.compare(virtual, photo)
    assert with_key == comparison.with_key(KEY) and with_key.key_used and "k)" in with_key.compared
    assert without == comparison.without_key() and not without.key_used and "no key" in without.compared
    for answer in (with_key, without):
        assert answer.threshold == stages.kvfa_threshold == 0.5 and answer.dimension == 8
        assert answer.same_person == (answer.cosine >= 0.5) and -1 <= answer.cosine <= 1
    itself = server.authenticate(photo, photo, None)
    assert itself.cosine == pytest.approx(1) and itself.same_person


def test_the_preset_names_the_threshold_in_force(tiny, photo, virtual):
    paper = AuthenticationServer(with_preset(tiny, threshold_in_force="paper"))
    assert paper.authenticate(virtual, photo, KEY).threshold == 0.7


def test_many_keys_on_one_look(stages, photo, virtual):
    comparison = AuthenticationServer(stages).compare(virtual, photo)
    keys = [KEY.flip([bit]) for bit in range(5)]
    found = comparison.with_keys(keys)
    assert found.shape == (5,) and found.tolist() == [comparison.with_key(key).cosine for key in keys]
    assert len(set(found.tolist())) == 5
    assert "virtual" not in repr(comparison) and "original" not in repr(comparison)


def test_a_picture_without_a_face(tiny, photo):
    with pytest.raises(NoFaceFound):
        AuthenticationServer(tiny).authenticate(Photo(np.zeros((40, 40, 3), np.uint8)), photo, KEY)


def test_tries_are_limited_for_an_hour(tiny, photo, virtual, other_photo):
    now = [0.0]
    server = AuthenticationServer(with_preset(tiny, tries_per_hour=3), clock=lambda: now[0])
    for _ in range(3):
        server.authenticate(virtual, photo, KEY, client="a")
        now[0] += 600
    for at, minutes in ((1800.0, 30), (3590.0, 1)):  # asking again does not put the hour off
        now[0] = at
        with pytest.raises(TooManyTries, match=rf"3 tries.*Wait {minutes} minutes"):
            server.authenticate(virtual, photo, KEY, client="a")
    server.authenticate(virtual, photo, KEY, client="b")  # another client
    server.authenticate(other_photo, photo, KEY, client="a")  # another virtual face
    now[0] = 3601.0
    server.authenticate(virtual, photo, KEY, client="a")  # the first try is an hour ago
    with pytest.raises(TooManyTries):
        server.authenticate(virtual, photo, KEY, client="a")
    now[0] = 9999.0
    server.authenticate(virtual, photo, KEY, client="a")


def test_a_wrong_key_counts_like_a_right_one(tiny, photo, virtual):
    server = AuthenticationServer(with_preset(tiny, tries_per_hour=2), clock=lambda: 0.0)
    server.authenticate(virtual, photo, KEY.flip([0]))
    server.authenticate(virtual, photo, None)
    with pytest.raises(TooManyTries):
        server.authenticate(virtual, photo, KEY)


def test_the_audit_line_holds_no_secret(tiny, photo, virtual, caplog):
    caplog.set_level(logging.DEBUG)
    AuthenticationServer(tiny).authenticate(virtual, photo, KEY, client="some client")
    (record,) = caplog.records
    text = record.getMessage()
    assert re.fullmatch(r"authentication: I\(x\) with I\(x_v, k\), (same person|not the same)", text)
    assert KEY.hex() not in str(vars(record)) and not any(
        isinstance(part, np.ndarray | UserKey) for part in record.args
    )


def test_the_authentication_server_keeps_no_key_and_no_picture(stages, photo, virtual):
    server = AuthenticationServer(stages)
    secret = UserKey.parse("5b" * 32)
    server.authenticate(virtual, photo, secret)
    held = reachable(server)
    assert not [thing for thing in held if isinstance(thing, UserKey | Photo)]
    assert not [thing for thing in held if isinstance(thing, bytes) and secret.data in thing]
    shared = [thing for thing in held if isinstance(thing, np.ndarray) and np.shares_memory(thing, photo.pixels)]
    assert not shared


@pytest.mark.parametrize("bits", [8, 128, 256])
def test_every_method_takes_the_paper_s_key_lengths(stages, photo, virtual, bits):
    key = UserKey(bytes(range(bits // 8)))
    first, second = (
        AnonymisationServer(stages).anonymise(asked(photo, k)).portrait for k in (key, key.flip([bits - 1]))
    )
    assert not np.array_equal(first, second)
    assert -1 <= AuthenticationServer(stages).authenticate(virtual, photo, key).cosine <= 1


def test_a_key_length_that_bits_has_no_network_for_is_told_before_a_face_is_drawn(photo, virtual):
    stages, key = pipeline.load(replace(TINY, method="bits"), "cpu"), UserKey.parse("c3" * 64)
    both = (
        lambda: AnonymisationServer(stages).anonymise(asked(photo, key)),
        lambda: AuthenticationServer(stages).authenticate(virtual, photo, key),
    )
    for ask in both:
        with pytest.raises(BadKey, match=r"A key of 512 bits.*8, 128, 256 bits only.*the method hashed") as caught:
            ask()
        assert key.hex()[:16] not in str(caught.value)


def test_users_make_keys():
    assert User.key_gen().bits == 256 and User.key_gen(8).bits == 8
    assert User.key_gen() != User.key_gen()


def test_a_face_is_refined_unless_that_is_declined(photo):
    """After the posture correction, for the payload of P; its progress is told step by step."""
    given: list[tuple[Tensor, Posture, Payload]] = []

    def refine(latent: Tensor, original: Posture, payload: Payload, steps: Callable[[int, int], None]) -> Tensor:
        given.append((latent, original, payload))
        steps(0, 2)
        steps(1, 2)
        return latent + 0.5

    stages = refining(refine)
    server, calls = AnonymisationServer(stages), []
    quick = server.anonymise(asked(photo, KEY, refine=False))
    server.anonymise_all(asked(photo, KEY, refine=False))
    assert not given and "refine" not in quick.seconds and quick.reading is None
    found = server.anonymise(asked(photo, KEY), lambda *call: calls.append(call))
    ((latent, original, payload),) = given
    located = stages.locator.locate(photo)
    feature = stages.encoder.embed(photo.pixels, located.landmarks)
    projected = stages.projector(feature, KEY)
    corrected = stages.corrector.correct(
        render_face(stages.generator, stages.geometry, projected.latent, 32), located.posture, 32
    )
    torch.testing.assert_close(latent, corrected.latent)
    np.testing.assert_allclose(vector_of(original), vector_of(located.posture))
    np.testing.assert_allclose(payload.identity, stages.identity(feature))
    assert np.linalg.norm(payload.code) == pytest.approx(1)
    assert found.reading is not None and found.keyless is not None and tuple(found.seconds) == STEPS
    assert not np.array_equal(found.portrait, quick.portrait)
    assert [call for call in calls if call[0] == "refine"] == [
        ("refine", 0, 1),
        ("refine", 0, 2),
        ("refine", 1, 2),
        ("refine", 1, 1),
    ]
    assert [call for call in calls if call[0] != "refine"] == [
        (name, done, 1) for name in STEPS if name != "refine" for done in (0, 1)
    ]
    server.anonymise_all(asked(photo, KEY))
    assert len(given) == 2


def test_a_method_without_a_payload_is_never_refined(tiny, photo):
    stages = replace(tiny, refiner=lambda *_: pytest.fail("refined"))
    assert AnonymisationServer(stages).anonymise(asked(photo, KEY)).reading is None


def test_what_progress_raises_ends_the_work(tiny, photo):
    class Stopped(Exception):
        pass

    def stop(name: str, done: int, of: int) -> None:
        if name == "generate":
            raise Stopped

    with pytest.raises(Stopped):
        AnonymisationServer(tiny).anonymise(asked(photo, KEY), stop)


def test_of_several_faces_the_pair_that_fits_is_compared(tiny, wide):
    """The second face of one picture and the first of the other are one person; the largest of both are not."""
    stages = seeing(tiny, Two)
    large, small = (stages.locator.locate(wide, number) for number in (0, 1))
    features = [stages.features(wide.pixels, face.landmarks) for face in (large, small)]
    whole = AuthenticationServer(stages).compare(wide, wide)
    assert whole.without_key().faces in {(0, 0), (1, 1)} and whole.without_key().cosine == pytest.approx(1)
    single = replace(whole, original=whole.original[1:])
    found = single.without_key()
    assert found.faces == (1, 0) and found.among == (2, 1) and found.cosine == pytest.approx(1)
    assert [[face.box.tolist() for face in faces] for faces in whole.faces] == [
        [face.crop.face.box.tolist() for face in (large, small)]
    ] * 2
    np.testing.assert_array_equal(whole.virtual, np.stack(features))
    apart = replace(single, virtual=whole.virtual[:1]).without_key()
    assert apart.faces == (0, 0) and apart.cosine < found.cosine
    for key in (KEY, KEY.flip([3])):
        assert whole.with_key(key).cosine == max(
            replace(whole, virtual=whole.virtual[[i]], original=whole.original[[j]]).with_key(key).cosine
            for i in (0, 1)
            for j in (0, 1)
        )


class Enrolling:
    """A refinement that moves the latent by one, and by two where a person is enrolled."""

    def __call__(self, latent, *_):
        return latent + 1

    def enrol(self, latent, *_):
        return latent + 2


def test_later_photos_of_an_enrolled_person_take_her_latent_and_are_not_refined(photo):
    stages = never_close(refining(Enrolling()))
    server = AnonymisationServer(stages)
    first, person = server.enrol(asked(photo, KEY))
    np.testing.assert_array_equal(person.latent, first.latent)
    assert not np.array_equal(first.latent, server.anonymise(asked(photo, KEY)).latent)
    unasked = replace(stages, projector=lambda *_: pytest.fail("P was asked"))
    again = AnonymisationServer(unasked).anonymise(asked(photo, KEY, person=person))
    assert "refine" not in again.seconds and again.reading is not None
    other = server.anonymise(asked(photo, KEY.next(), person=person))  # who it is follows from the person alone
    np.testing.assert_array_equal(other.portrait, again.portrait)
    assert "latent" not in repr(person) and "identity" not in repr(person)


@pytest.mark.parametrize("cosine", [0.49, 0.51])
def test_a_photo_below_the_threshold_is_somebody_elses(photo, cosine):
    stages = never_close(refining(Enrolling()))
    server = AnonymisationServer(replace(stages, calibration=replace(stages.calibration, enrolled=0.5)))
    _, person = server.enrol(asked(photo, KEY))
    u = person.identity / np.linalg.norm(person.identity)
    aside = np.linalg.svd(u[None])[2][-1]  # of unit length, at right angles to u
    other = replace(person, identity=cosine * u + np.sqrt(1 - cosine**2) * aside)
    if cosine > 0.5:
        server.anonymise(asked(photo, KEY, person=other))
    else:
        with pytest.raises(OtherPerson, match=r"enrolled for somebody else: the photos agree by 0.49, not 0.50"):
            server.anonymise(asked(photo, KEY, person=other))


def test_without_refinement_the_face_itself_is_enrolled(tiny, photo):
    refines = AnonymisationServer(never_close(refining(Enrolling())))
    for server, request in ((AnonymisationServer(tiny), asked(photo, KEY)), (refines, asked(photo, KEY, refine=False))):
        first, person = server.enrol(request)
        np.testing.assert_array_equal(first.portrait, server.anonymise(request).portrait)
        np.testing.assert_array_equal(person.latent, first.latent)
        assert server.anonymise(replace(request, person=person)).reading is None
