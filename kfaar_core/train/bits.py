"""Train P and the keyed MLP of KVFA of `bits` (Sections IV-B-3 and IV-C-3), one pair for each key length.

python -m kfaar_core.train projector bits-8
python -m kfaar_core.train kvfa bits-8

The MLP learns behind the finished F of train.reader.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from kfaar_core.files import cache_folder
from kfaar_core.losses import (
    Faces,
    Identities,
    kvfa_terms,
    kvfa_total,
    projector_terms,
    wrong_key,
)
from kfaar_core.methods.bits import KEY_LENGTHS, bits_net, networks
from kfaar_core.nets.keyed_net import KeyedNet
from kfaar_core.nets.projector_net import GROUPS, BitsNet
from kfaar_core.nets.reader_net import ReaderNet
from kfaar_core.stages.generate import Generator
from kfaar_core.train.appearance import predict
from kfaar_core.train.artefacts import cosine_report, last_losses, prefixed, save_state
from kfaar_core.train.loop import Checkpoints, Plan, train
from kfaar_core.train.posture import PostureStep
from kfaar_core.train.projector import People, ProjectorInputs, objective, projector_plan, unnatural
from kfaar_core.train.renders import Samples, load_renders
from kfaar_core.train.settings import Training
from kfaar_core.train.surrogates import LatentEncoder

if TYPE_CHECKING:
    from kfaar_core.train.data import TrainingData
    from kfaar_core.train.recipe import Metrics, Run

NAMES = {f"bits-{bits}": bits for bits in KEY_LENGTHS}  # in commands and in the cache


# ---- P


def random_bits(*shape: int) -> Tensor:
    """Random bits as +-1 of that shape, from torch's global stream."""
    return torch.randint(0, 2, shape).float() * 2 - 1


def wrong_keys(right: Tensor) -> Tensor:
    """A wrong key for each of (N, b) bits as +-1: three in ten differ in one bit, the others are random."""
    count, bits = right.shape
    one_bit = torch.where(torch.arange(bits) == torch.randint(bits, (count, 1)), -right, right)
    drawn = random_bits(*right.shape)
    same = (drawn == right).all(dim=1, keepdim=True)
    return torch.where((torch.rand(count, 1) < 0.3) | same, one_bit, drawn)


@dataclass(frozen=True)
class BitsStyles:
    """P of `bits` and M: w (N, 3, 512), the same for every layer group: z' = P(z, k), w = M(z'), truncated."""

    net: BitsNet
    generator: Generator
    truncation: float

    def __call__(self, z: Tensor, bits: Tensor) -> Tensor:
        """(N, D) embeddings and (N, b) bits as +-1."""
        return truncated(self.generator.map(self.net(z, bits)), self.generator.w_mean, self.truncation)


def truncated(w: Tensor, w_mean: Tensor, truncation: float) -> Tensor:
    """w (N, 512) of M -> (N, 3, 512), moved towards the mean face and repeated for every layer group."""
    return (w_mean + truncation * (w - w_mean))[:, None].expand(-1, GROUPS, -1)


class BitsTraining(nn.Module):
    """P of `bits`, with a keyed MLP in place of KVFA's, which the terms `read` and `wrong` need."""

    def __init__(self, feature: int, bits: int, features: int, dimension: int) -> None:
        super().__init__()
        self.net = BitsNet(feature, bits)
        self.reader = KeyedNet(features, bits, dimension)


