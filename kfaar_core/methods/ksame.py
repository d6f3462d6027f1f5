"""The method `ksame`: the mean of the k generated faces that look most like the photo (k-same, Newton et al., 2005).

The gallery is public: `gallery` random faces of the generator and E's embeddings of them. The photo's k nearest by
cosine are averaged in W and rendered with the photo's head pose. No picture of the person enters the face, only the
choice among the gallery. Photos with the same k nearest give the same person. The key is not used.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from kfaar_core.key_schedule import public_normals
from kfaar_core.keys import UserKey
from kfaar_core.methods.base import Method, MethodNetworks, Projected, SharedStages, State
from kfaar_core.stages import tiny
from kfaar_core.stages.generate import Generator, truncated
from kfaar_core.stages.linear import unit
from kfaar_core.stages.obscure import strength
from kfaar_core.weights import our_weight

K = 5  # [design]
TRUNCATION = 1.0  # none: the mean of k faces is nearer to the mean face than each of them  [design]


def gallery_styles(generator: Generator, count: int) -> Tensor:
    """w of the gallery's faces, (count, 512): always the same faces."""
    z = torch.from_numpy(public_normals("k-same gallery", (count, 512))).float()
    return truncated(generator, z, TRUNCATION)


class NearestMean:
    """P: the mean w of the k faces of the gallery whose embeddings are most similar to the photo's."""

    def __init__(self, state: State, generator: Generator, k: int) -> None:
        """
        Args:
            state: `embeddings` (G, D) by E of the gallery's faces, not centred; `numbers` (G,) int of the faces.
            generator: gives their w.
            k: number of faces in a mean, at most G.
        """
        embeddings = state["embeddings"].double().numpy()
        self._mean, self._k = embeddings.mean(axis=0), k
        self._embeddings = unit(embeddings - self._mean)
        numbers = state["numbers"].long()
        self._styles = gallery_styles(generator, int(numbers.max()) + 1)[numbers]

    def __call__(self, feature: np.ndarray, key: UserKey) -> Projected:
        """Map the embedding (D,) by E to a latent; the key changes nothing."""
        cosines = self._embeddings @ unit(feature - self._mean)
        nearest = np.argsort(-cosines, kind="stable")[: self._k]
        return Projected(self._styles[nearest].mean(dim=0).expand(3, 512).clone())


def tiny_weights(_name: str) -> State:
    """Random weights for the preset tiny."""
    return {"embeddings": torch.randn(40, tiny.FEATURES, generator=tiny.seeded(13)), "numbers": torch.arange(40)}


def method(k: float) -> Method:
    """The method with this number of faces in a mean."""

    def build(shared: SharedStages) -> MethodNetworks:
        projector = NearestMean(shared.load("ksame"), shared.generator, int(k))
        return MethodNetworks(encoder=shared.encoder, projector=projector)

    return Method(
        name="ksame" if k == K else f"ksame-{k:.0f}",
        label=f"k-same (k = {k:.0f})",
        about=f"the mean of the {k:.0f} generated faces that look most like the photo, with its head pose; no key",
        order=12,
        build=build,
        tiny_weights=tiny_weights,
        weights=lambda _bits: ("ksame",),
        keyed=False,
        readable=False,
    )


LIMITS = "Embeddings of generated faces by E as committed; they say nothing about anybody."
METHOD = replace(
    method(K),
    variant=lambda text: method(round(strength(text, 1, 40))),
    argument="K faces in a mean",
    registers=(our_weight("ksame", limits=LIMITS, data="generated faces"),),
)
