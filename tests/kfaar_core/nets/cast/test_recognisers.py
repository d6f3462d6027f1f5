"""FaceNet, ArcFace, SphereFace and the Inception of FID: ranges, channels, gradients, precision."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kfaar_core.nets.cast import facenet, fid_inception, sphereface
from kfaar_core.nets.cast.arcface import ArcFace
from kfaar_core.nets.cast.facenet import FaceNet, inception_resnet
from kfaar_core.nets.cast.sphereface import SphereFace
from kfaar_core.torchvision_shim import prepare
from tests.kfaar_core.nets.cast.recorded import empty, filled, shapes, value


def small_sphereface() -> SphereFace:
    return SphereFace(widths=(4, 4, 6, 8), size=(32, 48))


def small_arcface() -> ArcFace:
    return ArcFace(blocks=(1, 2), widths=(8, 8), side=16)


CASES = {"sphereface": (small_sphereface, (32, 48)), "arcface": (small_arcface, (16, 16))}


@pytest.fixture(params=CASES)
def case(request) -> tuple[nn.Module, torch.Tensor]:
    build, size = CASES[request.param]
    return filled(build).float(), value("crop", (3, 3, *size)).tanh()


def test_shape_batch_and_gradient(case):
    net, x = case
    x.requires_grad_()
    found = net(x)
    assert found.shape == (3, 512)
    torch.testing.assert_close(found[1:2], net(x[1:2]), rtol=1e-4, atol=1e-4)
    (slope,) = torch.autograd.grad(found[1].square().sum(), x)
    assert slope[1].abs().max() > 0 and not slope[[0, 2]].any()


def test_bfloat16_is_near_single_precision(case):
    net, x = case
    exact = net(x)
    found = net.bfloat16()(x.bfloat16()).float()
    assert nn.functional.cosine_similarity(found, exact).min() > 0.99


def test_facenet_is_facenet_pytorchs_with_its_own_range():
    """The same weights in the package's class; it standardises levels as (level - 127.5) / 128."""
    prepare()
    from facenet_pytorch import InceptionResnetV1, fixed_image_standardization

    torch.manual_seed(0)
    theirs = InceptionResnetV1(classify=True, num_classes=8631).eval()
    ours = FaceNet.from_published(theirs.state_dict())
    theirs.classify = False
    levels = torch.randint(0, 256, (1, 3, 96, 96)).float()
    with torch.no_grad():
        expected = theirs(fixed_image_standardization(levels))
    found = ours(levels / 127.5 - 1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert found.norm() == pytest.approx(1, abs=1e-5)


def test_facenet_knows_its_head_and_no_other():
    listed = shapes("facenet")
    assert {name: listed[name] for name in facenet.HEAD} == {"logits.weight": (8631, 512), "logits.bias": (8631,)}
    state = empty("facenet")
    for name in facenet.HEAD:
        del state[name]
    assert isinstance(FaceNet.from_published(state), FaceNet)  # a file without the head is the same network
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in inception_resnet().parameters()) == 23_482_624


def test_sphereface_sees_blue_first():
    """The first convolution passes one channel; only blue, the last of ours, may reach it."""
    net = small_sphereface().eval()
    seen = []
    net.conv1_1.register_forward_pre_hook(lambda layer, given: seen.append(given[0]))
    x = torch.zeros(1, 3, 32, 48)
    x[:, 2] = 1
    net(x)
    assert seen[0][0, :, 0, 0].tolist() == pytest.approx([sphereface.RANGE, 0, 0])


def test_a_residual_step_of_sphereface_by_hand():
    """With second convolutions of zero, only the first of each stage acts."""
    net = filled(small_sphereface).float()
    for name, layer in net.named_modules():
        if isinstance(layer, nn.Conv2d) and not name.endswith("_1"):
            layer.weight.zero_()
            layer.bias.zero_()
    x = value("crop", (1, 3, 32, 48)).tanh()
    y = x.flip(1) * sphereface.RANGE
    for stage in range(1, 5):
        y = net.get_submodule(f"relu{stage}_1")(net.get_submodule(f"conv{stage}_1")(y))
    torch.testing.assert_close(net(x), net.fc5(y.flatten(1)))


def test_means_leave_padding_out():
    """In a corner of a picture of ones four of nine pixels are inside; their mean is one."""
    x = torch.ones(1, 2, 5, 4)
    pooled = nn.functional.avg_pool2d(x, 3, stride=1, padding=1)
    assert pooled[0, 0, 0, 0] == pytest.approx(4 / 9)
    torch.testing.assert_close(fid_inception._without_padding(nn.Identity(), (pooled,)), x)


def test_inception_answers_2048_features():
    with torch.device("meta"):
        net = fid_inception.FidInception(fid_inception.inception()).eval()
        assert net(torch.zeros(2, 3, 64, 64)).shape == (2, 2048)
