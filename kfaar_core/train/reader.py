"""Train F and fit h, the parts of KVFA that read a face (Section IV-C-3); F never sees a real photo.

python -m kfaar_core.train kvfa styles
python -m kfaar_core.train kvfa hashed
python -m kfaar_core.train kvfa code

F is first trained to predict the styles of any rendered face (`styles`), then the code of faces of P after posture
correction (`hashed`). h is a ridge regression from the features of E and F to the code (`code` fits it alone again).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from kfaar_core.files import cache_folder
from kfaar_core.losses import SAME, Identities, cosine_loss, kvfa_terms, kvfa_total
from kfaar_core.nets.projector_net import GROUPS, LEADING
from kfaar_core.nets.reader_net import ReaderNet
from kfaar_core.runtime import stream
from kfaar_core.stages.face_view import FaceView
from kfaar_core.stages.latent import NaturalSpace
from kfaar_core.train.appearance import coordinates, fit_appearance, predict
from kfaar_core.train.artefacts import cosine_report, prefixed, save_state
from kfaar_core.train.hashed import rotations
from kfaar_core.train.loop import Checkpoints, Plan, train
from kfaar_core.train.posture import ridge
from kfaar_core.train.settings import Training
from kfaar_core.train.views import Views

if TYPE_CHECKING:
    from kfaar_core.train.data import TrainingData
    from kfaar_core.train.recipe import Metrics, Run

STYLES = GROUPS * LEADING  # the first outputs of F: the natural coordinates that P moves
HELD_OUT = 1000  # renders of P at the end of the training shards, for the report
AS_BYTES = ("net.texture_axes", "net.hidden.3.weight", "net.hidden.6.weight")  # weights of F saved as 8-bit levels


@dataclass(frozen=True)
class Objective:
    """What F is trained for."""

    terms: Callable[[Tensor, Tensor], dict[str, Tensor]]  # outputs and targets of a batch -> named terms
    total: Callable[[Mapping[str, Tensor]], Tensor]  # terms -> what is minimised, 0-dim


@dataclass(frozen=True)
class Examples:
    """N rendered faces and what F shall predict from them."""

    views: Views
    targets: Tensor  # (N, T)
    group: int = 1  # consecutive renders that share a code


def train_reader(
    net: ReaderNet, examples: Examples, objective: Objective, plan: Plan, training: Training, checkpoints: Checkpoints
) -> None:
    """Train F in place behind its fixed appearance model; half of every batch is damaged by resizing and JPEG.

    A batch holds the first render of every group, then the second, and so on.
    """
    targets, group = examples.targets, examples.group
    both = torch.stack([coordinates(net, faces) for faces in (examples.views.clean, examples.views.damaged)])
    device = torch.device(plan.device)
    net.to(device)
    groups, count = len(targets) // group, training.reader_batch // group
    per_epoch = groups // count

    def losses(step: int) -> dict[str, Tensor]:
        epoch, batch = divmod(step, per_epoch)
        order = stream(training.seed, f"kvfa epoch {epoch}").permutation(groups)
        first = group * np.sort(order[batch * count : (batch + 1) * count])
        chosen = torch.from_numpy(np.concatenate([first + i for i in range(group)]))
        rng = stream(training.seed, f"kvfa batch {step}")
        x = both[torch.from_numpy(rng.integers(0, 2, len(chosen))), chosen]
        x = x + training.reader_noise * torch.from_numpy(rng.standard_normal(x.shape, dtype=np.float32))
        return objective.terms(net.of_appearance(x.to(device)).float(), targets[chosen].to(device))

    train(net, losses, plan, checkpoints, objective.total, training)
    net.cpu()


# ---- F, first round: styles


def style_targets(space: NaturalSpace, w: np.ndarray) -> Tensor:
    """(N, 96): the leading natural coordinates of each layer group."""
    return space.of_w(torch.from_numpy(w))[:, :, :LEADING].flatten(1)


def styles_terms(outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Mean squared error of natural coordinates, which have about unit variance."""
    return {"styles": (outputs[:, :STYLES] - targets[:, :STYLES]).square().mean()}


