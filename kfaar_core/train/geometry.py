"""Train the geometry network on the Face Landmarker's labels of LFW-train photos and generated faces.

python -m kfaar_core.train geometry
python -m kfaar_core.train geometry --tune
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from kfaar_core.files import cache_folder
from kfaar_core.nets.geometry_net import Geometry, GeometryNet
from kfaar_core.runtime import stream
from kfaar_core.stages.geometry import BLENDSHAPE_NAMES, VIEW_CENTRE, VIEW_SIDE, euler_degrees, view
from kfaar_core.stages.locate import EYE_CORNERS
from kfaar_core.train.augment import degrade
from kfaar_core.train.loop import Checkpoints, Plan, train
from kfaar_core.train.photos import LabelledPhotos, load_photos
from kfaar_core.train.renders import Renders, load_renders

if TYPE_CHECKING:
    from kfaar_core.train.recipe import Metrics, Run


@dataclass(frozen=True)
class Labelled:
    """Portraits with labels, in the units of the network's input view."""

    pictures: np.ndarray  # (N, 256, 256, 3) uint8
    landmarks: Tensor  # (N, 478, 3) in [-1, 1] of the view that is not displaced
    rotation: Tensor  # (N, 3, 3)
    blendshapes: Tensor  # (N, 52)


def in_view(landmarks: np.ndarray) -> Tensor:
    """Landmarks in portrait sides -> in half the view's side, from its centre; depth relative to the face's mean."""
    points = landmarks.astype(np.float32).copy()
    points[:, :, 2] -= points[:, :, 2].mean(axis=1, keepdims=True)
    return torch.from_numpy((points - (*VIEW_CENTRE, 0.0)) / (VIEW_SIDE / 2)).float()


def labelled(*sources: LabelledPhotos | Renders) -> Labelled:
    """Join photos and renders."""
    return Labelled(
        pictures=np.concatenate([source.pictures for source in sources]),
        landmarks=torch.cat([in_view(source.landmarks) for source in sources]),
        rotation=torch.from_numpy(np.concatenate([source.rotation for source in sources])),
        blendshapes=torch.from_numpy(np.concatenate([source.blendshapes for source in sources])),
    )


def moved(landmarks: Tensor, rotation: Tensor, moves: Tensor) -> tuple[Tensor, Tensor]:
    """The labels in a view displaced by the similarities `moves` (N, 2, 3): rotation and scale, then shift."""
    turn, shift = moves[:, :, :2], moves[:, :, 2]
    scale = torch.linalg.det(turn).sqrt()
    back = torch.linalg.inv(turn)
    points = (landmarks[:, :, :2] - shift[:, None]) @ back.transpose(1, 2)
    points = torch.cat((points, landmarks[:, :, 2:] / scale[:, None, None]), dim=2)
    spin = torch.zeros_like(rotation)
    spin[:, 2, 2] = 1
    # The view turns clockwise (y down), so the head turns the other way; the camera's y points up.
    spin[:, :2, :2] = turn / scale[:, None, None]
    return points, spin @ rotation


def random_moves(count: int, rng: np.random.Generator) -> Tensor:
    """(count, 2, 3) random similarities; sd: 6 degrees, 7 % of scale, shifts of 5 % of half the view."""
    angle, scale = np.deg2rad(rng.normal(0, 6, count)), np.exp(rng.normal(0, 0.07, count))
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    shift = rng.normal(0, 0.05, (count, 2))
    return torch.from_numpy(np.stack([c, -s, shift[:, 0], s, c, shift[:, 1]], axis=1).reshape(-1, 2, 3)).float()


def terms(found: Geometry, landmarks: Tensor, rotation: Tensor, blendshapes: Tensor) -> dict[str, Tensor]:
    """Weighted losses: landmarks (L1, x 20), rotation (squared chord, x 20) and blendshapes (L1, x 10)."""
    return {
        "landmarks": 20 * (found.landmarks - landmarks).abs().mean(),
        "rotation": 20 * (found.rotation - rotation).square().sum(dim=(1, 2)).mean(),
        "blendshapes": 10 * (found.blendshapes - blendshapes)[:, 1:].abs().mean(),
    }


