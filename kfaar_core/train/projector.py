"""Train P (Section IV-B-3): Eq. 6-10 on people of LFW-train with keys drawn afresh at every step; only P learns.

Without a GPU, R(G(w)) is a proxy (train.proxy); with one, it is R(G(w)) itself (train.through). Terms of ours stand
beside the paper's: `read`, that the corrected face still tells its code, and `natural`, that no coordinate of a style
goes beyond what faces show; for `hashed` also `seen`, that E sees the person of the code; for `bits` also `wrong`, that
the face does not tell its code to another key. A rotation does that by itself; a network finds it easier to ignore the
key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from kfaar_core.losses import Faces, projector_terms, projector_total, wrong_key
from kfaar_core.nets.keyed_net import KeyedNet
from kfaar_core.nets.projector_net import GROUPS, LEADING, BitsNet, HashedNet
from kfaar_core.stages.generate import Generator
from kfaar_core.stages.linear import LinearReader
from kfaar_core.train.loop import Plan, train
from kfaar_core.train.proxy import Reading
from kfaar_core.train.settings import Training


@dataclass(frozen=True)
class People:
    """Training photos by person."""

    identity: Tensor  # (N, d) u of each photo
    feature: Tensor  # (N, D) z of each photo, about unit variance
    recognised: Tensor  # (N, D) R of each photo, centred, unit length
    pairs: list[Tensor]  # photos of each person who has two or more
    feature_mean: Tensor  # (D,)
    feature_scale: Tensor  # (): z = (E(x) - mean) / scale
    rows: Tensor  # (d, D): u = unit(rows R)

    def triplets(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Photos x1, x2 of one person and y of another, `count` times."""
        persons = torch.randint(len(self.pairs), (count,))
        others = (persons + torch.randint(1, len(self.pairs), (count,))) % len(self.pairs)
        two = [self.pairs[person][torch.randperm(len(self.pairs[person]))[:2]] for person in persons]
        y = [self.pairs[other][torch.randint(len(self.pairs[other]), (1,))] for other in others]
        first, second = torch.stack(two).T
        return first, second, torch.cat(y)

    def without(self, persons: np.ndarray) -> People:
        """Nobody of these numbers in `pairs` any more."""
        gone = set(persons.tolist())
        return replace(self, pairs=[photos for person, photos in enumerate(self.pairs) if person not in gone])


def rotations(count: int, dimension: int) -> Tensor:
    """(count, d, d) uniform over the orthogonal group, as keys draw them."""
    q, r = torch.linalg.qr(torch.randn(count, dimension, dimension))
    return q * torch.sign(torch.diagonal(r, dim1=1, dim2=2))[:, None]


def payload_axes(channel: Reading, dimension: int, draws: int = 20_000) -> Tensor:
    """(96, 96) orthonormal columns of natural coordinates, the best-read first, after correction and rendering.

    Reading = T v + noise of covariance S, fitted on draws through the channel; the right singular vectors of S^-1/2 T.
    """
    v = 0.8 * torch.randn(draws, GROUPS, LEADING)
    read = channel.read(channel.space.to_w(padded(v))).double()
    x = v.flatten(1).double() / 0.8
    x, read = x - x.mean(dim=0), read - read.mean(dim=0)
    rows = torch.linalg.solve(x.T @ x, x.T @ read).T  # T (S, 96)
    rows[:, ::LEADING] = 0  # the look's
    noise = torch.cov((read - x @ rows.T).T)
    whiten = torch.linalg.inv(torch.linalg.cholesky(noise))
    return torch.linalg.svd(whiten @ rows, full_matrices=True)[2].T.float()


def padded(v: Tensor, rest: Tensor | None = None) -> Tensor:
    """Leading coordinates (..., 3, 32) and the rest (..., 3, 480), or nothing, -> (..., 3, 512)."""
    if rest is None:
        return functional.pad(v, (0, 512 - LEADING))
    return torch.cat((v, rest), dim=-1)


def start(dimension: int, axes: Tensor, training: Training) -> HashedNet:
    """P before training: the code along the best-read axes, the look along the others."""
    net = HashedNet(dimension, axes.shape[1] - dimension)
    sizes = torch.full((axes.shape[1],), training.look_size)
    sizes[:dimension] = training.code_size
    with torch.no_grad():
        net.straight.weight.copy_(axes * sizes)
        net.straight.bias.zero_()
        for parameter in net.bend[-1].parameters():  # P begins as the linear map
            parameter.zero_()
    return net