def styles_report(outputs: np.ndarray, targets: Tensor) -> dict[str, float]:
    """Explained variance of the leading coordinates, averaged over each layer group."""
    explained = 1 - (torch.from_numpy(outputs)[:, :STYLES] - targets).square().mean(dim=0) / targets.var(dim=0)
    groups = explained.unflatten(0, (GROUPS, LEADING)).mean(dim=1)
    return dict(zip(("coarse_told", "middle_told", "fine_told"), groups.tolist(), strict=True))


def joined(parts: list[Views]) -> Views:
    """Views of several kinds of renders, without their payloads."""

    def together(faces: list[FaceView]) -> FaceView:
        return FaceView(
            np.concatenate([face.texture for face in faces]), np.concatenate([face.shape for face in faces])
        )

    w = np.concatenate([part.w for part in parts])
    clean, damaged = together([part.clean for part in parts]), together([part.damaged for part in parts])
    return Views(clean, damaged, w, np.zeros((len(w), 0), dtype=np.float32))


def train_styles(run: Run) -> Metrics:
    """Train F to predict the styles of mixed renders and of renders of the bootstrap P; it stays in the cache."""
    data, training, folder = run.data, run.training, cache_folder("kvfa/styles")
    torch.manual_seed(training.seed)
    net = ReaderNet(STYLES)
    views = joined([data.views(kind, 0, data.held_out(kind)[0]) for kind in ("mixed", "draft")])
    fit_appearance(net, views.clean, data.mean_shape)
    examples = Examples(views, style_targets(data.space, views.w))
    objective = Objective(styles_terms, lambda terms: terms["styles"])
    plan = data.reader_plan(training.styles_steps)
    train_reader(net, examples, objective, plan, training, Checkpoints(folder, run.resume))
    save_state(folder / "net.safetensors", net.state_dict())
    unseen = data.views("draft", *data.held_out("draft"))
    return styles_report(predict(net, unseen.clean), style_targets(data.space, unseen.w))


# ---- F, second round: the code


def with_outputs(net: ReaderNet, outputs: int) -> ReaderNet:
    """A copy of F with more outputs behind the styles; the new ones begin near zero."""
    larger = ReaderNet(outputs)
    state = larger.state_dict()
    for name, tensor in net.state_dict().items():
        if name.startswith(("last.", "straight.")):
            state[name][:STYLES] = tensor[:STYLES]
            state[name][STYLES:] *= 0.1
        else:
            state[name] = tensor
    larger.load_state_dict(state)
    return larger


def code_terms(outputs: Tensor, targets: Tensor, margin: float) -> dict[str, Tensor]:
    """Eq. 17-23 for `hashed`, and the error of the styles. Both halves of the batch carry the same codes.

    A code is O_k u, and every direction is equally likely; so a key O_k is drawn here, and u = O_k^T code.

    Args:
        outputs: (2n, 96 + d). targets: (2n, 96 + d), with codes of unit length.
    """
    one, two = outputs[:, STYLES:].chunk(2)
    code = targets[: len(one), STYLES:]
    right, wrong = rotations(2, code.shape[1]).to(code.device)  # a row times O is O^T applied to it
    identities = Identities(
        x1=code @ right,
        x1_none=one,
        x1_k2=one @ wrong,
        x1_k1=one @ right,
        x2_k1=two @ right,
        y_k1=one.roll(1, dims=0) @ right,
    )
    terms = kvfa_terms(identities, margin)
    # Both photos count alike in L_per1.
    terms["per1"] = (terms["per1"] + cosine_loss(two, targets[len(one) :, STYLES:], SAME)) / 2
    return terms | styles_terms(outputs, targets)


