"""Table IX: P of `hashed` with one loss of HPVFG left out in turn, judged by its faces of people it did not see."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from kfaar_core.evaluate.context import Arrays, EvaluationContext, FaceFeatures, Real, features
from kfaar_core.evaluate.jobs import fill
from kfaar_core.files import cache_folder
from kfaar_core.methods.hashed import HashedProjector
from kfaar_core.metrics.verification import area, equal_error
from kfaar_core.report.tables import Table
from kfaar_core.scenarios import pairs
from kfaar_core.servers import AnonymisationServer
from kfaar_core.stages.identify import IdentityMap
from kfaar_core.train.ablation import PROJECTOR, Curve, Figure, Mean, Share, rows, runs
from kfaar_core.train.projector import People, payload_axes, start, train_hashed
from kfaar_core.train.proxy import Reading
from kfaar_core.train.road import Road
from kfaar_core.train.settings import Training

log = logging.getLogger(__name__)

FILE = "projector_hashed.safetensors"


@dataclass(frozen=True)
class Bench:
    """What every variant learns from; made once, with the first seed."""

    people: People
    proxy: Callable[[Tensor], Tensor]
    channel: Reading
    axes: Tensor  # (96, 96), see payload_axes
    state: dict[str, Tensor]  # of HashedProjector, without its network


def bench_of(road: Road) -> Bench:
    """The bench of `train projector hashed`."""
    training = road.training
    torch.manual_seed(training.seed)
    channel = road.channel(road.styles_reader(), "draft")
    axes = payload_axes(channel, training.code_dimension)
    state = {**road.natural, **road.identity, "look.size": torch.tensor(training.look_size)}
    return Bench(road.people, road.proxy(drafted=True), channel, axes, state)


def teach(bench: Bench, training: Training, folder: Path, resume: bool) -> None:
    """Train P and leave it in the folder; a seed changes its first weights, and the people and keys it meets."""
    torch.manual_seed(training.seed)
    net = start(training.code_dimension, bench.axes, training)
    train_hashed(bench.people, net, bench.proxy, bench.channel, training, folder, resume)
    state = bench.state | {f"net.{name}": tensor for name, tensor in net.state_dict().items()}
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / FILE)


@dataclass(frozen=True)
class VirtualBy:
    """The virtual face that P of one training makes of a photo of the data, as the judge sees it.

    The context is that of the floor: KVFA takes no part here.
    """

    run: str  # its folder of the cache
    index: int
    purpose: str  # of the key

    def depends(self, context: EvaluationContext) -> dict[str, object]:
        found = context.makers(context.stages.preset.key_bits)
        return {**found, "data": context.data.sha256, "projector": _sha256(_file(self.run))}

    def arrays(self, context: EvaluationContext) -> Arrays:
        path = _file(self.run)
        networks = replace(context.stages.networks, projector=_projector(path, _sha256(path)))
        stages = replace(context.stages, networks=networks)
        made = replace(context, server=AnonymisationServer(stages))
        return made.plain_look(made.anonymised(made.photo(self.index), self.purpose))


def _file(run: str) -> Path:
    return cache_folder(run) / FILE


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@cache
def _projector(path: Path, sha256: str) -> HashedProjector:
    """Read once for all faces; the hash tells a P that was trained again from the one before."""
    state = load_file(path)
    return HashedProjector(state, IdentityMap(state))


def judged(looks: Iterable[FaceFeatures | None], width: int) -> np.ndarray:
    """(n, D) features of the judge; NaN where the detector found no face."""
    return np.stack([np.full(width, np.nan) if look is None else look.judge for look in looks])


def photos_of(context: EvaluationContext, people: Sequence[pairs.Person]) -> np.ndarray:
    """(P, 2, D) what the judge sees in two photos of each person.

    Raises:
        NoFaceFound: in none of them.
    """
    asked = [Real(index) for person in people for index in person.photos]
    fill(context, asked)
    looks = [features(context.ask(request)) for request in asked]
    width = max(len(look.judge) for look in looks if look is not None)
    return judged(looks, width).reshape(len(people), 2, width)


def virtual_by(
    context: EvaluationContext, people: Sequence[pairs.Person], run: str, keys: int, width: int
) -> np.ndarray:
    """(P, 2, K, D) what the judge sees in the virtual faces of two photos under K keys that everyone shares."""
    asked = [
        VirtualBy(run, index, f"shared {key}") for person in people for index in person.photos for key in range(keys)
    ]
    fill(context, asked)
    return judged((features(context.ask(request)) for request in asked), width).reshape(len(people), 2, keys, width)


def different(cosines: np.ndarray, threshold: float) -> np.ndarray:
    """1 where the judge calls a pair different, 0 where the same, NaN where a face is missing; any shape."""
    return np.where(np.isnan(cosines), np.nan, cosines < threshold)


def figures(real: np.ndarray, virtual: np.ndarray, threshold: float) -> dict[str, Figure]:
    """The figures of Table IX, differentiation, which its text speaks of, and the cosines that each loss is about.

    Args:
        real: (P, 2, D) unit features of the judge; virtual: (S, P, 2, K, D) of S seeds and K >= 2 shared keys.
        threshold: cosine from which the judge calls two faces the same person.
    """
    people, keys = np.arange(len(real)), virtual.shape[3]

    def of(kind: type[Mean], values: np.ndarray) -> Mean:  # (S, P, ...)
        owners = np.broadcast_to(people.reshape(-1, *[1] * (values.ndim - 2)), values.shape[1:])
        return kind(values.reshape(len(values), -1), owners.ravel())

    apart = {
        "anonymity": np.einsum("pfd,spfkd->spfk", real, virtual),  # x and G(x, k)
        "diversity": np.einsum("spfkd,spfkd->spfk", virtual[..., :-1, :], virtual[..., 1:, :]),  # two keys
        "differentiation": np.einsum("spfkd,spfkd->spfk", virtual, np.roll(virtual, -1, axis=1)),  # in random order
    }
    two_photos = np.einsum("spkd,sqkd->spqk", virtual[:, :, 0], virtual[:, :, 1])  # G(x1, k) and G(x2 or y, k)
    same, owner = np.eye(len(people), dtype=bool), np.repeat(people, keys)
    sides = (
        two_photos[:, same].reshape(len(virtual), -1),  # (S, P * K)
        owner,
        two_photos[:, ~same].reshape(len(virtual), -1),  # (S, P * (P - 1) * K)
        np.repeat(owner, len(people) - 1),
    )
    return {
        "AUC": Curve(area, *sides),
        "EER": Curve(equal_error, *sides),
        "detection": of(Share, (~np.isnan(virtual[..., 0])).astype(float)),
        **{name: of(Share, different(cosines, threshold)) for name, cosines in apart.items()},
        "cosine: synchronism": Mean(*sides[:2]),
        **{f"cosine: {name}": of(Mean, cosines) for name, cosines in apart.items()},
    }


def table_ix(
    bench: Bench,
    context: EvaluationContext,
    people: Sequence[pairs.Person],
    training: Training,
    *,
    seeds: int,
    keys: int,
    resume: bool,
) -> Table:
    """Table IX: train every variant with every seed, make its faces, and compare.

    Args:
        context: of the floor, see VirtualBy.
        people: of the test part, each with two photos.
        training: the budget of every variant; its seed is the first one.
        resume: go on from checkpoints; faces that were made are kept in any case.
    """
    real = photos_of(context, people)
    found: dict[str, list[np.ndarray]] = {variant.name: [] for variant in PROJECTOR}
    for variant, chosen, folder in runs(PROJECTOR, training, seeds, "projector"):
        teach(bench, chosen, folder, resume)
        run = f"ablation/projector/{folder.name}"
        found[variant.name].append(virtual_by(context, people, run, keys, real.shape[-1]))
    threshold = context.stages.calibration.judge_fmr_1
    named = {name: figures(real, np.stack(virtual), threshold) for name, virtual in found.items()}
    about = (
        f"{context.data.name}, {len(people)} test people, 2 photos each, {keys} keys shared by all, {seeds} seeds; "
        f"projector hashed, taught by {len(bench.people.pairs)} training people with two photos or more in "
        f"{training.projector_steps} steps a variant; our own terms `read`, `seen` and `natural` stay in all of them; "
        f"different: judge's cosine below {threshold:.3f} (FMR 1 %)"
    )
    return Table("IX", "Each loss of HPVFG left out", about, rows("IX", named, context.data.name, training.seed))