def train_bits(
    bits: int, generator: Generator, inputs: ProjectorInputs, training: Training, checkpoints: Checkpoints
) -> BitsTraining:
    """Train P through M with Eq. 6-10 and the terms `read`, `wrong` and `natural` (train.projector)."""
    people, encoder = inputs.people, inputs.encoder
    torch.manual_seed(training.seed)
    module = BitsTraining(people.feature.shape[1], bits, len(encoder.mean), people.identity.shape[1])
    module.reader.mean.copy_(encoder.mean)
    module.reader.scale.copy_(encoder.scale)
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
            generator.map(module.net(people.feature[photo], key))
            for photo, key in ((x1, one), (x2, one), (x1, two), (y, one))
        ]
        styles = [truncated(w, generator.w_mean, truncation) for w in whole]
        seen = [inputs.renderer(encoder.space.of_w(w)) for w in styles]
        terms = projector_terms(Faces(people.recognised[x1], *seen), training.margin)
        features, u = encoder.encode(styles[0]), people.identity[x1]
        terms["read"] = 1 - functional.cosine_similarity(module.reader(features, one), u).mean()
        terms["wrong"] = wrong_key(module.reader(features, wrong_keys(one)), u, training.margin)
        # Without it P leaves the styles that G was trained on: half of the pictures showed no face. Measured before
        # truncation: a truncated style is no output of M and has no natural coordinates of its own.
        terms["natural"] = unnatural(encoder.space.of_w(torch.stack(whole)), training.natural_limit / truncation)
        return terms

    plan = projector_plan(training.bits_steps, training.bits_rate, training.seed, inputs.device)
    train(module, losses, plan, checkpoints, lambda terms: objective(terms, weights), training)
    return module


def train_projector(run: Run, name: str) -> Metrics:
    """Train P for one key length, with features of E and F.

    Args:
        name: one of NAMES.
    """
    data, bits, folder = run.data, NAMES[name], cache_folder(f"projector/{name}")
    renderer = data.renderer(with_bootstrap=False)
    encoder = data.encoder(data.reader(run.out), "mixed")
    people = data.people
    inputs = ProjectorInputs(people, renderer, encoder, run.device.type)
    module = train_bits(bits, data.generator, inputs, run.training, Checkpoints(folder, run.resume))
    save_state(folder / "reader.safetensors", module.reader.state_dict())
    state = {
        **prefixed("net.", module.net.state_dict()),
        "truncation": torch.tensor(run.training.bits_truncation),
        "feature.mean": people.feature_mean,
        "feature.scale": people.feature_scale,
    }
    return run.save(networks(bits)[0], state, last_losses(folder))


# ---- renders


