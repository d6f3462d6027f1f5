from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch

from kfaar_core.losses.projector import TERMS, Faces, projector_terms, projector_total
from kfaar_core.train.settings import Training

PUSHED_APART = ("ano", "div", "dif")


def faces(count: int = 1) -> Faces:
    """Unit vectors in a plane, a direction for each role, with cosines that are easy to work out."""
    directions = {
        "x1": (1.0, 0.0),
        "x1_k1": (0.6, 0.8),
        "x2_k1": (0.8, 0.6),
        "x1_k2": (0.0, 1.0),
        "y_k1": (-0.6, 0.8),
    }
    return Faces(**{name: torch.tensor([xy] * count, requires_grad=True) for name, xy in directions.items()})


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    ("margin", "expected"),
    [
        (0.0, {"ano": 0.6, "syn": 0.04, "div": 0.8, "dif": 0.28}),
        (0.3, {"ano": 0.3, "syn": 0.04, "div": 0.5, "dif": 0.0}),
    ],
)
def test_worked_by_hand(count, margin, expected):
    found = projector_terms(faces(count), margin)
    assert tuple(found) == TERMS
    assert all(term.shape == () for term in found.values())
    assert {name: float(term.detach()) for name, term in found.items()} == pytest.approx(expected, abs=1e-6)


def test_what_the_method_wants_costs_nothing():
    """Four virtual people at right angles to each other and to the photo, the same one for both photos of a person."""
    photo, person, other_key, stranger = torch.eye(4)[:, None]
    found = projector_terms(Faces(x1=photo, x1_k1=person, x2_k1=person, x1_k2=other_key, y_k1=stranger), margin=0.0)
    assert all(float(term) == 0 for term in found.values())


@pytest.mark.parametrize(
    ("name", "felt_by"),
    [
        ("ano", {"x1", "x1_k1"}),
        ("syn", {"x1_k1", "x2_k1"}),
        ("div", {"x1_k1", "x1_k2"}),
        ("dif", {"x1_k1", "y_k1"}),
    ],
)
def test_each_loss_moves_its_own_pair(name, felt_by):
    seen = faces()
    projector_terms(seen, margin=0.0)[name].backward()
    gradients = {field.name: getattr(seen, field.name).grad for field in fields(seen)}
    assert {role for role, gradient in gradients.items() if gradient is not None} == felt_by
    assert all(gradients[role].abs().max() > 0.1 for role in felt_by)


@pytest.mark.parametrize("name", TERMS)
def test_following_a_loss_lowers_it(name):
    seen = faces()
    before = projector_terms(seen, 0.0)[name]
    before.backward()
    moved = replace(seen, x1_k1=seen.x1_k1.detach() - 0.1 * seen.x1_k1.grad)
    assert projector_terms(moved, 0.0)[name] < before


def test_nothing_to_see_is_no_nan():
    nothing = torch.zeros(2, 8, requires_grad=True)
    terms = projector_terms(Faces(nothing, nothing, nothing, nothing, nothing), 0.0)
    sum(terms.values()).backward()
    assert {name: float(term.detach()) for name, term in terms.items()} == {"ano": 0, "syn": 1, "div": 0, "dif": 0}
    assert torch.isfinite(nothing.grad).all()


def test_the_total_with_the_weights_of_the_paper():
    """0.4 * 0.6 + 0.04 + 0.8 + 0.28."""
    found = projector_total(projector_terms(faces(), 0.0), Training().projector_weights())
    assert float(found.detach()) == pytest.approx(1.36)


def test_the_total_takes_weights_by_name_and_leaves_other_terms_alone():
    terms = {
        name: torch.tensor(value)
        for name, value in {"dif": 4.0, "syn": 2.0, "far": 99.0, "ano": 1.0, "div": 3.0}.items()
    }
    weights = {"ano": 1000.0, "syn": 100.0, "div": 10.0, "dif": 1.0}
    assert float(projector_total(terms, weights)) == 1234
    assert float(projector_total(terms, weights | {"div": 0.0})) == 1204  # an ablation


@pytest.mark.parametrize("missing", TERMS)
def test_a_forgotten_weight_or_term_is_no_silent_zero(missing):
    terms = {name: torch.tensor(1.0) for name in TERMS}
    rest = {name: 1.0 for name in TERMS if name != missing}
    with pytest.raises(KeyError, match=missing):
        projector_total(terms, rest)
    with pytest.raises(KeyError, match=missing):
        projector_total({name: terms[name] for name in rest}, dict.fromkeys(TERMS, 1.0))
