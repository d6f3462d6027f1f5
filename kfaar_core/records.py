"""Frozen values that travel between the stages. Pictures are (H, W, 3) uint8 RGB unless a field says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from kfaar_core.keys import UserKey


@dataclass(frozen=True)
class Photo:
    """A decoded photo, upright and without metadata."""

    pixels: np.ndarray  # (H, W, 3) uint8 RGB
    notes: tuple[str, ...] = ()  # sentences about what was done to it, for the user


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
    landmarks: np.ndarray  # (478, 3) float32: x, y, z in portrait pixels / side


@dataclass(frozen=True)
class Payload:
    """What a virtual face shall tell of the person in the photo, and what it shall keep."""

    code: np.ndarray  # (d,) O_k u of unit length: what KVFA shall read of it
    identity: np.ndarray  # (d,) u: what nobody shall without the key


@dataclass(frozen=True)
class Verdict:
    """What the authentication server answers (Alg. 2)."""

    cosine: float  # of I(x) and the read-out of x_v, in [-1, 1]
    threshold: float  # in force
    same_person: bool  # cosine >= threshold
    dimension: int  # d, the length of the compared features
    compared: str  # in words, for example "I(x) with I(x_v, k)"
    key_used: bool  # False: Condition 1
    faces: tuple[int, int] = (0, 0)  # numbers of the compared faces in the virtual picture and in the photo


class Rejection(StrEnum):
    """Why a virtual face should not be used; the next key gives another one (Section VI-C-2)."""

    NO_FACE = "no face"  # the detector finds none in the virtual picture
    TOO_CLOSE = "too close"  # to the photo, for the judge or to the eye
    NOT_READ = "not read"  # KVFA does not read the identity with the key, although the face was refined
    READ_WITHOUT_KEY = "read without a key"


@dataclass(frozen=True)
class VirtualFace:
    """What the anonymisation server answers for one face."""

    picture: np.ndarray  # x_v: the portrait, or the whole photo with the face pasted back
    portrait: np.ndarray  # x_v as (S, S, 3), whatever the mode
    draft: np.ndarray  # x': before posture correction, (S, S, 3)
    crop: FaceCrop  # x in the portrait frame
    latent: np.ndarray  # (3, 512) float32: w of the coarse, middle and fine layers
    posture_original: Posture
    posture_before: Posture  # of x'
    posture_after: Posture  # of x_v
    judge_cosine: float  # judge(x, x_v), centred cosine
    judge_threshold: float
    anonymous: bool  # judge_cosine < judge_threshold
    look_distance: float  # perceptual distance of x and x_v, 0 = the same picture
    detected: bool  # the detector sees a face in x_v
    key: UserKey = field(repr=False)  # the key in force: the caller's, or a later one when `rekeyed` > 0
    rekeyed: int  # how many keys were passed over, because their faces were rejected
    seconds: Mapping[str, float]  # stage -> seconds
    reading: Verdict | None = None  # KVFA's of x_v with the key, where the face was refined to be read
    keyless: Verdict | None = None  # and its verdict without one, which must not be the same person
    rejection: Rejection | None = None
    warnings: tuple[str, ...] = ()  # sentences about what was done to the photo


@dataclass(frozen=True)
class Scores:
    """Cosines of one population of trials, with the people they came from (for bootstrap over identities)."""

    name: str  # for example "scenario 4: right key, same photo"
    values: np.ndarray  # (N,) float64, higher means the same person
    people: np.ndarray  # (N,) int: index of the identity that a trial belongs to
    failed: int = 0  # trials without a score (no face found); counted, never dropped


@dataclass(frozen=True)
class Row:
    """One printed line of a table: a figure with its interval and the paper's figure beside it."""

    name: str
    value: float
    low: float  # 95 % bootstrap interval over identities
    high: float
    n: int
    paper: float | None = None
    note: str = ""
