"""The sheet of pairs: who is in it, what it gives away, and where it may lie."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from benchmarks import sheet
from kfaar_core.errors import BadOutput, DataMissing
from kfaar_core.scenarios.pairs import Person

PEOPLE = [Person(number, (10 * number, 10 * number + 1)) for number in range(9)]


def test_each_person_is_in_one_pair_and_the_order_tells_nothing():
    listed = sheet.planned(PEOPLE, 3, 3, seed=1)
    assert [pair.number for pair in listed] == [1, 2, 3, 4, 5, 6]
    people = [[photo // 10 for photo in pair.photos] for pair in listed]
    assert [a == b for a, b in people] == [pair.same for pair in listed]
    everybody = [person for pair, two in zip(listed, people, strict=True) for person in (two[:1] if pair.same else two)]
    assert sorted(everybody) == list(range(9)) and len({pair.purpose for pair in listed}) == 6
    assert all(pair.photos[0] != pair.photos[1] for pair in listed)
    orders = {tuple(pair.same for pair in sheet.planned(PEOPLE, 3, 3, seed)) for seed in range(20)}
    assert len(orders) > 5
    with pytest.raises(DataMissing, match="9 people for 10"):
        sheet.planned(PEOPLE, 4, 3, 0)


def test_pictures_of_real_people_stay_out_of_the_repository(tmp_path):
    with pytest.raises(BadOutput, match="lies in the repository"):
        sheet.checked_folder(sheet.ROOT / "out" / "sheet", synthetic=False)
    assert not (sheet.ROOT / "out" / "sheet").exists()
    assert sheet.checked_folder(tmp_path / "a" / "b", synthetic=False).is_dir()


@pytest.mark.parametrize("enrolled", [(), ("--enrolled",)])
def test_the_command_shows_every_pair_and_keeps_the_answers_apart(tmp_path, monkeypatch, capsys, enrolled):
    monkeypatch.setenv("KFAAR_CACHE", str(tmp_path / "cache"))
    words = ["-o", str(tmp_path / "out"), "--preset", "tiny", "--pairs", "2", "--strangers", "1", *enrolled]
    sheet.main(words)
    answers = json.loads((tmp_path / "out" / "answers.json").read_text())
    assert sorted(answers["one person"] + answers["strangers"]) == [1, 2, 3] and answers["failed"] == {}
    assert len(answers["one person"]) == 2
    before = (tmp_path / "out" / "sheet-1.jpg").read_bytes()
    with Image.open(tmp_path / "out" / "sheet-1.jpg") as page:
        assert page.width > 4 * sheet.SIDE
    monkeypatch.setattr(sheet, "drawn", lambda *_: pytest.fail("drawn again"))
    sheet.main(words)  # what is there is not drawn again
    assert (tmp_path / "out" / "sheet-1.jpg").read_bytes() == before


def test_a_page_has_its_pairs_in_order():
    levels = (40, 120, 200)
    page = np.asarray(
        sheet.page([(n, np.full((sheet.SIDE, 2 * sheet.SIDE, 3), level, np.uint8)) for n, level in enumerate(levels)])
    )
    down, right = sheet.SIDE + sheet.CAPTION + sheet.GAP, 2 * sheet.SIDE + sheet.GAP
    middle = sheet.GAP + sheet.CAPTION + sheet.SIDE // 2, sheet.GAP + sheet.SIDE
    places = [middle, (middle[0], middle[1] + right), (middle[0] + down, middle[1])]
    assert [page[place][0] for place in places] == list(levels)
