from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch

from kfaar_core.losses.false_rejection import false_rejection_total
from kfaar_core.losses.misidentification import misidentification_total
from kfaar_core.losses.recogniser import TERMS, Readings, recogniser_terms, recogniser_total
from kfaar_core.train.settings import Training


def readings(count: int = 1) -> Readings:
    """Unit vectors in a plane, a direction for each role, with cosines that are easy to work out."""
    directions = {
        "x1": (1.0, 0.0),
        "x1_none": (0.6, 0.8),
        "x1_k2": (0.8, -0.6),
        "x1_k1": (0.96, 0.28),
        "x2_k1": (0.8, 0.6),
        "y_k1": (0.0, 1.0),
    }
    return Readings(**{name: torch.tensor([xy] * count, requires_grad=True) for name, xy in directions.items()})


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    ("margin", "expected"),
    [
        (0.0, {"pmis1": 0.6, "pmis2": 0.8, "pmis3": 0.28, "per1": 0.04, "per2": 0.064}),
        (0.5, {"pmis1": 0.1, "pmis2": 0.3, "pmis3": 0.0, "per1": 0.04, "per2": 0.064}),
    ],
)
def test_worked_by_hand(count, margin, expected):
    found = recogniser_terms(readings(count), margin)
    assert tuple(found) == TERMS
    assert all(term.shape == () for term in found.values())
    assert {name: float(term.detach()) for name, term in found.items()} == pytest.approx(expected, abs=1e-6)


def test_what_the_method_wants_costs_nothing():
    """With the right key both virtual faces are the person; without one, with a wrong one and of y, nobody known."""
    person, keyless, wrong, stranger = torch.eye(4)[:, None]
    read = Readings(x1=person, x1_none=keyless, x1_k2=wrong, x1_k1=person, x2_k1=person, y_k1=stranger)
    assert all(float(term) == 0 for term in recogniser_terms(read, margin=0.0).values())


@pytest.mark.parametrize(
    ("name", "felt_by"),
    [
        ("pmis1", {"x1", "x1_none"}),
        ("pmis2", {"x1", "x1_k2"}),
        ("pmis3", {"x1_k1", "y_k1"}),
        ("per1", {"x1", "x1_k1"}),
        ("per2", {"x1_k1", "x2_k1"}),
    ],
)
def test_each_loss_moves_its_own_pair(name, felt_by):
    read = readings()
    before = recogniser_terms(read, margin=0.0)[name]
    before.backward()
    gradients = {field.name: getattr(read, field.name).grad for field in fields(read)}
    assert {role for role, gradient in gradients.items() if gradient is not None} == felt_by
    assert all(gradients[role].abs().max() > 0.1 for role in felt_by)
    moved = {role: getattr(read, role).detach() - 0.1 * gradients[role] for role in felt_by}
    assert recogniser_terms(replace(read, **moved), 0.0)[name] < before


def test_nothing_to_read_is_no_nan():
    nothing = torch.zeros(2, 8, requires_grad=True)
    terms = recogniser_terms(Readings(*[nothing] * 6), 0.0)
    sum(terms.values()).backward()
    assert [float(term.detach()) for term in terms.values()] == [0, 0, 0, 1, 1]
    assert torch.isfinite(nothing.grad).all()


def test_totals_take_weights_by_name_and_leave_other_terms_alone():
    values = {"per2": 5.0, "pmis1": 1.0, "pmis3": 3.0, "other": 99.0, "pmis2": 2.0, "per1": 4.0}
    terms = {name: torch.tensor(value) for name, value in values.items()}
    weights = {"pmis1": 10000.0, "pmis2": 1000.0, "pmis3": 100.0, "per1": 10.0, "per2": 1.0}
    assert float(misidentification_total(terms, weights)) == 12300
    assert float(false_rejection_total(terms, weights)) == 45
    assert float(recogniser_total(terms, weights)) == 12345


def test_the_total_with_the_weights_of_the_paper():
    """0.6 + 0.8 + 0.28 + 0.04 + 0.064."""
    found = recogniser_total(recogniser_terms(readings(), 0.0), Training().recogniser_weights())
    assert float(found.detach()) == pytest.approx(1.784)


@pytest.mark.parametrize("missing", TERMS)
def test_a_forgotten_weight_is_no_silent_zero(missing):
    terms = {name: torch.tensor(1.0) for name in TERMS}
    with pytest.raises(KeyError, match=missing):
        recogniser_total(terms, {name: 1.0 for name in TERMS if name != missing})
