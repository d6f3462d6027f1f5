"""What the handlers answer, with a stand-in core."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from demo import browser, build, controls, endpoints, words
from demo.keys_panel import GivenKey
from demo.shown import Inputs, shown
from demo.tabs import about, anonymise, authenticate, compare
from demo.visitor import Stopped, Visitor, ask_to_stop, forget, reporter
from kfaar_core.errors import BadKey, BadPicture, KfaarError
from kfaar_core.keys import COMMON_PASSPHRASES, UserKey
from kfaar_core.paper import REFERENCES

KEY = UserKey(bytes(range(32)))
HEX = GivenKey("hex", "256", KEY.hex(), "")


def order(path, given=HEX, projector="floor"):
    return anonymise.Order(path, given, projector, "largest", "portrait", True)


def case(virtual, original, given=HEX, projector="floor"):
    return authenticate.Case(virtual, original, given, projector)


def quiet(*_: object, **__: object) -> None:
    """A progress bar that nobody sees."""


def virtual_face(core, photo, key=KEY):
    return core.anonymise(
        anonymise.pictures.read_photo(photo, words.NO_PHOTO),
        key,
        projector="floor",
        face="largest",
        mode="portrait",
        progress=None,
    )


def drawn(core, photo, save, key=KEY):
    """A virtual face made by the core, as a file."""
    return save(virtual_face(core, photo, key).picture, "virtual")


def test_anonymise_shows_every_step_and_remembers_the_photo(core, photo):
    out = anonymise.on_anonymise(order(photo), Visitor(), quiet, core=core)
    summary, slider, _, found, draft, corrected, final, posture, times, visitor = out
    assert "Another person" in summary and "0.10" in summary and "0.40" in summary
    assert all(picture.shape[2] == 3 for picture in (*slider["value"], found, draft, corrected, final))
    assert "+5.0" in posture and "0.5" in posture  # |5.0 - 4.5|
    assert "0.40 s" in times  # the sum
    assert visitor.original is not None and visitor.step == 3
    assert core.stages == ["detect", "generate"]


def test_the_summary_tells_what_the_key_reads_of_a_refined_face(core, photo):
    refined = virtual_face(core, photo)
    head, body = words.decision(refined)
    assert head == "Another person" and "0.80: enough, for it accepts from 0.50" in body
    unread = replace(refined, reading=replace(refined.reading, cosine=0.3, same_person=False))
    assert "0.30: too little, for it accepts from 0.50" in words.decision(unread)[1]
    assert "KVFA" not in words.decision(replace(refined, reading=None))[1]


def test_no_answer_holds_the_key(core, photo):
    out = anonymise.on_anonymise(order(photo), Visitor(), quiet, core=core)
    assert KEY.hex() not in repr(out)


@pytest.mark.parametrize("form", ["hex", "passphrase"])
def test_a_missing_key_is_told_in_words(core, photo, form):
    with pytest.raises(BadKey):
        anonymise.on_anonymise(order(photo, GivenKey(form, "256", "  ", "")), Visitor(), quiet, core=core)


def test_a_weak_passphrase_and_a_short_key_are_remarked(core, photo):
    form = GivenKey("passphrase", "8", "", "sunshine")
    summary = anonymise.on_anonymise(order(photo, form), Visitor(), quiet, core=core)[0]
    assert "first that anybody tries" in summary and words.EIGHT_BITS in summary
    assert "sunshine" not in summary


def test_missing_photo_corrupt_file_and_no_face(core, photo, plain, tmp_path: Path):
    corrupt = tmp_path / "corrupt.jpg"
    corrupt.write_bytes(Path(photo).read_bytes()[:200])
    for path, part in ((None, "no photo"), (str(corrupt), "damaged"), (plain, "no face")):
        with pytest.raises(KfaarError, match=f"(?i){part}"):
            anonymise.on_anonymise(order(path), Visitor(), quiet, core=core)


def test_a_new_photo_is_looked_at(core, photo, plain):
    assert anonymise.on_photo(photo, core=core)[0] == words.faces_found(1)
    assert "No face" in anonymise.on_photo(plain, core=core)[0]


def test_stop_ends_the_work_at_the_next_stage(core, photo):
    visitor = Visitor()

    def bar(*_: object, **__: object) -> None:
        ask_to_stop(visitor)

    with pytest.raises(Stopped):
        anonymise.on_anonymise(order(photo), visitor, bar, core=core)
    assert core.stages == ["detect", "generate"]  # the second stage began, and its report ended the work


def test_a_visitor_who_left_stops_what_runs():
    visitor = Visitor()
    forget(visitor)
    with pytest.raises(Stopped):
        reporter(quiet, visitor.stop, words.stage)("detect", 0, 6)


def test_compare_counts_pairs(core, photo, plain, save, rng):
    other = save(rng.integers(0, 256, (80, 60, 3), dtype=np.uint8), "other")
    keys = "\n".join(UserKey(bytes([n] * 16)).hex() for n in range(3))
    grid, said, heatmap, table = compare.on_compare(
        [(photo, None), (other, None)], keys, "floor", True, Visitor(), quiet, core=core
    )
    assert grid.count("<img") == 2 + 2 * 3
    assert "all 6 pairs are different people" in said  # 2 photos, 3 pairs of keys each
    assert heatmap["value"].data[0].z is not None and table.count("<tr>") == 1 + 8


def test_words_about_a_grid_of_one_person_twice():
    cosines = np.full((6, 6), 0.9)  # two photos, two keys, everything alike
    said = compare.in_words(cosines, photos=2, keys=2, threshold=0.5)
    assert "none of 4 virtual faces" in said and "none of 2 pairs are different" in said
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
    right, walk, visitor = authenticate.on_authenticate(case(virtual, photo), Visitor(), None, core=core)
    assert "Same person" in right and visitor.step == 6 and walk.count('class="done"') == 12  # drawing and list
    wrong = GivenKey("hex", "256", "ff" * 32, "")
    answer, _, visitor = authenticate.on_authenticate(case(virtual, photo, wrong), Visitor(), None, core=core)
    assert words.WRONG_KEY in answer and visitor.step == 5


def test_swapped_pictures_are_noticed(core, photo, save):
    virtual = drawn(core, photo, save)
    answer = authenticate.on_authenticate(case(photo, virtual), Visitor(), None, core=core)[0]
    assert words.SWAPPED in answer


def test_a_missing_original_is_told_in_words(core, photo, save):
    with pytest.raises(BadPicture, match="original"):
        authenticate.on_authenticate(case(photo, None), Visitor(), None, core=core)


def test_scenarios_and_a_threshold_that_moves(core, photo, save):
    virtual = drawn(core, photo, save)
    _, table, said, _, visitor = authenticate.on_scenarios(case(virtual, photo), 0.5, Visitor(), quiet, core=core)
    assert table.count("accepted") == 1 and table.count("refused") == 3
    assert said.startswith("Only the right key")
    before = len(core.stages)
    _, table, said = authenticate.on_threshold(0.9, "floor", visitor, core=core)
    assert "accepted" not in table and said.startswith("Nobody")
    _, table, _ = authenticate.on_threshold(-0.2, "floor", visitor, core=core)
    assert table.count("accepted") >= 3 and table.count("0.40") == 1  # scenario 1 keeps the judge's threshold
    assert len(core.stages) == before  # nothing was computed again


def test_stop_ends_the_scenarios_at_the_next_step(core, photo, save):
    virtual, visitor, told = drawn(core, photo, save), Visitor(), []

    def bar(at: tuple[int, int], desc: str) -> None:
        told.append(desc)
        if desc == words.scenario_line("1"):
            ask_to_stop(visitor)

    with pytest.raises(Stopped):
        authenticate.on_scenarios(case(virtual, photo), 0.5, visitor, bar, core=core)
    assert told[-1] == words.scenario_line("1") and not visitor.outcomes


def test_a_face_is_read_by_the_form_that_made_it(core, photo, save):
    bits = anonymise.on_anonymise(order(photo, projector="bits"), Visitor(), quiet, core=core)[6]
    virtual = save(bits, "virtual")
    for projector, words_ in (("bits", "Same person"), ("floor", "Not shown to be the same person")):
        answer = authenticate.on_authenticate(case(virtual, photo, HEX, projector), Visitor(), None, core=core)[0]
        assert words_ in answer
    with pytest.raises(BadKey, match="128"):
        odd = GivenKey("hex", "256", "ab" * 4, "")
        anonymise.on_anonymise(order(photo, odd, "bits"), Visitor(), quiet, core=core)


def test_another_form_brings_its_own_threshold_and_forgets_the_outcomes(core, photo, save):
    virtual = drawn(core, photo, save)
    visitor = authenticate.on_scenarios(case(virtual, photo), 0.5, Visitor(), quiet, core=core)[-1]
    at, bars, table, said, visitor = authenticate.on_projector("bits", visitor, core=core)
    assert at == pytest.approx(0.6) and bars["visible"] is False and not table and said == words.SCENARIOS_EMPTY
    assert not visitor.outcomes


def test_the_menu_of_forms_hides_when_there_is_one():
    assert controls.projector_menu(("floor", "bits"), "x").visible is True
    assert controls.projector_menu(("floor",), "x").visible is False


def test_a_threshold_without_scenarios_changes_nothing(core):
    assert all(out == gr.skip() for out in authenticate.on_threshold(0.4, "floor", Visitor(), core=core))


def test_flipped_bits(core, photo, save):
    virtual = drawn(core, photo, save)
    said, plot, table = authenticate.on_flip(case(virtual, photo), 7, 0.5, core=core)
    assert "7 bits" in said and "refused" in said
    assert table.count("<tr>") == 1 + len({*controls.FLIP_PLACES, 7})
    curve = plot["value"].data[1]
    assert curve.y[0] == pytest.approx(0.8) and max(curve.y[1:]) < 0.3
    zero = authenticate.on_flip(case(virtual, photo), 0, 0.5, core=core)[0]
    assert "still accepted" in zero


def test_random_keys(core, photo, save):
    virtual = drawn(core, photo, save)
    said, plot, table = authenticate.on_brute(case(virtual, photo), 0.5, Visitor(), quiet, core=core)
    assert said.startswith("1,000 random keys") and "None of them passes" in said
    counts = [int(cell) for cell in re.findall(r'<td class="number">(\d+)</td>', table)]
    assert sum(counts) == 1000 and sum(plot["value"].data[0].y) == 1000


def test_dictionary_finds_a_guessable_passphrase_only(core, photo, save, monkeypatch):
    cheap = staticmethod(lambda text, salt="", bits=256: UserKey(text.encode().ljust(32, b".")[:32]))
    monkeypatch.setattr(UserKey, "from_passphrase", cheap)
    for passphrase, known, found in (
        ("ada1815", "Ada 1815", True),
        ("nobody guesses this", "Ada 1815", False),
    ):
        virtual = drawn(core, photo, save, UserKey.from_passphrase(passphrase))
        said = authenticate.on_dictionary(
            case(virtual, photo, GivenKey("passphrase", "256", "", passphrase)), known, 0.5, Visitor(), quiet, core=core
        )
        assert said.startswith("Found") is found and passphrase not in said
    assert (
        authenticate.on_dictionary(case(virtual, photo), "", 0.5, Visitor(), quiet, core=core) == words.DICTIONARY_HEX
    )


def test_guesses_are_bounded_and_unique():
    listed = authenticate.guesses("Ada Byron 1815 London Rex Lovelace Byron x y z")
    assert len(listed) == len(set(listed)) <= controls.MOST_GUESSES
    assert authenticate.guesses(None) == sorted(COMMON_PASSPHRASES)[: controls.MOST_GUESSES]


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


def test_no_event_has_more_or_fewer_inputs_than_its_handler(core):
    page = build.build(core)
    for event in page.fns.values():
        if event.fn is not None:
            given = inspect.signature(event.fn).parameters.values()
            special = (gr.Progress, gr.Request)
            wanted = [p for p in given if not isinstance(p.default, gr.Progress) and p.annotation not in special]
            assert len(wanted) == len(event.inputs), event.fn


def test_every_place_of_the_paper_is_shown_with_a_file_that_exists():
    for place in REFERENCES:
        file = about.source(place.target).partition(":")[0]
        assert (Path(__file__).resolve().parents[2] / file).is_file(), file


def test_the_page_builds_and_opens_only_three_endpoints(core):
    config = build.build(core).get_config_file()
    public = {event["api_name"] for event in config["dependencies"] if event["api_visibility"] == "public"}
    assert public == {"anonymise", "authenticate", "metrics"}
    with_models = build.build(core, mcp=True).get_config_file()
    public = {event["api_name"] for event in with_models["dependencies"] if event["api_visibility"] == "public"}
    assert public == {"anonymise", "metrics"}


def test_heavy_events_share_one_queue(core):
    page = build.build(core)
    heavy = [event for event in page.fns.values() if event.concurrency_id == "core"]
    assert len(heavy) >= 8 and all(event.concurrency_limit == 1 for event in heavy)


def test_no_server_event_answers_into_a_key_field(core):
    page = build.build(core)
    private = {words.KEY, words.PASS, words.COMPARE_KEYS}
    for event in page.fns.values():
        if event.fn is not None:
            assert not [out for out in event.outputs if getattr(out, "label", None) in private]


def test_every_control_has_a_label(core):
    page = build.build(core)
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


def test_an_inline_picture_is_small():
    big = np.asarray(Image.effect_noise((1200, 800), 30).convert("RGB"))
    assert len(anonymise.pictures.inline(big)) < 120_000


@pytest.mark.parametrize("threshold", [None, float("nan"), "0.7"])
def test_metrics_without_a_threshold_is_refused_in_words(threshold):
    with pytest.raises(KfaarError, match="threshold that is no number"):
        endpoints.metrics([0.9, 0.8], [0.1, 0.2], threshold)
    assert endpoints.metrics([0.9, 0.8], [0.1, 0.2], 0.5)["far"] == 0
