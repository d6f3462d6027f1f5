"""What public code says of the published networks, in published/: names and shapes, and outputs of small networks.

`golden.json` holds outputs of the public classes with few channels (`source` says which) in float64. Their weights and
inputs are those of `value`, so that they need not be stored.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from kfaar_core.nets.cast.published import COUNTER, load_strictly

FOLDER = Path(__file__).parent / "published"
GOLDEN = json.loads((FOLDER / "golden.json").read_text())


def shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Published name of a tensor -> its shape."""
    found = {}
    for line in (FOLDER / f"{name}.txt").read_text().splitlines():
        if not line.startswith("#"):
            layer, *tensors = line.split()
            for tensor in tensors:
                kind, _, shape = tensor.partition("=")
                sides = tuple(int(side) for side in shape.split("x")) if shape else ()
                found[kind if layer == "." else f"{layer}.{kind}"] = sides
    return found


def trained(name: str) -> int:
    """The number of parameters that a published network was trained in: all but statistics, fixed filters and noise."""
    fixed = ("running_mean", "running_var", COUNTER, "kernel", "weight_u", "weight_v", "down.weight", "latent_avg")
    return sum(
        int(np.prod(shape))
        for tensor, shape in shapes(name).items()
        if not tensor.endswith(fixed) and ".noises." not in tensor
    )


def empty(name: str) -> dict[str, Tensor]:
    """A state dict of the published names and shapes, of zeros that take no memory."""
    return {
        tensor: torch.zeros((), dtype=torch.int64 if tensor.endswith(COUNTER) else torch.float32).expand(shape)
        for tensor, shape in shapes(name).items()
    }


def value(name: str, shape: tuple[int, ...]) -> Tensor:
    """A tensor that is the same wherever it is asked for by this name."""
    normal = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    if name.endswith("running_var"):
        normal = 0.5 + normal * normal
    elif name.endswith(("weight_u", "weight_v")):
        normal = normal / np.linalg.norm(normal)
    elif normal.ndim >= 2:
        normal = normal / np.sqrt(max(1, normal.size // len(normal)))
    else:
        normal = 1 + 0.1 * normal if name.endswith("weight") else 0.1 * normal
    return torch.from_numpy(np.asarray(normal, dtype=np.float32))


def filled(build: Callable[[], nn.Module], keep: tuple[str, ...] = (), prefix: str = "") -> nn.Module:
    """A network in float64 whose tensors are those of `value`.

    Args:
        keep: endings of the names of fixed tensors, which stay as they are built.
        prefix: stands before each name when `value` is asked.
    """
    built = build().state_dict()
    own = {
        name: tensor if name.endswith((*keep, COUNTER)) else value(prefix + name, tuple(tensor.shape))
        for name, tensor in built.items()
    }
    return load_strictly(build, own).double()


def picture(name: str, *shape: int) -> Tensor:
    """A picture in (0, 1), float64."""
    return value(name, shape).double().sigmoid()


def check(name: str, found: Tensor, tolerance: float = 1e-6) -> None:
    """Compare an output with the recorded one: mean, deviation, and twelve values."""
    wanted = GOLDEN[name]
    assert list(found.shape) == wanted["shape"]
    flat = found.detach().double().flatten()
    at = torch.linspace(0, len(flat) - 1, len(wanted["values"]), dtype=torch.float64).round().long()
    numbers = torch.tensor([float(flat.mean()), float(flat.std()), *flat[at].tolist()], dtype=torch.float64)
    expected = torch.tensor([wanted["mean"], wanted["deviation"], *wanted["values"]], dtype=torch.float64)
    torch.testing.assert_close(numbers, expected, rtol=tolerance, atol=tolerance)
