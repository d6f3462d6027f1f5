"""Judge: how similar a virtual face is to its photo, by an independent face encoder and by SSIM (Section VI-C-2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image
from skimage.metrics import structural_similarity

from kfaar_core.records import Face, Photo
from kfaar_core.stages.encode import FaceEncoder
from kfaar_core.stages.locate import FaceLocator


def judge_features(
    judge: FaceEncoder, locator: FaceLocator, photos: Sequence[Photo], faces: Sequence[Face | str] = ()
) -> np.ndarray:
    """Embed one face of each photo with the judge: (N, D) float32, centred, unit length.

    Args:
        faces: which face of each photo, as in FaceLocator.locate; empty takes the largest of each.

    Raises:
        NoFaceFound: a photo without a usable face.
    """
    chosen = faces or ["largest"] * len(photos)
    located = [locator.locate(photo, face) for photo, face in zip(photos, chosen, strict=True)]
    return np.stack([judge.embed_normalised(p.pixels, face.landmarks) for p, face in zip(photos, located, strict=True)])


def look_distance(original: np.ndarray, virtual: np.ndarray) -> float:
    """Visual difference: 1 - SSIM (Wang et al., 2004) of the inner faces, grey, at 64 px.

    Section VI-C-2 asks that virtual faces differ visually from the photo as well as in their embeddings.

    Args:
        original, virtual: (S, S, 3) uint8 in the same level portrait frame.

    Returns:
        0 for equal pictures, about 1 for two strangers.
    """
    small = [
        np.asarray(Image.fromarray(picture).convert("L").resize((64, 64), Image.Resampling.BOX, _inner(picture)))
        for picture in (original, virtual)
    ]
    return float(1 - structural_similarity(*small, data_range=255))


def _inner(picture: np.ndarray) -> tuple[float, float, float, float]:
    side = picture.shape[0]
    return (0.25 * side, 0.3 * side, 0.75 * side, 0.9 * side)
