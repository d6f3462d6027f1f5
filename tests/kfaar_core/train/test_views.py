from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kfaar_core.nets.reader_net import INPUT
from kfaar_core.stages.face_view import face_view
from kfaar_core.stages.tiny import TinyGeometry
from kfaar_core.train import views as module
from kfaar_core.train.views import saved, views

SHARDS, EACH = 3, 2


def portrait(seed: int) -> np.ndarray:
    """256 px of smooth colours and a little grain."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(40, 220, (6, 6, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((256, 256), Image.Resampling.BICUBIC)).astype(int)
    return np.clip(smooth + rng.integers(-6, 7, smooth.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Renders as train.renders writes them."""
    monkeypatch.setenv("KFAAR_CACHE", str(tmp_path))
    (tmp_path / "renders-k").mkdir()
    points = TinyGeometry()._points
    for shard in range(SHARDS):
        w = np.full((EACH, 3, 512), shard, dtype=np.float32) + np.arange(EACH, dtype=np.float32)[:, None, None] / 10
        np.savez(
            tmp_path / "renders-k" / f"{shard:04d}.npz",
            pictures=np.stack([portrait(10 * shard + i) for i in range(EACH)]),
            landmarks=np.stack([points] * EACH),
            w=w,
            payload=w[:, 0, :4],
        )
    (tmp_path / "renders-k" / "0003.part.npz").write_bytes(b"half a file")
    return tmp_path


def test_a_saved_picture_is_worse_but_the_same(rng):
    picture, sides, errors = portrait(0), set(), []
    for _ in range(30):
        worse = saved(picture, rng)
        assert worse.dtype == np.uint8 and worse.shape[0] == worse.shape[1] and 128 <= worse.shape[0] <= 256
        sides.add(worse.shape[0])
        back = np.asarray(Image.fromarray(worse).resize((256, 256), Image.Resampling.BICUBIC)).astype(int)
        errors.append(np.abs(back - picture).mean())
    assert len(sides) > 8 and 256 in sides
    assert 0.5 < min(errors) < max(errors) < 8


def test_each_render_is_seen_as_it_is_and_saved(cache):
    found = views("k")
    assert found.clean.shape == found.damaged.shape == (SHARDS * EACH, *INPUT, 3)
    assert found.clean.dtype == found.damaged.dtype == np.uint8
    landmarks = TinyGeometry()._points[:, :2].astype(np.float64) * 256
    np.testing.assert_array_equal(found.clean[3], face_view(portrait(11), landmarks))
    away = np.abs(found.clean.astype(int) - found.damaged).mean(axis=(1, 2, 3))
    assert (away > 0.3).all()
    between = np.abs(found.clean[:1].astype(int) - found.damaged[1:]).mean(axis=(1, 2, 3))
    assert away.max() < between.min()  # each is still like itself
    np.testing.assert_allclose(found.w[:, 0, 0], [0, 0.1, 1, 1.1, 2, 2.1])
    np.testing.assert_array_equal(found.payload, found.w[:, 0, :4])


def test_the_damaged_view_is_of_the_saved_picture_at_its_own_size(cache, monkeypatch):
    """Pictures are black and 150 px after saving; the face still stands where the landmarks are."""
    monkeypatch.setattr(module, "saved", lambda picture, rng: np.zeros((150, 150, 3), dtype=np.uint8))
    found = views("k", 0, 1)
    face, black = (found.clean != 128).any(axis=3), (found.damaged == 0).all(axis=3)
    assert black.any() and (face != black).mean() < 0.05  # the run-time landmarks shift it a little


def test_views_by_shard(cache):
    every = views("k")
    np.testing.assert_array_equal(views("k", 1, 2).damaged, every.damaged[EACH : 2 * EACH])
    np.testing.assert_array_equal(views("k", 2).w, every.w[2 * EACH :])


def test_views_are_made_once_and_always_the_same(cache, monkeypatch):
    first = views("k", 0, 2)
    for path in (cache / "views-k").iterdir():
        assert path.name in ("0000.npz", "0001.npz")
        path.unlink()
    again = views("k")
    np.testing.assert_array_equal(again.damaged[: 2 * EACH], first.damaged)
    monkeypatch.setattr(module, "face_view", lambda *_: pytest.fail("made again"))
    np.testing.assert_array_equal(views("k").damaged, again.damaged)
