from __future__ import annotations

import math
from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from kfaar_core.losses import (
    DIFFERENT,
    KVFA_TERMS,
    PROJECTOR_TERMS,
    SAME,
    Faces,
    Identities,
    cosine_loss,
    cosines,
    false_rejection_total,
    kvfa_terms,
    kvfa_total,
    misidentification_total,
    projector_terms,
    projector_total,
)
from kfaar_core.train.settings import Training

# ---- L_cos


def rows(*values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


@pytest.mark.parametrize(
    ("one", "other", "same", "different"),
    [
        ((1, 0), (1, 0), 0.0, 1.0),
        ((1, 0), (0, 1), 1.0, 0.0),  # 90 degrees
        ((1, 0), (-2, 0), 2.0, 0.0),  # opposite: nothing more to gain
        ((3, 4), (5, 0), 0.4, 0.6),  # 15 / 25
        ((4, 3), (3, 4), 0.04, 0.96),  # 24 / 25
        ((1, 0), (1, math.sqrt(3)), 0.5, 0.5),  # 60 degrees
        ((0.003, 0.004), (500, 0), 0.4, 0.6),  # lengths do not count
    ],
)
def test_pairs_worked_by_hand(one, other, same, different):
    a, b = rows(one), rows(other)
    assert float(cosine_loss(a, b, SAME)) == pytest.approx(same, abs=1e-6)
    assert float(cosine_loss(a, b, DIFFERENT)) == pytest.approx(different, abs=1e-6)


@pytest.mark.parametrize(("margin", "expected"), [(0.0, 0.6), (0.25, 0.35), (0.6, 0.0), (0.9, 0.0), (-0.5, 1.1)])
def test_the_margin_is_what_two_people_may_have_in_common(margin, expected):
    assert float(cosine_loss(rows((3, 4)), rows((1, 0)), DIFFERENT, margin)) == pytest.approx(expected, abs=1e-6)


def test_the_margin_asks_nothing_of_one_person():
    pair = rows((3, 4)), rows((1, 0))
    assert float(cosine_loss(*pair, SAME, margin=0.5)) == pytest.approx(0.4)


def test_a_batch_costs_the_mean_of_its_rows():
    one, other = rows((1, 0), (1, 0), (3, 4), (1, 0)), rows((1, 0), (0, 1), (1, 0), (-1, 0))
    assert float(cosine_loss(one, other, SAME)) == pytest.approx((0 + 1 + 0.4 + 2) / 4)
    assert float(cosine_loss(one, other, DIFFERENT, 0.2)) == pytest.approx((0.8 + 0 + 0.4 + 0) / 4)


@pytest.mark.parametrize("label", [SAME, DIFFERENT])
@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_it_agrees_with_the_loss_of_that_name_in_torch_and_is_symmetric(label, margin):
    drawn = torch.randn(2, 50, 16, generator=torch.Generator().manual_seed(3))
    one, other = drawn[0], drawn[0] + drawn[1]
    reference = torch.nn.CosineEmbeddingLoss(margin)(one, other, torch.full((50,), label))
    torch.testing.assert_close(cosine_loss(one, other, label, margin), reference)
    torch.testing.assert_close(cosine_loss(other, one, label, margin), reference)
    assert reference > 0


def test_the_gradient_turns_a_feature_and_leaves_its_length():
    one, other = rows((1, 0)).requires_grad_(), rows((0.6, 0.8)).requires_grad_()
    cosine_loss(one, other, SAME).backward()
    torch.testing.assert_close(one.grad, rows((0, -0.8)))  # going against it turns (1, 0) towards (0.6, 0.8)
    torch.testing.assert_close(other.grad, rows((-0.64, 0.48)))
    one.grad = None
    cosine_loss(one, other, DIFFERENT, 0.5).backward()
    torch.testing.assert_close(one.grad, rows((0, 0.8)))


def test_people_who_differ_enough_are_left_alone():
    one = rows((3, 4)).requires_grad_()
    cosine_loss(one, rows((1, 0)), DIFFERENT, 0.7).backward()
    torch.testing.assert_close(one.grad, rows((0, 0)))


@pytest.mark.parametrize(("label", "expected"), [(SAME, 1.0), (DIFFERENT, 0.0)])
def test_a_feature_that_points_nowhere_is_like_nobody(label, expected):
    for one, other in ((rows((0, 0)), rows((3, 4))), (rows((0, 0)), rows((0, 0))), (rows((1e-20, 0)), rows((3, 4)))):
        one.requires_grad_()
        loss = cosine_loss(one, other, label, 0.0)
        loss.backward()
        assert float(loss.detach()) == pytest.approx(expected, abs=1e-6)
        assert one.grad.abs().max() <= 1


def test_half_precision_features_are_compared_in_full():
    drawn = torch.randn(2, 40, 64, generator=torch.Generator().manual_seed(4)).bfloat16()
    found = cosine_loss(drawn[0], drawn[1], SAME)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, cosine_loss(drawn[0].float(), drawn[1].float(), SAME))
    assert cosine_loss(drawn[0].double(), drawn[1].double(), SAME).dtype == torch.float64


