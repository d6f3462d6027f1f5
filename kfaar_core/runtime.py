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


def has_bfloat16(place: torch.device) -> bool:
    """Whether bfloat16 is quicker there than float32; a CPU that lacks it would only imitate it."""
    if place.type == "cuda":
        return torch.cuda.is_bf16_supported()
    import openvino  # it knows its CPU; torch says so in private alone

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def stream(seed: int, purpose: str) -> np.random.Generator:
    """A random stream of its own for each purpose, so that adding one experiment never changes another."""
    return np.random.default_rng([seed, *purpose.encode()])
