"""Cache of what F sees in renders: each face once as it is and once after being saved small or as a JPEG."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass

import numpy as np
from PIL import Image

from kfaar_core.files import cache_folder
from kfaar_core.runtime import stream
from kfaar_core.stages.face_view import face_view

log = logging.getLogger(__name__)

LANDMARK_SD = 0.004  # of the side: how far the run-time landmarks shift a whole face


@dataclass(frozen=True)
class Views:
    """N renders as F sees them."""

    clean: np.ndarray  # (N, 128, 112, 3) uint8
    damaged: np.ndarray  # (N, 128, 112, 3) uint8
    w: np.ndarray  # (N, 3, 512) float32
    payload: np.ndarray  # (N, d) float32, d = 0 where the render carries none


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


def views(kind: str, first: int = 0, last: int | None = None) -> Views:
    """Views of the shards [first, last) of `renders-<kind>`; made where the cache lacks them."""
    folder = cache_folder(f"views-{kind}")
    whole = "[0-9]" * 4 + ".npz"
    found = []
    for path in sorted(cache_folder(f"renders-{kind}").glob(whole))[first:last]:
        kept = folder / path.name
        if not kept.exists():
            shard, rng = np.load(path), stream(0, f"views {kind} {path.stem}")
            clean, damaged = [], []
            for picture, landmarks in zip(shard["pictures"], shard["landmarks"], strict=True):
                points = landmarks[:, :2].astype(np.float64)
                worse = saved(picture, rng)
                clean.append(face_view(picture, points * len(picture)))
                damaged.append(face_view(worse, (points + rng.normal(0, LANDMARK_SD, 2)) * len(worse)))
            partial = kept.with_suffix(".part.npz")
            np.savez(partial, clean=np.stack(clean), damaged=np.stack(damaged), w=shard["w"], payload=shard["payload"])
            partial.rename(kept)
            log.info("views of %s %s", kind, path.stem)
        found.append(np.load(kept))
    return Views(**{name: np.concatenate([shard[name] for shard in found]) for name in Views.__annotations__})
