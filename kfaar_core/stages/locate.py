"""Locate: photo -> the face, in the portrait frame in which every later stage works. First step of HPVFG (Alg. 1).

MTCNN (facenet-pytorch, weights inside the package) finds boxes and five points. The geometry network then measures 478
landmarks and the posture. The portrait frame is FFHQ's alignment: a photo's face and a generated face have the same
place and size in it.
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
BORDER = 0.25  # share of the longer side that is laid around a picture in which no face was found [dev]
# Share of the box inside the picture below which the face counts as cut: the box of a near face reaches too far. [dev]
COVERED = 0.7
SMALLEST = 20  # px, the smallest face that MTCNN finds
SURE = 0.999  # confidence from which a face is taken to stand as it was found  [dev]
MARGIN = 0.003  # by which a turned reading must be surer than the upright one  [dev]
AROUND = 256  # px, side of the surroundings in which a face of another rotation is looked for


class Detector(ABC):
    """Photo -> faces; the base of MTCNN and of the tiny detector, which differ in how they find faces."""

    def __init__(self, preset: Preset) -> None:
        self._preset = preset

    @abstractmethod
    def faces(self, photo: Photo) -> list[Face]:
        """Every face above the preset's confidence, largest box first; empty when there is none."""

    def usable(self, photo: Photo) -> list[Face]:
        """The faces that are large enough and whole.

        Raises:
            NoFaceFound: there is none; what is wrong with the largest, when the photo has any.
        """
        faces = self.faces(photo)
        answers = self._without_fault(faces, photo)
        if not answers:
            self._refuse_empty(faces, photo)
            check_usable(faces[0], photo, self._preset)
        return answers

    def _without_fault(self, faces: list[Face], photo: Photo) -> list[Face]:
        return [face for face in faces if fault(face, photo, self._preset) is None]

    def pick(self, photo: Photo, which: str | int = "largest") -> Face:
        """One usable face: the largest of them, the one nearest to the middle of the photo, or number `which` of all
        faces (0 is the largest).

        Raises:
            NoFaceFound: no usable face, no face of that number, a face too small or cut by the border.
            BadSetting: `which` is neither `largest` nor `central` nor a number.
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
        found = [self._righted(face, photo) for face in self._upright(photo)]
        if not self._without_fault(found, photo):  # the picture may lie on its side or stand on its head
            readings = [found]
            for turns in (1, 2, 3):
                turned = self._upright(Photo(np.ascontiguousarray(np.rot90(photo.pixels, turns))))
                readings.append([_turned_back(face, turns, photo.pixels.shape) for face in turned])
            found = max(readings, key=lambda faces: self._sureness(faces, photo))
        return sorted(found, key=lambda face: -float(np.prod(face.box[2:] - face.box[:2])))

    def _sureness(self, faces: list[Face], photo: Photo) -> float:
        """Of the surest face; a reading with a usable face counts for more than any without."""
        usable = self._without_fault(faces, photo)
        return max((face.confidence for face in usable or faces), default=0.0) + bool(usable)

    def _upright(self, photo: Photo) -> list[Face]:
        """The faces of a picture as it stands, in the whole of it and, where that is made far smaller, in tiles."""
        height, width = photo.pixels.shape[:2]
        shrink = max(1.0, max(height, width) / self._preset.detect_side)
        faces = self._in_window(photo, (0, 0, width, height))
        if shrink * SMALLEST > self._preset.face_min:  # a face of face_min px would be too small to be found
            side = int(self._preset.detect_side * self._preset.face_min / SMALLEST)
            for window in tiles(width, height, side, 3 * self._preset.face_min):
                faces += [face for face in self._in_window(photo, window) if not overlapping(face, faces)]
        return faces

    def _in_window(self, photo: Photo, window: tuple[int, int, int, int]) -> list[Face]:
        """The faces in a window (left, top, right, bottom) of a photo, in px of the photo."""
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
        faces = self._found(small, scale)
        if not self._without_fault(faces, part):
            # MTCNN misses a face that fills the picture, and lets the box of one beside the border reach far beyond it,
            # unless there is something around them.
            border = round(BORDER * max(size))
            padded = np.pad(small, ((border, border), (border, border), (0, 0)), mode="edge")
            again = self._found(padded, scale, border)
            faces = again if self._without_fault(again, part) or not faces else faces
        return [_moved(face, (left, top)) for face in faces]

    def _righted(self, face: Face, photo: Photo) -> Face:
        """The face itself, or as it is found in its surroundings turned by quarters, where that is far surer.

        MTCNN sees faces that stand on their head, with eyes and mouth exchanged, and is a little less sure of them.
        """
        if face.confidence >= SURE:
            return face
        middle, reach = face.box.reshape(2, 2).mean(axis=0), 1.25 * float(max(face.box[2:] - face.box[:2]))
        corner = middle - reach
        to_photo = np.array([[2 * reach / AROUND, 0, corner[0]], [0, 2 * reach / AROUND, corner[1]]])
        around = image.warp(photo.pixels, to_photo, (AROUND, AROUND))
        best, bar = face, -1.0
        for turns in range(4):
            one = np.ones(2, dtype=np.float32)
            for seen in self._found(np.ascontiguousarray(np.rot90(around, turns)), one):
                back = _turned_back(seen, turns, around.shape)
                apart = float(np.hypot(*(back.box.reshape(2, 2).mean(axis=0) - AROUND / 2)))
                if apart < AROUND / 8 and back.confidence > bar:
                    bar = back.confidence + (MARGIN if turns == 0 else 0.0)
                    best = face if turns == 0 else _mapped(back, to_photo)
        return best

    def _found(self, picture: np.ndarray, scale: np.ndarray, border: int = 0) -> list[Face]:
        """The faces of a picture (H, W, 3) uint8 with a border, in px of the photo, (2,) scale as large."""
        boxes, confidences, points = self._net.detect(Image.fromarray(picture), landmarks=True)
        if boxes is None:
            return []
        return [
            Face((box.astype(np.float32) - border) * np.tile(scale, 2), (five - border) * scale, float(confidence))
            for box, five, confidence in zip(boxes, points.astype(np.float32), confidences, strict=True)
            if confidence >= self._preset.detect_min
        ]


def tiles(width: int, height: int, side: int, overlap: int) -> list[tuple[int, int, int, int]]:
    """Windows (left, top, right, bottom) of `side` px at most that cover a picture, each overlapping the next one."""

    def starts(length: int) -> list[int]:
        count = max(1, -(-(length - overlap) // (side - overlap)))
        return [round(index * max(0, length - side) / max(1, count - 1)) for index in range(count)]

    return [
        (left, top, min(left + side, width), min(top + side, height))
        for top in starts(height)
        for left in starts(width)
    ]


def overlapping(face: Face, others: list[Face]) -> bool:
    """Whether a face is one of the others: their boxes share more than a third of the smaller one."""

    def shared(other: Face) -> float:
        low, high = np.maximum(face.box[:2], other.box[:2]), np.minimum(face.box[2:], other.box[2:])
        smaller = min(float(np.prod(each.box[2:] - each.box[:2])) for each in (face, other))
        return float(np.prod(np.maximum(high - low, 0))) / smaller

    return any(shared(other) > 1 / 3 for other in others)


def _moved(face: Face, by: tuple[int, int]) -> Face:
    shift = np.array(by, dtype=np.float32)
    return Face(face.box + np.tile(shift, 2), face.points + shift, face.confidence)


def _mapped(face: Face, matrix: np.ndarray) -> Face:
    """A face through a map (2, 3) that scales and shifts."""
    corners = image.apply(matrix, face.box.reshape(2, 2)).astype(np.float32)
    return Face(corners.ravel(), image.apply(matrix, face.points).astype(np.float32), face.confidence)


def _turned_back(face: Face, turns: int, shape: tuple[int, ...]) -> Face:
    """A face found in np.rot90(picture, turns), in px of the picture of that shape (H, W, 3)."""
    height, width = shape[:2]
    # np.rot90 turns anticlockwise: (x, y) of the turned picture -> (x, y) of the picture.
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
    error = fault(face, photo, preset)
    if error is not None:
        raise error


def fault(face: Face, photo: Photo, preset: Preset) -> NoFaceFound | None:
    """What makes a face unusable, if anything does."""
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
    """(478, 2+) landmarks -> (5, 2): image-left eye, image-right eye, nose, image-left and image-right mouth corner."""
    eyes = [landmarks[list(corners), :2].mean(axis=0) for corners in EYE_CORNERS]
    return np.stack([*eyes, landmarks[NOSE_TIP, :2], *landmarks[list(MOUTH_CORNERS), :2]])


def portrait_frame(points: np.ndarray, side: int) -> np.ndarray:
    """FFHQ's alignment from five points: (2, 3) matrix, portrait pixel -> photo pixel.

    The frame is level with eyes and mouth, centred a tenth of the way from the eyes to the mouth, and twice the larger
    of 2.0 x the distance of the eyes and 1.8 x the distance from eyes to mouth wide (Karras et al., arXiv 1812.04948).
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
    """The face in the portrait frame, from MTCNN's five points or better ones."""
    to_photo = portrait_frame(face.points if points is None else points, side)
    return FaceCrop(picture=image.warp(photo.pixels, to_photo, (side, side)), to_photo=to_photo, face=face)


