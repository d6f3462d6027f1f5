from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from kfaar_core import methods, weights
from kfaar_core.errors import BadKey, NoFaceFound
from kfaar_core.evaluate.context import Real, Virtual, features, hashes
from kfaar_core.presets import LAB


def with_preset(context, **changes):
    stages = context.stages
    return replace(context, stages=replace(stages, preset=replace(stages.preset, **changes)))


def test_a_look_depends_on_what_it_comes_from_and_on_no_threshold(context):
    photo, face = Real(0), Virtual(0, "shared 0", 256)
    for change in ({"correct_steps": 1}, {"precision": "f32"}):
        other = with_preset(context, **change)
        assert other.name_of(photo) == context.name_of(photo)
        assert other.name_of(face) != context.name_of(face)
    for change in ({"match_threshold": 0.5}, {"threshold_in_force": "paper"}, {"tries_per_hour": 1}, {"look_min": 0.5}):
        other = with_preset(context, **change)
        assert other.name_of(photo) == context.name_of(photo)
        assert other.name_of(face) == context.name_of(face)
    other = with_preset(context, face_min=1)
    assert other.name_of(photo) != context.name_of(photo)


def test_a_photo_shows_the_person_in_its_middle_whoever_is_larger(context, monkeypatch):
    """The photos' own detector finds the face of the middle; a larger one is put beside it."""
    alone = Real(0).arrays(context), Virtual(0, "own 0", 256, rounds=2).arrays(context)
    one = type(context.stages.detector).faces

    def accompanied(self, photo):
        faces = one(self, photo)
        if photo.pixels.shape == (context.stages.preset.side,) * 2 + (3,):  # a virtual face is alone
            return faces
        return [replace(face, box=face.box * 1.2 + 5, points=face.points * 1.2 + 5) for face in faces] + faces

    monkeypatch.setattr(type(context.stages.detector), "faces", accompanied)
    for before, request in zip(alone, (Real(0), Virtual(0, "own 0", 256, rounds=2)), strict=True):
        np.testing.assert_array_equal(request.arrays(context)["features"], before["features"])
    largest = context.encoder_features(context.photo(0))
    assert not np.allclose(largest["features"], alone[0]["features"])


def test_all_methods_share_the_looks_of_photos(context):
    forms = [with_preset(context, method=name) for name in methods.readable()]
    names = [form.name_of(Real(0)) for form in forms]
    assert len(set(names)) == 1
    assert len({form.name_of(Virtual(0, "own 0", 256)) for form in forms}) == len(forms)


def test_a_face_depends_on_the_weights_that_made_it(context, monkeypatch):
    """Those of the method for keys of its length; a photo on those alone that look at it."""
    lab = with_preset(context, name="lab", method="bits")  # the preset tiny has no files of weights
    pins = dict.fromkeys(weights.WEIGHTS, "before")
    monkeypatch.setattr(weights, "pin_of", lambda weight: weights.Pin(pins[weight.name], 1))

    def name(request):
        return replace(lab, used=hashes(lab.stages.preset)).name_of(request)

    def renamed(weight, request):
        before = name(request)
        with monkeypatch.context() as patched:
            patched.setitem(pins, weight, "after")
            return name(request) != before

    assert renamed("projector_bits_8", Virtual(0, "own 0", 8))
    assert not renamed("projector_bits_8", Virtual(0, "own 0", 128))
    assert renamed("mtcnn_pnet", Virtual(0, "own 0", 128)) and renamed("mtcnn_pnet", Real(0))
    assert not renamed("projector_bits_8", Real(0))


def test_a_method_uses_no_weights_of_the_others():
    used = {name: set(hashes(replace(LAB, method=name))) for name in methods.readable()}
    assert all({"judge", "mobile_stylegan", "mtcnn_onet"} <= found for found in used.values())
    assert "floor" in used["floor"] and not any("kvfa" in name or "projector" in name for name in used["floor"])
    assert not any("bits" in name or name == "floor" for name in used["hashed"])
    assert "projector_hashed" in used["bits"] and "floor" not in used["bits"]  # its I(x) is that of `hashed`
    assert "projector_bits_8" in used["bits"]
    of_128 = {name for name in hashes(replace(LAB, method="bits"), 128) if "bits" in name}
    assert of_128 == {"projector_bits_128", "kvfa_bits_128"}


CALLS = []


@dataclass(frozen=True)
class Asked:
    """A request that fails as it is told to."""

    error: str = ""

    def depends(self, context):
        return {}

    def arrays(self, context):
        CALLS.append(self.error)
        if self.error:
            raise {"face": NoFaceFound, "key": BadKey}[self.error](got="this", mend="that")
        return {"x": np.ones(2)}


def test_what_was_seen_is_not_made_again_and_a_missing_face_is_remembered(context):
    CALLS.clear()
    for _ in range(2):
        assert context.ask(Asked("face")) == {}
        np.testing.assert_array_equal(context.ask(Asked())["x"], [1, 1])
    assert CALLS == ["face", ""]
    with pytest.raises(BadKey):
        context.ask(Asked("key"))


def test_keys_follow_from_the_seed_and_a_wrong_one_is_wrong(context):
    assert context.key("shared 1") == context.key("shared 1") != context.key("shared 2")
    assert context.key("shared 1").bits == 256
    right = context.key("anything", 8)
    assert context.wrong_key("anything", right) != right  # the same purpose would give the same key
    assert context.wrong_key("anything", right).bits == 8


def test_the_virtual_face_is_read_with_its_key_and_the_photo_by_e_alone(context):
    photo, virtual = context.real(0), features(context.ask(Virtual(0, "shared 0", 256)))
    assert photo.features.shape == (context.stages.identity.width,)
    assert not np.allclose(photo.judge, virtual.judge)
    assert not np.allclose(features(context.ask(Virtual(0, "shared 0", 256, rounds=2))).judge, virtual.judge)
    assert not np.allclose(features(context.ask(Virtual(0, "shared 1", 256))).features, virtual.features)
