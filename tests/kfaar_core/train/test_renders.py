from __future__ import annotations

import numpy as np
import pytest
import torch

from kfaar_core.data.landmarker import FaceLabels
from kfaar_core.runtime import stream
from kfaar_core.stages.generate import GROUPS
from kfaar_core.train import renders
from kfaar_core.train.renders import Samples, load_renders, mixed_styles, render_cache, render_shard


class FakeGenerator:
    """A picture whose red is the first entry of w."""

    w_mean = torch.full((512,), 2.0)

    def map(self, z: torch.Tensor) -> torch.Tensor:
        return 10 * z

    groups = GROUPS

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


def samples(*first: float, group: int = 1) -> Samples:
    w = np.zeros((len(first), 3, 512), np.float32)
    w[:, :, 0] = np.array(first)[:, None]
    return Samples(w, np.arange(2 * len(first), dtype=np.float32).reshape(-1, 2), group)


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


@pytest.mark.parametrize(
    ("group", "kept"), [(1, [1.0, 0.9, 0.8, 0.7, 0.6]), (2, [1.0, 0.9, 0.7, 0.6]), (3, [0.8, 0.7, 0.6])]
)
def test_where_one_face_of_a_group_is_missed_the_whole_group_is(cache, group, kept):
    """Batches and triplets are taken by position: a hole would join two people."""
    shades = (1.0, 0.9, -1.0, 0.8, 0.7, 0.6)
    (cache / "renders-g").mkdir()
    drawn = samples(*shades, group=group)
    render_shard(FakeGenerator(), FakeLandmarker(), drawn, cache / "renders-g" / "0000.npz")
    found = load_renders("g")
    assert found.w[:, 0, 0].tolist() == pytest.approx(kept) and found.missed == 6 - len(kept)
    rows = [shades.index(pytest.approx(shade)) for shade in kept]
    np.testing.assert_array_equal(found.payload, drawn.payload[rows])


def test_shards_by_number(cache):
    render_cache(FakeGenerator(), "n", lambda rng, count: samples(rng.uniform(0.1, 1)), range(4), seed=0)
    every = load_renders("n").w[:, 0, 0].tolist()
    assert load_renders("n", 3, first=1).w[:, 0, 0].tolist() == every[1:3]
    assert load_renders("n", first=3).w[:, 0, 0].tolist() == every[3:]


def test_workers_share_the_shards_and_finished_ones_stay(cache):
    def draw(rng: np.random.Generator, count: int) -> Samples:
        return samples(*rng.uniform(0.1, 1, count))

    for worker in (1, 0):
        render_cache(FakeGenerator(), "y", draw, range(worker, 3, 2), seed=5)
    assert sorted(path.name for path in (cache / "renders-y").iterdir()) == ["0000.npz", "0001.npz", "0002.npz"]
    before = load_renders("y")
    assert len(before.w) == 9 and len(load_renders("y", limit=1).w) == 3
    expected = stream(5, "y 1").uniform(0.1, 1, 3)
    np.testing.assert_allclose(before.w[3:6, 0, 0], expected, rtol=1e-6)
    render_cache(FakeGenerator(), "y", lambda *_: pytest.fail("rendered again"), range(3), seed=5)


def test_a_shard_that_is_being_written_is_not_read(cache):
    render_cache(FakeGenerator(), "z", lambda rng, count: samples(1.0), range(1), seed=0)
    (cache / "renders-z" / "0001.part.npz").write_bytes(b"half a file")
    assert len(load_renders("z").w) == 1


def test_half_of_the_mixed_faces_mix_three_people():
    found = mixed_styles(FakeGenerator(), np.random.default_rng(0), 40)
    assert found.w.shape == (40, 3, 512) and found.w.dtype == np.float32 and found.payload.shape == (40, 0)
    one_person = (found.w[:, 0] == found.w[:, 1]).all(axis=1) & (found.w[:, 0] == found.w[:, 2]).all(axis=1)
    assert one_person.tolist() == [True] * 20 + [False] * 20
    keep = np.linalg.norm(found.w[:, 0] - 2, axis=1) / (10 * 512**0.5)  # shares of the way from the mean face
    assert 0.45 < keep.min() < 0.6 and 0.9 < keep.max() < 1.1
