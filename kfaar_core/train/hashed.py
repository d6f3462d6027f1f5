"""Train P of `hashed` (Section IV-B-3), in two rounds.

python -m kfaar_core.train projector draft
python -m kfaar_core.train projector hashed

F is trained on faces of P, and P with features of F. So a bootstrap P (`draft`) comes first, trained with E alone; F is
trained on its faces; then P is trained with E and F.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from kfaar_core.files import cache_folder
from kfaar_core.losses import Faces, projector_terms
from kfaar_core.methods.hashed import hashed_net
from kfaar_core.nets.projector_net import GROUPS, LEADING, HashedNet
from kfaar_core.stages.latent import NaturalSpace
from kfaar_core.train.artefacts import last_losses, prefixed, save_state
from kfaar_core.train.loop import Checkpoints, train
from kfaar_core.train.posture import PostureStep
from kfaar_core.train.projector import ProjectorInputs, objective, projector_plan, unnatural
from kfaar_core.train.renders import Samples
from kfaar_core.train.settings import Training
from kfaar_core.train.surrogates import LatentEncoder

if TYPE_CHECKING:
    from kfaar_core.train.data import TrainingData
    from kfaar_core.train.recipe import Metrics, Run

FILE = "projector_hashed.safetensors"


def rotations(count: int, dimension: int) -> Tensor:
    """(count, d, d) rotations and reflections, uniform over the orthogonal group, as keys give them."""
    q, r = torch.linalg.qr(torch.randn(count, dimension, dimension))
    return q * torch.sign(torch.diagonal(r, dim1=1, dim2=2))[:, None]


def padded(v: Tensor, rest: Tensor | None = None) -> Tensor:
    """Leading coordinates (..., 3, 32) and the others (..., 3, 480), or zeros, -> (..., 3, 512)."""
    if rest is None:
        return functional.pad(v, (0, 512 - LEADING))
    return torch.cat((v, rest), dim=-1)


def payload_axes(encoder: LatentEncoder, dimension: int, draws: int = 20_000) -> Tensor:
    """(96, 96) orthonormal axes of natural coordinates, by how well they can be read from the face, best first.

    Features = T v + noise of covariance S, estimated from random draws; the right singular vectors of S^-1/2 T.
    """
    v = 0.8 * torch.randn(draws, GROUPS, LEADING)
    features = encoder.encode(encoder.space.to_w(padded(v))).double()
    x = v.flatten(1).double() / 0.8
    x, features = x - x.mean(dim=0), features - features.mean(dim=0)
    rows = torch.linalg.solve(x.T @ x, x.T @ features).T  # T (S, 96)
    rows[:, ::LEADING] = 0  # the first coordinate of each layer group carries noise alone
    noise = torch.cov((features - x @ rows.T).T)
    whiten = torch.linalg.inv(torch.linalg.cholesky(noise))
    return torch.linalg.svd(whiten @ rows, full_matrices=True)[2].T.float()


def initial_projector(dimension: int, axes: Tensor, training: Training) -> HashedNet:
    """P before training: a linear map of the code to the best axes and of the noise to all others."""
    net = HashedNet(dimension, axes.shape[1] - dimension)
    sizes = torch.full((axes.shape[1],), training.look_size)
    sizes[:dimension] = training.code_size
    with torch.no_grad():
        net.straight.weight.copy_(axes * sizes)
        net.straight.bias.zero_()
        for parameter in net.bend[-1].parameters():  # no nonlinear part at first
            parameter.zero_()
    return net


class HashedTraining(nn.Module):
    """P of `hashed`, with a small network in place of h, which the term `read` needs."""

    def __init__(self, net: HashedNet, features: int, dimension: int) -> None:
        super().__init__()
        self.net = net
        self.norm = nn.BatchNorm1d(features, affine=False)  # E's numbers are far smaller than F's
        self.reader = nn.Sequential(nn.Linear(features, 384), nn.SiLU(), nn.Linear(384, dimension))


def train_hashed(
    net: HashedNet, inputs: ProjectorInputs, training: Training, checkpoints: Checkpoints
) -> HashedTraining:
    """Train P in place with Eq. 6-10 and the terms `read`, `seen` and `natural` (train.projector)."""
    people, encoder = inputs.people, inputs.encoder
    dimension = people.identity.shape[1]
    module = HashedTraining(net, len(encoder.mean), dimension)
    weights, noise_size = training.projector_weights(), net.straight.in_features - dimension

    def losses(step: int) -> dict[str, Tensor]:
        count, keys = training.projector_batch, training.projector_keys
        x1, x2, y = people.triplets(count)
        turn, other = rotations(keys, dimension), rotations(keys, dimension)
        key = torch.arange(count) % keys
        noise, other_noise = torch.randn(keys, noise_size)[key], torch.randn(keys, noise_size)[key]
        rest = training.look_size * torch.randn(keys, GROUPS, 512 - LEADING)[key]

        def code(photo: Tensor, rotation: Tensor) -> Tensor:
            return dimension**0.5 * torch.einsum("nij,nj->ni", rotation[key], people.identity[photo])

        codes = [code(x1, turn), code(x2, turn), code(x1, other), code(y, turn)]
        v = [net(c, n) for c, n in zip(codes, (noise, noise, other_noise, noise), strict=True)]
        rests = (rest, rest, rest.roll(1, dims=0), rest)  # the key draws the rest too; another key's is the next row
        latents = [encoder.space.to_w(padded(*each)) for each in zip(v, rests, strict=True)]
        # R sees each face with the posture of a photo, so that P cannot encode an identity as a posture.
        seen = [inputs.renderer(encoder.space.of_w(encoder.step.moved(w))) for w in latents]
        terms = projector_terms(Faces(people.recognised[x1], *seen), training.margin)
        features = encoder.encode(latents[0])
        read, person = module.reader(module.norm(features)), seen[0] @ people.rows.T
        terms["read"] = 1 - functional.cosine_similarity(read, codes[0]).mean()
        terms["seen"] = 1 - functional.cosine_similarity(person, codes[0]).mean()
        terms["natural"] = unnatural(torch.stack(v)[..., 1:], training.natural_limit)
        return terms

    plan = projector_plan(training.projector_steps, training.projector_rate, training.seed, inputs.device)
    train(module, losses, plan, checkpoints, lambda terms: objective(terms, weights), training)
    return module


# ---- renders


def code_styles(
    net: HashedNet, space: NaturalSpace, noise_size: float, step: PostureStep, rng: np.random.Generator, count: int
) -> Samples:
    """Faces of P after a step of posture correction; each code twice, as from two photos.

    Codes are random directions: a fresh key rotates u to any direction with the same probability.

    Args:
        noise_size: sd of the coordinates beyond the leading ones.
    """
    torch.manual_seed(int(rng.integers(2**62)))
    code = functional.normalize(torch.randn(count // 2, net.code), dim=1).repeat_interleave(2, dim=0)
    with torch.inference_mode():
        v = net(net.code**0.5 * code, torch.randn(count, net.noise))
        w = space.to_w(padded(v, noise_size * torch.randn(count, GROUPS, 512 - LEADING)))
        w = step.moved(w)
    return Samples(w.numpy(), code.numpy(), group=2)


def bootstrap_sampler(run: Run) -> partial[Samples]:
    """Draws faces of the bootstrap P, which is kept in the cache."""
    return _sampler(run, cache_folder("projector/draft"))


def projector_sampler(run: Run) -> partial[Samples]:
    """Draws faces of the trained P."""
    return _sampler(run, run.out)


def _sampler(run: Run, folder: Path) -> partial[Samples]:
    state = load_file(folder / FILE)
    net = hashed_net(state, len(state["identity.map"]))
    return partial(code_styles, net, run.data.space, run.training.look_size, run.data.floor.step)


# ---- recipes


def train_bootstrap(run: Run) -> Metrics:
    """Train the bootstrap P with features of E alone; it stays in the cache."""
    data, folder = run.data, cache_folder("projector/draft")
    renderer = data.renderer(with_bootstrap=False)
    torch.manual_seed(run.training.seed)
    inputs = ProjectorInputs(data.people, renderer, data.encoder(None, "mixed"), run.device.type)
    net = _trained(inputs, run, folder)
    save_state(folder / FILE, projector_state(net, data))
    return last_losses(folder)


def train_projector(run: Run) -> Metrics:
    """Train P with features of E and F."""
    data, folder = run.data, cache_folder("projector/hashed")
    renderer = data.renderer(with_bootstrap=True)
    torch.manual_seed(run.training.seed)
    inputs = ProjectorInputs(data.people, renderer, data.encoder(data.style_reader(), "draft"), run.device.type)
    net = _trained(inputs, run, folder)
    return run.save("projector_hashed", projector_state(net, data), last_losses(folder))


def _trained(inputs: ProjectorInputs, run: Run, folder: Path) -> HashedNet:
    training = run.training
    net = initial_projector(training.code_dimension, payload_axes(inputs.encoder, training.code_dimension), training)
    train_hashed(net, inputs, training, Checkpoints(folder, run.resume))
    return net


def projector_state(net: HashedNet, data: TrainingData) -> dict[str, Tensor]:
    """The tensors that methods.hashed loads."""
    return {**prefixed("net.", net.state_dict()), **projector_constants(data)}


def projector_constants(data: TrainingData) -> dict[str, Tensor]:
    """The tensors of P beside its network."""
    return {**data.natural, **data.identity, "look.size": torch.tensor(data.training.look_size)}
