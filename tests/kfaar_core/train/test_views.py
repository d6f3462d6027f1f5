from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kfaar_core import image
from kfaar_core.nets.reader_net import TEXTURE
from kfaar_core.records import Posture
from kfaar_core.stages.face_view import MeanFace
from kfaar_core.stages.tiny import TinyGeometry
from kfaar_core.train import views as module
from kfaar_core.train.views import Views, mean_shape, recompressed

SHARDS, EACH = 3, 2
POINTS = TinyGeometry().points
MEAN = mean_shape(POINTS[None])


def views(first: int = 0, last: int | None = None, geometry: TinyGeometry | None = None) -> Views:
    return module.views("k", MEAN, geometry or TinyGeometry(), first, last)


def portrait(seed: int) -> np.ndarray:
    """256 px of smooth colours and a little grain."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(40, 220, (6, 6, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((256, 256), Image.Resampling.BICUBIC)).astype(int)
    return np.clip(smooth + rng.integers(-6, 7, smooth.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Renders as train.renders writes them; what the teacher sees in them is not looked at."""
    monkeypatch.setenv("KFAAR_CACHE", str(tmp_path))
    (tmp_path / "renders-k").mkdir()
    for shard in range(SHARDS):
        w = np.full((EACH, 3, 512), shard, dtype=np.float32) + np.arange(EACH, dtype=np.float32)[:, None, None] / 10
        np.savez(
            tmp_path / "renders-k" / f"{shard:04d}.npz",
            pictures=np.stack([portrait(10 * shard + i) for i in range(EACH)]),
            landmarks=np.full((EACH, 478, 3), np.nan, dtype=np.float32),
            w=w,
            payload=w[:, 0, :4],
        )
    (tmp_path / "renders-k" / "0003.part.npz").write_bytes(b"half a file")
    return tmp_path


def test_a_saved_picture_is_worse_but_the_same(rng):
    picture, sides, errors = portrait(0), set(), []
    for _ in range(30):
        worse = recompressed(picture, rng)
        assert worse.dtype == np.uint8 and worse.shape[0] == worse.shape[1] and 128 <= worse.shape[0] <= 256
        sides.add(worse.shape[0])
        back = np.asarray(Image.fromarray(worse).resize((256, 256), Image.Resampling.BICUBIC)).astype(int)
        errors.append(np.abs(back - picture).mean())
    assert len(sides) > 8 and 256 in sides
    assert 0.5 < min(errors) < max(errors) < 8


def test_the_mean_face_is_taken_upright(rng):
    """Where a face stands in its picture, how large and how turned does not count; in what it differs does."""
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    moved = np.concatenate([0.5 * POINTS[:, :2] @ turn.T + 0.1, rng.standard_normal((478, 1))], axis=1)
    np.testing.assert_allclose(mean_shape(np.stack([POINTS, moved])), MEAN, atol=1e-4)
    chin = POINTS.copy()
    chin[119, 1] += 0.1  # no landmark of the five points
    between = np.linalg.norm(mean_shape(np.stack([POINTS, chin])) - MEAN, axis=1)
    whole = np.linalg.norm(mean_shape(chin[None]) - MEAN, axis=1)
    assert between[119] == pytest.approx(whole[119] / 2) and whole[119] > 5 and np.delete(whole, 119).max() < 1e-3


def test_each_render_is_seen_as_it_is_and_saved(cache):
    found = views()
    clean, damaged = found.clean, found.damaged
    assert clean.texture.shape == damaged.texture.shape == (SHARDS * EACH, *TEXTURE, 3)
    assert clean.shape.shape == damaged.shape.shape == (SHARDS * EACH, 478, 2)
    assert clean.texture.dtype == damaged.texture.dtype == np.uint8
    expected = MeanFace(MEAN).view(portrait(11), POINTS[:, :2].astype(np.float64) * 256)
    np.testing.assert_array_equal(clean.texture[3], expected.texture)
    np.testing.assert_allclose(clean.shape[3], expected.shape, atol=0.1)  # px; they are kept in half precision
    away = np.abs(clean.texture.astype(int) - damaged.texture).mean(axis=(1, 2, 3))
    assert (away > 0.3).all()
    between = np.abs(clean.texture[:1].astype(int) - damaged.texture[1:]).mean(axis=(1, 2, 3))
    assert away.max() < between.min()  # each is still like itself
    np.testing.assert_allclose(found.w[:, 0, 0], [0, 0.1, 1, 1.1, 2, 2.1])
    np.testing.assert_array_equal(found.payload, found.w[:, 0, :4])


