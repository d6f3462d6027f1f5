"""Inception of the Frechet inception distance (Heusel et al., arXiv 1706.08500), which the paper's Table V takes.

RGB picture (N, 3, H, W) in [-1, 1] -> features (N, 2048). TensorFlow's network of December 2015 in torchvision's
InceptionV3, published as `pt_inception-2015-12-05-6726825d.pth` (pytorch-fid). It pools otherwise than torchvision's:
averages leave padding out, and the last block takes the maximum.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from kfaar_core.nets.cast.published import State, load_strictly
from kfaar_core.torchvision_shim import prepare

SIDE = 299  # px to which pictures are resized
FEATURE = 2048
CLASSES = 1008
HEAD = ("fc.weight", "fc.bias")
AVERAGED = ("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e", "Mixed_7b")


class FidInception(nn.Module):
    """RGB pictures (N, 3, H, W) in [-1, 1] -> features (N, 2048)."""

    def __init__(self, net: nn.Module) -> None:
        """net: torchvision's Inception3 as `inception` makes it."""
        super().__init__()
        self.net = net

    @classmethod
    def from_published(cls, state: State) -> FidInception:
        """Load the published tensors.

        Raises:
            BadWeights: names or shapes differ.
        """
        return cls(load_strictly(inception, state, without=HEAD)).eval()

    def forward(self, x: Tensor) -> Tensor:
        x = functional.interpolate(x, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        features: Tensor = self.net(x)
        return features


def inception() -> nn.Module:
    """InceptionV3 of torchvision with the pools of the published network and without a classification head."""
    prepare()
    from torchvision.models import inception as torchvision_inception

    class LastBlock(torchvision_inception.InceptionE):
        """The last block: its pool takes the maximum."""

        def _forward(self, x: Tensor) -> list[Tensor]:
            narrow, double = self.branch3x3_1(x), self.branch3x3dbl_2(self.branch3x3dbl_1(x))
            return [
                self.branch1x1(x),
                torch.cat((self.branch3x3_2a(narrow), self.branch3x3_2b(narrow)), dim=1),
                torch.cat((self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)), dim=1),
                self.branch_pool(functional.max_pool2d(x, 3, stride=1, padding=1)),
            ]

    net = torchvision_inception.Inception3(num_classes=CLASSES, aux_logits=False, init_weights=False)
    for name in AVERAGED:
        net.get_submodule(f"{name}.branch_pool").register_forward_pre_hook(_without_padding)
    net.Mixed_7c = LastBlock(FEATURE)
    net.fc = nn.Identity()
    out: nn.Module = net
    return out


def _without_padding(_: nn.Module, pooled: tuple[Tensor]) -> Tensor:
    """From means over 3x3 pixels with zeros beyond the border, the means over the pixels inside."""
    (x,) = pooled
    inside = functional.avg_pool2d(torch.ones_like(x[:1, :1]), 3, stride=1, padding=1)
    return x / inside
