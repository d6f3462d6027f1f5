"""Device choice and named random streams."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from kfaar_core.errors import BadSetting

if TYPE_CHECKING:
    import openvino


def device(name: str = "auto") -> torch.device:
    """The torch device `cpu` or `cuda`; `auto` takes CUDA if there is a GPU.

    Raises:
        BadSetting: another name, or `cuda` without a GPU.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise BadSetting(got=f"the device {name!r}", mend="use auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise BadSetting(got="the device 'cuda', but this machine has none that torch can use", mend="use cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def has_bfloat16(place: torch.device) -> bool:
    """Whether the device has bfloat16 in hardware, where it is faster than float32."""
    if place.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")  # torch has no public function


@cache
def openvino_core() -> openvino.Core:
    """OpenVINO's runtime, one for the whole life of the process.

    It gives signals a stack of its own in the thread that loads it. When several have ended, or one in another thread,
    that stack is gone and still in use: the next Ctrl-C would end the process at once, in mid-write.
    """
    import openvino

    return openvino.Core()


def stream(seed: int, purpose: str) -> np.random.Generator:
    """An independent random generator for each seed and purpose: a new experiment never changes another one."""
    return np.random.default_rng([seed, *purpose.encode()])
