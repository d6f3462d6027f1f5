"""What the handlers answer, with a stand-in core."""

from __future__ import annotations

import inspect
import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from zipfile import ZipFile

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from demo import browser, build, controls, endpoints, faces_panel, saving_panel, words
from demo import visitor as visitor_module
from demo.core import Request, fault
from demo.examples import examples
from demo.keys_panel import GivenKey
from demo.records import UNCHANGED, Inputs, Outputs, flat, placed
from demo.shown import shown
from demo.tabs import about, anonymise, authenticate, compare
from demo.visitor import LEFT, Stop, Stopped, Visitor, ask_to_stop, reporter
from kfaar_core.errors import BadKey, BadPicture, BadSetting, KfaarError, OtherPerson
from kfaar_core.keys import UserKey
from kfaar_core.mark import COMPOSITE, FORMATS, SYNTHETIC, packet
from kfaar_core.paper import REFERENCES
from kfaar_core.records import GroupPhoto, Rejection
from tests.demo.stand_in import StandInCore, StandInReading

KEY = UserKey(bytes(range(32)))
HEX = GivenKey("hex", "256", KEY.hex(), "")


def order(path, given=HEX, method="floor", faces=("0",), mode="portrait", refine=True, remember=False):
    return anonymise.Order(path, given, method, list(faces), mode, refine, remember)


def case(virtual, original, given=HEX, method="floor"):
    return authenticate.Case(virtual, original, given, method)


def quiet(*_: object, **__: object) -> None:
    """A progress bar that nobody sees."""


def virtual_face(core, photo, key=KEY, method="floor", refine=True):
    given = anonymise.pictures.read_photo(photo, words.NO_PHOTO)
    return core.anonymise(Request(given, key, method, refine=refine))


def steps_of(core, path, visitor=None, held="", **settings):
    return anonymise.on_anonymise(order(path, **settings), held, visitor or Visitor(), None, core=core)


def anonymised(core, path, visitor=None, **settings):
    """The last answer, which is the whole one."""
    return [*steps_of(core, path, visitor, **settings)][-1]


def opened(encoded) -> Image.Image:
    return Image.open(BytesIO(encoded.data))


def drawn(core, photo, save, key=KEY):
    """A virtual face made by the core, as a file."""
    return save(virtual_face(core, photo, key).picture, "virtual")


def test_anonymise_shows_every_step_and_remembers_the_photo(core, photo):
    out = anonymised(core, photo)
    assert "Another person" in out.summary and "0.10" in out.summary and "0.40" in out.summary
    assert out.found.shape[2] == 3 and opened(out.draft).size == opened(out.slider["value"][1]).size == (64, 64)
    assert opened(out.final).format == "PNG" and out.preview["visible"] is False
    assert "+5.0" in out.posture and "0.5" in out.posture  # |5.0 - 4.5|
    assert "0.40 s" in out.times  # the sum
    assert out.visitor.original is not None and out.visitor.step == 3
    assert core.stages == ["locate", "generate"]


def test_the_card_tells_what_the_key_reads_of_a_face(core, photo):
    assert "read at 0.80 (accepted from 0.50)" in anonymised(core, photo).summary
    # without refinement the core does not say it, and the demo asks
    assert "read at 0.80 (accepted from 0.50)" in anonymised(core, photo, refine=False).summary


def test_a_face_that_its_own_key_does_not_read_is_told_at_once_and_refinement_offered(core, photo):
    out = anonymised(core, photo, given=GivenKey("hex", "256", "fe" * 32, ""), refine=False)
    assert words.FAULT_HEADS["unread"] in out.summary and words.UNREFINED_FAILS in out.summary
    assert "too little" in out.summary and out.retry["visible"] is True
    assert out.saving["visible"] is True  # it hides the person all the same


