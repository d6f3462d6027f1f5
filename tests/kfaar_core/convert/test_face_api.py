from __future__ import annotations

import io
import json
import tarfile

import numpy as np
import pytest
import torch

from kfaar_core.convert.face_api import AGE_SEX, EXPRESSION, convert, renamed
from kfaar_core.nets.attribute_nets import AgeSexNet, ExpressionNet
from kfaar_core.quantised import dequantised
from kfaar_core.weights import load

TENSORS = {  # name -> levels in TensorFlow's order of axes, step, level of 0
    "dense0/conv1/depthwise_filter": (np.arange(18, dtype=np.uint8).reshape(3, 3, 2, 1), 0.5, 10),
    "dense0/conv1/pointwise_filter": (np.array([[[[0, 255], [7, 8]]]], dtype=np.uint8), 0.25, 200),
    "fc/weights": (np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8), 2.0, 0),
}
BIAS = np.array([0.1, -3.5], dtype="<f4")


@pytest.fixture(params=["folder", "archive"])
def source(request, tmp_path):
    """A model with three quantised tensors and a plain one, as the package has them."""
    listed, data = [], b""
    for name, (levels, step, zero) in TENSORS.items():
        quantisation = {"dtype": "uint8", "scale": step, "min": -zero * step}
        listed.append({"name": name, "shape": levels.shape, "dtype": "float32", "quantization": quantisation})
        data += levels.tobytes()
    listed.append({"name": "dense0/conv1/bias", "shape": [2], "dtype": "float32"})
    manifest = json.dumps([{"weights": listed, "paths": ["net.bin"]}]).encode()
    files = {"net-weights_manifest.json": manifest, "net.bin": data + BIAS.tobytes()}
    if request.param == "folder":
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
        return tmp_path
    with tarfile.open(tmp_path / "package.tgz", "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/model/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return tmp_path / "package.tgz"


def test_values_and_axes_by_hand(source):
    state = dequantised(convert(source, "net", EXPRESSION))
    depthwise = state["blocks.0.convs.1.depthwise.weight"]
    assert depthwise.shape == (2, 1, 3, 3)
    assert depthwise[1, 0].tolist() == [[-4.5, -3.5, -2.5], [-1.5, -0.5, 0.5], [1.5, 2.5, 3.5]]
    assert state["blocks.0.convs.1.pointwise.weight"].flatten(1).tolist() == [[-50.0, -48.25], [13.75, -48.0]]
    assert state["last.weight"].tolist() == [[2.0, 8.0], [4.0, 10.0], [6.0, 12.0]]
    torch.testing.assert_close(state["blocks.0.convs.1.pointwise.bias"], torch.from_numpy(BIAS), rtol=0, atol=0)
    assert len(state) == 4


@pytest.mark.parametrize(
    ("folder", "names", "ours"),
    [
        ("entry_flow/conv_in", AGE_SEX, "stem"),
        ("entry_flow/reduction_block_1/separable_conv0", AGE_SEX, "blocks.1.separable.0"),
        ("exit_flow/reduction_block/expansion_conv", AGE_SEX, "blocks.4.expansion"),
        ("exit_flow/separable_conv", AGE_SEX, "last"),
        ("dense3/conv2", EXPRESSION, "blocks.3.convs.2"),
    ],
)
def test_names(folder, names, ours):
    assert renamed(folder, names) == ours


@pytest.mark.parametrize(("name", "net"), [("age_sex", AgeSexNet), ("expression", ExpressionNet)])
def test_the_committed_file_has_every_tensor(name, net):
    assert set(load(name)) == set(net().state_dict())
