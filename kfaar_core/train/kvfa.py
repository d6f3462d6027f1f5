"""Train KVFA's F on generated faces (Section IV-C-3); F never sees a real photo.

F first learns to read the styles of any face, then the code of P's faces after posture correction (train.road). The
keyed MLP of `bits` learns behind the finished F.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kfaar_core.losses import SAME, Readings, cosine_loss, recogniser_terms, recogniser_total
from kfaar_core.nets.keyed_net import KeyedNet
from kfaar_core.nets.projector_net import GROUPS, LEADING, BitsNet
from kfaar_core.nets.reader_net import ReaderNet
from kfaar_core.runtime import stream
from kfaar_core.stages.face_view import FaceView
from kfaar_core.stages.generate import Generator
from kfaar_core.stages.latent import NaturalSpace
from kfaar_core.train.appearance import coordinates
from kfaar_core.train.loop import Plan, train
from kfaar_core.train.posture import ridge
from kfaar_core.train.projector import People, random_bits, rotations, styles_of_bits, wrong_keys
from kfaar_core.train.proxy import Reading
from kfaar_core.train.settings import Training
from kfaar_core.train.views import Views

STYLES = GROUPS * LEADING  # what F is asked for: the natural coordinates that P moves


def learn(
    net: ReaderNet,
    data: Views,
    targets: Tensor,
    terms: Callable[[Tensor, Tensor], dict[str, Tensor]],
    objective: Callable[[Mapping[str, Tensor]], Tensor],
    plan: Plan,
    training: Training,
    folder: Path,
    resume: bool,
    group: int = 1,
) -> None:
    """Train F behind its appearance model; half of every batch was saved small or as a JPEG.

    Args:
        targets: (N, T).
        terms: (answers, targets of the batch) -> named terms.
        objective: what is minimised, from the terms.
        group: renders that belong together (train.renders.code_styles) and stand in the batch one part after the other.
    """
    both = torch.stack([coordinates(net, faces) for faces in (data.clean, data.damaged)])
    device = torch.device(plan.device)
    net.to(device)
    groups, count = len(targets) // group, training.reader_batch // group
    per_epoch = groups // count

    def losses(step: int) -> dict[str, Tensor]:
        epoch, place = divmod(step, per_epoch)
        order = stream(training.seed, f"kvfa epoch {epoch}").permutation(groups)
        first = group * np.sort(order[place * count : (place + 1) * count])
        chosen = torch.from_numpy(np.concatenate([first + i for i in range(group)]))
        rng = stream(training.seed, f"kvfa batch {step}")
        x = both[torch.from_numpy(rng.integers(0, 2, len(chosen))), chosen]
        x = x + training.reader_noise * torch.from_numpy(rng.standard_normal(x.shape, dtype=np.float32))
        return terms(net.of_appearance(x.to(device)).float(), targets[chosen].to(device))

    train(net, losses, plan, folder, resume, objective, training)
    net.cpu()


@torch.inference_mode()
def read(net: ReaderNet, faces: FaceView) -> np.ndarray:
    """(N, outputs) float32 of N faces, in evaluation mode."""
    answers: np.ndarray = net.eval().of_appearance(coordinates(net, faces)).numpy()
    return answers


def styles_terms(answers: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Squared error of natural coordinates, which have about unit variance."""
    return {"styles": (answers[:, :STYLES] - targets[:, :STYLES]).square().mean()}


def code_terms(answers: Tensor, targets: Tensor, margin: float) -> dict[str, Tensor]:
    """Eq. 17-23 for `hashed`, and the styles: the rows of the first half and of the second carry the same codes.

    A code is O_k u, whatever the key and the person; so keys are drawn here, and u = O_k^T code follows from them.

    Args:
        answers: (2n, 96 + d). targets: (2n, 96 + d), the same, its code of unit length.
    """
    one, two = answers[:, STYLES:].chunk(2)
    code = targets[: len(one), STYLES:]
    right, wrong = rotations(2, code.shape[1]).to(code.device)  # rows times O are O^T applied to each
    readings = Readings(
        x1=code @ right,
        x1_none=one,
        x1_k2=one @ wrong,
        x1_k1=one @ right,
        x2_k1=two @ right,
        y_k1=one.roll(1, dims=0) @ right,
    )
    terms = recogniser_terms(readings, margin)
    terms["per1"] = (terms["per1"] + cosine_loss(two, targets[len(one) :, STYLES:], SAME)) / 2  # x2 counts as x1 does
    return terms | styles_terms(answers, targets)


def grown(net: ReaderNet, outputs: int) -> ReaderNet:
    """The same F with other outputs behind the styles; they begin near nothing."""
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


def style_targets(space: NaturalSpace, w: np.ndarray) -> Tensor:
    """(N, 96): the leading natural coordinates of each layer group."""
    return space.of_w(torch.from_numpy(w))[:, :, :LEADING].flatten(1)


