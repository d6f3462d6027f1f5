"""Where and how things run: device, named random streams, threads."""

from __future__ import annotations

import numpy as np
import torch

from kfaar_core.errors import BadSetting


def device(name: str = "auto") -> torch.device:
    """The torch device `cpu`, `cuda` or the better of both (`auto`).

    Raises:
        BadSetting: another name, or `cuda` where there is none.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise BadSetting(got=f"the device {name!r}", mend="use auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise BadSetting(got="the device 'cuda', but this machine has none that torch can use", mend="use cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def stream(seed: int, purpose: str) -> np.random.Generator:
    """A random stream of its own for each purpose, so that adding one experiment never changes another."""
    return np.random.default_rng([seed, *purpose.encode()])
