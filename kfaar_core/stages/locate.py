"""Face detection and alignment: photo -> one face in the portrait frame. First step of HPVFG (Alg. 1).

MTCNN (facenet-pytorch, weights inside the package) detects boxes and five points. The geometry network then measures
478 landmarks and the posture. The portrait frame is FFHQ's alignment, so faces of photos and generated faces have the
same position and size in it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from kfaar_core import image, weights
from kfaar_core.errors import BadSetting, NoFaceFound
from kfaar_core.presets import Preset
from kfaar_core.records import Face, FaceCrop, Photo, Posture
from kfaar_core.stages.geometry import GeometryReader
from kfaar_core.torchvision_shim import prepare

# Five points out of the 478 landmarks: eye corners (both eyes' means), nose tip, mouth corners.
EYE_CORNERS = ((33, 133), (362, 263))
NOSE_TIP, MOUTH_CORNERS = 1, (61, 291)
BORDER = 0.25  # share of the longer side that is padded around a picture in which no face was detected [dev]
# Share of the box inside the picture below which a face counts as cut; MTCNN's box of a close face is too large  [dev]
COVERED = 0.7
SMALLEST = 20  # px, the smallest face that MTCNN detects
CONFIDENT = 0.999  # confidence from which other rotations of a face are not tried  [dev]
MARGIN = 0.003  # by which the confidence of a rotated detection must exceed that of the upright one  [dev]
CONTEXT = 256  # px, side of the crop around a face in which other rotations are tried


class Detector(ABC):
    """Base class of face detectors: a photo gives a list of faces. Subclasses implement `faces`."""

    def __init__(self, preset: Preset) -> None:
        self._preset = preset

    @abstractmethod
    def faces(self, photo: Photo) -> list[Face]:
        """Every face with at least the preset's confidence, largest box first; an empty list without a face."""

    def usable(self, photo: Photo) -> list[Face]:
        """The faces that are large enough and not cut by the border, largest box first.

        Raises:
            NoFaceFound: no face is usable. When faces were detected, the error says what is wrong with the largest.
        """
        faces = self.faces(photo)
        usable = self._only_usable(faces, photo)
        if not usable:
            self._refuse_empty(faces, photo)
            check_usable(faces[0], photo, self._preset)
        return usable

    def _only_usable(self, faces: list[Face], photo: Photo) -> list[Face]:
        return [face for face in faces if usability_error(face, photo, self._preset) is None]

    def pick(self, photo: Photo, which: str | int = "largest") -> Face:
        """Choose one usable face.

        Args:
            which: `largest`; `central`, the usable face nearest to the middle of the photo; or the index of a face in
                `faces` (0 is the largest).

        Raises:
            NoFaceFound: no usable face, no face with that index, or a face that is too small or cut by the border.
            BadSetting: `which` is neither `largest` nor `central` nor an index.
        """
        if which == "largest":
            return self.usable(photo)[0]
        if which == "central":
            middle = np.array(photo.pixels.shape[1::-1]) / 2
            return min(self.usable(photo), key=lambda face: float(np.hypot(*(face.box.reshape(2, 2).mean(0) - middle))))
        if isinstance(which, str) and not which.isdecimal():
            raise BadSetting(got=f"the face {which!r} is unknown", mend="choose largest, central, or a number from 0")
        faces, number = self.faces(photo), int(which)
        self._refuse_empty(faces, photo)
        if not 0 <= number < len(faces):
            raise NoFaceFound(
                got=f"face number {number} was asked for, but the picture has {len(faces)}",
                mend=f"choose a number from 0 (the largest) to {len(faces) - 1}",
            )
        check_usable(faces[number], photo, self._preset)
        return faces[number]

    def _refuse_empty(self, faces: list[Face], photo: Photo) -> None:
        if not faces:
            height, width = photo.pixels.shape[:2]
            raise NoFaceFound(
                got=f"no face was found in the {width} x {height} px picture",
                mend="use a photo that shows a face from the front, sharp and well lit",
            )


