"""Convert the age, sex and expression networks of the npm package @vladmandic/face-api (MIT) for nets.attribute_nets.

A network is a manifest and a file of tensors, one after the other. Weights are 8-bit levels with a step and an offset
for the whole tensor; they stay 8-bit levels (kfaar_core.quantised), so that nothing is lost.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

PACKAGE = "@vladmandic/face-api@1.7.15"
HALF = 128  # from uint8 to int8 levels

# Their names -> ours, replaced in this order. `#` stands for the number that follows.
INNER = (("/separable_conv#", ".separable."), ("/conv#", ".convs."), ("/expansion_conv", ".expansion"))
AGE_SEX = (
    ("entry_flow/conv_in", "stem"),
    ("entry_flow/reduction_block_#", "blocks."),
    ("middle_flow/main_block_0", "blocks.2"),
    ("middle_flow/main_block_1", "blocks.3"),
    ("exit_flow/reduction_block", "blocks.4"),
    ("exit_flow/separable_conv", "last"),
    ("fc/age", "age"),
    ("fc/gender", "sex"),
    *INNER,
)
EXPRESSION = (("dense#", "blocks."), ("fc", "last"), *INNER)
KINDS = {  # of tensors -> ours, and their axes in the order of torch
    "depthwise_filter": ("depthwise.weight", (2, 3, 0, 1)),
    "pointwise_filter": ("pointwise.weight", (3, 2, 0, 1)),
    "filters": ("weight", (3, 2, 0, 1)),
    "weights": ("weight", (1, 0)),
    "bias": ("bias", (0,)),
}
Names = tuple[tuple[str, str], ...]


def read_file(source: Path, name: str) -> bytes:
    """A file of the package's folder `model`: inside its archive (.tgz), or in a folder.

    Raises:
        OSError, KeyError: no such file.
    """
    if source.is_dir():
        return (source / name).read_bytes()
    with tarfile.open(source) as archive:
        file = archive.extractfile(f"package/model/{name}")
        if file is None:
            raise KeyError(name)
        return file.read()


def tensors(source: Path, model: str) -> Iterator[tuple[str, np.ndarray, Mapping[str, float] | None]]:
    """Name, values and quantisation (`scale`, `min`; None for float32) of every tensor of a model."""
    (manifest,) = json.loads(read_file(source, f"{model}-weights_manifest.json"))
    data, at = read_file(source, f"{model}.bin"), 0
    for entry in manifest["weights"]:
        quantisation = entry.get("quantization")
        kind = np.dtype("<f4" if quantisation is None else "u1")
        values = np.frombuffer(data, kind, int(np.prod(entry["shape"])), at).reshape(entry["shape"])
        at += values.nbytes
        yield entry["name"], values, quantisation


def age_sex(source: Path) -> dict[str, Tensor]:
    """State of AgeSexNet; see convert."""
    return convert(source, "age_gender_model", AGE_SEX)


def expression(source: Path) -> dict[str, Tensor]:
    """State of ExpressionNet; see convert."""
    return convert(source, "face_expression_model", EXPRESSION)


def convert(source: Path, model: str, names: Names) -> dict[str, Tensor]:
    """State of AgeSexNet or ExpressionNet, as kfaar_core.quantised.dequantised takes it.

    Args:
        source: the package's archive, or a folder with the two files of the model.
        model: the file name without its ending.
        names: AGE_SEX or EXPRESSION.

    Raises:
        OSError, KeyError, ValueError: the source does not have the model's files, or they are others.
    """
    listed = list(tensors(source, model))
    pointwise = {name.removesuffix("/pointwise_filter") for name, _, _ in listed}
    state: dict[str, Tensor] = {}
    for theirs, values, quantisation in listed:
        folder, _, kind = theirs.rpartition("/")
        part, axes = KINDS[kind]
        if kind == "bias" and folder in pointwise:
            part = "pointwise.bias"
        name = f"{renamed(folder, names)}.{part}"
        values = values.transpose(axes).copy(order="C")
        if quantisation is None:
            state[name] = torch.from_numpy(values)
            continue
        rows, step = len(values), quantisation["scale"]
        zero = round(-quantisation["min"] / step) - HALF  # the level of 0, which every tensor of the package has
        state[f"{name}.levels"] = torch.from_numpy((values.astype(np.int16) - HALF).astype(np.int8))
        state[f"{name}.zeros"] = torch.full((rows, 1), zero, dtype=torch.int8)
        state[f"{name}.steps"] = torch.full((rows, 1), step)
    return state


def renamed(folder: str, names: Names) -> str:
    """Our name of a folder of tensors."""
    for theirs, ours in names:
        folder = folder.replace(theirs.rstrip("#"), ours)
    return folder
