from __future__ import annotations

import io
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from kfaar_core.convert.dlib_resnet import BYTES_FROM, MEMBER, convert, integer
from kfaar_core.errors import BadWeights
from kfaar_core.nets.dlib_resnet import DlibResnet
from kfaar_core.quantised import dequantised


def written(value: int) -> bytes:
    """A positive integer in dlib's stream: the number of its bytes, then the bytes, the lowest first."""
    data = struct.pack("<Q", value).rstrip(b"\0")
    return struct.pack("B", len(data)) + data


def stream(net: DlibResnet) -> bytes:
    """The net as dlib writes it, with other things between the tensors."""
    pieces = [b"\x01\x06some header"]
    for name, module in net.named_parameters_in_stream_order():
        values = [parameter.detach().numpy().ravel() for parameter in module.values()]
        sizes = [len(np.concatenate(values)), 1, 1, 1]
        if name == "fc":
            values, sizes = [module["weight"].detach().numpy().T.ravel()], [256, 128, 1, 1]
        pieces += [b"layer:", written(2), *map(written, sizes), np.concatenate(values).astype("<f4").tobytes()]
    return b"".join(pieces)


@pytest.fixture(scope="module")
def net() -> DlibResnet:
    torch.manual_seed(0)
    net = DlibResnet()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return net


@pytest.mark.parametrize(("value", "data"), [(1, b"\1\1"), (255, b"\1\xff"), (256, b"\2\0\1"), (294912, b"\3\0\x80\4")])
def test_integers(value, data):
    assert integer(value) == written(value) == data


@pytest.mark.parametrize("packed", [False, True], ids=["dat", "archive"])
def test_every_tensor_comes_back(net, tmp_path, packed):
    data = stream(net)
    path = tmp_path / MEMBER
    if packed:
        path = tmp_path / "package.tar.gz"
        with tarfile.open(path, "w:gz", compresslevel=1) as archive:
            member = tarfile.TarInfo(f"package-1.0/models/{MEMBER}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    else:
        path.write_bytes(data)
    state = dequantised(convert(path))
    expected = net.state_dict()
    assert set(state) == set(expected)
    for name, tensor in expected.items():
        if tensor.numel() < BYTES_FROM:
            torch.testing.assert_close(state[name], tensor.half(), rtol=0, atol=0)
        else:
            largest = tensor.flatten(1).abs().amax(dim=1)  # of each row; a level is a 127th of it
            assert ((state[name] - tensor).flatten(1).abs().amax(dim=1) <= 0.51 * largest / 127).all()


def test_another_stream_is_refused(net, tmp_path):
    path: Path = tmp_path / MEMBER
    path.write_bytes(stream(net).replace(written(2) + written(256) + written(128), b"elsewhere"))
    with pytest.raises(BadWeights, match="No tensor for fc"):
        convert(path)
