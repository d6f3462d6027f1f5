"""Evidence with a known answer: how well virtual faces are read is set, not measured."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kfaar_core.attacks.evidence import Evidence, Faces, Photos
from kfaar_core.key_schedule import rotation
from kfaar_core.keys import UserKey
from kfaar_core.stages.linear import unit


def quiet(_done: int, _of: int) -> None:
    """A progress that nobody listens to."""


Make = Callable[..., Evidence]


@pytest.fixture
def evidence(rng: np.random.Generator) -> Make:
    """make(people, dimension, noise, again, others): noise is added to every reading and `again` to other photos,
    both in lengths of the vector; others is the number of photos of other people."""

    def make(
        people: int = 60, dimension: int = 8, noise: float = 0.0, again: float = 0.0, others: int = 40
    ) -> Evidence:
        def noisy(vectors: np.ndarray, size: float) -> np.ndarray:
            return unit(vectors + size * rng.standard_normal(vectors.shape) / np.sqrt(dimension))

        def photos(u: np.ndarray) -> Photos:
            n = len(u)
            seen = *(unit(rng.standard_normal((n, 6))) for _ in range(2)), rng.standard_normal((n, 54))
            return Photos(u, *seen, rng.random(n), 30 + 10 * rng.standard_normal(n), np.full((n, 2, 3), np.nan))

        u = unit(rng.standard_normal((people, dimension)))
        x = photos(u)

        def faces(turns: list[np.ndarray]) -> Faces:
            code = noisy(np.stack([turn @ one for turn, one in zip(turns, u, strict=True)]), noise)
            return Faces(
                code=code,
                read=np.stack([one @ turn for turn, one in zip(turns, code, strict=True)]),
                identity=unit(rng.standard_normal((people, dimension))),
                judge=unit(rng.standard_normal((people, 6))),
                embedding=unit(rng.standard_normal((people, 6))),
                posture=x.posture.copy(),
                male=rng.random(people),
                age=30 + 10 * rng.standard_normal(people),
                colours=np.full((people, 2, 3), np.nan),
                features=np.concatenate([code, rng.standard_normal((people, 4))], axis=1),
                picture=np.zeros((people, 8, 8, 3), np.uint8),
            )

        def turn() -> np.ndarray:
            return rotation(UserKey(rng.bytes(32)), dimension)

        one = turn()
        return Evidence(
            dataset="made",
            method="hashed",
            refined=True,
            dimension=dimension,
            threshold=0.7,
            judge_threshold=0.3,
            random_directions=True,
            seed=0,
            left_out=0,
            weights={},
            preset_sha256="0" * 64,
            data_sha256="0" * 64,
            photos=x,
            again=photos(noisy(u, again)),
            shared=faces([one] * people),
            own=faces([turn() for _ in range(people)]),
            gallery=photos(unit(rng.standard_normal((others, dimension)))),
        )

    return make
