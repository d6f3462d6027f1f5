"""Cache of labelled LFW photos for training: the portrait crop of every photo of one part of the split."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
from PIL import Image

from kfaar_core import image
from kfaar_core.data.landmarker import Landmarker
from kfaar_core.data.split import part_of
from kfaar_core.files import cache_folder
from kfaar_core.stages.locate import five_points, portrait_frame
from kfaar_core.train.artefacts import save_arrays

log = logging.getLogger(__name__)

SIDE = 256  # px of the cached portrait


@dataclass(frozen=True)
class LabelledPhotos:
    """N photos in which the landmarker found a face."""

    pictures: np.ndarray  # (N, 256, 256, 3) uint8, portrait frame
    landmarks: np.ndarray  # (N, 478, 3) float32, x and y in [0, 1] of the portrait, z on the same scale
    blendshapes: np.ndarray  # (N, 52) float32
    rotation: np.ndarray  # (N, 3, 3) float32, in the portrait frame (its roll is the residual one)
    people: np.ndarray  # (N,) int64: index into the sorted names of this part
    missed: int  # photos in which the landmarker found no face


def in_portrait_frame(rotation: np.ndarray, to_photo: np.ndarray) -> np.ndarray:
    """A head rotation (3, 3) in the photo's frame -> in the portrait's; `to_photo` (2, 3) maps portrait to photo."""
    angle = np.arctan2(to_photo[1, 0], to_photo[0, 0])  # of the portrait's frame in the photo, clockwise (y down)
    c, s = np.cos(angle), np.sin(angle)
    # The camera's y points up: a frame that is turned clockwise sees the head turned by +angle about z.
    return (np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ rotation).astype(np.float32)


def label_photos(parquet_file: Path, part: str, path: Path) -> None:
    """Label one part (`train`, `dev`, `test`) of a parquet file of faces and write the cache."""
    table = parquet.read_table(parquet_file, columns=["image", "identity"])
    names = table.column("identity").to_pylist()
    chosen = [i for i, name in enumerate(names) if part_of(name) == part]
    index = {name: i for i, name in enumerate(sorted({names[i] for i in chosen}))}
    landmarker, missed = Landmarker(), 0
    columns: dict[str, list] = {k: [] for k in ("pictures", "landmarks", "blendshapes", "rotation", "people")}
    images = table.column("image").take(chosen).to_pylist()
    for done, (i, stored) in enumerate(zip(chosen, images, strict=True)):
        photo = np.asarray(Image.open(io.BytesIO(stored["bytes"])).convert("RGB"))
        labels = landmarker(photo)
        if labels is None:
            missed += 1
            continue
        height, width = photo.shape[:2]
        pixels = labels.landmarks * (width, height, width)
        to_photo = portrait_frame(five_points(pixels), SIDE)
        points = image.apply(image.invert(to_photo), pixels[:, :2])
        depth = pixels[:, 2:] / np.hypot(*to_photo[:, 0])
        columns["pictures"].append(image.warp(photo, to_photo, (SIDE, SIDE)))
        columns["landmarks"].append((np.concatenate([points, depth], axis=1) / SIDE).astype(np.float32))
        columns["blendshapes"].append(labels.blendshapes)
        columns["rotation"].append(in_portrait_frame(labels.rotation, to_photo))
        columns["people"].append(index[names[i]])
        if done % 1000 == 0:
            log.info("%s: %d of %d photos labelled, %d missed", part, done, len(chosen), missed)
    save_arrays(path, missed=missed, **{name: np.stack(column) for name, column in columns.items()})


def load_photos(parquet_file: Path, part: str) -> LabelledPhotos:
    """The labelled photos of one part; labelled now if the cache lacks them."""
    path = cache_folder("photos") / f"{parquet_file.stem}-{part}.npz"
    if not path.exists():
        label_photos(parquet_file, part, path)
    data = dict(np.load(path))
    return LabelledPhotos(**{name: data[name] for name in data if name != "missed"}, missed=int(data["missed"]))