@pytest.mark.parametrize(
    ("one", "other"), [((3, 2), (2,)), ((3, 2), (1, 2)), ((3, 2), (3, 4)), ((2,), (2,)), ((0, 2), (0, 2))]
)
def test_shapes_that_would_be_broadcast_are_refused(one, other):
    with pytest.raises(ValueError, match=r"two equal shapes \(N, D\)"):
        cosines(torch.ones(one), torch.ones(other))


@pytest.mark.parametrize("label", [0, 2])
def test_another_label_is_refused(label):
    with pytest.raises(ValueError, match=f"not {label}"):
        cosine_loss(torch.ones(1, 2), torch.ones(1, 2), label)


# ---- P


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
def test_losses_of_p_worked_by_hand(count, margin, expected):
    found = projector_terms(faces(count), margin)
    assert tuple(found) == PROJECTOR_TERMS
    assert all(term.shape == () for term in found.values())
    assert {name: float(term.detach()) for name, term in found.items()} == pytest.approx(expected, abs=1e-6)


def test_what_the_method_wants_of_p_costs_nothing():
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
def test_each_loss_of_p_moves_its_own_pair(name, felt_by):
    seen = faces()
    projector_terms(seen, margin=0.0)[name].backward()
    gradients = {field.name: getattr(seen, field.name).grad for field in fields(seen)}
    assert {role for role, gradient in gradients.items() if gradient is not None} == felt_by
    assert all(gradients[role].abs().max() > 0.1 for role in felt_by)


@pytest.mark.parametrize("name", PROJECTOR_TERMS)
def test_following_a_loss_of_p_lowers_it(name):
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


def test_the_total_of_p_with_the_weights_of_the_paper():
    """0.4 * 0.6 + 0.04 + 0.8 + 0.28."""
    found = projector_total(projector_terms(faces(), 0.0), Training().projector_weights())
    assert float(found.detach()) == pytest.approx(1.36)


def test_the_total_of_p_takes_weights_by_name_and_leaves_other_terms_alone():
    terms = {
        name: torch.tensor(value)
        for name, value in {"dif": 4.0, "syn": 2.0, "far": 99.0, "ano": 1.0, "div": 3.0}.items()
    }
    weights = {"ano": 1000.0, "syn": 100.0, "div": 10.0, "dif": 1.0}
    assert float(projector_total(terms, weights)) == 1234
    assert float(projector_total(terms, weights | {"div": 0.0})) == 1204  # an ablation


@pytest.mark.parametrize("missing", PROJECTOR_TERMS)
def test_a_forgotten_weight_or_term_of_p_is_no_silent_zero(missing):
    terms = {name: torch.tensor(1.0) for name in PROJECTOR_TERMS}
    rest = {name: 1.0 for name in PROJECTOR_TERMS if name != missing}
    with pytest.raises(KeyError, match=missing):
        projector_total(terms, rest)
    with pytest.raises(KeyError, match=missing):
        projector_total({name: terms[name] for name in rest}, dict.fromkeys(PROJECTOR_TERMS, 1.0))


