"""What recipes write: weights, caches, and figures for model cards."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save
from torch import Tensor

from kfaar_core.files import write_whole


def save_state(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors, which refuses those that are not contiguous."""
    write_whole(path, save({name: tensor.contiguous() for name, tensor in state.items()}), force=True)


def save_arrays(path: Path, **arrays: Any) -> None:
    """Write an .npz file whole or not at all: other processes may read the cache meanwhile."""
    partial = path.with_suffix(".part.npz")
    np.savez(partial, **arrays)
    partial.rename(path)


def prefixed(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state with a prefix before every name."""
    return {prefix + name: tensor for name, tensor in state.items()}


def cosine_report(predicted: np.ndarray, target: np.ndarray, name: str) -> dict[str, float]:
    """Row-wise cosines of two arrays (N, d): their number, and `<name>_cosine_mean` and `<name>_cosine_sd`."""
    cosines = (predicted * target).sum(axis=1) / np.linalg.norm(predicted, axis=1) / np.linalg.norm(target, axis=1)
    return {"n": len(cosines), f"{name}_cosine_mean": float(cosines.mean()), f"{name}_cosine_sd": float(cosines.std())}


def last_losses(folder: Path) -> dict[str, float]:
    """The last line of a run's log.csv: the mean of each unweighted term over its last steps."""
    with (folder / "log.csv").open(newline="") as file:
        *_, last = csv.DictReader(file)
    return {name: float(value) for name, value in last.items()}
