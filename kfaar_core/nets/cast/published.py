"""Published checkpoints: loading that accepts exactly one set of names and shapes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from kfaar_core.errors import BadWeights

Net = TypeVar("Net", bound=nn.Module)
State = Mapping[str, Tensor]  # names joined by dots, as the weight registry reads a checkpoint

COUNTER = "num_batches_tracked"  # of batch normalisation; some published files leave it out, and nothing reads it
SHOWN = 3  # names of each kind in an error


def part(state: State, prefix: str) -> dict[str, Tensor]:
    """The tensors whose names start with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def load_strictly(build: Callable[[], Net], state: State, without: Collection[str] = ()) -> Net:
    """Build a network and give it the published tensors.

    It is built without memory and adopts the tensors, so that a large network exists only once.

    Args:
        build: makes the network.
        state: published name -> tensor.
        without: names that the file may have and the network does not (a classification head).

    Returns:
        The network in float32, frozen, in evaluation mode.

    Raises:
        BadWeights: names or shapes differ from those of the network.
    """
    with torch.device("meta"):
        net = build()
    wanted = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    given = {name: tensor for name, tensor in state.items() if name not in without and not name.endswith(COUNTER)}
    given |= {name: torch.tensor(0) for name in wanted if name.endswith(COUNTER)}
    faults = [f"no {name}" for name in wanted.keys() - given.keys()]
    faults += [f"an unknown {name}" for name in given.keys() - wanted.keys()]
    faults += [
        f"{name} of shape {tuple(tensor.shape)} in place of {wanted[name]}"
        for name, tensor in given.items()
        if name in wanted and tuple(tensor.shape) != wanted[name]
    ]
    if faults:
        more = f" and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise _refusal(f"it has {', '.join(sorted(faults)[:SHOWN])}{more}")
    floats = {name: t.float() if t.is_floating_point() else t for name, t in given.items()}
    net.load_state_dict(floats, assign=True)
    return net.eval().requires_grad_(False)


def without_spectral_norm(state: State) -> dict[str, Tensor]:
    """Divide each weight under spectral normalisation by its largest singular value, as evaluation does.

    A checkpoint holds `weight_orig` and the singular vectors `weight_u` and `weight_v`; the result holds `weight`.
    """
    plain = {}
    for name, tensor in state.items():
        layer, _, kind = name.rpartition(".")
        if kind == "weight_orig":
            # A missing vector is told by load_strictly, as an unknown weight_orig.
            u, v = (state.get(f"{layer}.weight_{letter}") for letter in "uv")
            if u is None or v is None:
                plain[name] = tensor
                continue
            largest = torch.dot(u.float(), tensor.float().flatten(1) @ v.float())
            plain[f"{layer}.weight"] = tensor.float() / largest
        elif kind not in ("weight_u", "weight_v"):
            plain[name] = tensor
    return plain


def _refusal(why: str) -> BadWeights:
    return BadWeights(got=f"this is not the published file: {why}", mend="use the file that the registry names")
