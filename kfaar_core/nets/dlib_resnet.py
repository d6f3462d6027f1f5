"""The auxiliary encoder of `hashed`: dlib's 29-layer face recognition network (D. E. King, 2017; CC0), in torch.

RGB crop (N, 3, 150, 150) in [-1, 1] -> embedding (N, 128). dlib compares embeddings by Euclidean distance. Here
they are centred and compared by cosine (stages.encode).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

MEAN_RGB = (122.782, 117.001, 104.298)  # dlib's input layer, on the scale 0..255
WIDTHS = ((32, 3, False), (64, 3, True), (128, 2, True), (256, 2, True), (256, 0, True))  # channels, plain blocks, down


class Affine(nn.Module):
    """A frozen batch normalisation: a factor and an offset for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma[:, None, None] + self.beta[:, None, None]


class Residual(nn.Module):
    """Residual block of two 3x3 convolutions. `down` halves the side, with an average-pooled, padded shortcut."""

    def __init__(self, channels_in: int, channels: int, down: bool) -> None:
        super().__init__()
        self.down = down
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride=2 if down else 1, padding=0 if down else 1)
        self.affine1 = Affine(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.affine2 = Affine(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.affine2(self.conv2(functional.relu(self.affine1(self.conv1(x)))))
        if self.down:
            x = functional.avg_pool2d(x, 2)
        # dlib adds tensors of unequal size by padding each with zeros: channels, then the last row and column.
        grow = [max(0, b - a) for a, b in zip(x.shape[1:], y.shape[1:], strict=True)]
        x = functional.pad(x, (0, grow[2], 0, grow[1], 0, grow[0]))
        y = functional.pad(y, (0, x.shape[3] - y.shape[3], 0, x.shape[2] - y.shape[2]))
        return functional.relu(x + y)


class DlibResnet(nn.Module):
    """(N, 3, 150, 150) in [-1, 1] -> (N, 128), not normalised."""

    mean_rgb: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 7, stride=2)
        self.stem_affine = Affine(32)
        blocks, channels = [], 32
        for width, plain, down in WIDTHS:
            for i in range(plain + down):
                blocks.append(Residual(channels, width, down=down and i == 0))
                channels = width
        self.blocks = nn.ModuleList(blocks)
        self.fc = nn.Linear(256, 128, bias=False)
        self.register_buffer("mean_rgb", torch.tensor(MEAN_RGB).reshape(3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pooled(x)
        for block in self.blocks:
            x = block(x)
        return self.fc(x.mean(dim=(2, 3)))  # (N, 128)

    def pooled(self, x: Tensor) -> Tensor:
        """The first convolution and the pooling behind it: (N, 3, 150, 150) -> (N, 32, 35, 35)."""
        x = ((x + 1) * 127.5 - self.mean_rgb) / 256
        return functional.max_pool2d(functional.relu(self.stem_affine(self.stem(x))), 3, stride=2)

    def named_parameters_in_stream_order(self) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """(module name, its parameters) in the order of dlib's file."""
        yield "stem", dict(self.stem.named_parameters())
        yield "stem_affine", dict(self.stem_affine.named_parameters())
        for i, block in enumerate(self.blocks):
            for part in ("conv1", "affine1", "conv2", "affine2"):
                yield f"blocks.{i}.{part}", dict(getattr(block, part).named_parameters())
        yield "fc", {"weight": self.fc.weight}