def test_the_damaged_view_is_of_the_saved_picture_at_its_own_size(cache, monkeypatch):
    """Pictures are black and 150 px after saving; the face still stands where the landmarks are."""
    monkeypatch.setattr(module, "recompressed", lambda picture, rng: np.zeros((150, 150, 3), dtype=np.uint8))
    found = views(0, 1)
    face, black = (found.clean.texture != 128).any(axis=3), (found.damaged.texture == 0).all(axis=3)
    assert black.any() and (face != black).mean() < 0.01  # a colour of the face may be grey by chance
    np.testing.assert_array_equal(found.damaged.shape, found.clean.shape)


class Spy(TinyGeometry):
    """Finds the face further right in brighter pictures, and keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[torch.Tensor] = []

    def postures(self, portraits: torch.Tensor) -> list[Posture]:
        self.shown.append(portraits)
        found = super().postures(portraits)
        shift = portraits.mean(dim=(1, 2, 3)).numpy()[:, None, None] * (0.1, 0, 0)
        return [replace(one, landmarks=one.landmarks + by) for one, by in zip(found, shift, strict=True)]


def test_landmarks_are_found_in_each_picture_anew(cache, monkeypatch):
    """In the picture as it is and in the recompressed one, both at 256 px."""
    monkeypatch.setattr(module, "recompressed", lambda picture, rng: np.full((150, 150, 3), 255, dtype=np.uint8))
    geometry = Spy()
    found = views(0, 1, geometry)
    clean, damaged = geometry.shown
    torch.testing.assert_close(clean, image.to_float(np.stack([portrait(0), portrait(1)])))
    torch.testing.assert_close(damaged, torch.ones(EACH, 3, 256, 256))
    for picture, texture in zip((portrait(0), portrait(1)), found.clean.texture, strict=True):
        (posture,) = geometry.postures(image.to_float(picture))
        expected = MeanFace(MEAN).view(picture, posture.landmarks.astype(np.float64) * 256)
        np.testing.assert_array_equal(texture, expected.texture)


def test_views_by_shard(cache):
    every = views()
    np.testing.assert_array_equal(views(1, 2).damaged.texture, every.damaged.texture[EACH : 2 * EACH])
    np.testing.assert_array_equal(views(2).w, every.w[2 * EACH :])


def test_a_part_of_views_is_a_part_of_all_they_hold(cache):
    every = views()
    for part, chosen in ((every[:-2], slice(0, 4)), (every[4:], slice(4, 6))):
        np.testing.assert_array_equal(part.clean.texture, every.clean.texture[chosen])
        np.testing.assert_array_equal(part.damaged.shape, every.damaged.shape[chosen])
        np.testing.assert_array_equal(part.w, every.w[chosen])
        np.testing.assert_array_equal(part.payload, every.payload[chosen])


def test_views_are_made_once_and_always_the_same(cache, monkeypatch):
    first = views(0, 2)
    for path in (cache / "views-k").iterdir():
        assert path.name in ("0000.npz", "0001.npz")
        path.unlink()
    again = views()
    np.testing.assert_array_equal(again.damaged.texture[: 2 * EACH], first.damaged.texture)
    monkeypatch.setattr(module, "recompressed", lambda *_: pytest.fail("made again"))
    np.testing.assert_array_equal(views().damaged.texture, again.damaged.texture)
