"""What an adversary sees: requests for the features of photos and virtual faces, from which every attack works.

Virtual pictures are kept small, for attackers who train networks on them. Of real photos only features are kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from kfaar_core import image
from kfaar_core.errors import BadSetting, NoFaceFound
from kfaar_core.evaluate.context import LABELLED, Arrays, EvaluationContext
from kfaar_core.evaluate.observers import observers
from kfaar_core.evaluate.random_faces import random_face
from kfaar_core.pipeline import AnonymiseRequest
from kfaar_core.records import Payload, Photo
from kfaar_core.stages.correct import posture_vector
from kfaar_core.stages.encode import GREY
from kfaar_core.stages.generate import render_face
from kfaar_core.stages.locate import LocatedFace
from kfaar_core.stages.place import GROW

TRUNCATION = 0.7  # of a foreign generated face  [design]
SMALL = 96  # px, side of the virtual picture that a trained attacker gets  [design]


@dataclass(frozen=True)
class Embedded:
    """Request: `features` (D,) by E alone of a photo of the data set."""

    index: int

    def depends(self, context: EvaluationContext) -> dict[str, object]:
        return {**context.encoder_dependencies(), "data": context.data.sha256}

    def arrays(self, context: EvaluationContext) -> Arrays:
        photo = context.photo(self.index)
        landmarks = context.stages.locator.locate(photo, LABELLED).landmarks
        return {"features": context.stages.encoder.embed(photo.pixels, landmarks)}


@dataclass(frozen=True)
class SeenPhoto:
    """Request: `features` (D,) by E, `judge` (D',), `posture` (54,) and an Observation of a photo of the data set."""

    index: int

    def depends(self, context: EvaluationContext) -> dict[str, object]:
        return {**context.encoder_dependencies(), "data": context.data.sha256}

    def arrays(self, context: EvaluationContext) -> Arrays:
        photo = context.photo(self.index)
        located = context.stages.locator.locate(photo, LABELLED)
        features = context.stages.encoder.embed(photo.pixels, located.landmarks)
        return {"features": features, **looked_at(context, photo, located)}


@dataclass(frozen=True)
class SeenFace:
    """Request: the virtual face of a photo, as everybody can see it.

    `features` (S,) for KVFA, `judge` (D',), `posture` (54,), an Observation, and the `picture` (96, 96, 3) uint8.
    """

    index: int  # of the photo
    purpose: str  # of the key, see EvaluationContext.key
    bits: int  # length of the key

    def depends(self, context: EvaluationContext) -> dict[str, object]:
        return {**context.virtual_dependencies(self.bits), "data": context.data.sha256}

    def arrays(self, context: EvaluationContext) -> Arrays:
        return seen(context, context.anonymised(context.photo(self.index), self.purpose, self.bits))


@dataclass(frozen=True)
class CoarseFace(SeenFace):
    """Request: as SeenFace, with a coarse posture."""

    def arrays(self, context: EvaluationContext) -> Arrays:
        request = AnonymiseRequest(
            photo=context.photo(self.index), key=context.key(self.purpose, self.bits), face=LABELLED, coarse=True
        )
        return seen(context, image.from_array(context.server.anonymise(request).portrait))


@dataclass(frozen=True)
class Rebuilt(SeenFace):
    """Request: as SeenFace, of the portrait that reconstruction.py makes from a virtual face and its key."""

    def arrays(self, context: EvaluationContext) -> Arrays:
        stages, side = context.stages, context.stages.preset.side
        if stages.refiner is None:
            raise BadSetting(got="a portrait from a stolen key, without refinement", mend="use a method that refines")
        virtual = context.ask(SeenFace(self.index, self.purpose, self.bits))
        if not virtual:
            raise NoFaceFound(got="no face in the virtual picture", mend="use another photo")
        read = stages.identifier.virtual(virtual["features"], context.key(self.purpose, self.bits))
        hidden = np.linalg.svd(read[None])[2][1]  # a direction at right angles: nothing has to be hidden
        mean = stages.generator.w_mean.expand(3, 512)
        start = render_face(stages.generator, stages.geometry, mean, side)
        latent = stages.refiner(mean, start.posture, Payload(read, hidden))
        made = render_face(stages.generator, stages.geometry, latent, side)
        return seen(context, image.from_array(image.to_uint8(made.picture[None])[0]))


@dataclass(frozen=True)
class Forgery:
    """Request: a picture that no method made, given as a virtual face: `features` (S,) for KVFA."""

    number: int  # of the photo in the data set, or of a random face of the generator
    real: bool  # a real photo, not a random face

    def depends(self, context: EvaluationContext) -> dict[str, object]:
        return {**context.virtual_dependencies(context.stages.preset.key_bits), "data": context.data.sha256}

    def arrays(self, context: EvaluationContext) -> Arrays:
        picture = context.photo(self.number) if self.real else random_face(context, self.number, TRUNCATION)
        return {"features": context.kvfa_features(picture)["features"]}


@dataclass(frozen=True)
class Covered:
    """Request: a photo whose face is covered by the mask of pasted faces: what a pasted picture keeps of its photo.

    `features` (D,) by E, `judge` (D',), and `colours` (64,), the share of the pixels outside the face in each cell of a
    4 x 4 x 4 grid of RGB.
    """

    index: int

    def depends(self, context: EvaluationContext) -> dict[str, object]:
        return {**context.encoder_dependencies(), "data": context.data.sha256}

    def arrays(self, context: EvaluationContext) -> Arrays:
        photo, stages = context.photo(self.index), context.stages
        landmarks = stages.locator.locate(photo, LABELLED).landmarks
        high, wide = photo.pixels.shape[:2]
        inside = image.hull_mask(landmarks[:, :2], (wide, high), GROW) > 0
        left = np.where(inside[..., None], np.uint8(GREY), photo.pixels)
        cells = (photo.pixels[~inside].astype(np.int64) // 64) @ np.array([16, 4, 1])
        return {
            "features": stages.encoder.embed(left, landmarks),
            "judge": stages.judge.embed_normalised(left, landmarks),
            "colours": np.bincount(cells, minlength=64) / max(1, cells.size),
        }


def seen(context: EvaluationContext, virtual: Photo) -> Arrays:
    """The arrays of SeenFace."""
    located = context.stages.locator.locate(virtual)
    small = Image.fromarray(virtual.pixels).resize((SMALL, SMALL), Image.Resampling.BOX)
    return {
        "features": context.stages.features(virtual.pixels, located.landmarks),
        "picture": np.asarray(small),
        **looked_at(context, virtual, located),
    }


def looked_at(context: EvaluationContext, photo: Photo, located: LocatedFace) -> Arrays:
    """What the judge, the geometry network and the observers see."""
    stages, landmarks = context.stages, located.landmarks
    return {
        "judge": stages.judge.embed_normalised(photo.pixels, landmarks),
        "posture": seen_posture(located),
        **vars(observers(stages.device)(photo.pixels, landmarks)),
    }


def seen_posture(located: LocatedFace) -> np.ndarray:
    """The posture vector (54,) of a face with the rotation of its frame in the picture; see correct.posture_vector."""
    posture = located.posture
    angles = np.array([posture.yaw, posture.pitch, posture.roll + located.rotation])
    return posture_vector(angles, posture.blendshapes)
