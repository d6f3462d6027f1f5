"""A7: a trained de-anonymiser. A network learns on pairs of its own to name the person of a virtual face.

With random keys (each person another one) nothing that a picture shows has to do with the person; with the key of the
target shared, the map can be learned. Evaluated on people whom the network never saw, in two halves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler
from torch import nn

from kfaar_core.attacks.base import Aim, Attack, Condition, Figure, Progress, curve, percent, share
from kfaar_core.attacks.evidence import Evidence, Faces
from kfaar_core.metrics.anonymity import rank_hits
from kfaar_core.metrics.score_pair import ScorePair
from kfaar_core.metrics.verification import area
from kfaar_core.runtime import stream
from kfaar_core.stages.linear import unit
from kfaar_core.targets import Target

KEYS = {"own": "random keys", "shared": "the target's key"}
RIDGE = 10.0  # of standardised features  [design]
SIDE = 48  # px of the pictures that the CNN sees
EPOCHS, BATCH = 30, 32
# x: (K, n) or pictures, y: (K, d), unseen x -> (M, d) predictions
Learner = Callable[[Faces, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def ridge(faces: Faces, target: np.ndarray, known: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """Linear, from all features of a virtual face."""
    scale = StandardScaler().fit(faces.features[known])
    model = Ridge(alpha=RIDGE * len(known)).fit(scale.transform(faces.features[known]), target[known])
    found: np.ndarray = model.predict(scale.transform(faces.features[unseen]))
    return found


def mlp(faces: Faces, target: np.ndarray, known: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """One hidden layer, from all features of a virtual face."""
    scale = StandardScaler().fit(faces.features[known])
    model = MLPRegressor((128,), alpha=1.0, max_iter=60, early_stopping=len(known) >= 20, random_state=0)
    model.fit(scale.transform(faces.features[known]), target[known])
    found: np.ndarray = model.predict(scale.transform(faces.features[unseen]))
    return found


def cnn(faces: Faces, target: np.ndarray, known: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """A small convolutional network, from the picture."""
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            *(layer for a, b in ((3, 16), (16, 32), (32, 64)) for layer in (nn.Conv2d(a, b, 3, 2, 1), nn.ReLU())),
            nn.Flatten(),
            nn.LazyLinear(target.shape[1]),
        )
        pictures = torch.from_numpy(faces.picture).permute(0, 3, 1, 2).float() / 127.5 - 1
        pictures = nn.functional.interpolate(pictures, SIDE, mode="area")
        net(pictures[:2])  # makes the last layer
    wanted = torch.from_numpy(target).float()
    steps = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=0.05)
    for _ in range(EPOCHS):
        for some in torch.from_numpy(known)[torch.randperm(len(known), generator=generator)].split(BATCH):
            views = pictures[some]
            views = torch.where(torch.rand(len(some), 1, 1, 1, generator=generator) < 0.5, views.flip(-1), views)
            loss = 1 - nn.functional.cosine_similarity(net(views), wanted[some]).mean()
            steps.zero_grad()
            loss.backward()
            steps.step()
    with torch.inference_mode():
        found: np.ndarray = net(pictures[torch.from_numpy(unseen)]).double().numpy()
    return found


LEARNERS: Mapping[str, Learner] = {"ridge": ridge, "MLP": mlp, "CNN": cnn}


def measure(evidence: Evidence, progress: Progress) -> Sequence[Figure]:
    """Rank-1 and AUC on unseen people, for each learner, target and kind of key."""
    targets = {"u": evidence.photos.u, "the judge's feature": evidence.photos.judge}
    work = [(keys, target, learner) for keys in KEYS for target in targets for learner in LEARNERS]
    figures: list[Figure] = []
    for done, (keys, target, learner) in enumerate(work):
        progress(done, len(work))
        cosines = predicted(evidence, evidence.faces(keys), targets[target], LEARNERS[learner])
        figures += figures_of(evidence, f"{KEYS[keys]}, {learner} to {target}", cosines)
    return figures


def predicted(evidence: Evidence, faces: Faces, target: np.ndarray, learner: Learner) -> np.ndarray:
    """Cosines (P, P) of what is predicted from each virtual face with the target of each photo; NaN where known."""
    order = stream(evidence.seed, "halves").permutation(evidence.people)
    cosines = np.full((evidence.people, evidence.people), np.nan)
    for known, unseen in (np.array_split(order, 2), np.array_split(order, 2)[::-1]):
        centre = target[known].mean(axis=0)
        found = learner(faces, target - centre, known, unseen)
        cosines[np.ix_(unseen, unseen)] = unit(found + 1e-12) @ unit(target[unseen] - centre).T
    return cosines


def figures_of(evidence: Evidence, name: str, cosines: np.ndarray) -> list[Figure]:
    """Rank-1 among the unseen people, and AUC."""
    unseen = np.isfinite(cosines)
    hits = rank_hits(np.where(unseen, cosines, -np.inf), np.arange(evidence.people), 1)
    people = np.arange(evidence.people)
    left, right = np.nonzero(unseen & ~np.eye(evidence.people, dtype=bool))
    scores = ScorePair(np.diag(cosines).copy(), people, cosines[left, right], left, right)
    return [
        share(evidence, Condition(f"{name}: rank-1", chance=float((1 / unseen.sum(axis=1)).mean())), hits, people),
        curve(evidence, Condition(f"{name}: AUC", chance=0.5), area, scores),
    ]


def says(figures: Sequence[Figure]) -> str:
    """What it means."""

    def best(keys: str, what: str) -> float:
        return max((f.value for f in figures if f.series.startswith(KEYS[keys]) and f.series.endswith(what)), default=0)

    pairs = max((f.people for f in figures), default=0) // 2
    return (
        f"Networks that learned on {pairs} pairs of other people tell the person from a stranger with AUC "
        f"{best('own', 'AUC'):.2f} where everybody has another key (0.50 is chance), and with "
        f"{best('shared', 'AUC'):.2f} (rank-1 {percent(best('shared', 'rank-1'))}) where pairs and target share a key."
    )


ATTACK = Attack(
    code="A7",
    name="deanonymiser",
    title="A trained de-anonymiser",
    holds="pairs of photos and virtual faces of other people, under random keys or the target's; the public weights",
    learns="who a person is whom the network never saw",
    needs=("own", "shared"),
    looks=True,
    measure=measure,
    says=says,
    aims=tuple(
        aim
        for learner in LEARNERS
        for target in ("u", "the judge's feature")
        for aim in (
            Aim(f"{KEYS['own']}, {learner} to {target}: AUC", None, Target(at_most=0.55)),
            Aim(f"{KEYS['own']}, {learner} to {target}: rank-1"),
        )
    ),
    order=7,
)