def bits_styles(styles: BitsStyles, people: People, step: PostureStep, rng: np.random.Generator, count: int) -> Samples:
    """Faces of P after a step of posture correction: two photos of a person and one of another, under one key."""
    torch.manual_seed(int(rng.integers(2**62)))
    photos = torch.stack(people.triplets(count // 3), dim=1).flatten()
    key = random_bits(count // 3, styles.net.bits).repeat_interleave(3, dim=0)
    with torch.inference_mode():
        w = step.moved(styles(people.feature[photos], key))
    return Samples(w.numpy(), torch.cat((people.identity[photos], key), dim=1).numpy(), group=3)


def projector_sampler(run: Run, name: str) -> partial[Samples]:
    """Draws faces of the trained P of one key length."""
    data, bits = run.data, NAMES[name]
    net = bits_net(load_file(run.out / f"{networks(bits)[0]}.safetensors"), bits)
    styles = BitsStyles(net, data.generator, run.training.bits_truncation)
    return partial(bits_styles, styles, data.people, data.floor.step)


# ---- the keyed MLP


@dataclass(frozen=True)
class KeyedExamples:
    """Cached renders of P in triplets (bits_styles), as KVFA sees them; N of them."""

    features: np.ndarray  # (2, N, S) of the faces as rendered and damaged
    payload: np.ndarray  # (N, d + bits): u of the photo, then the bits of the key
    w: np.ndarray  # (N, 3, 512)

    def __getitem__(self, chosen: slice) -> KeyedExamples:
        return KeyedExamples(self.features[:, chosen], self.payload[chosen], self.w[chosen])


def keyed_examples(data: TrainingData, reader: ReaderNet, name: str) -> KeyedExamples:
    """The cached renders of one key length. reader: F."""
    shards = data.training.bits_shards
    views, faces = data.views(name, 0, shards), load_renders(name, shards)
    embeddings = data.features(faces, f"renders-{name}")
    features = [np.concatenate([embeddings, predict(reader, each)], axis=1) for each in (views.clean, views.damaged)]
    return KeyedExamples(np.stack(features), views.payload, views.w)


# count -> features (N, 3, S) of x1, x2, y; u (N, d) of x1; key (N, b)
Draw = Callable[[int], tuple[Tensor, Tensor, Tensor]]


def keyed_draw(styles: BitsStyles, people: People, encoder: LatentEncoder) -> Draw:
    """Fresh triplets (x1, x2 of one person, y of another), each under a random key, as faces of P.

    Fresh ones, because from as many renders as a CPU can make, the MLP memorised the people.
    """

    @torch.no_grad()
    def draw(count: int) -> tuple[Tensor, Tensor, Tensor]:
        photos = people.triplets(count)
        key = random_bits(count, styles.net.bits)
        faces = [encoder.encode(styles(people.feature[photo], key)) for photo in photos]
        return torch.stack(faces, dim=1), people.identity[photos[0]], key

    return draw


def draw_of(data: TrainingData, examples: KeyedExamples, name: str, folder: Path, people: People) -> Draw:
    """keyed_draw with the trained P.

    Args:
        examples: to which the surrogate encoder is fitted.
        folder: of the weights of P.
        people: who may appear.
    """
    bits = NAMES[name]
    state = load_file(folder / f"{networks(bits)[0]}.safetensors")
    encoder = data.keyed_encoder(examples.features, examples.w, folder)
    styles = BitsStyles(bits_net(state, bits), data.generator, float(state["truncation"]))
    return keyed_draw(styles, people, encoder)


def projector_reader(name: str) -> dict[str, Tensor]:
    """State of the KeyedNet that stood in for KVFA's in the training of P."""
    return load_file(cache_folder(f"projector/{name}") / "reader.safetensors")


def train_keyed(net: KeyedNet, draw: Draw, training: Training, checkpoints: Checkpoints) -> None:
    """Train the keyed MLP in place with Eq. 17-24."""
    weights = training.kvfa_weights()

    def losses(step: int) -> dict[str, Tensor]:
        features, u, right = draw(training.bits_batch)
        x1, x2, y = features.unbind(dim=1)
        identities = Identities(
            x1=u,
            x1_none=net(x1, torch.zeros_like(right)),
            x1_k2=net(x1, wrong_keys(right)),
            x1_k1=net(x1, right),
            x2_k1=net(x2, right),
            y_k1=net(y, right),
        )
        return kvfa_terms(identities, training.margin)

    plan = Plan(steps=training.keyed_steps, rate=training.projector_rate, decay=0.05, seed=training.seed)
    train(net, losses, plan, checkpoints, lambda terms: kvfa_total(terms, weights), training)


@torch.inference_mode()
def keyed_report(net: KeyedNet, features: np.ndarray, payload: np.ndarray) -> dict[str, float]:
    """Cosines between u and what the MLP reads from unseen renders with the right key, with a wrong one and with none.

    Args:
        features: (N, S). payload: (N, d + bits): u of the photo, then the bits of the key.
    """
    torch.manual_seed(0)
    dimension = net.layers[-1].out_features
    x, u, right = torch.from_numpy(features).float(), payload[:, :dimension], torch.from_numpy(payload[:, dimension:])
    keys = {"key": right, "wrong_key": wrong_keys(right), "no_key": torch.zeros_like(right)}
    metrics: dict[str, float] = {"n": len(x)}
    for name, key in keys.items():
        metrics |= cosine_report(net(x, key).numpy(), u, name)
    return metrics


def train_kvfa(run: Run, name: str) -> Metrics:
    """Train the keyed MLP for one key length, starting from the one trained beside P; a fifth of the renders tests it.

    Args:
        name: one of NAMES.
    """
    data, bits, folder = run.data, NAMES[name], cache_folder(f"kvfa/{name}")
    examples = keyed_examples(data, data.reader(run.out), name)
    test = len(examples.payload) // 15 * 3
    net = KeyedNet(examples.features.shape[2], bits, run.training.code_dimension)
    net.load_state_dict(projector_reader(name))
    draw = draw_of(data, examples[:-test], name, run.out, data.people)
    train_keyed(net, draw, run.training, Checkpoints(folder, run.resume))
    metrics = keyed_report(net, examples.features[0, -test:], examples.payload[-test:])
    return run.save(networks(bits)[1], net.state_dict(), metrics)