def test_a_face_that_is_too_close_is_one_sentence_one_button_and_nothing_to_save(core, photo):
    out = anonymised(core, photo, given=GivenKey("hex", "256", "ff" * 32, ""))
    said = re.sub("<[^>]+>", " ", out.summary)
    assert "Too close" in said and "0.60" in said and "0.40" in said and "Another person" not in said
    assert out.retry["visible"] is True and out.saving["visible"] is False and out.details["visible"] is False
    assert out.final is None and "data-done" not in out.summary
    assert authenticate.on_done(out.visitor, out.final) == authenticate.Taken()  # nothing goes to Authenticate
    by_passphrase = order(photo, GivenKey("passphrase", "8", "", "words"))
    face = replace(virtual_face(core, photo, UserKey(bytes([255] * 32))), key=KEY)
    told = anonymise.answered(by_passphrase, anonymise.pictures.read_photo(photo, ("", "")), face, Visitor())
    assert told.retry["visible"] is False and words.ANOTHER_PASSPHRASE in told.summary


def test_the_sentences_of_the_core_about_keys_are_not_repeated(core, photo):
    assert "a sentence of the core" in virtual_face(core, photo).warnings
    assert "sentence of the core" not in anonymised(core, photo).summary


KEYLESS = StandInReading(None).without_key()


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"rejection": Rejection.NO_FACE}, "unseen"),
        ({"rejection": Rejection.TOO_CLOSE, "anonymous": False}, "close"),
        ({"rejection": Rejection.TOO_CLOSE}, "alike"),
        ({"keyless": KEYLESS}, None),
        ({"rejection": Rejection.READ_WITHOUT_KEY, "keyless": replace(KEYLESS, same_person=True)}, "open"),
        ({"rejection": Rejection.NOT_READ, "keyless": replace(KEYLESS, same_person=True)}, "open"),  # the graver one
        ({"rejection": Rejection.NOT_READ, "keyless": KEYLESS}, "unread"),
        ({"reading": StandInReading(None).with_key(KEY)}, "unread"),  # of a face that was not refined
    ],
)
def test_faults_have_codes_and_codes_have_sentences(core, photo, wrong, code):
    face = replace(virtual_face(core, photo), **wrong)
    assert fault(face) == code
    if code:
        assert words.fault(code, face).endswith(".") and words.FAULT_HEADS[code]


def test_every_reason_of_the_core_has_a_sentence(core, photo):
    for reason in Rejection:
        assert fault(replace(virtual_face(core, photo), rejection=reason)) in words.FAULTS


def test_no_answer_holds_the_key(core, photo):
    assert KEY.hex() not in repr(anonymised(core, photo))


def test_later_photos_of_a_remembered_person_show_the_same_and_others_are_told(core, photo, save, rng, two):
    first = anonymised(core, photo, remember=True)
    assert "remembers the person now" in first.summary and "key file" in first.summary
    again = anonymised(core, photo, held=f"no base64!\nYWJj\n{first.sealed}", remember=True)
    assert again.sealed == first.sealed and words.ENROLLED_BEFORE in again.summary
    other = save(rng.integers(0, 99, (80, 60, 3), dtype=np.uint8), "other")
    with pytest.raises(OtherPerson, match=r"remembers somebody else .*New key"):
        anonymised(core, other, held=first.sealed, remember=True)
    assert anonymised(core, other, held=first.sealed).sealed == ""  # not asked for: drawn anew
    another = GivenKey("hex", "256", KEY.next().hex(), "")
    for settings in ({"given": another}, {"method": "bits"}):  # nobody is remembered of these
        out = anonymised(core, other, held=first.sealed, remember=True, **settings)
        assert "remembers the person now" in out.summary
    assert words.SEVERAL_NOT_ENROLLED in anonymised(core, two, faces=["0", "1"], remember=True).summary
    assert first.sealed not in repr(first) and first.sealed not in repr(again)


def test_a_rejected_face_is_not_remembered(core, photo):
    assert anonymised(core, photo, given=GivenKey("hex", "256", "ff" * 32, ""), remember=True).sealed == ""


def test_the_estimate_counts_the_postures_of_a_first_photo():
    said = [anonymise.on_pace(["0"], "never drawn", True, asked) for asked in (False, True)]
    seconds = [float(re.search(r"about ([0-9.]+)", sentence)[1]) for sentence in said]
    assert seconds[1] == 3 * seconds[0] and "first photo" in said[1]


@pytest.mark.parametrize("form", ["hex", "passphrase"])
def test_a_missing_key_is_told_in_words(core, photo, form):
    with pytest.raises(BadKey):
        anonymised(core, photo, given=GivenKey(form, "256", "  ", ""))


