"""Make the gallery of the method `ksame`: E's embeddings of random faces of the generator.

python -m kfaar_core.train ksame
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kfaar_core import image, methods
from kfaar_core.assemble import Stages
from kfaar_core.errors import NoFaceFound
from kfaar_core.methods.ksame import gallery_styles
from kfaar_core.pipeline import load
from kfaar_core.presets import LAB
from kfaar_core.stages.generate import w_plus

if TYPE_CHECKING:
    from kfaar_core.train.recipe import Metrics, Run

log = logging.getLogger(__name__)


@torch.inference_mode()
def gallery(stages: Stages, count: int) -> dict[str, Tensor]:
    """Render random faces and embed each by E.

    Args:
        stages: with the generator and E.
        count: number of faces.

    Returns:
        `embeddings` (G, D) float32 and `numbers` (G,) int64 of the faces that are found; see methods.ksame.
    """
    embeddings, numbers = [], []
    for number, w in enumerate(gallery_styles(stages.generator, count)):
        picture = image.to_uint8(stages.generator.render(w_plus(w.expand(1, 3, 512)), stages.preset.side))[0]
        try:
            landmarks = stages.locator.locate(image.from_array(picture)).landmarks
        except NoFaceFound:
            continue
        embeddings.append(stages.encoder.embed(picture, landmarks))
        numbers.append(number)
        if number % 100 == 99:
            log.info("%d of %d faces", number + 1, count)
    return {"embeddings": torch.from_numpy(np.stack(embeddings)), "numbers": torch.tensor(numbers)}


def make_gallery(run: Run) -> Metrics:
    """Make the gallery of the method `ksame`: E's embeddings of random faces of the generator."""
    state = gallery(load(methods.with_method(LAB, "random_face"), "cpu"), run.training.gallery)
    centred = functional.normalize(state["embeddings"] - state["embeddings"].mean(dim=0), dim=1)
    cosines = (centred @ centred.T).fill_diagonal_(-1)
    return run.save("ksame", state, {"n": len(centred), "nearest_cosine_mean": float(cosines.max(dim=1).values.mean())})
