"""The method `random_face`: a new person from the generator for every photo, with the photo's head pose.

The ceiling of anonymity, diversity and differentiation, and the floor of everything that needs an identity. Key and
embedding seed the draw, so that an evaluation can be repeated. Throw the key away: whoever has it and the photo can
draw the face again.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from kfaar_core.key_schedule import normals
from kfaar_core.keys import UserKey
from kfaar_core.methods.base import Method, MethodNetworks, Projected, SharedStages
from kfaar_core.stages.generate import Generator, truncated

TRUNCATION = 0.7  # a usual one for this generator  [design]


class RandomProjector:
    """P that ignores who is in the photo: z' is random."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator

    def __call__(self, feature: np.ndarray, key: UserKey) -> Projected:
        """A random latent; the same for the same embedding (D,) and key, another for any other."""
        photo = hashlib.sha256(np.ascontiguousarray(feature, dtype=np.float32).tobytes()).hexdigest()
        z = torch.from_numpy(normals(key, f"random face of {photo}", (1, 512))).float()
        return Projected(truncated(self._generator, z, TRUNCATION)[0].expand(3, 512).clone())


def build(shared: SharedStages) -> MethodNetworks:
    """Only E and the generator."""
    return MethodNetworks(encoder=shared.encoder, projector=RandomProjector(shared.generator))


METHOD = Method(
    name="random_face",
    label="random face",
    about="a new person of the generator for every photo, with the photo's head pose; who it was is lost",
    order=10,
    build=build,
    readable=False,
)
