from __future__ import annotations

import numpy as np
import pytest
import torch

from kfaar_core.data.landmarker import FaceLabels
from kfaar_core.nets.projector_net import LEADING, BitsNet, HashedNet
from kfaar_core.runtime import stream
from kfaar_core.train import renders
from kfaar_core.train.directions import Directions, PostureFit
from kfaar_core.train.posture import PostureStep
from kfaar_core.train.renders import (
    Samples,
    bits_styles,
    code_styles,
    load_renders,
    mixed_styles,
    posed_styles,
    render_cache,
    render_shard,
)
from tests.kfaar_core.train.stand_ins import SPACE, crowd, still


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
    render_cache(FakeGenerator(), "n", lambda rng, count: samples(rng.uniform(0.1, 1)), shards=4, seed=0)
    every = load_renders("n").w[:, 0, 0].tolist()
    assert load_renders("n", 3, first=1).w[:, 0, 0].tolist() == every[1:3]
    assert load_renders("n", first=3).w[:, 0, 0].tolist() == every[3:]


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
    found = posed_styles(directions, PostureStep(posture, gain, targets), rng, 30)
    flat = found.w.reshape(30, 1536) - 0.5
    np.testing.assert_allclose(np.linalg.norm(found.payload, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(flat[:, :3], 3**0.5 * found.payload, atol=1e-5)
    assert (flat[:, 3:6].std(axis=0) > 0.5).all() and not flat[:, 8:].any()
    reached = posture.posture_mean + (flat + 0.25) @ rows.T
    assert {tuple(row) for row in reached.round(4).tolist()} == {(3.0, 4.0), (5.0, 6.0)}


def test_faces_of_the_hashed_p_carry_each_code_twice():
    torch.manual_seed(0)
    net = HashedNet(4, 6, hidden=8).eval()
    for parameter in net.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.no_grad():
        net.straight.weight[1:11] = torch.eye(10)  # behind the first coordinate, which is the look's
    found = code_styles(net, SPACE, 0.3, still(), np.random.default_rng(0), 30)
    assert found.group == 2 and found.w.shape == (30, 3, 512) and found.w.dtype == np.float32
    np.testing.assert_array_equal(found.payload[::2], found.payload[1::2])
    np.testing.assert_allclose(np.linalg.norm(found.payload, axis=1), 1, rtol=1e-5)
    assert len(np.unique(found.payload[:, 0])) == 15
    v = SPACE.of_w(torch.from_numpy(found.w)).numpy()
    np.testing.assert_allclose(v[:, 0, 1:5], 2 * found.payload, atol=1e-5)  # sqrt(d): one sd a dimension
    assert np.abs(v[::2, 0, 5:11] - v[1::2, 0, 5:11]).max(axis=1).min() > 0.1  # as another key draws the look
    assert 0.25 < v[..., LEADING:].std() < 0.35 and not v[:, 1:, 1:LEADING].any()
    again = code_styles(net, SPACE, 0.3, still(), np.random.default_rng(0), 30)
    np.testing.assert_array_equal(again.w, found.w)


class OneLayer:
    """M as the first 512 numbers of z themselves."""

    w_mean = torch.zeros(512)

    def map(self, z: torch.Tensor) -> torch.Tensor:
        return z

    def render(self, w_plus: torch.Tensor, side: int = 512) -> torch.Tensor:
        raise AssertionError("a sampler renders nothing")


def test_faces_of_the_bits_p_come_as_two_photos_of_a_person_and_one_of_another_under_one_key(rng):
    people = crowd(rng)
    torch.manual_seed(0)
    net = BitsNet(6, 8, hidden=16).eval()
    found = bits_styles(net, OneLayer(), 0.7, people, 8, still(), np.random.default_rng(0), 250)
    assert found.group == 3 and len(found.w) == len(found.payload) == 249  # a multiple of three
    u, key = found.payload[:, :4].reshape(-1, 3, 4), found.payload[:, 4:].reshape(-1, 3, 8)
    assert set(np.unique(key)) == {-1.0, 1.0} and (key == key[:, :1]).all() and len(np.unique(key[:, 0], axis=0)) > 20
    same, other = (u[:, 0] * u[:, 1]).sum(axis=1), (u[:, 0] * u[:, 2]).sum(axis=1)
    assert same.min() > 0.9 and (u[:, 0] != u[:, 1]).any(axis=1).all() and (other < same).mean() > 0.95
    w = found.w.reshape(-1, 3, 3, 512)
    np.testing.assert_array_equal(w[:, :, 0], w[:, :, 2])  # one style for every layer group
    assert (w[:, 0] != w[:, 1]).any(axis=(1, 2)).all()
