from __future__ import annotations

import io

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from kfaar_core import image
from kfaar_core.data.landmarker import FaceLabels
from kfaar_core.data.split import part_of
from kfaar_core.stages.geometry import euler_degrees
from kfaar_core.stages.locate import portrait_frame
from kfaar_core.train import photos
from kfaar_core.train.photos import SIDE, in_portrait_frame, load_photos

FIVE = np.array([[-12.0, -8], [12, -8], [0, 4], [-9, 15], [9, 15]])


def leaning(degrees: float) -> np.ndarray:
    """Five points of a face that is tilted clockwise, in px."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])  # y down
    return FIVE @ turn.T + (50, 60)


def tilted(degrees: float) -> np.ndarray:
    """A head that is tilted clockwise, for a camera whose y points up: the crown goes right."""
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])


@pytest.mark.parametrize("degrees", [-50, 0, 20])
def test_in_its_own_frame_a_leaning_head_is_upright(degrees):
    frame = portrait_frame(leaning(degrees), SIDE)
    found = euler_degrees(torch.from_numpy(in_portrait_frame(tilted(degrees), frame))[None])[0]
    assert euler_degrees(torch.from_numpy(tilted(degrees))[None])[0, 2] == pytest.approx(degrees)
    assert found.tolist() == pytest.approx([0, 0, 0], abs=1e-4)


class FakeLandmarker:
    """Sees the leaning face in every photo whose corner is not black."""

    def __call__(self, picture: np.ndarray) -> FaceLabels | None:
        if picture[0, 0].max() < 30:
            return None
        height, width = picture.shape[:2]
        points = np.zeros((478, 3))
        points[:, 2] = 0.1
        for corner, point in zip((33, 133, 362, 263, 1, 61, 291), leaning(20)[[0, 0, 1, 1, 2, 3, 4]], strict=True):
            points[corner, :2] = point / (width, height)
        return FaceLabels(points.astype(np.float32), np.full(52, 0.5, np.float32), tilted(20).astype(np.float32))


@pytest.fixture
def labelled(monkeypatch, tmp_path):
    """Three train people, one of whom is not seen, and somebody else; the second call must not label again."""
    names = [f"Person_{number}" for number in range(60)]
    train = sorted(name for name in names if part_of(name) == "train")[:3]
    other = next(name for name in names if part_of(name) == "test")
    rows = [(train[2], 200), (other, 200), (train[0], 120), (train[1], 0), (train[2], 90)]
    files = []
    for _, level in rows:
        stream = io.BytesIO()
        Image.fromarray(np.full((130, 100, 3), level, dtype=np.uint8)).save(stream, "PNG")
        files.append({"bytes": stream.getvalue(), "path": None})
    table = pyarrow.table({"image": files, "identity": [name for name, _ in rows]})
    pyarrow.parquet.write_table(table, tmp_path / "faces.parquet")
    monkeypatch.setenv("KFAAR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(photos, "Landmarker", FakeLandmarker)
    found = load_photos(tmp_path / "faces.parquet", "train")
    monkeypatch.setattr(photos, "Landmarker", None)
    return found, load_photos(tmp_path / "faces.parquet", "train")


def test_only_the_faces_of_one_part_are_labelled_and_kept(labelled):
    found, cached = labelled
    assert found.missed == 1 and len(found.pictures) == 3
    assert found.people.tolist() == [2, 0, 2]  # numbers follow the sorted names; the unseen person keeps hers
    assert found.pictures[:, 128, 128, 0].tolist() == [200, 120, 90]
    for name in ("pictures", "landmarks", "blendshapes", "rotation", "people"):
        np.testing.assert_array_equal(getattr(found, name), getattr(cached, name))


def test_labels_are_in_the_portraits_own_frame(labelled):
    found, _ = labelled
    frame = portrait_frame(leaning(20), SIDE)
    expected = image.apply(image.invert(frame), leaning(20)) / SIDE
    np.testing.assert_allclose(found.landmarks[0, [33, 362, 1, 61, 291], :2], expected, atol=1e-5)
    assert found.landmarks[0, 33, 1] == pytest.approx(found.landmarks[0, 362, 1], abs=1e-5)  # level
    scale = np.hypot(*frame[:, 0])  # photo px a portrait px; depth is in widths of the photo
    np.testing.assert_allclose(found.landmarks[0, :, 2], 0.1 * 100 / scale / SIDE, rtol=1e-4)
    np.testing.assert_allclose(found.rotation[0], np.eye(3), atol=1e-5)
