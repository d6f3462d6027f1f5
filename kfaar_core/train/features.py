"""Cache of face embeddings of labelled photos and renders."""

from __future__ import annotations

import logging

import numpy as np
import torch

from kfaar_core import image
from kfaar_core.files import cache_folder
from kfaar_core.stages.encode import FaceEncoder
from kfaar_core.train.photos import SIDE, LabelledPhotos
from kfaar_core.train.renders import Renders

log = logging.getLogger(__name__)


@torch.inference_mode()
def features(encoder: FaceEncoder, faces: LabelledPhotos | Renders, name: str, masked: bool = False) -> np.ndarray:
    """(N, D) float32 raw embeddings of the faces, aligned by their labelled landmarks; cached under `name`.

    Args:
        masked: of the face without its surroundings (FaceEncoder.align).
    """
    path = cache_folder("features") / f"{name}.npy"
    if path.exists():
        return np.load(path)
    batches = []
    for start in range(0, len(faces.pictures), 32):
        pairs = zip(faces.pictures[start : start + 32], faces.landmarks[start : start + 32], strict=True)
        crops = np.stack([encoder.align(picture, landmarks * SIDE, masked) for picture, landmarks in pairs])
        batches.append(encoder.embed_crops(image.to_float(crops)).numpy())
        if start % 3200 == 0:
            log.info("%s: %d of %d", name, start, len(faces.pictures))
    embeddings = np.concatenate(batches)
    partial = path.with_suffix(".part.npy")
    np.save(partial, embeddings)
    partial.rename(path)
    return embeddings
