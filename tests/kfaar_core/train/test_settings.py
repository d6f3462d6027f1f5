from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from kfaar_core.errors import BadSetting
from kfaar_core.losses import KVFA_TERMS, PROJECTOR_TERMS
from kfaar_core.train.settings import LAB_TRAINING, Correction, Training, with_settings


def test_the_weights_of_the_paper():
    """Section V-A: lambda_ano is 0.4 and all others 1."""
    weights = Training().projector_weights()
    assert {name: weights[name] for name in PROJECTOR_TERMS} == {"ano": 0.4, "syn": 1, "div": 1, "dif": 1}
    assert Training().kvfa_weights() == dict.fromkeys(KVFA_TERMS, 1)


def test_a_changed_weight_arrives_at_its_loss():
    training = Training(lambda_div=0.0, lambda_pmis2=5.0)
    assert training.projector_weights() == Training().projector_weights() | {"div": 0.0}
    assert training.kvfa_weights() == Training().kvfa_weights() | {"pmis2": 5.0}


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ("seed=3", "seed", 3),
        ("rate=1e-4", "rate", 1e-4),
        (" rate = 2 ", "rate", 2.0),
        ("margin=-0.2", "margin", -0.2),
        ("correction.keep=3.5", "correction", Correction(keep=3.5)),
        ("correction.group_reach=1,0.5,0.25", "correction", Correction(group_reach=(1.0, 0.5, 0.25))),
    ],
)
def test_one_number_is_changed_and_nothing_else(change, field, value):
    found = with_settings(LAB_TRAINING, [change])
    assert getattr(found, field) == value and type(getattr(found, field)) is type(value)
    assert found == replace(LAB_TRAINING, **{field: value})


def test_changes_add_up_and_the_last_one_counts():
    found = with_settings(
        LAB_TRAINING, ["seed=3", "batch=2", "correction.keep=1", "correction.angle_tolerance=2", "seed=4"]
    )
    assert found == replace(LAB_TRAINING, seed=4, batch=2, correction=Correction(keep=1.0, angle_tolerance=2.0))
    assert LAB_TRAINING == Training() == with_settings(LAB_TRAINING, [])


@pytest.mark.parametrize("change", ["sed=3", "correction=3", "correction.seed=1", "seed.x=1", "=1", "Seed=1"])
def test_an_unknown_name_is_answered_with_the_names(change):
    with pytest.raises(BadSetting) as caught:
        with_settings(LAB_TRAINING, [change])
    sentence = str(caught.value)
    assert repr(change.split("=")[0]) in sentence
    assert "lambda_ano, " in sentence and "correction.keep, " in sentence


def test_a_slip_is_answered_with_the_nearest_name():
    with pytest.raises(BadSetting, match="Did you mean lambda_syn"):
        with_settings(LAB_TRAINING, ["lambda_sny=0"])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("seed=x", "a whole number, such as 0"),
        ("seed=1.5", "a whole number, such as 0"),
        ("seed=", "a whole number"),
        ("rate=fast", "a number, such as 0.002"),
        ("rate=nan", "a number"),
        ("rate=inf", "a number"),
        ("correction.group_reach=1,b", "numbers with commas between them, such as 1.0,1.0,0.1"),
        ("correction.keep=1,2", "a number, such as 10.0"),
    ],
)
def test_a_value_of_another_kind_is_answered_with_an_example(change, expected):
    with pytest.raises(BadSetting) as caught:
        with_settings(LAB_TRAINING, [change])
    assert expected in str(caught.value) and change.split("=")[0] in str(caught.value)


def test_a_change_without_a_value_is_refused():
    with pytest.raises(BadSetting, match="name=value"):
        with_settings(LAB_TRAINING, ["seed"])


def test_every_setting_can_be_given_its_own_value():
    """Whatever kind of number is added later, --set knows it."""
    flat = {name: value for name, value in asdict(LAB_TRAINING).items() if not isinstance(value, dict)}
    text = [
        f"{name}={','.join(map(str, value)) if isinstance(value, tuple) else value}" for name, value in flat.items()
    ]
    assert with_settings(LAB_TRAINING, text) == LAB_TRAINING
