from __future__ import annotations

import numpy as np
import pytest
import torch

from kfaar_core.runtime import stream
from kfaar_core.train import renders
from kfaar_core.train.directions import Directions, PostureFit
from kfaar_core.train.renders import Samples, load_renders, mixed_styles, posed_styles, render_cache, render_shard
from kfaar_core.train.teachers import FaceLabels


class FakeGenerator:
    """A picture whose red is the first entry of w."""

    w_mean = torch.full((512,), 2.0)

    def map(self, z: torch.Tensor) -> torch.Tensor:
        return 10 * z

    def render(self, w_plus: torch.Tensor, side: int = 512) -> torch.Tensor:
        assert w_plus.shape == (1, 23, 512)
        picture = torch.zeros(1, 3, side, side)
        picture[:, 0] = w_plus[0, 0, 0]
        picture[:, 1, ::2] = 1.0  # every second row, which the half size averages
        return picture


class FakeLandmarker:
    """Sees a face where red is above the middle."""

    def __call__(self, picture: np.ndarray) -> FaceLabels | None:
        assert picture.shape == (512, 512, 3) and picture.dtype == np.uint8
        if picture[0, 0, 0] < 128:
            return None
        return FaceLabels(np.ones((478, 3), np.float32), np.ones(52, np.float32), np.eye(3, dtype=np.float32))


def samples(*first: float) -> Samples:
    w = np.zeros((len(first), 3, 512), np.float32)
    w[:, :, 0] = np.array(first)[:, None]
    return Samples(w, np.arange(2 * len(first), dtype=np.float32).reshape(-1, 2))


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("KFAAR_CACHE", str(tmp_path))
    monkeypatch.setattr(renders, "Landmarker", FakeLandmarker)
    monkeypatch.setattr(renders, "SHARD", 3)
    return tmp_path


def test_a_shard_keeps_the_faces_that_were_seen(cache):
    (cache / "renders-x").mkdir()
    render_shard(FakeGenerator(), FakeLandmarker(), samples(1.0, -1.0, 0.5), cache / "renders-x" / "0000.npz")
    found = load_renders("x")
    assert found.missed == 1 and found.w[:, 2, 0].tolist() == [1.0, 0.5]
    assert found.payload.tolist() == [[0, 1], [4, 5]]
    assert found.pictures.shape == (2, 256, 256, 3)
    assert found.pictures[:, 0, 0].tolist() == [[255, 192, 128], [191, 192, 128]]  # 255 and 128 average to 192


def test_workers_share_the_shards_and_finished_ones_stay(cache):
    def draw(rng: np.random.Generator, count: int) -> Samples:
        return samples(*rng.uniform(0.1, 1, count))

    for worker in (1, 0):
        render_cache(FakeGenerator(), "y", draw, shards=3, seed=5, worker=worker, workers=2)
    assert sorted(path.name for path in (cache / "renders-y").iterdir()) == ["0000.npz", "0001.npz", "0002.npz"]
    before = load_renders("y")
    assert len(before.w) == 9 and len(load_renders("y", limit=1).w) == 3
    expected = stream(5, "y 1").uniform(0.1, 1, 3)
    np.testing.assert_allclose(before.w[3:6, 0, 0], expected, rtol=1e-6)
    render_cache(FakeGenerator(), "y", lambda *_: pytest.fail("rendered again"), shards=3, seed=5)


def test_a_shard_that_is_being_written_is_not_read(cache):
    render_cache(FakeGenerator(), "z", lambda rng, count: samples(1.0), shards=1, seed=0)
    (cache / "renders-z" / "0001.part.npz").write_bytes(b"half a file")
    assert len(load_renders("z").w) == 1


def test_half_of_the_mixed_faces_mix_three_people():
    found = mixed_styles(FakeGenerator(), np.random.default_rng(0), 40)
    assert found.w.shape == (40, 3, 512) and found.w.dtype == np.float32 and found.payload.shape == (40, 0)
    one_person = (found.w[:, 0] == found.w[:, 1]).all(axis=1) & (found.w[:, 0] == found.w[:, 2]).all(axis=1)
    assert one_person.tolist() == [True] * 20 + [False] * 20
    keep = np.linalg.norm(found.w[:, 0] - 2, axis=1) / (10 * 512**0.5)  # shares of the way from the mean face
    assert 0.45 < keep.min() < 0.6 and 0.9 < keep.max() < 1.1


def test_posed_faces_carry_their_payload_and_take_a_targets_posture(rng):
    """Payload in entries 0-2, look in 3-5, posture in 6-7: nothing disturbs anything else."""
    eye = np.eye(1536)
    directions = Directions(mean=np.full(1536, 0.5), payload=eye[:, :3], nuisance=eye[:, 3:6])
    rows = 2 * eye[6:8]
    gain = np.linalg.pinv(rows)
    posture = PostureFit(np.full(1536, 0.25), np.array([1.0, -1.0]), rows, eye[:2], eye)
    targets = np.array([[3.0, 4.0], [5.0, 6.0]])
    found = posed_styles(directions, posture, gain, targets, rng, 30)
    flat = found.w.reshape(30, 1536) - 0.5
    np.testing.assert_allclose(np.linalg.norm(found.payload, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(flat[:, :3], 3**0.5 * found.payload, atol=1e-5)
    assert (flat[:, 3:6].std(axis=0) > 0.5).all() and not flat[:, 8:].any()
    reached = posture.posture_mean + (flat + 0.25) @ rows.T
    assert {tuple(row) for row in reached.round(4).tolist()} == {(3.0, 4.0), (5.0, 6.0)}
