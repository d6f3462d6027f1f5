"""8-bit quantisation of large weights: each row is cut into equal blocks, each with its own zero point and step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

PARTS = (".levels", ".zeros", ".steps")
LARGEST = 127  # level


def quantised(name: str, weight: Tensor) -> dict[str, Tensor]:
    """Quantise a weight (rows, ...) to int8 symmetrically about zero, with one block for each row.

    Returns:
        `<name>.levels` int8 of the weight's shape, `<name>.zeros` int8 and `<name>.steps` float32, both (rows, 1).
    """
    rows = weight.float().flatten(1)
    steps = rows.abs().amax(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny) / LARGEST
    levels = (rows / steps).round().to(torch.int8).reshape(weight.shape)
    return {
        f"{name}.levels": levels,
        f"{name}.zeros": torch.zeros_like(steps, dtype=torch.int8),
        f"{name}.steps": steps,
    }


def dequantised(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert the 8-bit weights of a state dict to float32; other tensors are unchanged.

    Args:
        state: `<weight>.levels` int8 of the weight's shape, with `<weight>.zeros` int8 and `<weight>.steps`, both
            (rows, blocks).
    """
    whole = {name: tensor for name, tensor in state.items() if not name.endswith(PARTS)}
    for weight in [name.removesuffix(".levels") for name in state if name.endswith(".levels")]:
        levels, zeros, steps = (state[weight + part].float() for part in PARTS)
        blocks = levels.reshape(*steps.shape, -1)  # (rows, blocks, weights in a block)
        whole[weight] = ((blocks - zeros[..., None]) * steps[..., None]).reshape(levels.shape)
    return whole
