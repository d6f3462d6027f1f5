from __future__ import annotations

import numpy as np
import pytest
import torch

from kfaar_core.train.posture import PostureFit, PostureStep, fit_rows, gain, postures_of, ridge

LATENT, POSTURE, FEATURE = 30, 5, 4
EXACT = np.zeros(POSTURE)


@pytest.fixture
def found(rng) -> PostureFit:
    """A small linear world with a covariance of full rank."""
    mixing = rng.standard_normal((LATENT, LATENT))
    return PostureFit(
        latent_mean=np.zeros(LATENT),
        posture_mean=np.zeros(POSTURE),
        rows=rng.standard_normal((POSTURE, LATENT)),
        identity_rows=rng.standard_normal((FEATURE, LATENT)),
        covariance=mixing @ mixing.T / LATENT,
    )


def price(found: PostureFit, keep: float, move: np.ndarray) -> float:
    """What a move costs: how unlikely it is under cov(w), and how much it changes the identity."""
    ridge_share = 1e-4 * np.trace(found.covariance) / LATENT
    unlikely = move @ np.linalg.solve(found.covariance + ridge_share * np.eye(LATENT), move)
    return float(unlikely + keep * np.sum((found.identity_rows @ move) ** 2))


def test_with_no_tolerance_the_move_meets_the_posture_exactly(found, rng):
    dy = rng.standard_normal(POSTURE)
    for keep in (0.01, 1.0, 1e4):
        np.testing.assert_allclose(found.rows @ (gain(found, keep, EXACT) @ dy), dy, atol=1e-7)


def test_no_other_move_that_meets_it_is_cheaper(found, rng):
    move = gain(found, 3.0, EXACT) @ rng.standard_normal(POSTURE)
    _, _, basis = np.linalg.svd(found.rows)
    free = basis[POSTURE:]  # moves that leave the posture alone
    for _ in range(20):
        other = move + 0.1 * rng.standard_normal(len(free)) @ free
        assert price(found, 3.0, other) > price(found, 3.0, move)


def test_a_dear_identity_is_left_alone(found, rng):
    dy = rng.standard_normal(POSTURE)
    cheap, dear = (gain(found, keep, EXACT) @ dy for keep in (1e-6, 1e6))
    assert np.linalg.norm(found.identity_rows @ dear) < 1e-3 * np.linalg.norm(found.identity_rows @ cheap)


def test_a_tolerance_trades_the_posture_for_a_shorter_move(found, rng):
    dy = rng.standard_normal(POSTURE)
    loose = np.zeros(POSTURE)
    loose[2] = 50.0
    exact, soft = gain(found, 1.0, EXACT) @ dy, gain(found, 1.0, loose) @ dy
    assert price(found, 1.0, soft) < price(found, 1.0, exact)
    reached = found.rows @ soft
    np.testing.assert_allclose(np.delete(reached, 2), np.delete(dy, 2), atol=1e-7)
    assert abs(reached[2] - dy[2]) > 0.1


def test_a_flat_covariance_is_no_obstacle(found, rng):
    """Directions that no render shows are almost never used."""
    flat = PostureFit(**{**vars(found), "covariance": np.diag([1.0] * 15 + [0.0] * 15)})
    move = gain(flat, 1.0, EXACT) @ rng.standard_normal(POSTURE)
    assert np.abs(move[15:]).max() < 0.02 * np.abs(move[:15]).max()


def test_ridge_without_ridge_is_least_squares(rng):
    x, y = rng.standard_normal((50, 4)), rng.standard_normal((50, 2))
    np.testing.assert_allclose(ridge(x, y, 0.0), np.linalg.lstsq(x, y, rcond=None)[0].T)


def test_ridge_is_least_squares_with_pretended_samples(rng):
    """A penalty equals extra rows sqrt(penalty) * I whose answer is zero."""
    x, y = rng.standard_normal((50, 4)) * (1, 2, 3, 4), rng.standard_normal((50, 2))
    extra = np.sqrt(0.3 * 50 * np.mean((x**2).mean(axis=0))) * np.eye(4)
    expected = np.linalg.lstsq(np.vstack([x, extra]), np.vstack([y, np.zeros((4, 2))]), rcond=None)[0].T
    np.testing.assert_allclose(ridge(x, y, 0.3), expected)


def test_a_planted_linear_world_is_found(rng):
    # ridge treats all latents alike, so few of them vary here: the others are constant
    w = np.full((400, 3, 512), 0.25)
    w[:, 1, :8] += rng.standard_normal((400, 8))
    rows = rng.standard_normal((54, 8))
    postures = 1.5 + w[:, 1, :8] @ rows.T
    features = w[:, 1, :2] @ rng.standard_normal((2, 6)) - 3
    found = fit_rows(w, postures, features, share=1e-6)
    np.testing.assert_allclose(found.rows[:, 512:520], rows, atol=0.01)
    assert not found.rows[:, :512].any() and found.rows.shape == (54, 1536)
    np.testing.assert_allclose(found.identity_rows[:, 514:520], 0, atol=1e-2)
    np.testing.assert_allclose(np.diag(found.covariance)[512:520], w[:, 1, :8].var(axis=0))
    np.testing.assert_allclose(found.latent_mean, w.mean(axis=0).ravel())
    np.testing.assert_allclose(found.posture_mean, postures.mean(axis=0))


def test_labels_become_posture_vectors():
    turned = np.array([[[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]]])  # the nose, once towards the camera, points right
    shapes = np.arange(52)[None] / 100
    found = postures_of(turned, shapes)[0]
    assert found[:3].tolist() == pytest.approx([9.0, 0.0, 0.0])  # 90 degrees in units of ten
    np.testing.assert_allclose(found[3:], np.arange(1, 52) / 100)


# ---- the step

TARGETS = np.array([[3.0, 4], [5, 6], [-2, 0]])


@pytest.fixture
def step(rng) -> PostureStep:
    """Two postures, met exactly by the shortest move."""
    rows = rng.standard_normal((2, 1536)) / 30
    posture = PostureFit(rng.standard_normal(1536), np.array([1.0, -1.0]), rows, rows, np.zeros((1, 1)))
    return PostureStep(posture, np.linalg.pinv(rows), TARGETS)


def reached(step: PostureStep, w: torch.Tensor) -> np.ndarray:
    return step.fit.posture_mean + (w.flatten(1).double().numpy() - step.fit.latent_mean) @ step.fit.rows.T


def test_a_step_takes_the_posture_of_a_training_photo(step, rng):
    torch.manual_seed(0)
    w = torch.from_numpy(rng.standard_normal((60, 3, 512))).float()
    after = step.moved(w)
    assert after.shape == w.shape and after.dtype == torch.float32
    nearest = np.abs(reached(step, after)[:, None] - TARGETS).max(axis=2)
    assert nearest.min(axis=1).max() < 1e-3 and set(nearest.argmin(axis=1)) == {0, 1, 2}
    moved = (after - w).flatten(1).numpy()
    inside = moved @ step.gain @ step.fit.rows  # the move has no part that changes no posture
    np.testing.assert_allclose(inside, moved, atol=1e-3)


def test_the_photo_can_be_chosen(step, rng):
    w = torch.from_numpy(rng.standard_normal((4, 3, 512)))
    after = step.moved(w, torch.tensor([2, 0, 1, 2]))
    assert after.dtype == torch.float64
    np.testing.assert_allclose(reached(step, after), TARGETS[[2, 0, 1, 2]], atol=1e-9)
    torch.testing.assert_close(step.moved(after, torch.tensor([2, 0, 1, 2])), after)  # it is there already
