"""ArcFace, a judge of the paper's tables (Deng et al., arXiv 1801.07698): an improved ResNet of 50 or 100 layers.

RGB crop (N, 3, 112, 112) in [-1, 1] -> embedding (N, 512), not normalised. Three published layouts are read:
- insightface's: every normalisation stands by itself (arcface_torch);
- that of `py-feat/arcface_r50`, made from insightface's ONNX file: a normalisation after a convolution is part of it;
- CVLface's `minchul/cvlface_arcface_ir101_webface4m`: as the first, under the names of its own class.

All become the second. In evaluation a normalisation is a factor and an offset for each channel, so nothing changes.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

from kfaar_core.nets.cast.published import COUNTER, State, load_strictly, part

SIDE = 112  # px
FEATURE = 512
STEM = 64  # channels
WIDTHS = (64, 128, 256, 512)  # channels of each stage; each halves the side
DEPTHS = {50: (3, 4, 14, 3), 100: (3, 13, 30, 3)}  # blocks of each stage
EPS = 1e-5  # of batch normalisation
# CVLface: place in a sequence -> name.
BLOCK_NAMES = {
    "res_layer.0": "bn1",
    "res_layer.1": "conv1",
    "res_layer.2": "bn2",
    "res_layer.3": "prelu",
    "res_layer.4": "conv2",
    "res_layer.5": "bn3",
    "shortcut_layer.0": "downsample.0",
    "shortcut_layer.1": "downsample.1",
}
END_NAMES = {
    "input_layer.0": "conv1",
    "input_layer.1": "bn1",
    "input_layer.2": "prelu",
    "output_layer.0": "bn2",
    "output_layer.3": "fc",
    "output_layer.4": "features",
}


class Block(nn.Module):
    """Residual block: normalisation, convolution, PReLU, convolution. A strided one has a 1x1 convolution beside it."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.prelu = nn.PReLU(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1)
        self.downsample = nn.Conv2d(channels_in, channels, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv2(self.prelu(self.conv1(self.bn1(x)))) + self.downsample(x)
        return out


class ArcFace(nn.Module):
    """RGB crops (N, 3, 112, 112) in [-1, 1] -> embeddings (N, 512), not normalised."""

    def __init__(
        self, blocks: tuple[int, ...] = DEPTHS[50], widths: tuple[int, ...] = WIDTHS, side: int = SIDE
    ) -> None:
        """
        Args:
            blocks: of each stage.
            widths: channels of each stage.
            side: px of the crop.
        """
        super().__init__()
        self.conv1, self.prelu = nn.Conv2d(3, STEM, 3, padding=1), nn.PReLU(STEM)
        before = STEM
        for stage, (count, channels) in enumerate(zip(blocks, widths, strict=True), start=1):
            layers = [Block(before if i == 0 else channels, channels, 2 if i == 0 else 1) for i in range(count)]
            self.add_module(f"layer{stage}", nn.Sequential(*layers))
            before = channels
        self.stages = len(blocks)
        self.bn2 = nn.BatchNorm2d(before)
        self.fc = nn.Linear(before * (side >> self.stages) ** 2, FEATURE)
        self.features = nn.BatchNorm1d(FEATURE)

    @classmethod
    def from_published(cls, state: State, depth: int = 50) -> ArcFace:
        """Load the published tensors, in any of the three layouts.

        Args:
            depth: 50 or 100 layers (CVLface calls the latter IR-101).

        Raises:
            BadWeights: names or shapes differ.
        """
        return load_strictly(lambda: cls(DEPTHS[depth]), one_layout(state, DEPTHS[depth]))

    def forward(self, x: Tensor) -> Tensor:
        x = self.prelu(self.conv1(x))
        for stage in range(1, self.stages + 1):
            x = self.get_submodule(f"layer{stage}")(x)
        out: Tensor = self.features(self.fc(self.bn2(x).flatten(1)))
        return out


def one_layout(state: State, blocks: tuple[int, ...]) -> dict[str, Tensor]:
    """Bring any published layout into that of ArcFace."""
    own = {name: tensor for name, tensor in state.items() if not name.endswith(COUNTER)}
    inner = part(own, "model.net.") or own
    if any(name.startswith("input_layer.") for name in inner):
        own = _renamed(inner, blocks)
    if "bn1.weight" in own:
        own = _folded(own)
    return own


def _renamed(state: State, blocks: tuple[int, ...]) -> dict[str, Tensor]:
    """CVLface's names in insightface's."""
    stages = [f"layer{stage}.{i}" for stage, count in enumerate(blocks, start=1) for i in range(count)]
    own = {}
    for name, tensor in state.items():
        match = re.fullmatch(r"body\.(\d+)\.(\w+\.\d)\.(\w+)", name)
        if match and int(match[1]) < len(stages) and match[2] in BLOCK_NAMES:
            own[f"{stages[int(match[1])]}.{BLOCK_NAMES[match[2]]}.{match[3]}"] = tensor
        else:
            layer, _, kind = name.rpartition(".")
            own[f"{END_NAMES.get(layer, layer)}.{kind}"] = tensor
    if "features.running_mean" in own:  # its last normalisation has no factors
        own.setdefault("features.weight", torch.ones_like(own["features.running_mean"]))
        own.setdefault("features.bias", torch.zeros_like(own["features.running_mean"]))
    first = own.get("layer1.0.conv1.weight")
    if first is not None:  # its first block takes every second pixel itself: the convolution that does so
        own.setdefault("layer1.0.downsample.weight", torch.eye(len(first))[:, :, None, None])
        own.setdefault("layer1.0.downsample.bias", torch.zeros(len(first)))
    return own


def _folded(state: State) -> dict[str, Tensor]:
    """Make each normalisation after a convolution a part of it."""
    own = dict(state)
    pairs = [("conv1", "bn1", "conv1")]
    blocks = sorted({name.rsplit(".conv2.", 1)[0] for name in own if ".conv2." in name})
    for block in blocks:
        pairs += [(f"{block}.conv{i}", f"{block}.bn{i + 1}", f"{block}.conv{i}") for i in (1, 2)]
        if f"{block}.downsample.0.weight" in own:
            pairs.append((f"{block}.downsample.0", f"{block}.downsample.1", f"{block}.downsample"))
    for conv, norm, target in pairs:
        names = [f"{norm}.{kind}" for kind in ("weight", "bias", "running_mean", "running_var")]
        kernels = own.get(f"{conv}.weight", torch.empty(0))
        if any(name not in own or own[name].shape != kernels.shape[:1] for name in names):
            continue  # load_strictly will name what does not fit
        del own[f"{conv}.weight"]
        gamma, beta, mean, variance = (own.pop(name).float() for name in names)
        factor = gamma * torch.rsqrt(variance + EPS)
        own[f"{target}.weight"] = kernels.float() * factor[:, None, None, None]
        own[f"{target}.bias"] = beta - mean * factor
    return own
