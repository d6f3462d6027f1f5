"""Table IX: ablation of HPVFG's losses. Variants of P of `hashed` are compared on virtual faces of test people.

python -m kfaar_core ablation projector
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from kfaar_core.evaluate.ablation import PROJECTOR, Curve, Figure, Mean, Repeats, Share, rows, runs
from kfaar_core.evaluate.context import Arrays, EvaluationContext, FaceFeatures, Real, features
from kfaar_core.evaluate.jobs import fill
from kfaar_core.files import cache_folder
from kfaar_core.methods.hashed import HashedProjector
from kfaar_core.metrics.verification import area, equal_error
from kfaar_core.report.tables import Table
from kfaar_core.scenarios import pairs
from kfaar_core.servers import AnonymisationServer
from kfaar_core.stages.identify import IdentityMap
from kfaar_core.train.artefacts import prefixed, save_state
from kfaar_core.train.data import TrainingData
from kfaar_core.train.hashed import FILE, initial_projector, payload_axes, projector_constants, train_hashed
from kfaar_core.train.loop import Checkpoints
from kfaar_core.train.projector import ProjectorInputs
from kfaar_core.train.settings import Training

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bench:
    """The training inputs that all variants share, computed with the first seed."""

    inputs: ProjectorInputs
    axes: Tensor  # (96, 96), see payload_axes
    constants: dict[str, Tensor]  # state of HashedProjector without its network


def bench_of(data: TrainingData) -> Bench:
    """The training inputs of `train projector hashed`."""
    training = data.training
    torch.manual_seed(training.seed)
    encoder = data.encoder(data.style_reader(), "draft")
    axes = payload_axes(encoder, training.code_dimension)
    constants = projector_constants(data)
    return Bench(ProjectorInputs(data.people, data.renderer(with_bootstrap=True), encoder), axes, constants)


def train_variant(bench: Bench, training: Training, checkpoints: Checkpoints) -> None:
    """Train P and save it in the folder. The seed determines initial weights, people and keys."""
    torch.manual_seed(training.seed)
    net = initial_projector(training.code_dimension, bench.axes, training)
    train_hashed(net, bench.inputs, training, checkpoints)
    save_state(checkpoints.folder / FILE, bench.constants | prefixed("net.", net.state_dict()))


@dataclass(frozen=True)
class VariantFace:
    """Request: the judge's embedding of a photo's virtual face, made by one trained variant of P.

    The context is that of the method `floor`, because KVFA is not used here.
    """

    run: str  # the variant's folder in the cache
    index: int
    purpose: str  # of the key

    def depends(self, context: EvaluationContext) -> dict[str, object]:
        others = context.virtual_dependencies(context.stages.preset.key_bits)
        return {**others, "data": context.data.sha256, "projector": _sha256(_file(self.run))}

    def arrays(self, context: EvaluationContext) -> Arrays:
        path = _file(self.run)
        stages = replace(context.stages, projector=_projector(path, _sha256(path)))
        made = replace(context, server=AnonymisationServer(stages))
        return made.encoder_features(made.anonymised(made.photo(self.index), self.purpose))


def _file(run: str) -> Path:
    return cache_folder(run) / FILE


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@cache
def _projector(path: Path, sha256: str) -> HashedProjector:
    """The projector P of a variant, loaded once; after another training the hash, and so the cache entry, differs."""
    state = load_file(path)
    return HashedProjector(state, IdentityMap(state))


def judge_features(faces: Iterable[FaceFeatures | None], width: int) -> np.ndarray:
    """The judge's embeddings of n faces: (n, `width`), NaN for a face that was not detected."""
    return np.stack([np.full(width, np.nan) if face is None else face.judge for face in faces])


def real_features(context: EvaluationContext, people: Sequence[pairs.Person]) -> np.ndarray:
    """The judge's embeddings of two photos of each person: (P, 2, D), NaN without a detected face.

    Raises:
        ValueError: no face in any photo.
    """
    asked = [Real(index) for person in people for index in person.photos]
    fill(context, asked)
    faces = [features(context.ask(request)) for request in asked]
    width = max(len(face.judge) for face in faces if face is not None)
    return judge_features(faces, width).reshape(len(people), 2, width)


