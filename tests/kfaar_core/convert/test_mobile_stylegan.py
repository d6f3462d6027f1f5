from __future__ import annotations

import zipfile

import numpy as np
import torch

from kfaar_core.convert.mobile_stylegan import bands_together, mapping_state, order_bands, read_constants

GRAPH = """<net><layers>
<layer name="half" type="Const"><data element_type="f16" shape="2,3" offset="0" size="12"/></layer>
<layer name="count" type="Const"><data element_type="i64" shape="1" offset="12" size="8"/></layer>
<layer name="add" type="Add"/>
<layer name="scalar" type="Const"><data element_type="f32" shape="" offset="20" size="4"/></layer>
</layers></net>"""


def test_constants_are_read_in_the_order_of_the_graph(tmp_path):
    half = np.arange(6, dtype="<f2").reshape(2, 3) / 4
    data = half.tobytes() + np.int64(7).tobytes() + np.float32(0.125).tobytes()
    with zipfile.ZipFile(tmp_path / "wheel.whl", "w") as archive:
        archive.writestr("random_face/data/Net.xml", GRAPH)
        archive.writestr("random_face/data/Net.bin", data)
    constants = read_constants(tmp_path / "wheel.whl", "Net")
    assert [name for name, _ in constants] == ["half", "scalar"]  # whole numbers are no weights
    np.testing.assert_array_equal(constants[0][1], half.astype(np.float32))
    assert constants[1][1].shape == () and constants[1][1] == 0.125


def test_bands_are_put_together():
    names = ["low0", "low1", "v0", "h0", "d0", "v1", "h1", "d1"]
    assert [names[i] for i in bands_together(8)] == ["low0", "low1", "v0", "v1", "h0", "h1", "d0", "d1"]


def test_the_mapping_layers_keep_their_order():
    constants = []
    for i in range(2):
        constants += [(f"w{i}", np.full((512, 512), i, np.float32)), (f"b{i}", np.full(512, 10 + i, np.float32))]
    state = mapping_state([*constants, ("eps", np.float32(1e-8))])
    assert {name: float(tensor.flatten()[0]) for name, tensor in state.items()} == {
        "mapping.layers.0.weight": 0,
        "mapping.layers.0.bias": 10,
        "mapping.layers.1.weight": 1,
        "mapping.layers.1.bias": 11,
    }
    assert state["mapping.layers.0.weight"].dtype == torch.float32


def test_what_feeds_a_haar_step_and_what_styles_it_are_put_into_the_same_order():
    """Every array counts its own rows, so that the answer shows the order it was given."""
    feeds = ["start_conv", *(f"blocks.{i}.conv2.pointwise" for i in range(6)), "to_rgb"]
    styles = [f"blocks.{i}.up.affine" for i in range(7)]
    sizes = [8, 8, 16, 16, 16, 8, 8]
    found = {}
    for name, size in [*zip(feeds, [*sizes, 12], strict=True), *zip(styles, sizes, strict=True)]:
        found[f"{name}.bias"] = np.arange(size)
        found[f"{name}.weight"] = np.arange(size)[:, None] + np.zeros(2)
    found["blocks.0.conv1.pointwise.bias"] = np.arange(5)
    ordered = order_bands(found)
    assert ordered["blocks.0.conv1.pointwise.bias"].tolist() == [0, 1, 2, 3, 4]
    assert ordered["start_conv.bias"].tolist() == [0, 1, 2, 5, 3, 6, 4, 7]  # low 0 1, then details of 0, of 1
    for feed, style in zip(feeds[:-1], styles, strict=True):
        for part in ("weight", "bias"):
            np.testing.assert_array_equal(ordered[f"{feed}.{part}"], ordered[f"{style}.{part}"])
    assert ordered["to_rgb.bias"].tolist() == [0, 1, 2, 3, 6, 9, 4, 7, 10, 5, 8, 11]