class HashedLesson(nn.Module):
    """P of `hashed` with the stand-in for h that its `read` term needs."""

    def __init__(self, net: HashedNet, readings: int, dimension: int) -> None:
        super().__init__()
        self.net = net
        self.norm = nn.BatchNorm1d(readings, affine=False)  # E's numbers are far smaller than F's
        self.reader = nn.Sequential(nn.Linear(readings, 384), nn.SiLU(), nn.Linear(384, dimension))


def unnatural(v: Tensor, limit: float) -> Tensor:
    """Mean square of what natural coordinates exceed `limit` sds by, 0-dim."""
    return functional.relu(v.abs() - limit).square().mean()


def train_hashed(
    people: People,
    net: HashedNet,
    proxy: Callable[[Tensor], Tensor],
    channel: Reading,
    training: Training,
    folder: Path,
    resume: bool,
    device: str = "cpu",
) -> HashedLesson:
    """Eq. 6-10 and three terms of ours, over the proxy or, on the GPU road, through the generator (train.through)."""
    dimension = people.identity.shape[1]
    lesson = HashedLesson(net, len(channel.mean), dimension)
    weights, looks = training.projector_weights(), net.straight.in_features - dimension

    def losses(step: int) -> dict[str, Tensor]:
        count, keys = training.projector_batch, training.projector_keys
        x1, x2, y = people.triplets(count)
        turn, other = rotations(keys, dimension), rotations(keys, dimension)
        key = torch.arange(count) % keys
        look, other_look = torch.randn(keys, looks)[key], torch.randn(keys, looks)[key]
        rest = training.look_size * torch.randn(keys, GROUPS, 512 - LEADING)[key]

        def code(photo: Tensor, rotation: Tensor) -> Tensor:
            return dimension**0.5 * torch.einsum("nij,nj->ni", rotation[key], people.identity[photo])

        codes = [code(x1, turn), code(x2, turn), code(x1, other), code(y, turn)]
        v = [net(c, n) for c, n in zip(codes, (look, look, other_look, look), strict=True)]
        others = (rest, rest, rest.roll(1, dims=0), rest)  # a key draws the rest too; the next one's is another's
        drawn = [channel.space.to_w(padded(*each)) for each in zip(v, others, strict=True)]
        # R sees each face with the posture of a photo: what a posture shows, P cannot use for an identity.
        seen = [proxy(channel.space.of_w(channel.step.moved(w))) for w in drawn]
        faces = Faces(people.recognised[x1], *seen)
        terms = projector_terms(faces, training.margin)
        sight = channel.read(drawn[0])
        read, person = lesson.reader(lesson.norm(sight)), seen[0] @ people.rows.T
        terms["read"] = 1 - functional.cosine_similarity(read, codes[0]).mean()
        terms["seen"] = 1 - functional.cosine_similarity(person, codes[0]).mean()
        terms["natural"] = unnatural(torch.stack(v)[..., 1:], training.natural_limit)
        return terms

    plan = projector_plan(training.projector_steps, training.projector_rate, training.seed, device)
    train(lesson, losses, plan, folder, resume, lambda terms: objective(terms, weights), training)
    return lesson


def projector_plan(steps: int, rate: float, seed: int, device: str) -> Plan:
    """device: where faces are rendered while P learns; on a GPU in bfloat16."""
    return Plan(steps=steps, rate=rate, decay=0.0, seed=seed, bfloat16=device == "cuda", device=device)


