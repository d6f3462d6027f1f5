"""Frozen records that the stages exchange. Pictures are (H, W, 3) uint8 RGB unless a field says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from kfaar_core.keys import UserKey


@dataclass(frozen=True)
class Photo:
    """A decoded photo, upright, without metadata."""

    pixels: np.ndarray  # (H, W, 3) uint8 RGB
    notes: tuple[str, ...] = ()  # sentences for the user about conversions, for example of transparency
    name: str = field(default="", repr=False)  # of its file, for methods that pair pictures by name; never stored


@dataclass(frozen=True)
class Face:
    """One detected face, in pixels of the photo (x right, y down)."""

    box: np.ndarray  # (4,) float32: left, top, right, bottom
    points: np.ndarray  # (5, 2) float32: image-left eye, image-right eye, nose, image-left and image-right mouth corner
    confidence: float  # in [0, 1]


@dataclass(frozen=True)
class FaceCrop:
    """A face in the portrait frame (FFHQ alignment: eyes level, face centred)."""

    picture: np.ndarray  # (S, S, 3) uint8
    to_photo: np.ndarray  # (2, 3) float64: portrait pixel -> photo pixel
    face: Face


@dataclass(frozen=True)
class Posture:
    """Head pose and facial expression of one face in its portrait frame."""

    yaw: float  # degrees, positive when the nose points to the right of the picture
    pitch: float  # degrees, positive when the nose points down
    roll: float  # degrees, positive when the head tilts clockwise in the picture
    blendshapes: np.ndarray  # (52,) float32 in [0, 1], MediaPipe's names and order; the first is `_neutral`
    landmarks: np.ndarray  # (478, 3) float32: x, y, z as shares of the portrait's side


@dataclass(frozen=True)
class Payload:
    """Targets of refinement: what must be decodable from a virtual face, and what must not."""

    code: np.ndarray  # (d,) O_k u, unit length; KVFA must decode it
    identity: np.ndarray  # (d,) u, unit length; must not be decodable without the key


@dataclass(frozen=True)
class EnrolledPerson:
    """The virtual person of a first photo under a key, for later photos of the same person."""

    latent: np.ndarray = field(repr=False)  # as VirtualFace.latent, refined in many postures
    identity: np.ndarray = field(repr=False)  # (d,) u of the first photo; later photos must agree with it


@dataclass(frozen=True)
class Verdict:
    """Result of a comparison (Alg. 2)."""

    cosine: float  # of I(x) and the identity of x_v, in [-1, 1]
    threshold: float  # cosine from which the faces count as the same person
    same_person: bool  # cosine >= threshold
    dimension: int  # d, the length of the compared vectors
    compared: str  # what was compared, for example "I(x) with I(x_v, k)"
    key_used: bool  # False: Condition 1
    faces: tuple[int, int] = (0, 0)  # indices of the compared faces in the virtual picture and in the photo
    among: tuple[int, int] = (1, 1)  # numbers of faces in them, of which the most similar pair was taken


class Rejection(StrEnum):
    """Why a virtual face should not be used. Another key gives another face (Section VI-C-2)."""

    NO_FACE = "no face"  # no face is detected in the virtual picture
    TOO_CLOSE = "too close"  # too similar to the photo, by the judge or by SSIM
    NOT_READ = "not read"  # KVFA does not accept the person with the key, although the face was refined
    READ_WITHOUT_KEY = "read without a key"  # KVFA accepts the person without the key


@dataclass(frozen=True)
class VirtualFace:
    """Result of anonymising one face."""

    picture: np.ndarray  # x_v: the portrait, or the whole photo with the face replaced
    portrait: np.ndarray  # x_v as (S, S, 3), in either mode
    draft: np.ndarray  # x': before posture correction, (S, S, 3)
    crop: FaceCrop  # x in the portrait frame
    # (3, 512) float32: w of the coarse, middle and fine layers, or (23, 512) of every layer; None if not generated
    latent: np.ndarray | None
    identity: np.ndarray | None = field(repr=False)  # (d,) u of x; None if the method has none
    posture_original: Posture
    posture_before: Posture  # of x'
    posture_after: Posture  # of x_v
    judge_cosine: float  # judge(x, x_v), centred cosine
    judge_threshold: float
    anonymous: bool  # judge_cosine < judge_threshold
    look_distance: float  # visual difference of x and x_v by SSIM, 0 for equal pictures
    detected: bool  # a face was detected in x_v
    key: UserKey = field(repr=False)  # the key of this face: the caller's, or a later one if `rekeyed` > 0
    rekeyed: int  # number of keys whose faces were rejected before this one
    seconds: Mapping[str, float]  # stage -> seconds
    reading: Verdict | None = None  # KVFA's verdict on x_v with the key; None if the face was not refined
    keyless: Verdict | None = None  # KVFA's verdict without the key, which must not be the same person
    rejection: Rejection | None = None  # None if the face passes every check
    confidence: float = 0.0  # of the detector in the most certain face of x_v, in [0, 1]
    landmarks: np.ndarray | None = field(default=None, repr=False)  # (478, 3) px of the portrait, if the face stayed
    warnings: tuple[str, ...] = ()  # sentences for the user, see Photo.notes

    @property
    def person(self) -> EnrolledPerson | None:
        """The person whom the face shows, for later photos; None if the method draws none."""
        if self.latent is None or self.identity is None:
            return None
        return EnrolledPerson(self.latent, self.identity)


@dataclass(frozen=True)
class GroupPhoto:
    """A photo in which chosen faces were replaced; the others are as they were."""

    picture: np.ndarray  # (H, W, 3) uint8
    replaced: Mapping[int, VirtualFace]  # by the number of the face in the photo, 0 being the largest
    pixelated: tuple[int, ...]  # numbers of the chosen faces that could not be replaced


@dataclass(frozen=True)
class Scores:
    """Cosines of one population of trials, with the people they belong to (for the bootstrap over identities)."""

    name: str  # for example "scenario 4: right key, same photo"
    values: np.ndarray  # (N,) float64, higher means the same person
    people: np.ndarray  # (N,) int: index of the identity that a trial belongs to
    failed: int = 0  # number of trials without a score (no face detected)
    others: np.ndarray | None = None  # (N,) int: whom each person is compared with, where that is another person


@dataclass(frozen=True)
class Row:
    """One line of a table: a figure, its interval and the paper's figure."""

    name: str
    value: float
    low: float  # lower bound of the 95 % bootstrap interval over identities
    high: float  # upper bound
    n: int  # trials
    paper: float | None = None  # the paper's value
    note: str = ""
