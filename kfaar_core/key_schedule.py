"""Key schedule: the rotation O_k and the noise that a key seeds (Alg. 1, step 5), and the noise of refinement.

docs/key-schedule.md specifies it for other implementations. A face can be identified only with the same O_k. The key
schedule therefore has a version, which is part of a key.

Version 1 uses NumPy's `standard_normal`, whose stream may change with NumPy. Version 2 uses only SHAKE-256 and the
inverse of the normal distribution function.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtri

from kfaar_core.keys import IN_FORCE, UserKey, shake

DOMAIN = b"kfaar key schedule, version 2"
UNIFORM_BITS = 52  # uniforms are odd multiples of 2**-53: exact in float64, never 0 or 1


def rotation(key: UserKey, dimension: int) -> np.ndarray:
    """O_k: a (d, d) float64 orthogonal matrix, a function of the key alone.

    It is Q of the QR factorisation of a Gaussian matrix with a positive diagonal of R. Over random keys it is uniform
    (Haar-distributed) over the orthogonal group (Mezzadri, arXiv math-ph/0609050).
    """
    q, r = np.linalg.qr(normals(key, "rotation", (dimension, dimension)))
    return q * np.where(np.diag(r) < 0, -1.0, 1.0)  # the signs depend on the LAPACK


def normals(key: UserKey, purpose: str, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers of this shape, float64, a function of key and purpose.

    A smaller shape gives the first numbers of a larger one. Different purposes are independent.
    """
    if key.version == 1:
        # PCG64 is explicit because NumPy's default may change. All 256 bits of the seed are used.
        seed = np.random.SeedSequence(int.from_bytes(key.expand(purpose, 32)), pool_size=8)
        return np.random.Generator(np.random.PCG64(seed)).standard_normal(shape)
    return _normals(key.data, purpose, shape)


def public_normals(purpose: str, shape: tuple[int, ...], version: int = IN_FORCE) -> np.ndarray:
    """As `normals`, without a key. Version 1 has one stream for all purposes."""
    if version == 1:
        return np.random.Generator(np.random.PCG64(0)).standard_normal(shape)
    return _normals(b"", purpose, shape)  # no key is empty


def _normals(key: bytes, purpose: str, shape: tuple[int, ...]) -> np.ndarray:
    stream = shake(DOMAIN, purpose, key, 8 * math.prod(shape))
    words = np.frombuffer(stream, dtype=">u8") >> np.uint64(64 - UNIFORM_BITS)
    uniforms = (words.astype(np.float64) + 0.5) / 2**UNIFORM_BITS  # exact
    return ndtri(uniforms).reshape(shape)
