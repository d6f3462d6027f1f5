"""Convert MobileStyleGAN-FFHQ from the wheel `random-face` (OpenVINO IR) to safetensors for nets.mobile_stylegan."""

from __future__ import annotations

import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch
from torch import Tensor

from kfaar_core.nets.mobile_stylegan import BLOCK_CHANNELS

PACKAGE = "random-face==2021.7.21.1"
Constants = list[tuple[str, np.ndarray]]  # (name, float values), in the order of the graph
FLOATS = {"f32": "<f4", "f16": "<f2"}


def read_constants(wheel: Path, network: str) -> Constants:
    """The float constants of `random_face/data/<network>.xml` + `.bin` inside the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        graph = ElementTree.fromstring(archive.read(f"random_face/data/{network}.xml"))
        binary = archive.read(f"random_face/data/{network}.bin")
    constants: Constants = []
    for layer in graph.iter("layer"):
        data = layer.find("data")
        if layer.attrib["type"] != "Const" or data is None or data.attrib["element_type"] not in FLOATS:
            continue
        shape = [int(side) for side in data.attrib["shape"].split(",") if side.strip()]
        values = np.frombuffer(
            binary, FLOATS[data.attrib["element_type"]], int(np.prod(shape)), int(data.attrib["offset"])
        )
        constants.append((layer.attrib["name"], values.reshape(shape).astype(np.float32)))
    return constants


def mapping_state(constants: Constants) -> dict[str, Tensor]:
    """State of Mapping: eight pairs of a (512, 512) weight and a (512,) bias, in order."""
    weights = [a for _, a in constants if a.shape == (512, 512)]
    biases = [a for _, a in constants if a.shape == (512,)]
    state = {}
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        state[f"mapping.layers.{i}.weight"] = torch.from_numpy(weight.copy())
        state[f"mapping.layers.{i}.bias"] = torch.from_numpy(bias.copy())
    return state


def bands_together(channels: int) -> np.ndarray:
    """Channel order from low (C) | interleaved details (C x 3) to four blocks of C channels."""
    c = channels // 4
    return np.concatenate([np.arange(c), *(c + 3 * np.arange(c) + band for band in range(3))])


def synthesis_state(constants: Constants) -> dict[str, Tensor]:
    """State of Synthesis, with the channels before each inverse Haar step in blocks, which saves a gather there."""
    names = [name for name, _ in constants]
    by_name = dict(constants)

    def after(name: str, steps: int) -> np.ndarray:
        return constants[names.index(name) + steps][1]

    def style(base: str) -> tuple[np.ndarray, np.ndarray]:
        weight, bias = by_name[f"{base}.modulation.weight"], by_name[f"{base}.modulation.bias"].ravel()
        scale = after(f"{base}.modulation.weight", 2)  # a scalar where the style is scaled
        factor = float(scale.ravel()[0]) if scale.size == 1 else 1.0
        return weight * factor, bias * factor

    found: dict[str, np.ndarray] = {"start": by_name["m.input.input"]}
    found["start_style.affine.weight"], found["start_style.affine.bias"] = style("m.conv1.conv")
    found["start_conv.weight"] = after("m.input.input", 1)
    found["start_noise"] = after("m.input.input", 2)
    found["start_conv.bias"] = by_name["m.conv1.bias"].ravel()
    for i in range(len(BLOCK_CHANNELS)):
        found[f"blocks.{i}.up.affine.weight"], found[f"blocks.{i}.up.affine.bias"] = style(f"m.layers.{i}.up")
        for conv in ("conv1", "conv2"):
            theirs, ours = f"m.layers.{i}.{conv}", f"blocks.{i}.{conv}"
            found[f"{ours}.style.affine.weight"], found[f"{ours}.style.affine.bias"] = style(f"{theirs}.conv")
            depthwise = by_name[f"{theirs}.conv.weight_dw"]
            found[f"{ours}.depthwise.weight"] = depthwise.reshape(-1, 1, 3, 3)
            found[f"{ours}.pointwise.weight"] = after(f"{theirs}.conv.weight_dw", 1)
            found[f"{ours}.noise"] = after(f"{theirs}.conv.weight_dw", 2)
            found[f"{ours}.pointwise.bias"] = by_name[f"{theirs}.bias"].ravel()
    found["to_rgb_style.affine.weight"], found["to_rgb_style.affine.bias"] = style("m.layers.6.to_img.conv")
    found["to_rgb.weight"] = by_name["m.layers.6.to_img.conv.weight"]
    found["to_rgb.bias"] = by_name["m.layers.6.to_img.bias"].ravel()
    return {f"synthesis.{k}": torch.from_numpy(v.copy()) for k, v in order_bands(found).items()}


def order_bands(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Put the output channels that feed each inverse Haar step into four blocks."""
    feeds = ["start_conv", *(f"blocks.{i}.conv2.pointwise" for i in range(len(BLOCK_CHANNELS) - 1)), "to_rgb"]
    readers = [*(f"blocks.{i}.up.affine" for i in range(len(BLOCK_CHANNELS))), None]
    for feed, reader in zip(feeds, readers, strict=True):
        order = bands_together(found[f"{feed}.bias"].size)
        for name in [f"{feed}.weight", f"{feed}.bias"] + ([f"{reader}.weight", f"{reader}.bias"] if reader else []):
            found[name] = found[name][order]
    return found


def convert(wheel: Path) -> dict[str, Tensor]:
    """float16 tensors for `mapping.*` and `synthesis.*`, ready for safetensors."""
    state = mapping_state(read_constants(wheel, "MappingNetwork"))
    state |= synthesis_state(read_constants(wheel, "SynthesisNetwork"))
    return {name: tensor.half() for name, tensor in state.items()}
