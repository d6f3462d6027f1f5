"""The command `scores` on score lists; on result files see test_evaluate.py."""

from __future__ import annotations

import json

import pytest

BOB = "".join(f"p{i} p{j} t{i}{j} {1.5 if i == j else 0.1 * i + 0.01 * j}\n" for i in range(4) for j in range(4))


@pytest.fixture
def scores(folder):
    (folder / "scores-dev").write_text(BOB)
    return "scores-dev"


def test_figures_of_a_score_list(kfaar, scores):
    printed = kfaar("scores", scores).stdout
    assert "4 genuine (0 failed to acquire), 12 impostor" in printed and "both of an impostor pair" in printed
    table = json.loads(kfaar("scores", scores, "--json").stdout)
    assert {row["name"]: row["value"] for row in table["rows"]}["EER"] == 0
    reversed_ = json.loads(kfaar("scores", scores, "--distances", "--json").stdout)
    assert {row["name"]: row["value"] for row in reversed_["rows"]}["AUC"] == 0


def test_conversion_and_the_two_files_of_pyeer(kfaar, refused, scores, files):
    assert kfaar("scores", scores, "-o", "s.csv").stdout == "s.csv\n"
    assert "exists already" in refused("scores", scores, "-o", "s.csv")
    assert kfaar("scores", scores, "-o", "s.csv", "--force").exit_code == 0
    assert kfaar("scores", "s.csv", "-o", "s", "--as", "pyeer").stdout.split() == ["s-genuine.txt", "s-impostor.txt"]
    first, second = (kfaar("scores", *given, "--json").stdout for given in ((scores,), files_of("s")))
    names = ("value", "name")
    assert [[row[name] for name in names] for row in json.loads(first)["rows"]] == [
        [row[name] for name in names] for row in json.loads(second)["rows"]
    ]
    assert "no score file 'gone'" in refused("scores", "gone")


def files_of(stem: str) -> tuple[str, str]:
    return f"{stem}-genuine.txt", f"{stem}-impostor.txt"
