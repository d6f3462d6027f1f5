"""Cache of rendered faces with the teacher's labels: what geometry, directions, projector and reader learn from.

A shard holds SHARD faces: the w of three layer groups, the 256 px picture and the labels. Shards are written whole and
skipped when they exist, so that a killed run goes on where it stopped and several processes can share the work.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from kfaar_core import image
from kfaar_core.data.landmarker import Landmarker
from kfaar_core.files import cache_folder
from kfaar_core.nets.projector_net import GROUPS, LEADING, BitsNet, HashedNet
from kfaar_core.runtime import stream
from kfaar_core.stages.generate import Generator, w_plus
from kfaar_core.stages.latent import NaturalSpace
from kfaar_core.train.directions import Directions
from kfaar_core.train.posture import PostureStep
from kfaar_core.train.projector import People, padded, random_bits, styles_of_bits

log = logging.getLogger(__name__)

SHARD = 250  # faces a file


@dataclass(frozen=True)
class Renders:
    """Rendered faces that the teacher found; N of them."""

    w: np.ndarray  # (N, 3, 512) float32: coarse, middle, fine
    payload: np.ndarray  # (N, d) float32 of unit length, what a posed render carries; d = 0 for mixed ones
    pictures: np.ndarray  # (N, 256, 256, 3) uint8
    landmarks: np.ndarray  # (N, 478, 3) float32, x and y in [0, 1]
    blendshapes: np.ndarray  # (N, 52) float32
    rotation: np.ndarray  # (N, 3, 3) float32
    missed: int  # renders in which the teacher found no face


@dataclass(frozen=True)
class Samples:
    """Latents to render, and what they carry."""

    w: np.ndarray  # (N, 3, 512) float32
    payload: np.ndarray  # (N, d) float32
    group: int = 1  # so many in a row belong together: where one is missed, none is kept


Sampler = Callable[[np.random.Generator, int], Samples]


def mixed_styles(generator: Generator, rng: np.random.Generator, count: int) -> Samples:
    """Any face: half of them mix three people, one for each layer group."""
    z = rng.standard_normal((count * 3, 512)).astype(np.float32)
    w = generator.map(torch.from_numpy(z)).reshape(count, 3, 512).numpy()
    w[: count // 2] = w[: count // 2, :1]
    keep = rng.uniform(0.5, 1.0, (count, 1, 1)).astype(np.float32)  # truncation, towards the mean face
    mean = generator.w_mean.numpy()
    return Samples(mean + keep * (w - mean), np.zeros((count, 0), dtype=np.float32))


def posed_styles(found: Directions, step: PostureStep, rng: np.random.Generator, count: int) -> Samples:
    """Faces as the floor makes them: a random payload and look, then a step towards the posture of a training photo."""
    dimension = found.payload.shape[1]
    payload = rng.standard_normal((count, dimension))
    payload /= np.linalg.norm(payload, axis=1, keepdims=True)
    look = rng.standard_normal((count, found.nuisance.shape[1]))
    w = found.mean + np.sqrt(dimension) * payload @ found.payload.T + look @ found.nuisance.T
    chosen = torch.from_numpy(rng.integers(0, len(step.targets), count))
    moved = step.moved(torch.from_numpy(w).unflatten(1, (GROUPS, 512)), chosen)
    return Samples(moved.float().numpy(), payload.astype(np.float32))


def code_styles(
    net: HashedNet, space: NaturalSpace, look_size: float, step: PostureStep, rng: np.random.Generator, count: int
) -> Samples:
    """Faces of the trained `hashed` P, after a step of posture correction; each code twice, as of two photos.

    A key turns u into any direction with the same chance, so random codes are what fresh keys would give.
    """
    torch.manual_seed(int(rng.integers(2**62)))
    code = functional.normalize(torch.randn(count // 2, net.code), dim=1).repeat_interleave(2, dim=0)
    with torch.inference_mode():
        v = net(net.code**0.5 * code, torch.randn(count, net.noise))
        w = space.to_w(padded(v, look_size * torch.randn(count, GROUPS, 512 - LEADING)))
        w = step.moved(w)
    return Samples(w.numpy(), code.numpy(), group=2)


def bits_styles(
    net: BitsNet,
    generator: Generator,
    truncation: float,
    people: People,
    bits: int,
    step: PostureStep,
    rng: np.random.Generator,
    count: int,
) -> Samples:
    """Faces of the trained `bits` P, after a step of correction: two photos of a person and one of another, one key."""
    torch.manual_seed(int(rng.integers(2**62)))
    photos = torch.stack(people.triplets(count // 3), dim=1).flatten()
    key = random_bits(count // 3, bits).repeat_interleave(3, dim=0)
    with torch.inference_mode():
        styles = styles_of_bits(net, generator.map, generator.w_mean, people.feature[photos], key, truncation)
        w = step.moved(styles)
    return Samples(w.numpy(), torch.cat((people.identity[photos], key), dim=1).numpy(), group=3)


def render_shard(generator: Generator, landmarker: Landmarker, samples: Samples, path: Path) -> None:
    """Render and label the samples and write one shard."""
    names = ("w", "payload", "pictures", "landmarks", "blendshapes", "rotation")
    found: list[tuple[np.ndarray, ...] | None] = []
    for latent, payload in zip(samples.w, samples.payload, strict=True):
        levels = image.to_uint8(generator.render(w_plus(torch.from_numpy(latent)[None]), side=512))[0]
        labels = landmarker(levels)
        half = levels.reshape(256, 2, 256, 2, 3).mean(axis=(1, 3)).round().astype(np.uint8)
        face = (latent, payload, half, labels.landmarks, labels.blendshapes, labels.rotation) if labels else None
        found.append(face)
    groups = [found[i : i + samples.group] for i in range(0, len(found), samples.group)]
    kept: list[tuple[np.ndarray, ...]] = []
    for group in groups:
        seen = [face for face in group if face is not None]
        kept += seen if len(seen) == samples.group else []
    partial = path.with_suffix(".part.npz")
    columns: dict[str, Any] = {name: np.stack(c) for name, c in zip(names, zip(*kept, strict=True), strict=True)}
    np.savez(partial, missed=len(found) - len(kept), **columns)
    partial.rename(path)


def render_cache(
    generator: Generator, kind: str, sample: Sampler, shards: int, seed: int, worker: int = 0, workers: int = 1
) -> None:
    """Fill the cache folder `renders-<kind>` with shards numbered from 0; this process does its share."""
    landmarker = Landmarker()
    folder = cache_folder(f"renders-{kind}")
    for number in range(worker, shards, workers):
        path = folder / f"{number:04d}.npz"
        if path.exists():
            continue
        render_shard(generator, landmarker, sample(stream(seed, f"{kind} {number}"), SHARD), path)
        log.info("%s: shard %d of %d", kind, number + 1, shards)


def load_renders(kind: str, limit: int | None = None, first: int = 0) -> Renders:
    """Every shard of `renders-<kind>` from the number `first` to before `limit`, joined."""
    whole = "[0-9]" * 4 + ".npz"  # not the .part.npz of a process that is writing
    shards = [dict(np.load(path)) for path in sorted(cache_folder(f"renders-{kind}").glob(whole))[first:limit]]
    missed = sum(int(shard.pop("missed")) for shard in shards)
    return Renders(**{name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}, missed=missed)