def landmarks_in_photo(framed: FaceCrop, posture: Posture) -> np.ndarray:
    """(478, 3) float64 landmarks of a posture measured in a frame, in photo px (z on the same scale)."""
    side = framed.picture.shape[0]
    points = image.apply(framed.to_photo, posture.landmarks[:, :2] * side)
    depth = posture.landmarks[:, 2:] * side * np.hypot(*framed.to_photo[:, 0])
    return np.concatenate([points, depth], axis=1)


@dataclass(frozen=True)
class LocatedFace:
    """One face of a photo as every later stage needs it."""

    crop: FaceCrop  # in the level portrait frame
    posture: Posture  # measured in that frame; the frame's own rotation is not in it
    landmarks: np.ndarray  # (478, 3) float64, photo px (z on the same scale)
    rotation: float  # degrees, clockwise: how far the frame is rotated in the photo


class FaceLocator:
    """Find one face, frame it by its own landmarks, and measure its posture."""

    def __init__(self, detector: Detector, geometry: GeometryReader, side: int, device: torch.device) -> None:
        """side: px of the portrait frame that is measured."""
        self.detector, self._geometry, self._side, self._device = detector, geometry, side, device

    def locate(self, photo: Photo, which: Face | str | int = "largest") -> LocatedFace:
        """The face in the frame that its own landmarks define; MTCNN's five points only give the first frame.

        Args:
            which: a detected face, or as in Detector.pick.
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
