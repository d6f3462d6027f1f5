from __future__ import annotations

import pytest

from kfaar_core.errors import BadSetting
from kfaar_core.scenarios import populations


def test_names():
    assert populations.genuine("same") == "genuine same photo"
    assert populations.genuine("other") == "genuine other photo"
    assert populations.scenario(2, "other") == "scenario 2 other photo"
    assert populations.IMPOSTOR == "impostor"


def test_scenario_4_is_the_genuine_population():
    assert populations.scenario(4, "same") == populations.genuine("same")
    assert populations.scenario(4, populations.STRANGER) == populations.IMPOSTOR


def test_what_a_table_needs():
    assert populations.names_for("VI") == ("genuine other photo", "genuine same photo", "impostor")
    assert len(populations.names_for("VII")) == len(set(populations.names_for("VII"))) == 8


def test_strangers_in_the_first_three_scenarios_are_kept_and_not_needed():
    assert populations.kept_for("VI") == populations.names_for("VI")
    assert set(populations.kept_for("VII")) - set(populations.names_for("VII")) == {
        f"scenario {number} stranger" for number in (1, 2, 3)
    }


@pytest.mark.parametrize(
    "call",
    [
        lambda: populations.scenario(5, "same"),
        lambda: populations.scenario(1, "third"),
        lambda: populations.genuine(""),
        lambda: populations.names_for("V"),
    ],
)
def test_unknown_names_are_refused(call):
    with pytest.raises(BadSetting):
        call()