# ---- KVFA


def readings(count: int = 1) -> Identities:
    """Unit vectors in a plane, a direction for each role, with cosines that are easy to work out."""
    directions = {
        "x1": (1.0, 0.0),
        "x1_none": (0.6, 0.8),
        "x1_k2": (0.8, -0.6),
        "x1_k1": (0.96, 0.28),
        "x2_k1": (0.8, 0.6),
        "y_k1": (0.0, 1.0),
    }
    return Identities(**{name: torch.tensor([xy] * count, requires_grad=True) for name, xy in directions.items()})


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    ("margin", "expected"),
    [
        (0.0, {"pmis1": 0.6, "pmis2": 0.8, "pmis3": 0.28, "per1": 0.04, "per2": 0.064}),
        (0.5, {"pmis1": 0.1, "pmis2": 0.3, "pmis3": 0.0, "per1": 0.04, "per2": 0.064}),
    ],
)
def test_losses_of_kvfa_worked_by_hand(count, margin, expected):
    found = kvfa_terms(readings(count), margin)
    assert tuple(found) == KVFA_TERMS
    assert all(term.shape == () for term in found.values())
    assert {name: float(term.detach()) for name, term in found.items()} == pytest.approx(expected, abs=1e-6)


def test_what_the_method_wants_of_kvfa_costs_nothing():
    """With the right key both virtual faces are the person; without one, with a wrong one and of y, nobody known."""
    person, keyless, wrong, stranger = torch.eye(4)[:, None]
    read = Identities(x1=person, x1_none=keyless, x1_k2=wrong, x1_k1=person, x2_k1=person, y_k1=stranger)
    assert all(float(term) == 0 for term in kvfa_terms(read, margin=0.0).values())


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
def test_each_loss_of_kvfa_moves_its_own_pair(name, felt_by):
    read = readings()
    before = kvfa_terms(read, margin=0.0)[name]
    before.backward()
    gradients = {field.name: getattr(read, field.name).grad for field in fields(read)}
    assert {role for role, gradient in gradients.items() if gradient is not None} == felt_by
    assert all(gradients[role].abs().max() > 0.1 for role in felt_by)
    moved = {role: getattr(read, role).detach() - 0.1 * gradients[role] for role in felt_by}
    assert kvfa_terms(replace(read, **moved), 0.0)[name] < before


def test_nothing_to_read_is_no_nan():
    nothing = torch.zeros(2, 8, requires_grad=True)
    terms = kvfa_terms(Identities(*[nothing] * 6), 0.0)
    sum(terms.values()).backward()
    assert [float(term.detach()) for term in terms.values()] == [0, 0, 0, 1, 1]
    assert torch.isfinite(nothing.grad).all()


def test_totals_of_kvfa_take_weights_by_name_and_leave_other_terms_alone():
    values = {"per2": 5.0, "pmis1": 1.0, "pmis3": 3.0, "other": 99.0, "pmis2": 2.0, "per1": 4.0}
    terms = {name: torch.tensor(value) for name, value in values.items()}
    weights = {"pmis1": 10000.0, "pmis2": 1000.0, "pmis3": 100.0, "per1": 10.0, "per2": 1.0}
    assert float(misidentification_total(terms, weights)) == 12300
    assert float(false_rejection_total(terms, weights)) == 45
    assert float(kvfa_total(terms, weights)) == 12345


def test_the_total_of_kvfa_with_the_weights_of_the_paper():
    """0.6 + 0.8 + 0.28 + 0.04 + 0.064."""
    found = kvfa_total(kvfa_terms(readings(), 0.0), Training().kvfa_weights())
    assert float(found.detach()) == pytest.approx(1.784)


@pytest.mark.parametrize("missing", KVFA_TERMS)
def test_a_forgotten_weight_of_kvfa_is_no_silent_zero(missing):
    terms = {name: torch.tensor(1.0) for name in KVFA_TERMS}
    with pytest.raises(KeyError, match=missing):
        kvfa_total(terms, {name: 1.0 for name in KVFA_TERMS if name != missing})
