"""Placement: align the corrected face with the photo's face, and paste it into the photo if asked for.

This is the similarity part of the posture correction G_f: rotation, size and position.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kfaar_core import image
from kfaar_core.records import FaceCrop, Photo
from kfaar_core.stages.generate import GeneratedFace
from kfaar_core.stages.locate import LocatedFace, five_points, portrait_frame

BORDER = 0.25  # reflection padding, share of the side: a rotated portrait has no empty corners
GROW = 1.04  # scale of the mask about its centre, to reach a little past the outermost landmarks


def place(render: np.ndarray, frame: np.ndarray, side: int, turn: float) -> np.ndarray:
    """Warp a render to the portrait frame and rotate it about the centre.

    Args:
        render: (S, S, 3) uint8.
        frame: (2, 3), portrait px -> render px.
        side: px of the answer.
        turn: degrees, clockwise.

    Returns:
        (side, side, 3) uint8.
    """
    border = round(BORDER * render.shape[0])
    wide = np.pad(render, ((border, border), (border, border), (0, 0)), mode="reflect")
    angle, middle = np.deg2rad(turn), np.full(2, side / 2)
    back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])  # answer -> level portrait
    level = np.column_stack([back, middle - back @ middle])
    outwards = np.array([[1.0, 0, border], [0, 1.0, border]])
    return image.warp(wide, image.compose(outwards, image.compose(frame, level)), (side, side))


def face_mask(faces: list[np.ndarray], side: int) -> np.ndarray:
    """The convex hull of the landmarks of several faces.

    Args:
        faces: (478, 2) landmarks of each face, as shares of the portrait's side.
        side: px.

    Returns:
        (side, side) float32, 1 inside and 0 outside.
    """
    return image.hull_mask(np.concatenate(faces) * side, (side, side), GROW)


@dataclass(frozen=True)
class PlacedFace:
    """A virtual face aligned with the photo's face."""

    level: np.ndarray  # (S, S, 3) uint8, in the level portrait frame
    portrait: np.ndarray  # (S, S, 3) uint8, rotated as in the photo
    picture: np.ndarray  # (H, W, 3) uint8: the portrait, or the photo with the face replaced


def placed(face: GeneratedFace, located: LocatedFace, side: int, canvas: Photo | None) -> PlacedFace:
    """Align the corrected face with the photo's face.

    Args:
        face: x_v.
        located: the photo's face.
        side: px of the portrait.
        canvas: the photo to paste the face into; None answers the portrait alone.
    """
    render = image.to_uint8(face.picture[None])[0]
    frame = portrait_frame(five_points(face.posture.landmarks * render.shape[0]), side)
    level = place(render, frame, side, 0.0)
    portrait = place(render, frame, side, located.rotation) if abs(located.rotation) > 0.05 else level
    if canvas is None:
        return PlacedFace(level, portrait, portrait)
    points = image.apply(image.invert(frame), face.posture.landmarks[:, :2] * render.shape[0]) / side
    mask = face_mask([points, located.posture.landmarks[:, :2]], side)
    shrink = located.crop.picture.shape[0] / side  # the answer's px are smaller than those of the located crop
    to_photo = located.crop.to_photo @ np.diag([shrink, shrink, 1.0])
    return PlacedFace(level, portrait, image.paste_back(canvas.pixels, level, to_photo, mask))


def rotated_crop(photo: Photo, located: LocatedFace, side: int) -> FaceCrop:
    """Crop x like PlacedFace.portrait: size and position of the level frame, upright axes of the photo."""
    centre = image.apply(located.crop.to_photo, np.full(2, located.crop.picture.shape[0] / 2))
    scale = np.hypot(*located.crop.to_photo[:, 0]) * located.crop.picture.shape[0] / side
    matrix = np.array([[scale, 0, centre[0] - scale * side / 2], [0, scale, centre[1] - scale * side / 2]])
    return FaceCrop(image.warp(photo.pixels, matrix, (side, side)), matrix, located.crop.face)


def cropped(pixels: np.ndarray, located: LocatedFace, side: int, whole: bool) -> PlacedFace:
    """The face of an edited photo in the frames of a generated one.

    Args:
        pixels: (H, W, 3) uint8, the edited photo.
        located: where its face is.
        side: px of the portraits.
        whole: answer the edited photo as the picture, not the portrait.
    """
    shrink = located.crop.picture.shape[0] / side
    level = image.warp(pixels, located.crop.to_photo @ np.diag([shrink, shrink, 1.0]), (side, side))
    portrait = rotated_crop(Photo(pixels), located, side).picture
    return PlacedFace(level, portrait, pixels if whole else portrait)


def scaled(located: LocatedFace, factor: float) -> LocatedFace:
    """The same face in the photo enlarged by this factor."""
    framed = replace(located.crop, to_photo=located.crop.to_photo * factor)
    return replace(located, crop=framed, landmarks=located.landmarks * factor)


def landmarks_in_frame(located: LocatedFace, framed: FaceCrop) -> np.ndarray:
    """The landmarks of a photo's face in px of a crop of it, (478, 3) float64."""
    points = image.apply(image.invert(framed.to_photo), located.landmarks[:, :2])
    depth = located.landmarks[:, 2:] / np.hypot(*framed.to_photo[:, 0])
    return np.concatenate([points, depth], axis=1)