def test_a_weak_passphrase_and_a_short_key_are_remarked(core, photo):
    out = anonymised(core, photo, given=GivenKey("passphrase", "8", "", "sunshine"))
    assert "first that anybody tries" in out.summary and words.EIGHT_BITS in out.summary
    assert "sunshine" not in repr(out)
    assert out.save_key["visible"] is False and "8 bits" in out.pair  # the passphrase is the key


def test_missing_photo_corrupt_file_and_no_face(core, photo, plain, tmp_path: Path):
    corrupt = tmp_path / "corrupt.jpg"
    corrupt.write_bytes(Path(photo).read_bytes()[:200])
    for path, part in ((None, "no photo"), (str(corrupt), "damaged"), (plain, "no face")):
        with pytest.raises(KfaarError, match=f"(?i){part}"):
            anonymised(core, path)


def test_every_picture_that_is_made_says_that_it_is_synthetic(core, photo, tmp_path):
    steps = [*steps_of(core, photo)]
    preview, out = (
        next(step.preview for step in steps if isinstance(step.preview, dict) and step.preview["visible"]),
        steps[-1],
    )
    before, after = out.slider["value"]
    for picture in (preview["value"], after, out.draft, out.corrected, out.final):
        assert SYNTHETIC.encode() in opened(picture).info["xmp"]
    assert "xmp" not in opened(before).info  # it is a photo
    whole = anonymised(core, photo, mode="paste")
    assert COMPOSITE.encode() in opened(whole.final).info["xmp"]
    grid = compare.picture_grid([[virtual_face(core, photo)]], 1)
    photo_, made = (b64decode(address) for address in re.findall('src="data:image/jpeg;base64,([^"]+)"', grid))
    assert b"synthetic face" in made and b"synthetic face" not in photo_


@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp"])
@pytest.mark.parametrize("mode", ["portrait", "paste"])
def test_a_picture_keeps_its_mark_in_every_format(core, photo, tmp_path, ending, mode):
    (tmp_path / "final.png").write_bytes(anonymised(core, photo, mode=mode).final.data)
    saved = saving_panel.on_save(str(tmp_path / "final.png"), ending)
    data = Path(saved).read_bytes() if isinstance(saved, str) else saved.data
    with Image.open(BytesIO(data)) as picture:
        assert picture.format == FORMATS[ending]
        assert packet(mode == "paste").encode() == picture.info["xmp"]


def test_a_new_photo_is_looked_at(core, photo, plain):
    one = faces_panel.on_photo(photo, core=core)
    assert one.said == words.faces_found(1) and one.faces["visible"] is one.which["visible"] is False
    assert "No face" in faces_panel.on_photo(plain, core=core).said


@pytest.fixture
def two(save, rng):
    """A photo of two people, for the stand-in."""
    return save(rng.integers(0, 256, (80, 160, 3), dtype=np.uint8), "two")


def test_of_several_faces_each_is_tapped_in_and_out(core, two):
    seen = faces_panel.on_photo(two, core=core)
    assert seen.faces["value"] == [value for _, value in seen.faces["choices"]] == ["0", "1"]
    assert seen.which["visible"] is seen.everybody["visible"] is True

    def tap(x, y, chosen):
        return faces_panel.on_tap(two, chosen, SimpleNamespace(index=(x, y)), core=core)

    assert tap(20, 20, ["0", "1"]) == ["0"] and tap(120, 40, ["1"]) == ["0", "1"] and tap(60, 75, ["1"]) == ["1"]
    frames = [faces_panel.on_choice(two, chosen, core=core) for chosen in (["0"], ["1"], [])]
    assert len({frame.tobytes() for frame in frames}) == 3
    assert faces_panel.on_everybody(two, core=core) == ["0", "1"]
    out = anonymised(core, two, faces=["1"], mode="paste")
    assert out.slider["slider_position"] == pytest.approx(100 * 25 / 160, abs=0.1)  # the middle of the smaller face
    with pytest.raises(BadSetting, match=r"(?i)no face is chosen"):
        anonymised(core, two, faces=[])


