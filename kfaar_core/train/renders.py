"""Cache of rendered faces with the landmarker's labels: training data of every network but the judge's teacher.

A shard holds SHARD faces: their latents (one style for each of three layer groups), 256 px pictures and labels. Shards
are written whole and skipped when they exist, so that a killed run continues and several processes can share the work.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from kfaar_core import image
from kfaar_core.data.landmarker import Landmarker
from kfaar_core.files import cache_folder
from kfaar_core.runtime import stream
from kfaar_core.stages.generate import Generator, w_plus
from kfaar_core.train.artefacts import save_arrays

log = logging.getLogger(__name__)

SHARD = 250  # faces a file


@dataclass(frozen=True)
class Renders:
    """N rendered faces in which the landmarker found a face."""

    w: np.ndarray  # (N, 3, 512) float32: coarse, middle, fine
    payload: np.ndarray  # (N, d) float32, the vector that the latent encodes (Samples.payload); d = 0: none
    pictures: np.ndarray  # (N, 256, 256, 3) uint8
    landmarks: np.ndarray  # (N, 478, 3) float32, x and y in [0, 1]
    blendshapes: np.ndarray  # (N, 52) float32
    rotation: np.ndarray  # (N, 3, 3) float32
    missed: int  # renders in which the landmarker found no face


@dataclass(frozen=True)
class Samples:
    """Latents to render, and the vectors that they encode."""

    w: np.ndarray  # (N, 3, 512) float32
    payload: np.ndarray  # (N, d) float32: a unit code, or for `bits` u and the key
    group: int = 1  # consecutive samples that form one training example; without one of them, none is kept


Sampler = Callable[[np.random.Generator, int], Samples]  # random stream, count -> about so many samples


def mixed_styles(generator: Generator, rng: np.random.Generator, count: int) -> Samples:
    """Random faces of the generator; in half of them each layer group takes the style of another person."""
    z = rng.standard_normal((count * 3, 512)).astype(np.float32)
    w = generator.map(torch.from_numpy(z)).reshape(count, 3, 512).numpy()
    w[: count // 2] = w[: count // 2, :1]
    keep = rng.uniform(0.5, 1.0, (count, 1, 1)).astype(np.float32)  # truncation, towards the mean face
    mean = generator.w_mean.numpy()
    return Samples(mean + keep * (w - mean), np.zeros((count, 0), dtype=np.float32))


def render_shard(generator: Generator, landmarker: Landmarker, samples: Samples, path: Path) -> None:
    """Render and label the samples and write one shard."""
    names = ("w", "payload", "pictures", "landmarks", "blendshapes", "rotation")
    faces: list[tuple[np.ndarray, ...] | None] = []
    for latent, payload in zip(samples.w, samples.payload, strict=True):
        levels = image.to_uint8(generator.render(w_plus(torch.from_numpy(latent)[None], generator.groups), side=512))[0]
        labels = landmarker(levels)
        half = levels.reshape(256, 2, 256, 2, 3).mean(axis=(1, 3)).round().astype(np.uint8)
        face = (latent, payload, half, labels.landmarks, labels.blendshapes, labels.rotation) if labels else None
        faces.append(face)
    groups = [faces[i : i + samples.group] for i in range(0, len(faces), samples.group)]
    kept: list[tuple[np.ndarray, ...]] = []
    for group in groups:
        detected = [face for face in group if face is not None]
        kept += detected if len(detected) == samples.group else []
    columns = {name: np.stack(column) for name, column in zip(names, zip(*kept, strict=True), strict=True)}
    save_arrays(path, missed=len(faces) - len(kept), **columns)


def render_cache(generator: Generator, kind: str, sample: Sampler, shards: range, seed: int) -> None:
    """Fill the cache folder `renders-<kind>` with the shards of these numbers."""
    landmarker = Landmarker()
    folder = cache_folder(f"renders-{kind}")
    for number in shards:
        path = folder / f"{number:04d}.npz"
        if path.exists():
            continue
        render_shard(generator, landmarker, sample(stream(seed, f"{kind} {number}"), SHARD), path)
        log.info("%s: shard %d of %d", kind, number + 1, shards.stop)


def load_renders(kind: str, limit: int | None = None, first: int = 0) -> Renders:
    """Shards `first` to `limit` - 1 of `renders-<kind>`, joined."""
    shards = [dict(np.load(path)) for path in shard_files(kind, first, limit)]
    missed = sum(int(shard.pop("missed")) for shard in shards)
    return Renders(**{name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}, missed=missed)


def shard_files(kind: str, first: int = 0, last: int | None = None) -> list[Path]:
    """Files of the finished shards [first, last) of `renders-<kind>`, in order."""
    finished = "[0-9]" * 4 + ".npz"  # not the .part.npz of a process that is writing
    return sorted(cache_folder(f"renders-{kind}").glob(finished))[first:last]
