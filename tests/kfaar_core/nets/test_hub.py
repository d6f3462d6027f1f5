"""Networks that are trained here can be pushed to the Hub; the same two methods write and read a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from kfaar_core.nets.keyed_net import KeyedNet
from kfaar_core.nets.projector_net import BitsNet, HashedNet
from kfaar_core.nets.reader_net import LANDMARKS, TEXTURE, ReaderNet


def given(*shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, *shape, generator=generator) for shape in shapes]


CASES = {
    "reader": (
        ReaderNet,
        {"outputs": 7, "textures": 5, "shapes": 3, "hidden": 6},
        given((3, *TEXTURE), (LANDMARKS, 2)),
    ),
    "hashed": (HashedNet, {"code": 4, "noise": 3, "hidden": 6}, given((4,), (3,))),
    "bits": (BitsNet, {"feature": 5, "bits": 8, "hidden": 6}, given((5,), (8,))),
    "keyed": (KeyedNet, {"reading": 5, "bits": 8, "dimension": 4, "hidden": 6}, given((5,), (8,))),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[type, nn.Module, list[Tensor], Path]:
    kind, sizes, inputs = CASES[request.param]
    torch.manual_seed(1)
    net = kind(**sizes)
    with torch.no_grad():
        net(*inputs)  # running statistics, where there are any, are not the initial ones
        for buffer in (net.get_buffer(name) for name in ("mean", "scale", "mean_shape") if name in net.state_dict()):
            buffer.add_(0.5)
    net.eval().save_pretrained(tmp_path)
    return kind, net, inputs, tmp_path


def test_what_was_saved_answers_the_same(case):
    kind, net, inputs, folder = case
    again = kind.from_pretrained(folder, strict=True)
    assert not again.training
    with torch.inference_mode():
        assert torch.equal(again(*inputs), net(*inputs))


def test_weights_are_safetensors_and_sizes_json(case):
    """Nothing that would run code when it is read."""
    _, net, _, folder = case
    assert {path.name for path in folder.iterdir()} - {"README.md"} == {"model.safetensors", "config.json"}
    saved = load_file(folder / "model.safetensors")
    assert saved.keys() == net.state_dict().keys()
    sizes = json.loads((folder / "config.json").read_text())
    assert sizes and all(isinstance(size, int | float) for size in sizes.values())
