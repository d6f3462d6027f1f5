"""docs/reliability.md says what the committed result files say."""

from __future__ import annotations

import json

import pytest

from benchmarks import reliability


def test_the_page_comes_from_the_result_files():
    assert reliability.PAGE.read_text(encoding="utf-8") == reliability.page(), (
        "run: python -m benchmarks.reliability --write"
    )


def test_every_file_has_its_part_and_every_part_is_a_run():
    names = {path.stem for path in reliability.FOLDER.glob("*.json")}
    assert names and names <= set(reliability.PARTS)


@pytest.mark.parametrize(("name", "place"), [("fuzz", ("pictures", "fault")), ("kills", ("faults",))])
def test_another_figure_in_a_file_is_another_one_on_the_page(name, place, monkeypatch, tmp_path):
    found = reliability.read(name)
    if found is None:
        pytest.skip("the run was not made")
    inner = found
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = 98_765
    monkeypatch.setattr(reliability, "FOLDER", tmp_path)
    (tmp_path / f"{name}.json").write_text(json.dumps(found))
    text = reliability.page()
    assert "98,765" in text or "98765" in text


def test_no_fault_that_was_found_is_left():
    """A fault stays on the page, and the run that came after it has none up to that case and beyond."""
    first, again, killed = (reliability.read(name) for name in ("fuzz", "fuzz-again", "kills"))
    assert killed is None or killed["faults"] == 0
    assert first is not None and again is not None and first["seed"] == again["seed"]
    for name in ("pictures", "files"):
        numbers = first[name]["first_case_of_a_fault"].values()
        assert again[name]["fault"] == 0 and all(number < again[name]["cases"] for number in numbers)