class MtcnnDetector(Detector):
    """MTCNN (Zhang et al., 2016) from facenet-pytorch."""

    def __init__(self, preset: Preset, device: torch.device) -> None:
        super().__init__(preset)
        for name in ("mtcnn_pnet", "mtcnn_rnet", "mtcnn_onet"):
            weights.verify(name)
        prepare()
        from facenet_pytorch import MTCNN

        self._net = MTCNN(keep_all=True, post_process=False, min_face_size=SMALLEST, device=device)

    def faces(self, photo: Photo) -> list[Face]:
        detected = [self._corrected_rotation(face, photo) for face in self._upright(photo)]
        if not self._only_usable(detected, photo):  # the photo may be rotated by quarter turns
            by_rotation = [detected]
            for turns in (1, 2, 3):
                rotated = self._upright(Photo(np.ascontiguousarray(np.rot90(photo.pixels, turns))))
                by_rotation.append([_rotated_back(face, turns, photo.pixels.shape) for face in rotated])
            detected = max(by_rotation, key=lambda faces: self._best_confidence(faces, photo))
        return sorted(detected, key=lambda face: -float(np.prod(face.box[2:] - face.box[:2])))

    def _best_confidence(self, faces: list[Face], photo: Photo) -> float:
        """The highest confidence, plus 1 if any face is usable: usable faces win over unusable ones."""
        usable = self._only_usable(faces, photo)
        return max((face.confidence for face in usable or faces), default=0.0) + bool(usable)

    def _upright(self, photo: Photo) -> list[Face]:
        """Detect without rotating the photo: in the whole photo, and in tiles of it where it is much downscaled."""
        height, width = photo.pixels.shape[:2]
        shrink = max(1.0, max(height, width) / self._preset.detect_side)
        faces = self._in_window(photo, (0, 0, width, height))
        if shrink * SMALLEST > self._preset.face_min:  # downscaled, a face of face_min px is too small to be detected
            side = int(self._preset.detect_side * self._preset.face_min / SMALLEST)
            for window in tiles(width, height, side, 3 * self._preset.face_min):
                faces += [face for face in self._in_window(photo, window) if not overlapping(face, faces)]
        return faces

    def _in_window(self, photo: Photo, window: tuple[int, int, int, int]) -> list[Face]:
        """Detect in a window (left, top, right, bottom) of a photo; faces in px of the photo."""
        left, top, right, bottom = window
        part = Photo(photo.pixels[top:bottom, left:right])
        height, width = part.pixels.shape[:2]
        shrink = max(1.0, max(height, width) / self._preset.detect_side)
        size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
        if min(size) < SMALLEST:  # MTCNN fails on such pictures
            return []
        picture = Image.fromarray(part.pixels)
        small = np.asarray(picture.resize(size, Image.Resampling.BOX) if shrink > 1 else picture)
        scale = np.array([width / size[0], height / size[1]], dtype=np.float32)
        faces = self._detect(small, scale)
        if not self._only_usable(faces, part):
            # MTCNN misses a face that fills the picture, and makes the box of a face at the border too large. Padding
            # mends both.
            border = round(BORDER * max(size))
            padded = np.pad(small, ((border, border), (border, border), (0, 0)), mode="edge")
            again = self._detect(padded, scale, border)
            faces = again if self._only_usable(again, part) or not faces else faces
        return [_moved(face, (left, top)) for face in faces]

    def _corrected_rotation(self, face: Face, photo: Photo) -> Face:
        """The detection with the best confidence over the four quarter-turn rotations of the face's surroundings.

        MTCNN also detects upside-down faces, with eyes and mouth exchanged, at a slightly lower confidence.
        """
        if face.confidence >= CONFIDENT:
            return face
        middle, reach = face.box.reshape(2, 2).mean(axis=0), 1.25 * float(max(face.box[2:] - face.box[:2]))
        corner = middle - reach
        to_photo = np.array([[2 * reach / CONTEXT, 0, corner[0]], [0, 2 * reach / CONTEXT, corner[1]]])
        around = image.warp(photo.pixels, to_photo, (CONTEXT, CONTEXT))
        best, bar = face, -1.0
        for turns in range(4):
            one = np.ones(2, dtype=np.float32)
            for candidate in self._detect(np.ascontiguousarray(np.rot90(around, turns)), one):
                back = _rotated_back(candidate, turns, around.shape)
                apart = float(np.hypot(*(back.box.reshape(2, 2).mean(axis=0) - CONTEXT / 2)))
                if apart < CONTEXT / 8 and back.confidence > bar:
                    bar = back.confidence + (MARGIN if turns == 0 else 0.0)
                    best = face if turns == 0 else _mapped(back, to_photo)
        return best

    def _detect(self, picture: np.ndarray, scale: np.ndarray, border: int = 0) -> list[Face]:
        """Run MTCNN.

        Args:
            picture: (H, W, 3) uint8.
            scale: (2,) photo px per picture px, horizontally and vertically.
            border: px of padding on each side of the picture.

        Returns:
            Faces in px of the photo.
        """
        boxes, confidences, points = self._net.detect(Image.fromarray(picture), landmarks=True)
        if boxes is None:
            return []
        return [
            Face((box.astype(np.float32) - border) * np.tile(scale, 2), (five - border) * scale, float(confidence))
            for box, five, confidence in zip(boxes, points.astype(np.float32), confidences, strict=True)
            if confidence >= self._preset.detect_min
        ]