def test_everybody_is_replaced_in_the_photo(core, two):
    steps = [*steps_of(core, two, faces=["0", "1"])]
    assert any("Face 2 of 2" in str(step.summary) for step in steps)
    out = steps[-1]
    assert "2 other people" in out.summary and "all 2" in out.summary and "share this key" in out.summary
    assert out.saving["visible"] is True and out.retry["visible"] is False
    assert opened(out.final).size == (160, 80)


def test_a_face_that_cannot_be_replaced_is_told_with_its_number(core, two):
    hidden = GivenKey("hex", "256", "00ff" + "11" * 30, "")
    out = anonymised(core, two, given=hidden, faces=["0", "1"])
    assert "Face 2 could not be replaced" in out.summary and out.retry["visible"] is True
    nobody = words.group_decision(GroupPhoto(np.zeros((8, 8, 3), np.uint8), {}, (0, 1)))
    assert nobody[0] == "Nobody could be replaced" and "Faces 1 and 2" in nobody[1]
    assert "Face 2 was left" in words.group_notes(GroupPhoto(np.zeros((8, 8, 3), np.uint8), {}, ()), [1])[0]


def test_an_example_shows_its_committed_answer_and_no_server_sends_its_key():
    number = next(n for n, example in enumerate(examples()) if example.answer)
    filled = anonymise.on_example(number, Visitor(), core=StandInCore())
    made = examples()[number].answer
    assert "data-done" in filled.answer.summary and f"{made.judge_cosine:.2f}" in filled.answer.summary
    assert made.key not in repr(filled) and filled.answer.final == made.path
    assert filled.answer.visitor.original is not None  # for the tab Authenticate
    warned = anonymise.about_key(order(None, GivenKey("hex", "256", made.key, "")), 256)
    assert warned == [words.PUBLIC_KEY] and anonymise.about_key(order(None), 256) == []


def test_a_tap_is_read_on_the_scale_of_the_shown_picture(core):
    face = core.faces(anonymise.Photo(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)))[0]
    large = replace(face, box=np.array([2000, 2000, 3000, 3000], dtype=np.float32))
    shape = (4096, 4096, 3)  # shown at a quarter
    assert anonymise.pictures.face_at([large], shape, 625, 625) == 0
    assert anonymise.pictures.face_at([large], shape, 2500, 2500) is None


def test_stop_ends_the_work_at_the_next_step_of_the_refinement(photo):
    core, visitor, shares = StandInCore(seconds=0.05), Visitor(), []
    with pytest.raises(Stopped):
        for step in steps_of(core, photo, visitor):
            shares += re.findall('value="([0-9.]+)"', str(step.summary))
            if "refining, step 1 of 10" in str(step.summary):
                ask_to_stop(visitor)
    assert core.stages.count("refine") in (2, 3)  # the report of a step that had begun ended the work
    numbers = [float(share) for share in shares]
    assert numbers == sorted(numbers) and numbers[0] == 0 and numbers[-1] < 1


def test_whoever_no_longer_follows_ends_the_work(photo):
    core = StandInCore(seconds=0.05)
    steps = steps_of(core, photo)
    next(step for step in steps if "refining, step" in str(step.summary))
    steps.close()
    assert core.stages.count("refine") < 6


def test_a_visitor_who_left_stops_what_runs_and_what_waits(core, photo):
    gone, here = SimpleNamespace(session_hash="gone"), SimpleNamespace(session_hash="here")
    visitor = Visitor()
    check = visitor.stop.begin(gone)
    LEFT.add(gone)
    with pytest.raises(Stopped):
        reporter(quiet, check)("refine", 1, 10)
    with pytest.raises(Stopped):
        next(anonymise.on_anonymise(order(photo), "", Visitor(), gone, core=core))
    assert not core.stages  # nothing was begun
    assert [*anonymise.on_anonymise(order(photo), "", Visitor(), here, core=core)][-1].final is not None


def test_pages_that_were_left_are_forgotten_when_there_are_many(monkeypatch):
    monkeypatch.setattr(visitor_module, "MOST_LEFT", 2)
    left, pages = visitor_module.Left(), [SimpleNamespace(session_hash=str(number)) for number in range(3)]
    for page in pages:
        left.add(page)
    assert [left.has(page) for page in pages] == [False, True, True]
    assert not left.has(None)  # a program, which has no page


