"""KVFA: I(x), I(x_v, k) and I(x_v) (Alg. 2; Section IV-C-2).

`hashed` reading: h takes the picture's feature to the payload it carries, O_k^T turns it back. Only normalisation
follows O_k^T, so that a wrong key leaves a random direction: its cosine with I(x) follows the law of a random direction
in d dimensions, whatever h has learned.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from kfaar_core.keys import UserKey
from kfaar_core.records import Verdict
from kfaar_core.stages.project import IdentityMap, rotation_of


def unit(x: np.ndarray) -> np.ndarray:
    """x / |x| along the last axis."""
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


class FloorReader:
    """h of the floor: a linear map from E's feature of the picture to the payload (d,)."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        """state: `reader.mean` (D,), `reader.map` (d, D)."""
        self._mean = state["reader.mean"].double().numpy()
        self._map = state["reader.map"].double().numpy()

    def __call__(self, feature: np.ndarray) -> np.ndarray:
        """(..., D) raw features of E -> (..., d) float64, unit length."""
        return unit((feature - self._mean) @ self._map.T)


class KeyedRecogniser:
    """I: features of E -> identities that can be compared by cosine."""

    def __init__(self, identity: IdentityMap, reader: FloorReader) -> None:
        self._identity, self._reader = identity, reader

    @property
    def dimension(self) -> int:
        return self._identity.dimension

    def original(self, feature: np.ndarray) -> np.ndarray:
        """I(x): (..., D) -> (..., d), no key."""
        return self._identity(feature)

    def virtual(self, feature: np.ndarray, key: UserKey) -> np.ndarray:
        """I(x_v, k): (..., D) -> (..., d)."""
        return self._reader(feature) @ rotation_of(key, self.dimension)  # rows times O_k are O_k^T applied to each

    def keyless(self, feature: np.ndarray) -> np.ndarray:
        """I(x_v): (2, d), every read-out open to someone without a key (Eq. 11): as a photo, and the payload."""
        return np.stack([self._identity(feature), self._reader(feature)])


def verdict(
    recogniser: KeyedRecogniser,
    virtual: np.ndarray,
    original: np.ndarray,
    key: UserKey | None,
    threshold: float,
) -> Verdict:
    """Compare a virtual face with an original one; Condition 1 without a key, Condition 2 with one (Alg. 2).

    Args:
        virtual, original: (D,) raw features of E.
        key: None compares the most similar of the key-less read-outs.
    """
    reference = recogniser.original(original)
    if key is None:
        cosine = float(np.max(recogniser.keyless(virtual) @ reference))
        compared = "I(x) with I(x_v), no key"
    else:
        cosine = float(recogniser.virtual(virtual, key) @ reference)
        compared = "I(x) with I(x_v, k)"
    return Verdict(
        cosine=cosine,
        threshold=threshold,
        same_person=cosine >= threshold,
        dimension=recogniser.dimension,
        compared=compared,
        key_used=key is not None,
    )
