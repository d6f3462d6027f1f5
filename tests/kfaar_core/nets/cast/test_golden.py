"""Whole networks with few channels against outputs of the public classes with the same weights (recorded.py)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from kfaar_core.nets.cast import facevid2vid, liveportrait
from kfaar_core.nets.cast.arcface import ArcFace, one_layout
from kfaar_core.nets.cast.fid_inception import FidInception, inception
from kfaar_core.nets.cast.published import COUNTER, load_strictly, without_spectral_norm
from kfaar_core.nets.cast.stylegan2 import StyleGan2
from tests.kfaar_core.nets.cast.recorded import check, filled, picture, shapes, value

POINTS = 3
MOTION = {"points": POINTS, "base": 4, "volume": 3, "depth": 2, "residuals": 2, "motion": (4, 2, 16), "few": 2}
FACEVID2VID = facevid2vid.Sizes(**MOTION, pose=((8, 3), (16, 3), (16, 5), (32, 2)))
LIVEPORTRAIT = liveportrait.Sizes(**MOTION, pose=((4, 1), (8, 1), (8, 2), (16, 1)), stitching=(8, 4))
BLOCKS = (1, 2, 1, 1)


def with_spectral_norm(build: Callable[[], nn.Module]) -> nn.Module:
    """As `filled`, with the published tensors of spectral normalisation in place of the weights that come of them."""
    own = {}
    for name, tensor in build().state_dict().items():
        layer = name.removesuffix(".weight")
        if layer.endswith(("conv_0", "conv_1", "conv_s")) and name != layer:
            rows, *rest = tensor.shape
            wide = torch.Size(rest).numel()
            shape = {"weight_orig": tuple(tensor.shape), "weight_u": (rows,), "weight_v": (wide,)}
            own |= {f"{layer}.{kind}": value(f"{layer}.{kind}", of) for kind, of in shape.items()}
        elif name.endswith(("down.weight", COUNTER)):
            own[name] = tensor
        else:
            own[name] = value(name, tuple(tensor.shape))
    return load_strictly(build, without_spectral_norm(own)).double()


def test_stylegan2():
    net = filled(lambda: StyleGan2(32, 16, 3, 8), keep=("kernel", "mean"))
    check("stylegan2 mapping", net.map(value("z", (2, 16)).double()), tolerance=1e-7)
    check("stylegan2", net(value("w", (2, 8, 16)).double()))


def test_facevid2vid():
    net = with_spectral_norm(lambda: facevid2vid.FaceVid2Vid(FACEVID2VID))
    virtual, original = picture("virtual", 2, 3, 64, 64), picture("original", 2, 3, 64, 64)
    placed = facevid2vid.placed(net.kp_detector(virtual), net.he_estimator(original))
    check("facevid2vid keypoints", placed)
    check("facevid2vid", (net(2 * virtual - 1, 2 * original - 1) + 1) / 2, tolerance=1e-4)


def test_liveportrait():
    net = with_spectral_norm(lambda: liveportrait.LivePortrait(LIVEPORTRAIT))
    wanted = []
    net.stitching_retargeting_module.register_forward_hook(lambda *called: wanted.append(called[2]))
    virtual, original = picture("virtual", 2, 3, 64, 64), picture("original", 2, 3, 64, 64)
    found = net(2 * virtual - 1, 2 * original - 1)
    check("liveportrait keypoints", wanted[0])
    check("liveportrait", (found + 1) / 2, tolerance=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["py-feat", "insightface", "cvlface"])
def test_arcface_in_each_layout(layout):
    """Names and shapes of the published lists, cut to blocks 1, 2, 1, 1 and 32 px."""
    whole = {"py-feat": "arcface_r50", "insightface": "arcface_r50_insightface", "cvlface": "arcface_ir101_cvlface"}
    own = {}
    for name, shape in shapes(whole[layout]).items():
        kept = cut(name, layout)
        if kept and not name.endswith(COUNTER):
            own[kept] = value(kept, (512, 512 * 4) if shape == (512, 512 * 49) else shape)
    net = load_strictly(lambda: ArcFace(BLOCKS, side=32), one_layout(own, BLOCKS)).double()
    check(f"arcface {layout}", net(value("crop", (2, 3, 32, 32)).double()), tolerance=2e-6)


def cut(name: str, layout: str) -> str | None:
    """The name of a tensor in a network of blocks 1, 2, 1, 1; None if its block is left out."""
    if layout == "cvlface":
        kept = {0: 0, 3: 1, 4: 2, 16: 3, 46: 4}  # block of 3 + 13 + 30 + 3 -> block of 1 + 2 + 1 + 1
        if not name.startswith("model.net.body."):
            return name
        _, _, _, block, rest = name.split(".", 4)
        return f"model.net.body.{kept[int(block)]}.{rest}" if int(block) in kept else None
    if not name.startswith("layer"):
        return name
    stage, block, _ = name.split(".", 2)
    return name if int(block) < BLOCKS[int(stage[-1]) - 1] else None


@pytest.mark.slow
def test_fid_inception():
    net = FidInception(filled(inception)).double()
    check("fid_inception", net(2 * picture("picture", 1, 3, 40, 48) - 1))