def test_a_new_run_ends_the_one_before_it():
    stop = Stop()
    first = stop.begin()
    second = stop.begin()
    second()
    with pytest.raises(Stopped):
        first()


def test_compare_counts_pairs(core, photo, plain, save, rng):
    other = save(rng.integers(0, 256, (80, 60, 3), dtype=np.uint8), "other")
    keys = "\n".join(UserKey(bytes([n] * 16)).hex() for n in range(3))
    asked = compare.Table([(photo, None), (other, None)], keys, "floor", True)
    *parts, last = compare.on_compare(asked, Visitor(), None, core=core)
    grids = [part.grid for part in parts if part.grid is not UNCHANGED]
    assert [grid.count("<img") for grid in grids] == [0, 2, 3, 4, 6, 7, 8]  # cell by cell, a photo before its row
    assert last.grid.count("<img") == 2 + 2 * 3 and last.grid.count('type="range"') == 2 * 3
    with ZipFile(BytesIO(last.pictures.data)) as packed:
        assert len(packed.namelist()) == 6 and packed.namelist()[0] == "photo-a-key-1.png"
        with Image.open(packed.open("photo-b-key-3.png")) as picture:
            assert SYNTHETIC.encode() in picture.info["xmp"]
    assert "all 6 pairs are different people" in last.said  # 2 photos, 3 pairs of keys each
    assert last.heatmap["value"].data[0].z is not None and last.table.count("<tr>") == 1 + 8


def test_words_about_a_grid_of_one_person_twice():
    cosines = np.full((6, 6), 0.9)  # two photos, two keys, everything alike
    said = compare.in_words(cosines, photos=2, keys=2, threshold=0.5)
    assert "none of 4 new faces" in said and "none of 2 pairs are different" in said
    assert "all 2 pairs are one person" in said and "Differentiation" not in said


def test_compare_refuses_too_much(core, photo):
    with pytest.raises(BadPicture):
        compare.given_photos([(photo, None)] * 5)
    with pytest.raises(BadKey):
        compare.given_keys("\n".join(["00" * 16] * 9))
    with pytest.raises(BadKey):
        compare.given_keys("")


def test_authenticate_with_right_and_wrong_key(core, photo, save):
    virtual = drawn(core, photo, save)
    right = authenticate.on_authenticate(case(virtual, photo), Visitor(), None, core=core)
    assert "Same person" in right.card and right.visitor.step == 6
    assert right.walk.count('class="done"') == 6  # drawing and list
    wrong = GivenKey("hex", "256", "ff" * 32, "")
    answer = authenticate.on_authenticate(case(virtual, photo, wrong), Visitor(), None, core=core)
    assert words.WRONG_KEY in answer.card and answer.visitor.step == 5
    assert "without refinement" in answer.card  # the third cause


def test_a_missing_key_in_authenticate_is_not_made_anew(core, photo, save):
    with pytest.raises(BadKey) as told:
        authenticate.on_authenticate(
            case(drawn(core, photo, save), photo, GivenKey("hex", "256", "", "")), Visitor(), None, core=core
        )
    assert "key file" in str(told.value) and words.MAKE_KEY not in str(told.value)


def test_swapped_pictures_are_noticed(core, photo, save):
    virtual = drawn(core, photo, save)
    answer = authenticate.on_authenticate(case(photo, virtual), Visitor(), None, core=core)
    assert words.SWAPPED in answer.card


def test_a_missing_original_is_told_in_words(core, photo, save):
    with pytest.raises(BadPicture, match="original"):
        authenticate.on_authenticate(case(photo, None), Visitor(), None, core=core)


def test_scenarios_and_a_threshold_that_moves(core, photo, save):
    virtual = drawn(core, photo, save)
    early, out = authenticate.on_scenarios(case(virtual, photo), 0.5, Visitor(), None, quiet, core=core)
    assert early.decided.table.count("<tr>") == 1 + 3 and words.SCENARIO_1_WAITS in early.decided.said
    table, visitor = out.decided.table, out.visitor
    assert table.count("accepted<") == 1 and table.count("refused") == 3
    assert out.decided.said.startswith("Only the right key")
    before = len(core.stages)
    moved = authenticate.on_threshold(0.9, "floor", visitor, core=core)
    assert "accepted<" not in moved.table and moved.said.startswith("Nobody")
    low = authenticate.on_threshold(-0.2, "floor", visitor, core=core).table
    assert low.count("accepted<") >= 3 and low.count("0.40") == 1  # scenario 1 keeps the judge's threshold
    assert len(core.stages) == before  # nothing was computed again
    forgotten = authenticate.on_input(visitor)
    assert authenticate.on_threshold(0.9, "floor", forgotten, core=core).said is UNCHANGED


