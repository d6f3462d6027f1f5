"""Observers: networks that look at finished faces in evaluations, and at nothing else.

They tell sex, age and expression, and compare faces as a recogniser of another family than E, the auxiliary encoder and
the judge. Nothing may be trained, refined, tuned or chosen against them: then what they see is evidence of what others
see. What they are worth on real photos is a table: `evaluate --table observers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor, nn

from kfaar_core import image, weights
from kfaar_core.data.photos import open_dataset
from kfaar_core.data.split import TRAIN
from kfaar_core.errors import NoFaceFound
from kfaar_core.metrics.colours import hair_and_skin
from kfaar_core.nets.attribute_nets import AgeSexNet, ExpressionNet
from kfaar_core.nets.mobile_facenet import MobileFaceNet
from kfaar_core.presets import LAB
from kfaar_core.scenarios import pairs
from kfaar_core.stages.encode import ATTRIBUTES, SFACE, FaceEncoder, encoder_of
from kfaar_core.stages.geometry import GeometryReader
from kfaar_core.stages.locate import FaceLocator, MtcnnDetector

MEAN_PEOPLE = 200  # train people whose photos give the recogniser's mean


@dataclass(frozen=True)
class Observation:
    """What the observers tell about one face."""

    male: float  # probability, in [0, 1]; the network knows two sexes
    age: float  # years
    expressions: np.ndarray  # (7,) probabilities of nets.attribute_nets.EXPRESSIONS
    embedding: np.ndarray  # (192,) of the recogniser, centred, unit length
    colours: np.ndarray  # (2, 3) CIE Lab of hair and skin, see metrics.colours; NaN where they are not seen

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> Observation:
        """What vars() of an observation gives, as a cache returns it."""
        kept = {field.name: arrays[field.name] for field in fields(cls)}
        return cls(**kept | {"male": float(arrays["male"]), "age": float(arrays["age"])})  # type: ignore[arg-type]


class Observers:
    """The three networks on one device, and the colours."""

    def __init__(self, device: torch.device) -> None:
        def attributes(net: nn.Module, name: str) -> FaceEncoder:
            return encoder_of(net, ATTRIBUTES, weights.load(name), device, flip=False)

        self._age_sex = attributes(AgeSexNet(), "age_sex")
        self._expression = attributes(ExpressionNet(), "expression")
        self._recogniser = encoder_of(MobileFaceNet(), SFACE, weights.load("mobile_facenet"), device, flip=True)

    def __call__(self, picture: np.ndarray, landmarks: np.ndarray) -> Observation:
        """Observe one face.

        Args:
            picture: (H, W, 3) uint8.
            landmarks: (478, 2 or 3) px of the picture.
        """
        age, *sexes = self._age_sex.embed(picture, landmarks)
        return Observation(
            male=float(softmax(sexes)[0]),
            age=float(age),
            expressions=softmax(self._expression.embed(picture, landmarks)),
            embedding=self._recogniser.embed_normalised(picture, landmarks),
            colours=hair_and_skin(picture, landmarks),
        )

    @staticmethod
    def pins() -> dict[str, str]:
        """Name -> sha256 of the networks, for cache keys."""
        return {name: weights.pin_of(weight).sha256 for name, weight in weights.WEIGHTS.items() if weight.observer}


@cache
def observers(device: torch.device) -> Observers:
    """The observers of this process, loaded when they are first asked for.

    Raises:
        BadWeights: a file is missing or altered.
    """
    return Observers(device)


@torch.inference_mode()
def mean_embedding(state: dict[str, Tensor], data: str) -> Tensor:
    """The mean (192,) of the recogniser's embedding, over one photo each of MEAN_PEOPLE train people.

    Args:
        state: of MobileFaceNet.
        data: see data.photos.open_dataset.

    Raises:
        DataMissing: the data do not exist.
    """
    device = torch.device("cpu")
    geometry = GeometryReader(weights.load("geometry"), device)
    locator = FaceLocator(MtcnnDetector(LAB, device), geometry, LAB.side, device)
    recogniser, photos, found = encoder_of(MobileFaceNet(), SFACE, state, device, flip=True), open_dataset(data), []
    for person in pairs.people(photos.samples, photos.identities_of(TRAIN), limit=MEAN_PEOPLE):
        photo = image.open_photo(photos.read(person.photos[0]))
        try:
            landmarks = locator.locate(photo, "central").landmarks
        except NoFaceFound:
            continue
        found.append(torch.from_numpy(recogniser.embed(photo.pixels, landmarks)))
    return torch.stack(found).mean(dim=0)
