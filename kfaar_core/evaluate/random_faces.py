"""Random faces of the generator: the upper bound of diversity and differentiation (design: protocol)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from kfaar_core import image
from kfaar_core.evaluate.context import Arrays, EvaluationContext, features
from kfaar_core.evaluate.jobs import fill
from kfaar_core.metrics.bootstrap import rate_interval
from kfaar_core.records import Photo, Row
from kfaar_core.report.tables import row
from kfaar_core.runtime import stream
from kfaar_core.stages.generate import truncated, w_plus

FACES = 400  # for each truncation  [design]
TRUNCATIONS = (0.7, 1.0)  # a usual truncation, and none  [design]


@dataclass(frozen=True)
class RandomFace:
    """Request: embeddings of the face of M(z) for a random z, truncated towards the mean style."""

    number: int  # seeds z
    truncation: float  # factor of w - mean

    def depends(self, context: EvaluationContext) -> dict[str, object]:
        preset, digest = context.stages.preset, context.generator_sha256
        return {**context.encoder_dependencies(), "generator": [preset.generator, preset.precision, digest]}

    def arrays(self, context: EvaluationContext) -> Arrays:
        return context.encoder_features(random_face(context, self.number, self.truncation))


@torch.inference_mode()
def random_face(context: EvaluationContext, number: int, truncation: float) -> Photo:
    """The face of M(z) for the random z of this number, truncated towards the mean style."""
    generator = context.stages.generator
    z = stream(context.seed, f"random face {number}").standard_normal((1, 512))
    w = truncated(generator, torch.from_numpy(z).float(), truncation).to(generator.w_mean.device)
    picture = generator.render(w_plus(w[:, None].expand(1, 3, 512), generator.groups), context.stages.preset.side)
    return image.from_array(image.to_uint8(picture)[0])


def ceiling_rows(context: EvaluationContext, thresholds: Mapping[str, float]) -> list[Row]:
    """Rows: the share of pairs of consecutive random faces that the judge takes for two people."""
    rows = []
    for truncation in TRUNCATIONS:
        asked = [RandomFace(number, truncation) for number in range(FACES)]
        fill(context, asked)
        faces = [features(context.ask(request)) for request in asked]
        judged = [face.judge for face in faces if face is not None]
        cosines = np.array([a @ b for a, b in pairwise(judged)])
        missed = f"{FACES - len(judged)} of {FACES} faces not found" if len(judged) < FACES else ""
        for label, threshold in thresholds.items():
            name = f"ceiling: random faces, truncation {truncation}: called different, {label} ({threshold:.3f})"
            share = rate_interval(cosines < threshold, np.arange(len(cosines)), stream(context.seed, name))
            rows.append(row(name, share, None, missed))
    return rows