def test_a_threshold_is_shown_as_it_is_compared(core):
    assert words.compared_with(0.4590, 0.4637) == ("0.459", "0.464")
    assert words.compared_with(0.46371, 0.46374) == ("0.46371", "0.46374")
    assert words.compared_with(0.8, 0.5) == ("0.80", "0.50")
    facts = replace(core.facts("floor"), threshold=0.4637392584)
    assert authenticate.shown_threshold(facts) == 0.464
    assert authenticate.exact(0.464, facts) == 0.4637392584 and authenticate.exact(0.465, facts) == 0.465


def test_stop_ends_the_scenarios_at_the_next_step(core, photo, save):
    virtual, visitor = drawn(core, photo, save), Visitor()
    run = authenticate.on_scenarios(case(virtual, photo), 0.5, visitor, None, quiet, core=core)
    next(run)
    ask_to_stop(visitor)
    with pytest.raises(Stopped):
        next(run)
    assert not visitor.outcomes


def test_a_face_is_read_by_the_form_that_made_it(core, photo, save):
    virtual = save(np.asarray(opened(anonymised(core, photo, method="bits").final)), "virtual")
    for method, words_ in (("bits", "Same person"), ("floor", "Not shown to be the same person")):
        answer = authenticate.on_authenticate(case(virtual, photo, HEX, method), Visitor(), None, core=core)
        assert words_ in answer.card
    with pytest.raises(BadKey, match="128"):
        anonymised(core, photo, given=GivenKey("hex", "256", "ab" * 4, ""), method="bits")


def test_another_method_brings_its_own_threshold_and_forgets_the_outcomes(core, photo, save):
    virtual = drawn(core, photo, save)
    *_, out = authenticate.on_scenarios(case(virtual, photo), 0.5, Visitor(), None, quiet, core=core)
    emptied = authenticate.on_method("bits", out.visitor, core=core)
    assert emptied.threshold == pytest.approx(0.6) and emptied.decided.bars["visible"] is False
    assert not emptied.decided.table and emptied.decided.said == words.SCENARIOS_EMPTY
    assert not emptied.visitor.outcomes


def test_the_menu_of_methods_reads_the_core_and_hides_when_there_is_one(core):
    menu = controls.method_menu(core.methods(), "x")
    assert menu.visible is True and menu.choices == [("linear (floor)", "floor"), ("key bits (bits)", "bits")]
    assert "The words of bits." in menu.info
    assert controls.method_menu(core.methods()[:1], "x").visible is False


def test_a_threshold_without_scenarios_changes_nothing(core):
    out = authenticate.on_threshold(0.4, "floor", Visitor(), core=core)
    assert all(value is UNCHANGED for value in vars(out).values())


def test_flipped_bits(core, photo, save):
    virtual = drawn(core, photo, save)
    out = authenticate.on_flip(case(virtual, photo), 7, 0.5, core=core)
    assert "7 bits" in out.said and "refused" in out.said
    assert out.table.count("<tr>") == 1 + len({*controls.FLIP_PLACES, 7})
    curve = out.plot["value"].data[1]
    assert curve.y[0] == pytest.approx(0.8) and max(curve.y[1:]) < 0.3
    zero = authenticate.on_flip(case(virtual, photo), 0, 0.5, core=core)
    assert "still accepted" in zero.said


def test_random_keys(core, photo, save):
    virtual = drawn(core, photo, save)
    out = authenticate.on_brute(case(virtual, photo), 0.5, Visitor(), None, quiet, core=core)
    assert out.said.startswith("1,000 random keys") and "None of them passes" in out.said
    counts = [int(cell) for cell in re.findall(r'<td class="number"[^>]*>(\d+)</td>', out.table)]
    assert sum(counts) == 1000 and sum(out.plot["value"].data[0].y) == 1000


