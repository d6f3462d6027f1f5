from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from kfaar_core.keys import UserKey
from kfaar_core.methods.floor import FloorProjector
from kfaar_core.stages.identify import IdentityMap
from kfaar_core.stages.linear import LinearReader
from kfaar_core.train.floor import (
    Directions,
    directions_state,
    fit_reader,
    payload_directions,
    posed_styles,
    reader_report,
)
from kfaar_core.train.posture import PostureFit, PostureStep
from kfaar_core.train.settings import LAB_TRAINING

LATENT, POSTURE, FEATURE, D = 24, 3, 10, 4


def world(identity: np.ndarray, rows: np.ndarray, covariance: np.ndarray | None = None) -> PostureFit:
    wide = np.eye(LATENT) if covariance is None else covariance
    return PostureFit(np.full(LATENT, 2.0), np.zeros(POSTURE), rows, identity, wide)


def directions(
    fit: PostureFit, noise: np.ndarray, gain: np.ndarray, targets: np.ndarray, amplitude: float, truncation: float
) -> Directions:
    training = replace(LAB_TRAINING, dimension=D, amplitude=amplitude, truncation=truncation)
    return payload_directions(fit, noise, gain, targets, training)


def planted(rng: np.random.Generator, strength: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """J that sees orthonormal directions of w with these strengths; answers J (FEATURE, LATENT) and the directions."""
    seen = np.linalg.qr(rng.standard_normal((LATENT, len(strength))))[0].T
    left = np.linalg.qr(rng.standard_normal((FEATURE, len(strength))))[0]
    return left @ (strength[:, None] * seen), seen


def none() -> np.ndarray:
    return np.zeros((LATENT, POSTURE))


def flat(rows: np.ndarray) -> np.ndarray:
    """An orthonormal basis of the columns' span as a projection matrix."""
    q = np.linalg.qr(rows)[0]
    return q @ q.T


def test_the_payload_takes_the_planted_directions(rng):
    identity, seen = planted(rng, np.array([9.0, 7, 5, 3, 0.1, 0.05]))
    found = directions(
        world(identity, np.zeros((POSTURE, LATENT))),
        np.eye(FEATURE),
        none(),
        rng.standard_normal((50, POSTURE)),
        1.3,
        0.7,
    )
    np.testing.assert_allclose(np.abs(seen[:4] @ found.payload), 1.3 * np.eye(4), atol=1e-6)  # in order of strength
    np.testing.assert_allclose(found.payload.T @ found.nuisance, 0, atol=1e-9)
    np.testing.assert_array_equal(found.mean, np.full(LATENT, 2.0))


def test_noise_moves_the_payload_elsewhere(rng):
    """The strongest direction arrives in a feature that is all noise: the others are read better."""
    identity = np.zeros((FEATURE, LATENT))
    identity[range(5), range(5)] = [10, 4, 4, 4, 4]
    noise = np.diag([1e4] + [1.0] * (FEATURE - 1))
    found = directions(world(identity, np.zeros((POSTURE, LATENT))), noise, none(), np.zeros((50, POSTURE)), 1.0, 1.0)
    np.testing.assert_allclose(flat(found.payload), np.diag([0.0] + [1.0] * 4 + [0.0] * 19), atol=1e-6)


def test_what_the_posture_correction_takes_away_carries_nothing(rng):
    """Identity is read from directions 0-4; posture is direction 0, and the correction resets it."""
    identity = np.zeros((FEATURE, LATENT))
    identity[range(5), range(5)] = [10, 4, 4, 4, 4]
    rows = np.zeros((POSTURE, LATENT))
    rows[0, 0] = 1
    reset = np.zeros((LATENT, POSTURE))
    reset[0, 0] = 1
    targets = 0.01 * rng.standard_normal((50, POSTURE))
    kept = directions(world(identity, rows), np.eye(FEATURE), none(), targets, 1.0, 1.0)
    taken = directions(world(identity, rows), np.eye(FEATURE), reset, targets, 1.0, 1.0)
    assert np.abs(kept.payload[0]).max() == pytest.approx(1)
    np.testing.assert_allclose(taken.payload[0], 0, atol=1e-9)


def test_the_latents_keep_the_covariance_of_the_renders(rng):
    mixing = rng.standard_normal((LATENT, LATENT))
    wide = mixing @ mixing.T
    identity, _ = planted(rng, np.arange(1.0, 9))
    found = directions(
        world(identity, np.zeros((POSTURE, LATENT)), wide),
        np.eye(FEATURE),
        none(),
        np.zeros((50, POSTURE)),
        1.0,
        1.0,
    )
    together = found.payload @ found.payload.T + found.nuisance @ found.nuisance.T
    np.testing.assert_allclose(together, wide, atol=2e-3 * np.abs(wide).max())
    assert found.payload.shape == (LATENT, D)


def test_the_reader_reads_what_is_linear(rng):
    payload = rng.standard_normal((300, D))
    payload /= np.linalg.norm(payload, axis=1, keepdims=True)
    features = 4 + payload @ rng.standard_normal((D, FEATURE)) + 1e-3 * rng.standard_normal((300, FEATURE))
    state = fit_reader(features, payload, share=1e-8)
    read = LinearReader(state, "reader")(features)
    assert (read * payload).sum(axis=1).min() > 0.99
    found = reader_report(state, features, payload)
    assert found["n"] == 300 and found["payload_cosine_mean"] > 0.99 and found["payload_cosine_sd"] < 0.01


def test_the_projector_loads_the_directions(rng):
    w = rng.standard_normal((1536, 8))
    found = directions(
        PostureFit(
            np.zeros(1536), np.zeros(POSTURE), np.zeros((POSTURE, 1536)), rng.standard_normal((FEATURE, 1536)), w @ w.T
        ),
        np.eye(FEATURE),
        np.zeros((1536, POSTURE)),
        np.zeros((9, POSTURE)),
        1.0,
        0.7,
    )
    assert found.payload.shape == (1536, D) and found.nuisance.shape == (1536, 4)  # the rest of eight directions
    state = directions_state(found)
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}
    identity = IdentityMap({"identity.mean": torch.zeros(D), "identity.map": torch.eye(D)})
    latent = FloorProjector(state, identity)(np.eye(D)[0], UserKey.parse("aa" * 32)).latent.flatten().numpy()
    inside = np.linalg.lstsq(w, latent, rcond=None)[0]
    np.testing.assert_allclose(w @ inside, latent, atol=1e-4)  # never leaves what the renders span


def test_posed_faces_carry_their_payload_and_take_a_targets_posture(rng):
    """Payload in entries 0-2, noise in 3-5, posture in 6-7: nothing disturbs anything else."""
    eye = np.eye(1536)
    drawn = Directions(mean=np.full(1536, 0.5), payload=eye[:, :3], nuisance=eye[:, 3:6])
    rows = 2 * eye[6:8]
    gain = np.linalg.pinv(rows)
    posture = PostureFit(np.full(1536, 0.25), np.array([1.0, -1.0]), rows, eye[:2], eye)
    targets = np.array([[3.0, 4.0], [5.0, 6.0]])
    found = posed_styles(drawn, PostureStep(posture, gain, targets), rng, 30)
    flat = found.w.reshape(30, 1536) - 0.5
    np.testing.assert_allclose(np.linalg.norm(found.payload, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(flat[:, :3], 3**0.5 * found.payload, atol=1e-5)
    assert (flat[:, 3:6].std(axis=0) > 0.5).all() and not flat[:, 8:].any()
    reached = posture.posture_mean + (flat + 0.25) @ rows.T
    assert {tuple(row) for row in reached.round(4).tolist()} == {(3.0, 4.0), (5.0, 6.0)}
