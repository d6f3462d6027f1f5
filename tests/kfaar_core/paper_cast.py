"""The preset `paper` with small random networks of the classes that it has, in place of the published ones."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from kfaar_core import assemble, cast, hub
from kfaar_core.calibration import Calibration, save_calibration
from kfaar_core.manifest import write_manifest
from kfaar_core.methods import bits
from kfaar_core.nets.cast.arcface import ArcFace
from kfaar_core.nets.cast.facenet import FaceNet
from kfaar_core.nets.cast.facevid2vid import FaceVid2Vid
from kfaar_core.nets.cast.facevid2vid import Sizes as VidSizes
from kfaar_core.nets.cast.liveportrait import LivePortrait
from kfaar_core.nets.cast.liveportrait import Sizes as LiveSizes
from kfaar_core.nets.cast.sphereface import SphereFace
from kfaar_core.nets.cast.stylegan2 import StyleGan2
from kfaar_core.nets.keyed_net import KeyedNet
from kfaar_core.nets.projector_net import BitsNet
from kfaar_core.stages import tiny

FACENET, FEATURE = 24, 8  # length of FaceNet's embedding; d of the small methods
MOTION = {"base": 2, "volume": 2, "depth": 2, "residuals": 1, "motion": (2, 2, 4), "few": 2, "hidden": 2}
SMALL = {
    "facenet_vggface2": lambda: FaceNet(nn.Sequential(nn.AdaptiveAvgPool2d(8), nn.Flatten(), nn.Linear(192, FACENET))),
    "arcface": lambda: ArcFace((1, 1, 1, 1), (8, 8, 8, 8)),
    "sphereface": lambda: SphereFace((4, 4, 4, 4)),
    "stylegan2": lambda: StyleGan2(side=64, depth=2, widest=8),
    "facevid2vid": lambda: FaceVid2Vid(VidSizes(**MOTION, points=4, pose=((8, 1), (8, 1), (8, 1), (8, 1)))),
    "liveportrait": lambda: LivePortrait(
        LiveSizes(**MOTION, points=4, pose=((4, 1), (8, 1), (8, 1), (16, 1)), stitching=(8, 4))
    ),
}


def network(name: str) -> nn.Module:
    """cast.network with small random networks, the same in every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(len(name))
        return SMALL[name]().eval().requires_grad_(False)


def trained(name: str) -> dict[str, Tensor]:
    """Random weights of `bits` for the sizes of the small networks."""
    width = FACENET + tiny.STYLES_READ + FEATURE
    if name == "kvfa":
        return tiny.reader_state()
    if name == "projector_hashed":
        rows = torch.randn(FEATURE, FACENET, generator=tiny.seeded(5))
        return {"identity.mean": torch.zeros(FACENET), "identity.map": rows}
    for length in bits.KEY_LENGTHS:
        projector, keyed = bits.networks(length)
        if name == projector:
            scaling = {
                "feature.mean": torch.zeros(FACENET),
                "feature.scale": torch.tensor(0.05),
                "truncation": torch.ones(()),
            }
            return tiny.initial_state(partial(BitsNet, FACENET, length, 16), length, prefix="net.") | scaling
        if name == keyed:
            return tiny.initial_state(partial(KeyedNet, width, length, FEATURE, 16), length + 1)
    raise KeyError(name)


def published_run(folder: Path) -> Path:
    """A folder as `hub push` makes it: weights of `bits` for the small networks, their manifest, thresholds."""
    for name in bits.METHOD.all_weights():
        path = folder / "weights" / "paper" / f"{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({key: tensor.contiguous() for key, tensor in trained(name).items()}, path)
    write_manifest(folder / "weights")
    thresholds = folder / "thresholds"
    for judge in ("paper", "paper-sphereface"):
        save_calibration(Calibration(judge_fmr_1=0.9, judge_fmr_01=0.95, kvfa_dev=0.5), judge, "bits", thresholds)
    return folder


def install(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let the preset `paper` load small networks, and find a face in the middle of every picture."""
    monkeypatch.setattr(cast, "network", network)
    monkeypatch.setattr(cast, "check_present", lambda preset: None)
    monkeypatch.setattr(hub, "published", lambda: folder)
    monkeypatch.setattr(assemble, "MtcnnDetector", lambda preset, device: tiny.TinyDetector(preset))