def objective(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """L_tot (Eq. 10) and our own terms, where there are any."""
    ours = (weights[name] * terms[name] for name in ("read", "seen", "wrong", "natural") if name in terms)
    return sum(ours, projector_total(terms, weights))


class BitsLesson(nn.Module):
    """P of `bits` with the stand-in for KVFA's keyed MLP that its `read` term needs."""

    def __init__(self, feature: int, bits: int, readings: int, dimension: int) -> None:
        super().__init__()
        self.net = BitsNet(feature, bits)
        self.reader = KeyedNet(readings, bits, dimension)


def train_bits(
    people: People,
    bits: int,
    generator: Generator,
    proxy: Callable[[Tensor], Tensor],
    channel: Reading,
    training: Training,
    folder: Path,
    resume: bool,
    device: str = "cpu",
) -> BitsLesson:
    """The paper's form through M: Eq. 6-10, `read`, `wrong` and `natural`, over the proxy."""
    torch.manual_seed(training.seed)
    lesson = BitsLesson(people.feature.shape[1], bits, len(channel.mean), people.identity.shape[1])
    lesson.reader.mean.copy_(channel.mean)
    lesson.reader.scale.copy_(channel.scale)
    truncation = training.bits_truncation
    weights = training.projector_weights()

    def losses(step: int) -> dict[str, Tensor]:
        count, keys = training.bits_batch, training.projector_keys
        x1, x2, y = people.triplets(count)
        pool = random_bits(2, keys, bits)
        same = (pool[0] == pool[1]).all(dim=1)  # one in 256 for 8 bits; L_div would contradict L_syn
        pool[1, :, 0] = torch.where(same, -pool[1, :, 0], pool[1, :, 0])
        one, two = pool[:, torch.arange(count) % keys]
        whole = [
            generator.map(lesson.net(people.feature[photo], key))
            for photo, key in ((x1, one), (x2, one), (x1, two), (y, one))
        ]
        styles = [truncated(w, generator.w_mean, truncation) for w in whole]
        seen = [proxy(channel.space.of_w(w)) for w in styles]
        faces = Faces(people.recognised[x1], *seen)
        terms = projector_terms(faces, training.margin)
        sight, u = channel.read(styles[0]), people.identity[x1]
        terms["read"] = 1 - functional.cosine_similarity(lesson.reader(sight, one), u).mean()
        terms["wrong"] = wrong_key(lesson.reader(sight, wrong_keys(one)), u, training.margin)
        # Without it P finds styles that no z of the generator's training leads to: half of the faces were none. Before
        # truncation, because a truncated style is not M's and has no natural coordinates of its own.
        terms["natural"] = unnatural(channel.space.of_w(torch.stack(whole)), training.natural_limit / truncation)
        return terms

    plan = projector_plan(training.bits_steps, training.bits_rate, training.seed, device)
    train(lesson, losses, plan, folder, resume, lambda terms: objective(terms, weights), training)
    return lesson


def random_bits(*shape: int) -> Tensor:
    """+-1 of that shape, as keys have them, from torch's global stream."""
    return torch.randint(0, 2, shape).float() * 2 - 1


def wrong_keys(right: Tensor) -> Tensor:
    """Another key for each of (N, b) bits as +-1: three in ten differ by one bit, the others are drawn anew."""
    count, bits = right.shape
    one_bit = torch.where(torch.arange(bits) == torch.randint(bits, (count, 1)), -right, right)
    drawn = random_bits(*right.shape)
    same = (drawn == right).all(dim=1, keepdim=True)
    return torch.where((torch.rand(count, 1) < 0.3) | same, one_bit, drawn)


def styles_of_bits(
    net: BitsNet, mapping: Callable[[Tensor], Tensor], w_mean: Tensor, z: Tensor, bits: Tensor, truncation: float
) -> Tensor:
    """w (N, 3, 512), the same for every layer group: z' = P(z, k), then M, then towards the mean face."""
    return truncated(mapping(net(z, bits)), w_mean, truncation)


def truncated(w: Tensor, w_mean: Tensor, truncation: float) -> Tensor:
    """w (N, 512) of M -> (N, 3, 512), nearer to the mean face and the same for every layer group."""
    return (w_mean + truncation * (w - w_mean))[:, None].expand(-1, GROUPS, -1)


def people_of(features: np.ndarray, persons: np.ndarray, identity: LinearReader) -> People:
    """
    Args:
        features: (N, D) raw of E. persons: (N,). identity: u, about the mean of the features.
    """
    mean, scale = features.mean(axis=0), features.std()
    away = torch.from_numpy((features - mean).astype(np.float32))
    index = np.unique(persons, return_inverse=True)[1]
    groups = [torch.from_numpy(np.flatnonzero(index == person)) for person in range(index.max() + 1)]
    return People(
        identity=torch.from_numpy(identity(features).astype(np.float32)),
        feature=away / float(scale),
        recognised=functional.normalize(away, dim=1),
        pairs=[group for group in groups if len(group) > 1],
        feature_mean=torch.from_numpy(mean.astype(np.float32)),
        feature_scale=torch.tensor(float(scale)),
        rows=torch.from_numpy(identity.rows.astype(np.float32)),
    )
