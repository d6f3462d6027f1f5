"""Cache of F's inputs for rendered faces: each face once as rendered, and once resized and saved as a JPEG."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from kfaar_core import image
from kfaar_core.files import cache_folder
from kfaar_core.nets.geometry_net import INPUT
from kfaar_core.runtime import stream
from kfaar_core.stages.face_view import FaceView, MeanFace, upright
from kfaar_core.stages.geometry import GeometryReader
from kfaar_core.train.artefacts import save_arrays
from kfaar_core.train.renders import shard_files

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Views:
    """F's inputs for N renders."""

    clean: FaceView
    damaged: FaceView  # after resizing and JPEG compression
    w: np.ndarray  # (N, 3, 512) float32
    payload: np.ndarray  # (N, d) float32, of the renders; d = 0: none

    def __getitem__(self, chosen: slice) -> Views:
        return Views(self.clean[chosen], self.damaged[chosen], self.w[chosen], self.payload[chosen])


def recompressed(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A 256 px portrait after a resize to 128-256 px (7 in 10) and JPEG compression of quality 60-95."""
    resized = Image.fromarray(picture)
    if rng.random() < 0.7:
        side = int(rng.integers(128, 257))
        how = Image.Resampling.LANCZOS if rng.random() < 0.5 else Image.Resampling.BILINEAR
        resized = resized.resize((side, side), how)
    file = io.BytesIO()
    resized.save(file, "JPEG", quality=int(rng.integers(60, 96)))
    return np.asarray(Image.open(file))


def mean_shape(landmarks: np.ndarray) -> np.ndarray:
    """Landmarks (N, 478, 2+) in any unit -> (478, 2) float64 px: their mean in the upright frame."""
    return np.mean([upright(points)[1] for points in landmarks.astype(np.float64)], axis=0)


def views(kind: str, mean: np.ndarray, geometry: GeometryReader, first: int = 0, last: int | None = None) -> Views:
    """The inputs of the reader F for cached renders; computed now if the cache lacks them.

    Args:
        kind: which renders: those that train.renders cached under `renders-<kind>`.
        mean: (478, 2) px, landmarks of the mean face, onto which textures are warped.
        geometry: measures the landmarks of each render, as in use. The landmarks stored with the renders are more
            precise; F would come to rely on that.
        first, last: range of the cache files (shards) that are read; None reads to the end.
    """
    folder, face = cache_folder(f"views-{kind}"), MeanFace(mean)
    shards = [np.load(_cached(path, folder, face, geometry)) for path in shard_files(kind, first, last)]
    names = ("clean", "clean_shape", "damaged", "damaged_shape", "w", "payload")
    column = {name: np.concatenate([shard[name] for shard in shards]) for name in names}
    clean, damaged = (FaceView(column[name], column[f"{name}_shape"]) for name in ("clean", "damaged"))
    return Views(clean, damaged, column["w"], column["payload"])


def _cached(path: Path, folder: Path, face: MeanFace, geometry: GeometryReader) -> Path:
    """The file with the views of one shard of renders; made now if it is missing."""
    target = folder / path.name
    if target.exists():
        return target
    shard, rng = np.load(path), stream(0, f"views {folder.name} {path.stem}")
    pictures = list(shard["pictures"])
    damaged = [recompressed(picture, rng) for picture in pictures]
    columns = {"w": shard["w"], "payload": shard["payload"]}
    for name, each in (("clean", pictures), ("damaged", damaged)):
        inputs = [
            face.view(picture, points * len(picture))
            for picture, points in zip(each, _landmarks(each, geometry), strict=True)
        ]
        columns[name] = np.stack([view.texture for view in inputs])
        columns[f"{name}_shape"] = np.stack([view.shape for view in inputs]).astype(np.float16)
    save_arrays(target, **columns)
    log.info("%s %s", folder.name, path.stem)
    return target


def _landmarks(pictures: list[np.ndarray], geometry: GeometryReader) -> np.ndarray:
    """(N, 478, 2) landmarks, in sides of each square picture."""
    side = 2 * INPUT
    resized = torch.cat([image.to_float(np.asarray(Image.fromarray(p).resize((side, side)))) for p in pictures])
    postures = [posture for part in resized.split(50) for posture in geometry.postures(part)]
    return np.array([posture.landmarks[:, :2] for posture in postures], dtype=np.float64)