def train_geometry_net(
    data: Labelled, plan: Plan, batch: int, checkpoints: Checkpoints, start: Mapping[str, Tensor] | None = None
) -> GeometryNet:
    """Train a GeometryNet on displaced and degraded views; from the state `start` where it is given."""
    torch.manual_seed(plan.seed)
    net = GeometryNet()
    if start is not None:
        net.load_state_dict({name: tensor.float() for name, tensor in start.items()})
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks this form
    per_epoch = len(data.pictures) // batch

    def losses(step: int) -> dict[str, Tensor]:
        epoch, index = divmod(step, per_epoch)
        order = stream(plan.seed, f"geometry epoch {epoch}").permutation(len(data.pictures))
        chosen = np.sort(order[index * batch : (index + 1) * batch])
        rng = stream(plan.seed, f"geometry batch {step}")
        moves = random_moves(batch, rng)
        portraits = torch.from_numpy(data.pictures[chosen]).permute(0, 3, 1, 2).float() / 127.5 - 1
        x = degrade(view(portraits, moves), rng).to(memory_format=torch.channels_last)
        landmarks, rotation = moved(data.landmarks[chosen], data.rotation[chosen], moves)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            features = net.trunk(x)
        return terms(net.heads(features.float()), landmarks, rotation, data.blendshapes[chosen])

    train(net, losses, plan, checkpoints)
    return net


@torch.inference_mode()
def report(net: GeometryNet, data: Labelled) -> dict[str, float]:
    """Errors against the labels of unseen faces: degrees, landmarks (NME by the distance of the eyes), blendshapes."""
    pictures = torch.from_numpy(data.pictures).permute(0, 3, 1, 2)
    found = [net(view(batch.float() / 127.5 - 1)) for batch in pictures.split(64)]
    landmarks = torch.cat([geometry.landmarks for geometry in found])
    angles = euler_degrees(torch.cat([geometry.rotation for geometry in found])) - euler_degrees(data.rotation)
    shapes = torch.cat([geometry.blendshapes for geometry in found])
    left, right = (data.landmarks[:, list(corners), :2].mean(dim=1) for corners in EYE_CORNERS)
    between = (left - right).norm(dim=1)
    error = (landmarks - data.landmarks)[:, :, :2].norm(dim=2).mean(dim=1) / between
    a, b = shapes[:, 1:], data.blendshapes[:, 1:]
    each = ((a - a.mean(0)) * (b - b.mean(0))).mean(0) / (a.std(0) * b.std(0)).clamp(min=1e-6)
    return {
        "n": len(pictures),
        **{f"{name}_degrees": float(v) for name, v in zip(("yaw", "pitch", "roll"), angles.abs().mean(0), strict=True)},
        "landmark_nme": float(error.mean()),
        "blendshape_cosine": float(torch.cosine_similarity(a, b).mean()),
        "blendshape_correlation_median": float(each.median()),
        **{f"correlation_{name}": float(v) for name, v in zip(BLENDSHAPE_NAMES[1:], each, strict=True)},
    }


def train_geometry(run: Run) -> Metrics:
    """Train on photos and mixed renders."""
    training = run.training
    plan = Plan(training.geometry_steps, training.rate, training.geometry_decay, seed=training.seed)
    checkpoints = Checkpoints(cache_folder("geometry/run"), run.resume)
    return _saved(run, train_geometry_net(labelled(*_sources(run)), plan, training.batch, checkpoints))


def tune_geometry(run: Run) -> Metrics:
    """Continue from the weights in the output folder, with posed renders as well."""
    training = run.training
    plan = Plan(training.tune_steps, training.tune_rate, training.geometry_decay, seed=training.seed + 1)
    data = labelled(*_sources(run), load_renders("posed", training.posed_shards))
    checkpoints = Checkpoints(cache_folder("geometry/tune"), run.resume)
    start = load_file(run.out / "geometry.safetensors")
    return _saved(run, train_geometry_net(data, plan, training.batch, checkpoints, start))


def _sources(run: Run) -> tuple[LabelledPhotos, Renders]:
    return load_photos(run.lfw, "train"), load_renders("mixed", run.training.mixed_shards)


def _saved(run: Run, net: GeometryNet) -> Metrics:
    metrics = {part: report(net, labelled(load_photos(run.lfw, part))) for part in ("dev", "test")}
    return run.save("geometry", net.state_dict(), metrics)
