"""Table X: ablation of KVFA's losses. Variants of the keyed MLP of `bits` are compared on held-out people.

python -m kfaar_core ablation kvfa

The MLP is trained from random weights here. The released one starts from an MLP trained together with P on all people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kfaar_core.evaluate.ablation import KVFA, Curve, Figure, Mean, Repeats, Share, rows, runs
from kfaar_core.losses import cosines
from kfaar_core.metrics.verification import area, best_crr_threshold
from kfaar_core.nets.keyed_net import KeyedNet
from kfaar_core.report.tables import Table
from kfaar_core.runtime import stream
from kfaar_core.train.bits import Draw, KeyedExamples, train_keyed
from kfaar_core.train.projector import People

HELD = 0.2  # share of people that are held out                                 [design]


@dataclass(frozen=True)
class Triplets:
    """T triplets of virtual faces: of x1, x2 (one person) and y (another), under one key (train.bits.bits_styles)."""

    features: np.ndarray  # (2, T, 3, S) features of the faces, as rendered and after damage such as JPEG
    payload: np.ndarray  # (T, 3, d + bits): u of the photo, then the bits of the key
    people: np.ndarray  # (T, 3) int: the person in the photo

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, chosen: np.ndarray) -> Triplets:
        return Triplets(self.features[:, chosen], self.payload[chosen], self.people[chosen])


def triplets_of(examples: KeyedExamples, people: People) -> Triplets:
    """Group training examples to triplets. The person of each photo is found by its u, which is unique."""
    persons = np.full(len(people.identity), -1)
    for person, photos in enumerate(people.pairs):
        persons[photos.numpy()] = person
    payload = examples.payload
    u = torch.from_numpy(payload[:, : people.identity.shape[1]]).float()
    owners = persons[(u @ people.identity.T).argmax(dim=1).numpy()]
    features = examples.features.reshape(2, -1, 3, examples.features.shape[-1])
    return Triplets(features, payload.reshape(-1, 3, payload.shape[1]), owners.reshape(-1, 3))


def split(triplets: Triplets, seed: int) -> tuple[np.ndarray, Triplets]:
    """Hold out a random share of the people.

    Returns:
        The numbers of the held-out people, and the triplets whose x1 shows one of them, sorted by that person.
    """
    known = np.unique(triplets.people)
    held = stream(seed, "held-out people").permutation(known)[: round(HELD * len(known))]
    unseen = np.flatnonzero(np.isin(triplets.people[:, 0], held))
    return held, triplets[unseen[np.argsort(triplets.people[unseen, 0], kind="stable")]]


def untrained(scaling: Mapping[str, Tensor], bits: int, dimension: int, seed: int) -> KeyedNet:
    """A KeyedNet with random weights.

    Args:
        scaling: `mean` and `scale` (S,) of the input features.
        bits: length of the keys.
        dimension: d, length of the output.
        seed: of the weights.
    """
    torch.manual_seed(seed)
    net = KeyedNet(len(scaling["mean"]), bits, dimension)
    net.mean.copy_(scaling["mean"])
    net.scale.copy_(scaling["scale"])
    return net


@torch.inference_mode()
def scores(net: KeyedNet, unseen: Triplets, bits: int, seed: int) -> dict[str, np.ndarray]:
    """KVFA's cosines for held-out people: name of the comparison -> (T,). Wrong keys are drawn by the seed."""
    features = torch.from_numpy(unseen.features[0]).float()  # (T, 3, S)
    payload = torch.from_numpy(unseen.payload).float()
    u, right = payload[..., :-bits], payload[:, 0, -bits:]
    rng = stream(seed, "wrong keys of held-out people")
    wrong = torch.from_numpy(rng.choice([-1.0, 1.0], right.shape)).float()
    position = torch.from_numpy(rng.integers(bits, size=(len(right), 1)))
    one_bit = torch.where(torch.arange(bits) == position, -right, right)
    wrong = torch.where((wrong == right).all(dim=1, keepdim=True), one_bit, wrong)
    x = net(features[:, 0], right)
    compared = {
        "right key, same photo": (x, u[:, 0]),  # Eq. 14, 21
        "right key, another photo": (x, u[:, 1]),
        "right key, another person": (x, u[:, 0].roll(len(u) // 2, dims=0)),  # a person half a list further on
        "wrong key": (net(features[:, 0], wrong), u[:, 0]),  # Eq. 12, 18
        "one bit wrong": (net(features[:, 0], one_bit), u[:, 0]),
        "no key": (net(features[:, 0], torch.zeros_like(right)), u[:, 0]),  # Eq. 11, 17
        "two faces of a person": (x, net(features[:, 1], right)),  # Eq. 16, 22
        "faces of two people, one key": (x, net(features[:, 2], right)),  # Eq. 13, 19
    }
    return {name: cosines(one, other).double().numpy() for name, (one, other) in compared.items()}


GENUINE, IMPOSTOR = "right key, another photo", "right key, another person"


def own_thresholds(cosines_by_name: dict[str, np.ndarray], people: np.ndarray) -> np.ndarray:
    """Cross-validated thresholds, (T,): for each trial, that with the best CRR on the other half of the people.

    Args:
        cosines_by_name: from `scores`.
        people: (T,) int, the person of each trial.
    """
    half = np.unique(people, return_inverse=True)[1] % 2 == 0
    genuine, impostor = cosines_by_name[GENUINE], cosines_by_name[IMPOSTOR]
    best = [best_crr_threshold(genuine[side], impostor[side]).threshold for side in (~half, half)]
    return np.where(half, *best)


def figures(by_seed: Sequence[dict[str, np.ndarray]], people: np.ndarray, fixed: float) -> dict[str, Figure]:
    """The figures of Table X, and the mean cosines.

    Args:
        by_seed: from `scores`, for each seed.
        people: (T,) int, the person of each trial.
        fixed: the paper's threshold.
    """
    by_name = {name: np.stack([each[name] for each in by_seed]) for name in by_seed[0]}  # (S, T)
    own = np.stack([own_thresholds(each, people) for each in by_seed])
    twice = np.tile(people, 2)
    made: dict[str, Figure] = {
        "AUC": Curve(area, by_name[GENUINE], people, by_name[IMPOSTOR], people),
        "AUC, same photo": Curve(area, by_name["right key, same photo"], people, by_name[IMPOSTOR], people),
    }
    for words, threshold in (("", own), (f", threshold {fixed}", np.full_like(own, fixed))):
        accepted = {name: (values >= threshold).astype(float) for name, values in by_name.items()}
        right = np.concatenate([accepted[GENUINE], 1 - accepted[IMPOSTOR]], axis=1)
        made |= {
            f"CRR{words}": Share(right, twice),
            f"FAR{words}": Share(accepted[IMPOSTOR], people),
            f"accepted with a wrong key{words}": Share(accepted["wrong key"], people),
            f"accepted without a key{words}": Share(accepted["no key"], people),
        }
    return made | {f"cosine: {name}": Mean(values, people) for name, values in by_name.items()}


def table_x(
    unseen: Triplets,
    draw: Draw,
    scaling: Mapping[str, Tensor],
    repeats: Repeats,
    *,
    bits: int,
    fixed: float,
) -> Table:
    """Table X: train every variant with every seed and compare them.

    Args:
        unseen: triplets of held-out people, sorted by the person of x1.
        draw: draws training triplets of the other people.
        scaling: `mean` and `scale` (S,) of the features.
        repeats: how every variant is trained.
        bits: length of the keys.
        fixed: the paper's threshold.
    """
    training = repeats.training
    held = unseen.people[:, 0]
    variants = repeats.variants or KVFA
    by_variant: dict[str, list[dict[str, np.ndarray]]] = {variant.name: [] for variant in variants}
    for variant, chosen, checkpoints in runs(variants, repeats, f"kvfa-bits-{bits}"):
        net = untrained(scaling, bits, unseen.payload.shape[-1] - bits, chosen.seed)
        train_keyed(net, draw, chosen, checkpoints)
        by_variant[variant.name].append(scores(net, unseen, bits, training.seed))
    named = {name: figures(each, held, fixed) for name, each in by_variant.items()}
    about = (
        f"renders by P of bits of LFW-train people, {bits}-bit keys, one posture step: {len(np.unique(held))} people "
        f"held out from KVFA's training, {len(unseen)} triplets; {repeats.seeds} seeds, {training.keyed_steps} steps "
        "a variant from random weights, on the other people with a surrogate encoder. P and u were trained on all, "
        f"F on nobody; "
        f"CRR, FAR: {GENUINE} and {IMPOSTOR}, threshold set on the other half of the held-out people unless said"
    )
    return Table("X", "Losses of KVFA left out", about, rows("X", named, "lfw", training.seed))
