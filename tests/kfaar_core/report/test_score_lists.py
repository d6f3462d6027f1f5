"""Score lists: every format is read, written and read again; bad rows are named by their line."""

from __future__ import annotations

import numpy as np
import pyarrow as arrow
import pytest
from pyarrow import parquet

from kfaar_core.errors import BadSetting, DataMissing
from kfaar_core.records import Scores
from kfaar_core.report.score_lists import FORMATS, ScoreList, read_scores, write_scores
from kfaar_core.report.score_table import score_table

GENUINE, IMPOSTOR = [0.9, 0.7, -0.25], [0.1, 0.2, 0.7, 0.05]
ROWS = ("ann ann a1 0.9", "ann bob b1 0.1", "bob bob b2 0.7", "bob ann a2 0.2", "cyd cyd c1 -0.25", "cyd ann a3 0.7")
BOB4 = "\n".join((*ROWS, "cyd bob b3 5e-2", ""))
BOB5 = "\n".join(" ".join([*line.split()[:1], "model", *line.split()[1:]]) for line in BOB4.splitlines())


def write(folder, name: str, text: str):
    (folder / name).write_text(text)
    return folder / name


def values(scores: ScoreList) -> tuple[list[float], list[float]]:
    return scores.genuine.values.tolist(), sorted(scores.impostor.values.tolist())


def same(first: ScoreList, second: ScoreList) -> bool:
    """Whether the scores and failures are equal, and whose they are, up to the numbers of the people."""
    firsts, seconds = ((x.genuine, x.impostor) for x in (first, second))
    return all(
        a.values.tolist() == b.values.tolist() and a.failed == b.failed and pattern(a) == pattern(b)
        for a, b in zip(firsts, seconds, strict=True)
    )


def pattern(side: Scores) -> list[list[bool]]:
    """Which comparisons share which people."""
    both = [side.people] + ([] if side.others is None else [side.others])
    ends = np.concatenate(both)
    return (ends[:, None] == ends).tolist()


def test_pyeer_takes_the_last_word_of_two_files(tmp_path):
    genuine = write(tmp_path, "genuine.txt", "a_1 a_2 0.9\nb_1 b_2 0.7\nc_1 c_2 -0.25\n")
    impostor = write(tmp_path, "impostor.txt", "0.1\n0.2 \n0.7\n5e-2")
    found = read_scores([genuine, impostor])
    assert values(found) == (GENUINE, sorted(IMPOSTOR)) and not found.people_known
    assert len(np.unique(np.concatenate([found.genuine.people, found.impostor.people]))) == 7


@pytest.mark.parametrize("text", [BOB4, BOB5, BOB4.replace(" ", "  \t"), BOB4.replace("\n", " \r\n")])
def test_bob_names_both_people(tmp_path, text):
    found = read_scores([write(tmp_path, "scores-dev", text)])
    assert values(found) == (GENUINE, sorted(IMPOSTOR)) and found.people_known
    ann, bob, cyd = found.genuine.people
    assert found.impostor.people.tolist() == [ann, bob, cyd, cyd]
    assert found.impostor.others.tolist() == [bob, ann, ann, bob]


@pytest.mark.parametrize(
    "text",
    [
        "person_1,person_2,similarity\nann,ann,0.9\nbob,bob,0.7\ncyd,cyd,-0.25\nann,bob,0.1\nbob,ann,0.2\ncyd,ann,0.7\ncyd,bob,0.05\n",
        "label,score\nGenuine,0.9\ngenuine,0.7\n mated,-0.25\nimpostor,0.1\n0,0.2\nfalse,0.7\nnon-mated,0.05\n",
        "distance,same\n-0.9,1\n-0.7,1\n0.25,1\n-0.1,0\n-0.2,0\n-0.7,0\n-0.05,0\n",
    ],
)
def test_named_columns(tmp_path, text):
    found = read_scores([write(tmp_path, "s.csv", text)])
    assert values(found) == (GENUINE, sorted(IMPOSTOR)) and found.people_known == ("ann" in text)
    assert same(read_scores([write(tmp_path, "s.tsv", text.replace(",", "\t"))]), found)


def test_npz_of_two_arrays(tmp_path):
    np.savez(tmp_path / "s.npz", genuine=GENUINE, impostor=IMPOSTOR)
    assert values(read_scores([tmp_path / "s.npz"])) == (GENUINE, sorted(IMPOSTOR))
    np.savez(
        tmp_path / "s.npz", genuine=GENUINE, impostor=IMPOSTOR, genuine_people=list("abc"), impostor_people=list("abcc")
    )
    found = read_scores([tmp_path / "s.npz"])
    assert found.impostor.people.tolist() == [*found.genuine.people, found.genuine.people[2]]


def test_distances_are_turned(tmp_path):
    found = read_scores([write(tmp_path, "s", BOB4)], distances=True)
    assert found.genuine.values.tolist() == [-0.9, -0.7, 0.25]