def test_dictionary_finds_a_guessable_passphrase_only(core, photo, save, monkeypatch):
    cheap = staticmethod(lambda text, salt="", bits=256: UserKey(text.encode().ljust(32, b".")[:32]))
    monkeypatch.setattr(UserKey, "from_passphrase", cheap)
    for passphrase, known, found in (
        ("ada1815", "Ada 1815", True),
        ("nobody guesses this", "Ada 1815", False),
    ):
        virtual = drawn(core, photo, save, UserKey.from_passphrase(passphrase))
        asked = case(virtual, photo, GivenKey("passphrase", "256", "", passphrase))
        said = authenticate.on_dictionary(asked, known, 0.5, Visitor(), None, quiet, core=core).said
        assert said.startswith("Found") is found and passphrase not in said
    hex_ = authenticate.on_dictionary(case(virtual, photo), "", 0.5, Visitor(), None, quiet, core=core)
    assert hex_.said == words.DICTIONARY_HEX


def test_a_header_names_the_client_only_where_the_operator_declares_it(monkeypatch):
    asked = SimpleNamespace(headers={"x-forwarded-for": "1.2.3.4, 10.0.0.9"}, client=SimpleNamespace(host="127.0.0.1"))
    assert authenticate.client_of(asked) == "127.0.0.1"
    monkeypatch.setenv(authenticate.FORWARDED, "X-Forwarded-For")
    assert authenticate.client_of(asked) == "10.0.0.9"  # the address that our own proxy saw
    assert authenticate.client_of(SimpleNamespace(headers={}, client=None)) == "local"


def test_strangers_are_told_bands_and_no_cosine(core, photo, save):
    virtual = drawn(core, photo, save, KEY)
    told = authenticate.on_authenticate(case(virtual, photo), Visitor(), None, core=core, public=True)
    assert "clearly the same person" in told.card and "0.8" not in told.card and "cosine" not in told.card
    question = endpoints.reading.Question(virtual, case(virtual, photo).original, KEY.hex(), "floor", "")
    answer = endpoints.reading.authenticate(question, None, core=core, public=True)
    assert answer == {"same_person": True, "band": "clearly"}


def test_errors_reach_the_visitor_as_sentences_and_keep_the_signature(core):
    def handler(photo: str, progress: gr.Progress = gr.Progress(), *, core: object) -> int:  # noqa: B008
        """Docs."""
        raise BadKey(got="the key is odd", mend="add a digit")

    call = shown(handler, core=core)
    assert list(inspect.signature(call).parameters) == ["photo", "progress"] and call.__doc__ == "Docs."
    with pytest.raises(gr.Error, match=r"The key is odd\. Add a digit\."):
        call("x")


@dataclass(frozen=True)
class Inner(Inputs):
    a: int
    b: str


@dataclass(frozen=True)
class Outer(Inputs):
    inner: Inner
    c: float


def test_records_are_filled_from_the_values_of_their_components():
    def handler(outer: Outer, last: str, progress: gr.Progress = gr.Progress(), *, core: str) -> tuple:  # noqa: B008
        return outer, last, core

    call = shown(handler, core="core")
    assert list(inspect.signature(call).parameters) == ["a", "b", "c", "last", "progress"]
    assert call(1, "two", 3.0, "four") == (Outer(Inner(1, "two"), 3.0), "four", "core")


@dataclass(frozen=True)
class Pair(Outputs):
    one: int
    two: int = UNCHANGED


@dataclass(frozen=True)
class Said(Outputs):
    text: str
    pair: Pair

    @classmethod
    def trouble(cls, head, sentence):
        return cls(f"{head}: {sentence}", Pair(0))


def test_outputs_are_flat_and_stand_in_the_order_of_their_fields():
    assert flat(Said("x", Pair(1, 2))) == ("x", 1, 2) and flat(Pair(1)) == (1, gr.skip()) and flat(7) == 7
    assert placed(Said, pair=placed(Pair, two="b", one="a"), text="c") == ["c", "a", "b"]
    with pytest.raises(TypeError, match="two"):
        placed(Pair, one="a")


