"""FaceVid2Vid and LivePortrait as G_f: shapes, ranges, gradients, precision."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kfaar_core.nets.cast import facevid2vid, liveportrait
from tests.kfaar_core.nets.cast.recorded import filled, value

MOTION = {"points": 3, "base": 4, "volume": 3, "depth": 2, "residuals": 1, "motion": (4, 2, 16), "few": 2, "hidden": 4}
BUILDS = {
    "facevid2vid": lambda: facevid2vid.FaceVid2Vid(facevid2vid.Sizes(**MOTION, pose=((8, 1), (8, 1)))),
    "liveportrait": lambda: liveportrait.LivePortrait(
        liveportrait.Sizes(**MOTION, pose=((4, 1), (8, 1)), stitching=(8,))
    ),
}
OUT = {"facevid2vid": 64, "liveportrait": 128}


@pytest.fixture(params=BUILDS)
def case(request) -> tuple[str, nn.Module]:
    return request.param, filled(BUILDS[request.param], keep=("down.weight",)).float()


def faces(count: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Two pictures in [-1, 1] for each face."""
    return (value("virtual", (count, 3, 64, 64)).tanh(), value("original", (count, 3, 64, 64)).tanh())


def test_shape_range_and_batch(case):
    name, net = case
    virtual, original = faces()
    found = net(virtual, original)
    assert found.shape == (2, 3, OUT[name], OUT[name])
    assert found.min() >= -1 and found.max() <= 1 and found.std() > 0
    torch.testing.assert_close(found[1:], net(virtual[1:], original[1:]), rtol=1e-3, atol=1e-3)


def test_gradients_reach_both_pictures_of_the_same_face(case):
    _, net = case
    pictures = [picture.requires_grad_() for picture in faces()]
    for slope in torch.autograd.grad(net(*pictures)[0].square().mean(), pictures):
        assert slope.isfinite().all() and slope[0].abs().max() > 0 and not slope[1].any()


def test_only_the_posture_comes_from_the_original(case):
    """Two originals of the same posture give the same face: here the pose networks are blind."""
    _, net = case
    blind = net.he_estimator if hasattr(net, "he_estimator") else net.motion_extractor.detector
    for head in (module for name, module in blind.named_modules() if name.startswith("fc_")):
        head.weight.zero_()
    virtual, original = faces()
    torch.testing.assert_close(net(virtual, original), net(virtual, virtual))


def test_bfloat16_keeps_the_keypoints_fine(case):
    name, net = case
    virtual, original = faces()
    exact = net(virtual, original)
    found = net.bfloat16()(virtual.bfloat16(), original.bfloat16())
    assert found.dtype == torch.bfloat16
    assert (found.float() - exact).abs().mean() < 0.2 * exact.std(), name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda_is_the_cpu(case):
    _, net = case
    pictures = faces()
    exact = net(*pictures)
    found = net.cuda()(*(picture.cuda() for picture in pictures)).cpu()
    assert (found - exact).abs().mean() < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILDS)
def test_the_published_size_answers_in_the_published_shape(name):
    whole = {"facevid2vid": facevid2vid.FaceVid2Vid, "liveportrait": liveportrait.LivePortrait}[name]
    with torch.device("meta"):
        net = whole().eval()
        found = net(torch.zeros(2, 3, 256, 256), torch.zeros(2, 3, 256, 256))
    assert found.shape == (2, 3, 4 * OUT[name], 4 * OUT[name])