def train_code(run: Run) -> tuple[ReaderNet, Metrics]:
    """Train F to predict the code of faces of P."""
    data, training, lambdas = run.data, run.training, run.training.kvfa_weights()
    views = data.views("hashed", 0, data.held_out("hashed")[0])
    torch.manual_seed(training.seed)
    net = with_outputs(data.style_reader(), STYLES + training.code_dimension)
    targets = torch.cat((style_targets(data.space, views.w), torch.from_numpy(views.payload)), dim=1)
    examples = Examples(views[:-HELD_OUT], targets[:-HELD_OUT], group=2)
    objective = Objective(
        lambda outputs, aims: code_terms(outputs, aims, training.margin),
        lambda terms: kvfa_total(terms, lambdas) + training.styles_share * terms["styles"],
    )
    checkpoints = Checkpoints(cache_folder("kvfa/hashed"), run.resume)
    train_reader(net, examples, objective, data.reader_plan(training.code_steps), training, checkpoints)
    metrics: Metrics = {}
    for name, faces in (("as_it_is", views.clean), ("saved_small_or_as_jpeg", views.damaged)):
        codes = predict(net, faces[-HELD_OUT:])[:, STYLES:]
        report = cosine_report(codes, views.payload[-HELD_OUT:], "code")
        metrics |= {f"{name}_{figure}": value for figure, value in report.items()}
    return net, metrics


# ---- h


def fit_reading(
    features: list[np.ndarray], codes: np.ndarray, person: np.ndarray, share: float, seen: float
) -> tuple[np.ndarray, np.ndarray]:
    """h: ridge regression from features to the code, plus u of E's embedding, in which refined faces show the code too.

    Args:
        features: (N, S) each, of the faces as rendered and damaged; the first D numbers are E's.
        codes: (N, d) of both.
        person: (d, D) rows of u.
        share: of the ridge penalty, in shares of the features' mean variance.
        seen: weight of u: the ratio of the root mean squares of its output and the regression's.

    Returns:
        Mean (S,) and rows (d, S).
    """
    mean, scale = features[0].mean(axis=0), features[0].std(axis=0)
    x = np.concatenate([(each - mean) / scale for each in features]).astype(np.float64)
    regression = ridge(x, np.concatenate([codes] * len(features)).astype(np.float64), share) / scale
    added = np.zeros_like(regression)
    added[:, : person.shape[1]] = person
    sizes = [np.square((features[0] - mean) @ rows.T).sum() for rows in (regression, added)]
    return mean, regression + seen * np.sqrt(sizes[0] / sizes[1]) * added


def fit_code(data: TrainingData, reader: ReaderNet) -> tuple[dict[str, Tensor], Metrics]:
    """h, and E's mean over virtual faces, from renders that F was not trained on; a fifth of them tests h."""
    views = data.views("hashed", *data.held_out("hashed"))
    faces, whole = data.held_out_renders("hashed")
    masked = data.held_out_features(faces, "hashed", masked=True)
    features = [np.concatenate([masked, predict(reader, each)], axis=1) for each in (views.clean, views.damaged)]
    test = len(masked) // 5
    mean, rows = fit_reading(
        [each[test:] for each in features],
        views.payload[test:],
        data.people.rows.numpy(),
        data.training.code_ridge,
        data.training.code_seen,
    )
    metrics: Metrics = {}
    for name, each in zip(("h_as_it_is", "h_saved_small_or_as_jpeg"), features, strict=True):
        report = cosine_report((each[:test] - mean) @ rows.T, views.payload[:test], "code")
        metrics |= {f"{name}_{figure}": value for figure, value in report.items()}
    state = {
        "code.mean": torch.from_numpy(mean),
        "code.map": torch.from_numpy(rows.astype(np.float32)),
        "virtual.mean": torch.from_numpy(whole.mean(axis=0)),
    }
    return state, metrics


# ---- recipes


def train_kvfa(run: Run) -> Metrics:
    """Train F to predict the code of faces of P, and fit h."""
    net, metrics = train_code(run)
    return _save(run, net, metrics)


def refit_code(run: Run) -> Metrics:
    """Fit h again to F as it is in the folder of the weights."""
    net, card = run.data.reader(run.out), json.loads((run.out / "kvfa.card.json").read_text())
    trained_by = {"F was taught by": card["metrics"].get("F was taught by", card["command"])}
    return _save(run, net, card["metrics"], trained_by)


def _save(run: Run, net: ReaderNet, metrics: Metrics, more: Metrics | None = None) -> Metrics:
    state, report = fit_code(run.data, net)
    return run.save(
        "kvfa", {**prefixed("net.", net.state_dict()), **state}, metrics | report | (more or {}), as_bytes=AS_BYTES
    )
