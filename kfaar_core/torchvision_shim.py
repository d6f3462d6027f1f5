"""Make torchvision importable with a torch that its compiled library was not built for.

The torchvision of PyPI is a CUDA build. With a CPU-only torch its library does not load. The operators
torchvision::nms and torchvision::qnms are then undefined, and importing torchvision fails. This module defines both,
and implements nms (the only one that MTCNN needs) in plain torch. It does nothing if torchvision's library loads.
"""

from __future__ import annotations

from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def nms(dets: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Non-maximum suppression: keep a box unless it overlaps a kept box of higher score by more than the threshold.

    Args:
        dets: (N, 4) float: left, top, right, bottom.
        scores: (N,) float; of equal scores the earlier box goes first.
        iou_threshold: in [0, 1]; a box at exactly this intersection over union is kept.

    Returns:
        (M,) int64 indices of the kept boxes, by decreasing score.
    """
    left, top, right, bottom = dets.unbind(dim=1)
    areas = (right - left) * (bottom - top)  # (N,)
    waiting = scores.argsort(descending=True, stable=True)
    kept = []
    while waiting.numel():
        best, waiting = waiting[0], waiting[1:]
        kept.append(best)
        width = torch.minimum(right[waiting], right[best]) - torch.maximum(left[waiting], left[best])
        height = torch.minimum(bottom[waiting], bottom[best]) - torch.maximum(top[waiting], top[best])
        shared = width.clamp(min=0) * height.clamp(min=0)
        overlap = shared / (areas[waiting] + areas[best] - shared)
        waiting = waiting[~(overlap > iou_threshold)]  # two empty boxes have overlap nan, and both stay
    return torch.stack(kept) if kept else scores.new_empty(0, dtype=torch.int64)


def real_operators_load() -> bool:
    """Whether torchvision's compiled library loads with this torch; also true if torchvision is not installed."""
    spec = find_spec("torchvision")
    if spec is None:
        return True  # nothing to mend; the import will say so
    folders = [Path(folder) for folder in spec.submodule_search_locations or []]
    files = [folder / f"_C{suffix}" for folder in folders for suffix in EXTENSION_SUFFIXES]
    for file in files:
        if file.is_file():
            try:
                torch.ops.load_library(str(file))
            except OSError:
                return False
            return True
    return False


@cache
def prepare() -> bool:
    """Define the operators if needed. Call before importing torchvision or facenet_pytorch.

    Returns:
        True if the operators were defined here.
    """
    if real_operators_load():
        return False
    _library().define(f"nms{SIGNATURE}")
    _library().define(f"qnms{SIGNATURE}")
    for backend in ("CPU", "CUDA"):
        _library().impl("nms", nms, backend)
    import torchvision

    # torchvision.ops calls this before each operator. It must still return False during the import above.
    torchvision.extension._has_ops = lambda: True
    return True


@cache
def _library() -> torch.library.Library:
    """The library object that holds the operators; they exist as long as it does."""
    return torch.library.Library("torchvision", "FRAGMENT")