def test_a_score_that_is_nan_is_a_failure_and_in_every_table(tmp_path):
    found = read_scores([write(tmp_path, "s", BOB4 + "ann ann a4 nan\nann cyd c4 NaN\nann cyd c5 nan\n")])
    assert (found.genuine.failed, found.impostor.failed) == (1, 2) and values(found)[0] == GENUINE
    table = score_table(found)
    assert "3 genuine (1 failed to acquire), 4 impostor (2 failed to acquire)" in table.about
    assert all("3 of 10 trials failed" in row.note for row in table.rows if row.name == "EER")


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_written_is_read_again(tmp_path, form):
    whole = read_scores([write(tmp_path, "s", BOB4 + "ann ann a4 nan\nann cyd c4 nan\n")])
    paths = write_scores(tmp_path / f"again.{form}", whole, form)
    found = read_scores(paths)
    assert values(found) == values(whole) and found.people_known == (form != "pyeer")
    if form != "pyeer":
        assert same(found, whole)


def test_formats_by_suffix_and_what_bob_needs(tmp_path):
    scores = read_scores([write(tmp_path, "s.csv", "score,label\n0.5,1\n0.25,0\n")])
    assert write_scores(tmp_path / "a.parquet", scores) == (tmp_path / "a.parquet",)
    assert same(read_scores([tmp_path / "a.parquet"]), scores)
    with pytest.raises(BadSetting, match="two people are not known"):
        write_scores(tmp_path / "a", scores, "bob4")
    with pytest.raises(BadSetting, match="format of scores"):
        write_scores(tmp_path / "a.docx", scores)
    with pytest.raises(BadSetting, match="3 score files"):
        read_scores([tmp_path] * 3)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("s", "ann ann a1 0.9\nann bob 0.1\nann bob b1 0.2\n", "1 row with another number of columns than 4: line 2"),
        ("s", "ann ann a1 0.9\nann bob b1 O.1\nann bob b1 0.2\nbob ann a1 inf\n", "2 rows without a number: line 2, 4"),
        ("s", "ann ann a1 0.9\n\nann bob b1 x\n", "line 3"),
        ("s", "0.5\n0.7\n", "has rows of 1 words"),
        ("s.csv", "score,label\n0.9,1\nhigh,0\n0.1,0\n", "1 row without a number: line 3"),
        ("s.csv", "score,label\n0.9,1\n0.2,0\n0.1,perhaps\n", "1 row with an unknown label: line 4"),
        ("s.csv", "score,label\n0.9,1\n,0\n0.1,0\n", "without a number: line 3"),
        ("s.csv", "score,label\n0.9,1\n0.1\n", "is no table"),
        ("s.csv", "value,label\n0.9,1\n", "has the columns value, label"),
        ("s.csv", "score,label\n0.9,1\n", "no impostor score"),
        ("s.npz", "nothing", "does not hold lists of scores"),
        ("s.parquet", "nothing", "not a whole parquet file"),
    ],
)
def test_bad_files_are_refused_and_bad_rows_named(tmp_path, name, text, said):
    with pytest.raises(DataMissing, match=said):
        read_scores([write(tmp_path, name, text)])


def test_columns_of_anything_are_refused(tmp_path):
    path = tmp_path / "s.parquet"
    for odd in ({"label": [[1], [0]]}, {"person": [{"a": 1}, {"a": 2}], "other": [{"a": 1}, {"a": 1}]}):
        parquet.write_table(arrow.table({"score": [0.9, 0.1], **odd}), path)
        with pytest.raises(DataMissing, match="something else than scores and names"):
            read_scores([path])
    (tmp_path / "s.csv").write_bytes(b"score,label,\xff\xfe\n0.9,1,1\n0.1,0,1\n")
    with pytest.raises(DataMissing):
        read_scores([tmp_path / "s.csv"])


def test_many_bad_rows_are_counted(tmp_path):
    with pytest.raises(DataMissing, match=r"20 rows without a number: line 1, 2, 3, 4, 5, 6, 7, 8 and 12 more"):
        read_scores([write(tmp_path, "g", "x\n" * 20), write(tmp_path, "i", "0.1\n")])
    with pytest.raises(DataMissing, match="no score file 'gone'"):
        read_scores([tmp_path / "gone"])


def test_the_table_has_the_rule_of_three_where_there_is_no_error():
    people = np.arange(50)
    scores = ScoreList("s", Scores("genuine", people + 100.0, people), Scores("impostor", people * 1.0, people), True)
    rows = {row.name: row for row in score_table(scores).rows}
    assert rows["EER"].value == 0 and rows["EER"].high == pytest.approx(3 / 50)
    assert rows["FMR100 (FNMR)"].high == pytest.approx(3 / 50) and "0 of 50: <= 3/50" in rows["FMR100 (FNMR)"].note
    assert rows["AUC"].value == 1 and rows["d'"].value == pytest.approx(100 / people.std())
