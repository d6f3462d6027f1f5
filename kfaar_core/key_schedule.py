"""What a key draws: O_k and the noise of its faces (Alg. 1, step 5), and the draws of refinement that need no key.

docs/key-schedule.md is the procedure in words, complete enough to be written again in another language. A face can be
read only while its key gives the same O_k, so the procedure has a version, which a key carries.

Version 1 rests on NumPy's `standard_normal`, whose stream another NumPy may change. Version 2 rests on SHAKE-256 and on
the inverse normal distribution function alone.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtri

from kfaar_core.keys import IN_FORCE, UserKey, shake

DOMAIN = b"kfaar key schedule, version 2"
UNIFORM_BITS = 52  # the odd multiples of 2**-53 below 1: float64 holds each of them, and neither 0 nor 1 is among them


def rotation(key: UserKey, dimension: int) -> np.ndarray:
    """O_k: a (d, d) float64 rotation or reflection, uniform over the orthogonal group, fixed by the key alone.

    It is Q of the only QR factorisation of a Gaussian matrix whose R has a positive diagonal, which is
    Haar-distributed (Mezzadri, arXiv math-ph/0609050).
    """
    q, r = np.linalg.qr(normals(key, "rotation", (dimension, dimension)))
    return q * np.where(np.diag(r) < 0, -1.0, 1.0)  # a LAPACK is free to choose the signs


def normals(key: UserKey, purpose: str, shape: tuple[int, ...]) -> np.ndarray:
    """Independent standard normal numbers, float64, fixed by the key and the purpose; fewer are the first of more."""
    if key.version == 1:
        # PCG64 is named, not left to NumPy's default. All 256 bits of the seed are used.
        seed = np.random.SeedSequence(int.from_bytes(key.expand(purpose, 32)), pool_size=8)
        return np.random.Generator(np.random.PCG64(seed)).standard_normal(shape)
    return _normals(key.data, purpose, shape)


def public_normals(purpose: str, shape: tuple[int, ...], version: int = IN_FORCE) -> np.ndarray:
    """As `normals`, the same for every key. Version 1 knows one stream, whatever the purpose."""
    if version == 1:
        return np.random.Generator(np.random.PCG64(0)).standard_normal(shape)
    return _normals(b"", purpose, shape)  # no key is empty


def _normals(key: bytes, purpose: str, shape: tuple[int, ...]) -> np.ndarray:
    stream = shake(DOMAIN, purpose, key, 8 * math.prod(shape))
    words = np.frombuffer(stream, dtype=">u8") >> np.uint64(64 - UNIFORM_BITS)
    uniforms = (words.astype(np.float64) + 0.5) / 2**UNIFORM_BITS  # exact
    return ndtri(uniforms).reshape(shape)