def test_an_error_stands_where_the_answer_would():
    def handler(a: int) -> Said:
        raise BadKey(got="the key is odd", mend="add a digit")

    def steps(a: int) -> Iterator[Said]:
        yield Said("x", Pair(1))
        raise Stopped

    told = f"{words.ERROR_TITLE}: The key is odd. Add a digit."
    assert shown(handler)(1) == (told, 0, gr.skip())
    assert [values[0] for values in shown(steps)(1)] == ["x", f"{words.STOPPED_TITLE}: {words.STOPPED}"]


@pytest.fixture(scope="module")
def page():
    """The whole page, which these tests only look at."""
    return build.build(StandInCore())


def test_no_event_has_more_or_fewer_inputs_than_its_handler(page):
    for event in page.fns.values():
        if event.fn is not None:
            given = inspect.signature(event.fn).parameters.values()
            special = (gr.Progress, gr.Request, "gr.Request", gr.SelectData)
            wanted = [p for p in given if not isinstance(p.default, gr.Progress) and p.annotation not in special]
            assert len(wanted) == len(event.inputs), event.fn


def test_every_place_of_the_paper_is_shown_with_a_file_that_exists():
    for place in REFERENCES:
        file = about.source(place.target).partition(":")[0]
        assert (Path(__file__).resolve().parents[2] / file).is_file(), file


def test_the_page_builds_and_opens_its_endpoints_alone(page, core):
    config = page.get_config_file()
    public = {event["api_name"] for event in config["dependencies"] if event["api_visibility"] == "public"}
    assert public == {"anonymise", "authenticate", "compare", "detect", "metrics", "scenarios"}
    with_models = build.build(core, mcp=True).get_config_file()
    public = {event["api_name"] for event in with_models["dependencies"] if event["api_visibility"] == "public"}
    assert public == {"anonymise", "compare", "detect", "metrics"}


def test_heavy_events_share_one_queue(page):
    heavy = [event for event in page.fns.values() if event.concurrency_id == "core"]
    assert len(heavy) >= 7 and all(event.concurrency_limit == 1 for event in heavy)
    apart = {event.fn.__name__ for event in page.fns.values() if event.concurrency_id == "look" and event.fn}
    assert {"on_photo", "on_authenticate", "authenticate"} <= apart  # nobody waits for a drawing to look at a photo


def test_no_server_event_answers_into_a_key_field(page):
    private = {words.KEY, words.PASS, words.COMPARE_KEYS}
    for event in page.fns.values():
        if event.fn is not None:
            assert not [out for out in event.outputs if getattr(out, "label", None) in private]


def test_every_control_has_a_label(page):
    for block in page.blocks.values():
        if isinstance(block, (gr.Textbox, gr.Slider, gr.Dropdown, gr.Radio, gr.Image, gr.Gallery, gr.Plot)):
            assert block.label, block


def test_keys_are_made_with_the_browsers_own_randomness():
    assert "crypto.getRandomValues" in browser.MAKE_KEY and "crypto.getRandomValues" in browser.MAKE_KEYS
    assert "Math.random" not in "".join(value for name, value in vars(browser).items() if name.isupper())


def test_a_key_panel_reads_hex_a_stated_version_and_a_passphrase():
    assert GivenKey("hex", "256", f" {KEY.hex().upper()}\n", "").key() == KEY
    assert GivenKey("hex", "256", f"kfaar-key-2:{KEY.hex()}", "").key() == UserKey(KEY.data, version=2)
    assert GivenKey("passphrase", "128", "", "four words that differ").key().bits == 128


@pytest.mark.parametrize("threshold", [None, float("nan"), "0.7"])
def test_metrics_without_a_threshold_is_refused_in_words(threshold):
    with pytest.raises(KfaarError, match="threshold that is no number"):
        endpoints.rates.metrics([0.9, 0.8], [0.1, 0.2], threshold)
    assert endpoints.rates.metrics([0.9, 0.8], [0.1, 0.2], 0.5)["far"] == 0


def test_an_inline_picture_is_small():
    big = np.asarray(Image.effect_noise((1200, 800), 30).convert("RGB"))
    assert len(anonymise.pictures.inline(big)) < 120_000
