"""Cache of what F sees in renders: each face once as it is and once after being saved small or as a JPEG."""

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

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Views:
    """N renders as F sees them."""

    clean: FaceView
    damaged: FaceView  # after being saved
    w: np.ndarray  # (N, 3, 512) float32
    payload: np.ndarray  # (N, d) float32, d = 0 where the render carries none

    def __getitem__(self, chosen: slice) -> Views:
        return Views(self.clean[chosen], self.damaged[chosen], self.w[chosen], self.payload[chosen])


def saved(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A 256 px portrait after a resize to 128-256 px (7 in 10) and a JPEG of quality 60-95."""
    shown = Image.fromarray(picture)
    if rng.random() < 0.7:
        side = int(rng.integers(128, 257))
        how = Image.Resampling.LANCZOS if rng.random() < 0.5 else Image.Resampling.BILINEAR
        shown = shown.resize((side, side), how)
    file = io.BytesIO()
    shown.save(file, "JPEG", quality=int(rng.integers(60, 96)))
    return np.asarray(Image.open(file))


def mean_shape(landmarks: np.ndarray) -> np.ndarray:
    """(N, 478, 2+) in any unit -> (478, 2) float64 px: the mean of the faces upright."""
    return np.mean([upright(points)[1] for points in landmarks.astype(np.float64)], axis=0)


def views(kind: str, mean: np.ndarray, geometry: GeometryReader, first: int = 0, last: int | None = None) -> Views:
    """Views of the shards [first, last) of `renders-<kind>`; made where the cache lacks them.

    Args:
        mean: (478, 2) px, of MeanFace.
        geometry: it finds the landmarks, as at run time; the teacher's are better, and F would learn to trust them.
    """
    whole = "[0-9]" * 4 + ".npz"
    paths = sorted(cache_folder(f"renders-{kind}").glob(whole))[first:last]
    face = MeanFace(mean)
    shards = [np.load(_kept(path, cache_folder(f"views-{kind}"), face, geometry)) for path in paths]
    names = ("clean", "clean_shape", "damaged", "damaged_shape", "w", "payload")
    column = {name: np.concatenate([shard[name] for shard in shards]) for name in names}
    clean, damaged = (FaceView(column[name], column[f"{name}_shape"]) for name in ("clean", "damaged"))
    return Views(clean, damaged, column["w"], column["payload"])


def _kept(path: Path, folder: Path, face: MeanFace, geometry: GeometryReader) -> Path:
    """The views of one shard, made if need be."""
    kept = folder / path.name
    if kept.exists():
        return kept
    shard, rng = np.load(path), stream(0, f"views {folder.name} {path.stem}")
    pictures = list(shard["pictures"])
    worse = [saved(picture, rng) for picture in pictures]
    columns = {"w": shard["w"], "payload": shard["payload"]}
    for name, each in (("clean", pictures), ("damaged", worse)):
        seen = [
            face.view(picture, points * len(picture))
            for picture, points in zip(each, _landmarks(each, geometry), strict=True)
        ]
        columns[name] = np.stack([view.texture for view in seen])
        columns[f"{name}_shape"] = np.stack([view.shape for view in seen]).astype(np.float16)
    partial = kept.with_suffix(".part.npz")
    np.savez(partial, **columns)
    partial.rename(kept)
    log.info("%s %s", folder.name, path.stem)
    return kept


def _landmarks(pictures: list[np.ndarray], geometry: GeometryReader) -> np.ndarray:
    """(N, 478, 2) in sides of each square picture."""
    same = torch.cat([image.to_float(np.asarray(Image.fromarray(p).resize((2 * INPUT, 2 * INPUT)))) for p in pictures])
    return np.concatenate([[p.landmarks[:, :2] for p in geometry.postures(part)] for part in same.split(50)]).astype(
        np.float64
    )