def tiles(width: int, height: int, side: int, overlap: int) -> list[tuple[int, int, int, int]]:
    """Overlapping windows that cover a picture.

    Args:
        width, height: of the picture, px.
        side: px, largest width and height of a window.
        overlap: px, smallest overlap of neighbouring windows.

    Returns:
        (left, top, right, bottom) of each window, px.
    """

    def starts(length: int) -> list[int]:
        count = max(1, -(-(length - overlap) // (side - overlap)))
        return [round(index * max(0, length - side) / max(1, count - 1)) for index in range(count)]

    return [
        (left, top, min(left + side, width), min(top + side, height))
        for top in starts(height)
        for left in starts(width)
    ]


def overlapping(face: Face, others: list[Face]) -> bool:
    """Whether the box of a face overlaps another box by more than a third of the smaller one's area."""

    def shared(other: Face) -> float:
        low, high = np.maximum(face.box[:2], other.box[:2]), np.minimum(face.box[2:], other.box[2:])
        smaller = min(float(np.prod(each.box[2:] - each.box[:2])) for each in (face, other))
        return float(np.prod(np.maximum(high - low, 0))) / smaller

    return any(shared(other) > 1 / 3 for other in others)


def _moved(face: Face, by: tuple[int, int]) -> Face:
    shift = np.array(by, dtype=np.float32)
    return Face(face.box + np.tile(shift, 2), face.points + shift, face.confidence)


def _mapped(face: Face, matrix: np.ndarray) -> Face:
    """A face under an affine map (2, 3) that scales and shifts."""
    corners = image.apply(matrix, face.box.reshape(2, 2)).astype(np.float32)
    return Face(corners.ravel(), image.apply(matrix, face.points).astype(np.float32), face.confidence)


def _rotated_back(face: Face, turns: int, shape: tuple[int, ...]) -> Face:
    """Map a face detected in np.rot90(picture, turns) to px of the picture, whose shape is (H, W, 3)."""
    height, width = shape[:2]
    # np.rot90 rotates anticlockwise. Each matrix maps (x, y) of the rotated picture to (x, y) of the picture.
    matrix = {
        0: [[1, 0, 0], [0, 1, 0]],
        1: [[0, -1, width], [1, 0, 0]],
        2: [[-1, 0, width], [0, -1, height]],
        3: [[0, 1, 0], [-1, 0, height]],
    }[turns % 4]
    to_picture = np.array(matrix, dtype=np.float64)
    corners = image.apply(to_picture, face.box.reshape(2, 2))
    box = np.concatenate([corners.min(axis=0), corners.max(axis=0)]).astype(np.float32)
    return Face(box, image.apply(to_picture, face.points).astype(np.float32), face.confidence)


def check_usable(face: Face, photo: Photo, preset: Preset) -> None:
    """Refuse a face that is too small or cut by the border of the photo.

    Raises:
        NoFaceFound: with the measured size, or the border it crosses.
    """
    error = usability_error(face, photo, preset)
    if error is not None:
        raise error


def usability_error(face: Face, photo: Photo, preset: Preset) -> NoFaceFound | None:
    """The error that says why a face is too small or cut by the border; None for a usable face."""
    height, width = photo.pixels.shape[:2]
    side = float(min(face.box[2:] - face.box[:2]))
    if side < preset.face_min:
        return NoFaceFound(
            got=f"the face is only {side:.0f} px wide",
            mend=f"use a photo where the face is at least {preset.face_min} px wide",
        )
    points = face.points
    inside = (points >= 0).all() and (points < (width, height)).all()
    low, high = face.box[:2], face.box[2:]
    covered = np.prod(np.minimum(high, (width, height)) - np.maximum(low, 0)) / np.prod(high - low)
    if not inside or covered < COVERED:
        return NoFaceFound(
            got=f"the border of the {width} x {height} px picture cuts the face",
            mend="use a photo that shows the whole face",
        )
    return None


def five_points(landmarks: np.ndarray) -> np.ndarray:
    """Landmarks (478, 2 or 3) -> (5, 2): image-left eye, image-right eye, nose, image-left and -right mouth corner."""
    eyes = [landmarks[list(corners), :2].mean(axis=0) for corners in EYE_CORNERS]
    return np.stack([*eyes, landmarks[NOSE_TIP, :2], *landmarks[list(MOUTH_CORNERS), :2]])


def portrait_frame(points: np.ndarray, side: int) -> np.ndarray:
    """FFHQ's alignment from five points: (2, 3) matrix, portrait pixel -> photo pixel.

    The frame is parallel to the eyes and its centre lies a tenth of the way from the eyes to the mouth. Its width is
    twice the larger of 2.0 x the distance between the eyes and 1.8 x the distance from eyes to mouth (Karras et al.,
    arXiv 1812.04948).

    Args:
        points: (5, 2) photo px, as five_points orders them.
        side: px of the portrait.
    """
    left_eye, right_eye, _, left_mouth, right_mouth = np.asarray(points, dtype=np.float64)
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    across, down = right_eye - left_eye, mouth - eyes
    axis = across + np.array([down[1], -down[0]])
    axis /= np.hypot(*axis)
    half = max(2.0 * np.hypot(*across), 1.8 * np.hypot(*down))
    centre = eyes + 0.1 * down
    turn = np.array([[axis[0], -axis[1]], [axis[1], axis[0]]]) * (2 * half / side)  # unit: photo px per portrait px
    return np.column_stack([turn, centre - turn @ np.full(2, side / 2)])


def crop(photo: Photo, face: Face, side: int, points: np.ndarray | None = None) -> FaceCrop:
    """Crop a face to the portrait frame, a square of `side` px aligned as in FFHQ: eyes level, head with its hair.

    Args:
        points: (5, 2) photo px that define the frame; None takes the detector's own.
    """
    to_photo = portrait_frame(face.points if points is None else points, side)
    return FaceCrop(picture=image.warp(photo.pixels, to_photo, (side, side)), to_photo=to_photo, face=face)


def landmarks_in_photo(framed: FaceCrop, posture: Posture) -> np.ndarray:
    """Map the landmarks of a posture from its crop to the photo: (478, 3) float64, photo px (z on the same scale)."""
    side = framed.picture.shape[0]
    points = image.apply(framed.to_photo, posture.landmarks[:, :2] * side)
    depth = posture.landmarks[:, 2:] * side * np.hypot(*framed.to_photo[:, 0])
    return np.concatenate([points, depth], axis=1)


@dataclass(frozen=True)
class LocatedFace:
    """One face of a photo: its crop, posture and landmarks, as every later stage needs them."""

    crop: FaceCrop  # in the level portrait frame
    posture: Posture  # measured in that frame, so without the frame's own rotation
    landmarks: np.ndarray  # (478, 3) float64, photo px (z on the same scale)
    rotation: float  # degrees, clockwise: how far the frame is rotated in the photo


class FaceLocator:
    """Detect one face, align it by its landmarks, and measure its posture."""

    def __init__(self, detector: Detector, geometry: GeometryReader, side: int, device: torch.device) -> None:
        """side: px of the portrait frame that is measured."""
        self.detector, self._geometry, self._side, self._device = detector, geometry, side, device

    def locate(self, photo: Photo, which: Face | str | int = "largest") -> LocatedFace:
        """Locate one face of a photo.

        The detector's five points give a first crop. The landmarks measured in it define the final one.

        Args:
            which: a detected face, or a choice as in Detector.pick.

        Raises:
            NoFaceFound: no usable face.
            BadSetting: an unknown `which`.
        """
        face = which if isinstance(which, Face) else self.detector.pick(photo, which)
        first = crop(photo, face, self._side)
        points = landmarks_in_photo(first, self._posture(first))
        framed = crop(photo, face, self._side, five_points(points))
        posture = self._posture(framed)
        rotation = np.degrees(np.arctan2(framed.to_photo[1, 0], framed.to_photo[0, 0]))
        return LocatedFace(framed, posture, landmarks_in_photo(framed, posture), float(rotation))

    def _posture(self, framed: FaceCrop) -> Posture:
        return self._geometry.postures(image.to_float(framed.picture).to(self._device))[0]