def virtual_features(
    context: EvaluationContext, people: Sequence[pairs.Person], run: str, keys: int, width: int
) -> np.ndarray:
    """The judge's embeddings of virtual faces of two photos of each person under K shared keys: (P, 2, K, D).

    Args:
        run: folder of the variant in the cache.
        keys: K.
        width: D.
    """
    asked = [
        VariantFace(run, index, f"shared {key}") for person in people for index in person.photos for key in range(keys)
    ]
    fill(context, asked)
    faces = (features(context.ask(request)) for request in asked)
    return judge_features(faces, width).reshape(len(people), 2, keys, width)


def different(cosines: np.ndarray, threshold: float) -> np.ndarray:
    """1 for pairs that the judge takes for two people, 0 for one person, NaN without a face; elementwise."""
    return np.where(np.isnan(cosines), np.nan, cosines < threshold)


def figures(real: np.ndarray, virtual: np.ndarray, threshold: float) -> dict[str, Figure]:
    """The figures of Table IX; also differentiation, which the paper's text mentions, and the mean cosine of each loss.

    Args:
        real: (P, 2, D) embeddings of photos by the judge, unit length.
        virtual: (S, P, 2, K, D) embeddings of virtual faces for S seeds and K >= 2 shared keys.
        threshold: cosine from which the judge takes two faces for one person.
    """
    people, keys = np.arange(len(real)), virtual.shape[3]

    def of(kind: type[Mean], values: np.ndarray) -> Mean:  # (S, P, ...)
        owners = np.broadcast_to(people.reshape(-1, *[1] * (values.ndim - 2)), values.shape[1:])
        return kind(values.reshape(len(values), -1), owners.ravel())

    pairs_of_two = {
        "anonymity": np.einsum("pfd,spfkd->spfk", real, virtual),  # x and G(x, k)
        "diversity": np.einsum("spfkd,spfkd->spfk", virtual[..., :-1, :], virtual[..., 1:, :]),  # two keys
        "differentiation": np.einsum(
            "spfkd,spfkd->spfk", virtual, np.roll(virtual, -1, axis=1)
        ),  # neighbours in random order
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
        **{name: of(Share, different(cosines, threshold)) for name, cosines in pairs_of_two.items()},
        "cosine: synchronism": Mean(*sides[:2]),
        **{f"cosine: {name}": of(Mean, cosines) for name, cosines in pairs_of_two.items()},
    }


def table_ix(
    bench: Bench,
    context: EvaluationContext,
    people: Sequence[pairs.Person],
    repeats: Repeats,
    *,
    keys: int,
) -> Table:
    """Table IX: train every variant with every seed, generate its virtual faces, and compare them.

    Args:
        bench: training inputs.
        context: of the method `floor`, see VariantFace.
        people: test people, each with two photos.
        repeats: how every variant is trained; generated faces are cached in any case.
        keys: number of shared keys.
    """
    training = repeats.training
    real = real_features(context, people)
    variants = repeats.variants or PROJECTOR
    features_by_variant: dict[str, list[np.ndarray]] = {variant.name: [] for variant in variants}
    for variant, chosen, checkpoints in runs(variants, repeats, "projector"):
        train_variant(bench, chosen, checkpoints)
        run = f"ablation/projector/{checkpoints.folder.name}"
        features_by_variant[variant.name].append(virtual_features(context, people, run, keys, real.shape[-1]))
    threshold = context.stages.calibration.judge_fmr_1
    named = {name: figures(real, np.stack(virtual), threshold) for name, virtual in features_by_variant.items()}
    about = (
        f"{context.data.name}, {len(people)} test people, 2 photos each, {keys} keys shared by all, "
        f"{repeats.seeds} seeds; method hashed, trained on {len(bench.inputs.people.pairs)} training people with two "
        f"photos or more in {training.projector_steps} steps a variant; our own terms `read`, `seen` and `natural` "
        "stay in all of them; "
        f"different: judge's cosine below {threshold:.3f} (FMR 1 %)"
    )
    return Table("IX", "Each loss of HPVFG left out", about, rows("IX", named, context.data.name, training.seed))
