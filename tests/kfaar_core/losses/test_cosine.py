from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from kfaar_core.losses.cosine import DIFFERENT, SAME, cosine_loss, cosines


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