def styles_report(answers: np.ndarray, targets: Tensor) -> dict[str, float]:
    """Share of the variance of the leading coordinates of each layer group that F tells."""
    told = 1 - (torch.from_numpy(answers)[:, :STYLES] - targets).square().mean(dim=0) / targets.var(dim=0)
    groups = told.unflatten(0, (GROUPS, LEADING)).mean(dim=1)
    return dict(zip(("coarse_told", "middle_told", "fine_told"), groups.tolist(), strict=True))


def fit_reading(
    sights: list[np.ndarray], codes: np.ndarray, person: np.ndarray, share: float, seen: float
) -> tuple[np.ndarray, np.ndarray]:
    """h: ridge from whole sights to the code, and beside it u of E's feature, by which a refined face shows it as well.

    Args:
        sights: (N, S) each: the faces as they are and then saved; E's D numbers come first.
        codes: (N, d) that both carry.
        person: (d, D) rows of u.
        share: of the ridge, in shares of a sight's mean variance.
        seen: root of the mean square of what E adds, in that of what the ridge answers.

    Returns:
        Mean (S,) and rows (d, S).
    """
    mean, scale = sights[0].mean(axis=0), sights[0].std(axis=0)
    x = np.concatenate([(sight - mean) / scale for sight in sights]).astype(np.float64)
    told = ridge(x, np.concatenate([codes] * len(sights)).astype(np.float64), share) / scale
    added = np.zeros_like(told)
    added[:, : person.shape[1]] = person
    sizes = [np.square((sights[0] - mean) @ rows.T).sum() for rows in (told, added)]
    return mean, told + seen * np.sqrt(sizes[0] / sizes[1]) * added


def cosine_report(answers: np.ndarray, codes: np.ndarray) -> dict[str, float]:
    """How well h reads unseen renders: cosine with the code."""
    cosines = (answers * codes).sum(axis=1) / np.linalg.norm(answers, axis=1) / np.linalg.norm(codes, axis=1)
    return {"n": len(cosines), "code_cosine_mean": float(cosines.mean()), "code_cosine_sd": float(cosines.std())}


Draw = Callable[[int], tuple[Tensor, Tensor, Tensor]]  # count -> (N, 3, S) sights of x1, x2, y; (N, d) u; (N, b) key


def keyed_draw(net: BitsNet, generator: Generator, truncation: float, people: People, channel: Reading) -> Draw:
    """Triplets (x1, x2 of one person, y of another) under a fresh key each, as P makes them and the channel shows them.

    There is no end of them. Of as many renders as a CPU can make, the keyed MLP learned the people by heart.
    """

    @torch.no_grad()
    def draw(count: int) -> tuple[Tensor, Tensor, Tensor]:
        photos = people.triplets(count)
        key = random_bits(count, net.bits)
        styles = [
            styles_of_bits(net, generator.map, generator.w_mean, people.feature[photo], key, truncation)
            for photo in photos
        ]
        return torch.stack([channel.read(w) for w in styles], dim=1), people.identity[photos[0]], key

    return draw


def teach_keyed(net: KeyedNet, draw: Draw, training: Training, folder: Path, resume: bool) -> None:
    """Eq. 17-24 for `bits`; in place."""
    weights = training.recogniser_weights()

    def losses(step: int) -> dict[str, Tensor]:
        sights, u, right = draw(training.bits_batch)
        x1, x2, y = sights.unbind(dim=1)
        readings = Readings(
            x1=u,
            x1_none=net(x1, torch.zeros_like(right)),
            x1_k2=net(x1, wrong_keys(right)),
            x1_k1=net(x1, right),
            x2_k1=net(x2, right),
            y_k1=net(y, right),
        )
        return recogniser_terms(readings, training.margin)

    plan = Plan(steps=training.keyed_steps, rate=training.projector_rate, decay=0.05, seed=training.seed)
    train(net, losses, plan, folder, resume, lambda found: recogniser_total(found, weights), training)


@torch.inference_mode()
def keyed_report(net: KeyedNet, sights: np.ndarray, payload: np.ndarray) -> dict[str, float]:
    """How well the keyed MLP reads unseen renders with the right key, with another and with none.

    Args:
        sights: (N, S). payload: (N, d + bits): u of the photo, then the bits of the key.
    """
    torch.manual_seed(0)
    dimension = net.layers[-1].out_features
    x, u, right = torch.from_numpy(sights).float(), payload[:, :dimension], torch.from_numpy(payload[:, dimension:])
    keys = {"": right, "wrong_": wrong_keys(right), "no_": torch.zeros_like(right)}
    reports = {name: cosine_report(net(x, key).numpy(), u) for name, key in keys.items()}
    return {"n": len(x)} | {
        f"{name}key_cosine_{figure}": report[f"code_cosine_{figure}"]
        for name, report in reports.items()
        for figure in ("mean", "sd")
    }
