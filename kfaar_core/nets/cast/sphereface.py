"""SphereFace-20, a judge of the paper's tables (Liu et al., arXiv 1704.08063).

RGB crop (N, 3, 112, 96) in [-1, 1] -> embedding (N, 512), not normalised. Names are those of `sphere20a` in
clcarwin/sphereface_pytorch, whose classification head is left out here.
"""

from __future__ import annotations

from torch import Tensor, nn

from kfaar_core.nets.cast.published import State, load_strictly

SIZE = (112, 96)  # px, height x width
FEATURE = 512
WIDTHS = (64, 128, 256, 512)  # channels of each stage; its first convolution halves the side
BLOCKS = (1, 2, 4, 1)  # residual blocks of two convolutions in each stage
HEAD = ("fc6.weight",)  # of 10,574 people
RANGE = 127.5 / 128  # it was trained on (level - 127.5) / 128, blue first


class SphereFace(nn.Module):
    """RGB crops (N, 3, 112, 96) in [-1, 1] -> embeddings (N, 512), not normalised."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS, size: tuple[int, int] = SIZE) -> None:
        """
        Args:
            widths: channels of each stage.
            size: px of the crop, height x width.
        """
        super().__init__()
        before = 3
        for stage, (channels, blocks) in enumerate(zip(widths, BLOCKS, strict=True), start=1):
            for i in range(1, 2 * blocks + 2):
                conv = nn.Conv2d(before, channels, 3, stride=2 if i == 1 else 1, padding=1)
                self.add_module(f"conv{stage}_{i}", conv)
                self.add_module(f"relu{stage}_{i}", nn.PReLU(channels))
                before = channels
        self.fc5 = nn.Linear(before * (size[0] >> 4) * (size[1] >> 4), FEATURE)

    @classmethod
    def from_published(cls, state: State) -> SphereFace:
        """Load the published tensors.

        Raises:
            BadWeights: names or shapes differ.
        """
        return load_strictly(cls, state, without=HEAD)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flip(1) * RANGE
        for stage, blocks in enumerate(BLOCKS, start=1):
            x = self._step(x, stage, 1)
            for i in range(2, 2 * blocks + 2, 2):
                x = x + self._step(self._step(x, stage, i), stage, i + 1)
        out: Tensor = self.fc5(x.flatten(1))
        return out

    def _step(self, x: Tensor, stage: int, i: int) -> Tensor:
        """One convolution with its PReLU."""
        out: Tensor = self.get_submodule(f"relu{stage}_{i}")(self.get_submodule(f"conv{stage}_{i}")(x))
        return out
