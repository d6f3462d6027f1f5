"""The networks that evaluation observes faces with, against the programs that they come from.

The crops are of synthetic people. The expected answers are those of the npm package @vladmandic/face-api 1.7.15 (its
own code on TensorFlow.js, CPU) and of OpenVINO for MobileFaceNet.tflite in float32.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kfaar_core import image, weights
from kfaar_core.nets.attribute_nets import EXPRESSIONS, AgeSexNet, ExpressionNet
from kfaar_core.nets.mobile_facenet import MobileFaceNet
from kfaar_core.nets.same_conv import SameConv2d
from kfaar_core.stages.generate import part

EXAMPLES = Path(__file__).resolve().parents[3] / "assets" / "examples"
AGES, MALE = (58.016, 21.555), (0.95394, 1 - 0.82714)
HAPPY, NEUTRAL = (0.162068, 0.026214), (0.837352, 0.972869)
EMBEDDING = (
    (-0.1380, -0.2639, 0.9457, 0.4716, -0.4262, 2.6964, -6.1996, -1.6792),
    (-0.7226, 0.2701, 0.1670, 0.2052, -0.9896, -1.4646, -4.6310, -3.0461),
)
LENGTHS, COSINE = (50.915, 55.547), 0.58250


@pytest.fixture(scope="module")
def crops() -> torch.Tensor:
    """(2, 3, 112, 112) in [-1, 1]."""
    faces = []
    for name in ("person-1", "person-2"):
        cut = Image.open(EXAMPLES / f"{name}.png").convert("RGB").crop((56, 96, 456, 496))
        faces.append(np.asarray(cut.resize((112, 112), Image.Resampling.BOX)))
    return image.to_float(np.stack(faces))


@torch.inference_mode()
def answer(net: torch.nn.Module, name: str, crops: torch.Tensor) -> torch.Tensor:
    state = weights.load(name)
    net.load_state_dict(part(state, "net.") or state)
    return net.eval()(crops)


def test_age_and_sex_are_those_of_the_package(crops):
    found = answer(AgeSexNet(), "age_sex", crops)
    np.testing.assert_allclose(found[:, 0], AGES, atol=0.05)
    np.testing.assert_allclose(found[:, 1:].softmax(dim=1)[:, 0], MALE, atol=1e-3)


def test_expressions_are_those_of_the_package(crops):
    found = answer(ExpressionNet(), "expression", crops).softmax(dim=1)
    np.testing.assert_allclose(found[:, EXPRESSIONS.index("happy")], HAPPY, atol=1e-3)
    np.testing.assert_allclose(found[:, EXPRESSIONS.index("neutral")], NEUTRAL, atol=1e-3)


def test_the_recogniser_embeds_as_its_own_file_does(crops):
    found = answer(MobileFaceNet(), "mobile_facenet", crops)
    np.testing.assert_allclose(found[:, :8], EMBEDDING, atol=0.03)  # of values up to 8; weights are halves
    np.testing.assert_allclose(found.norm(dim=1), LENGTHS, rtol=1e-3)
    assert torch.cosine_similarity(*found, dim=0).item() == pytest.approx(COSINE, abs=1e-3)


def test_a_stride_pads_below_and_to_the_right_alone():
    conv = SameConv2d(1, 1, 3, stride=2).requires_grad_(False)
    torch.nn.init.zeros_(conv.bias)
    torch.nn.init.ones_(conv.weight)
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    # Sums of rows and columns 0-2, then 2-3 and one of zeros, as TensorFlow pads.
    assert conv(x).flatten().tolist() == [45.0, 39.0, 66.0, 50.0]
