"""Which networks a preset is made of, by the names in its fields: which weights these need, and how they are loaded.

Methods share these networks. What a method trains is loaded by the method itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kfaar_core import checkpoints, weights
from kfaar_core.errors import BadWeights
from kfaar_core.nets.cast.arcface import ArcFace
from kfaar_core.nets.cast.facenet import FaceNet
from kfaar_core.nets.cast.facevid2vid import FaceVid2Vid
from kfaar_core.nets.cast.liveportrait import FILES, LivePortrait
from kfaar_core.nets.cast.sphereface import SphereFace
from kfaar_core.nets.cast.stylegan2 import StyleGan2
from kfaar_core.nets.judge_net import JudgeNet
from kfaar_core.presets import Preset, one_of
from kfaar_core.stages.animate import Animator
from kfaar_core.stages.correct import Corrector, LatentCorrector
from kfaar_core.stages.encode import FACENET, JUDGE, SFACE, Alignment, FaceEncoder, encoder_of, load_encoder
from kfaar_core.stages.generate import (
    Generator,
    OpenVinoGenerator,
    StyleGan2Generator,
    Synthesize,
    TorchGenerator,
    synthesis_of,
)
from kfaar_core.stages.geometry import GeometryReader

DETECTOR = ("mtcnn_pnet", "mtcnn_rnet", "mtcnn_onet")
# A name in a field of a preset -> the registered weights of that network. `tiny` needs none.
NETWORKS: dict[str, tuple[str, ...]] = {
    "sface": ("sface", "dlib_resnet"),
    "facenet_vggface2": ("facenet",),
    "judge": ("judge",),
    "arcface": ("arcface_r50",),
    "arcface_r101": ("arcface_r101",),
    "sphereface": ("sphereface",),
    "mobile_stylegan": ("mobile_stylegan",),
    "stylegan2": ("stylegan2_1024",),
    "stylegan2_256": ("stylegan2_256",),
    "latent": ("posture",),
    "facevid2vid": ("facevid2vid",),
    "liveportrait": tuple(f"liveportrait_{part}" for part in FILES),
    "tiny": (),
}
PUBLISHED = frozenset(weight.name for weight in checkpoints.CHECKPOINTS)


def needed(preset: Preset) -> tuple[str, ...]:
    """The names of the weights of a preset's shared networks; those of its method come besides."""
    if preset.name == "tiny":
        return ()
    chosen = (preset.encoder, preset.judge, preset.generator, preset.corrector)
    return (*DETECTOR, "geometry", *(name for network in chosen for name in NETWORKS[network]))


def check_present(preset: Preset) -> None:
    """Refuse a preset whose published checkpoints are not here, before anything is loaded.

    Raises:
        BadWeights: one sentence with their number and size, and what works without them.
    """
    absent = weights.absent(name for name in needed(preset) if name in PUBLISHED)
    if absent:
        names = ", ".join(weight.name for weight in absent)
        raise BadWeights(
            got=f"the preset {preset.name} needs {len(absent)} files that are not here ({names}; "
            f"{weights.told_size(absent)} together), and a GPU to be quick",
            mend=f"run python -m kfaar_core weights --preset {preset.name} --fetch where there is network; the preset "
            "lab needs neither and works now",
        )


# ---- loading

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Published:
    """How a published network is built from its checkpoint, and the crops that it takes if it embeds faces."""

    build: Callable[[State], nn.Module]
    alignment: Alignment = SFACE
    flip: bool = False  # add the embedding of the mirrored crop


ENCODERS = {
    "facenet_vggface2": Published(FaceNet.from_published, FACENET),
    "arcface": Published(ArcFace.from_published, flip=True),
    "arcface_r101": Published(lambda state: ArcFace.from_published(state, 100), flip=True),
    "sphereface": Published(SphereFace.from_published, JUDGE, flip=True),
}


def network(name: str) -> Any:
    """The published network with this name in a preset: frozen, float32, in evaluation mode, on the CPU.

    Raises:
        BadWeights: its checkpoint is missing, altered, or not that of the network.
    """
    if name == "liveportrait":
        return LivePortrait.from_published({part: weights.load(f"liveportrait_{part}") for part in FILES})
    (file,) = NETWORKS[name]
    state = weights.load(file)
    if name == "facevid2vid":
        return FaceVid2Vid.from_published(state)
    if name.startswith("stylegan2"):
        return StyleGan2.from_published(state, 256 if name.endswith("256") else 1024)
    return ENCODERS[name].build(state)


def encoder(preset: Preset, device: torch.device, mean: Tensor | None = None) -> FaceEncoder:
    """E of a preset.

    Args:
        mean: (D,) mean embedding. None subtracts nothing; linear readers centre the embedding themselves.
    """
    if preset.encoder in ENCODERS:
        return _published_encoder(preset.encoder, device, mean)
    return load_encoder(device, mean)


def judge(preset: Preset, device: torch.device) -> FaceEncoder:
    """R of a preset's tables. The published judges are not centred: their cosines between strangers are about 0."""
    if preset.judge in ENCODERS:
        return _published_encoder(preset.judge, device)
    return encoder_of(JudgeNet(), JUDGE, weights.load("judge"), device, flip=True)


def _published_encoder(name: str, device: torch.device, mean: Tensor | None = None) -> FaceEncoder:
    kind = ENCODERS[name]
    return FaceEncoder(network(name), kind.alignment, torch.zeros(1) if mean is None else mean, device, kind.flip)


def generator(preset: Preset, device: torch.device, threads: int = 0) -> Generator:
    """M and G of a preset, for rendering."""
    if preset.generator != "mobile_stylegan":
        return StyleGan2Generator(network(preset.generator), device)
    state = weights.load("mobile_stylegan")
    if device.type == "cuda":
        return TorchGenerator(state, device)
    return OpenVinoGenerator(state, preset.precision, threads)


def torch_generator(preset: Preset, device: torch.device) -> TorchGenerator | StyleGan2Generator:
    """M and G of a preset in torch, through which gradients flow."""
    if preset.generator != "mobile_stylegan":
        return StyleGan2Generator(network(preset.generator), device)
    return TorchGenerator(weights.load("mobile_stylegan"), device)


def low_band(preset: Preset, made: Generator, device: torch.device) -> Callable[[torch.dtype], Synthesize]:
    """G for small pictures with gradients, by dtype.

    Args:
        made: M and G, loaded. StyleGAN2 has no low band: it renders the whole picture, in float32.
    """
    if preset.generator != "mobile_stylegan":
        return lambda _dtype: made.render
    return lambda dtype: synthesis_of(weights.load("mobile_stylegan"), device, dtype)


def corrector(preset: Preset, made: Generator, geometry: GeometryReader, device: torch.device) -> Corrector:
    """G_f of a preset.

    Args:
        made: M and G, loaded.
    """
    if preset.corrector == "latent":
        return LatentCorrector(weights.load("posture"), made, geometry, preset.correct_steps, preset.turn_steps)
    one_of("corrector", preset.corrector, NETWORKS)
    return Animator(network(preset.corrector).to(device), geometry, device)
