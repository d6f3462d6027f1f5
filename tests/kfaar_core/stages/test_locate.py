from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kfaar_core import image
from kfaar_core.errors import BadSetting, NoFaceFound
from kfaar_core.image import open_photo
from kfaar_core.presets import LAB, TINY
from kfaar_core.records import Face, Photo
from kfaar_core.stages.locate import Detector, MtcnnDetector, check_usable, crop, five_points, portrait_frame, tiles

ASSETS = Path(__file__).parents[3] / "assets"
PHOTO = Photo(np.zeros((100, 120, 3), dtype=np.uint8))
# Eyes 20 apart, mouth 20 below: half the frame is max(2 x 20, 1.8 x 20) = 40, its centre 2 below the eyes.
SYMMETRIC = np.array([[50.0, 40], [70, 40], [60, 50], [52, 60], [68, 60]])


def face(left: float, top: float, side: float) -> Face:
    low = np.array([left, top])
    points = low + side * np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
    return Face(np.array([left, top, left + side, top + side], np.float32), points.astype(np.float32), 0.99)


@pytest.fixture(scope="module")
def mtcnn() -> MtcnnDetector:
    return MtcnnDetector(LAB, torch.device("cpu"))


class Fixed(Detector):
    def __init__(self, *faces: Face) -> None:
        super().__init__(TINY)
        self._faces = list(faces)

    def faces(self, photo: Photo) -> list[Face]:
        return self._faces


def test_the_frame_of_a_symmetric_face_by_hand():
    frame = portrait_frame(SYMMETRIC, side=8)
    np.testing.assert_allclose(frame, [[10, 0, 20], [0, 10, 2]])  # 80 px wide over 8; from (60 - 40, 42 - 40)
    np.testing.assert_allclose(image.apply(frame, np.array([[4, 4], [0, 8]])), [[60, 42], [20, 82]])


def test_a_long_face_widens_the_frame():
    long = SYMMETRIC + np.array(
        [[0, 0], [0, 0], [0, 10], [0, 30], [0, 30]]
    )  # mouth 50 below the eyes: 1.8 x 50 > 2 x 20
    assert portrait_frame(long, side=1)[0, 0] == pytest.approx(2 * 1.8 * 50)


@pytest.mark.parametrize("degrees", [-170, -30, 15, 90])
@pytest.mark.parametrize("scale", [0.3, 2.5])
def test_the_frame_turns_and_grows_with_the_face(degrees, scale):
    """A face that is turned, scaled and shifted has the same place in its portrait."""
    angle = np.deg2rad(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = SYMMETRIC + np.random.default_rng(0).normal(0, 2, (5, 2))  # not symmetric any more
    moved = points @ turn.T + (7, -3)
    inside, after = (image.apply(image.invert(portrait_frame(p, 64)), p) for p in (points, moved))
    np.testing.assert_allclose(after, inside, atol=1e-9)
    assert inside.min() > 0 and inside.max() < 64


def test_five_points_are_means_of_corners():
    landmarks = np.zeros((478, 3))
    landmarks[[33, 133, 362, 263, 1, 61, 291], 0] = [10, 20, 40, 50, 30, 22, 38]
    landmarks[[33, 133, 362, 263, 1, 61, 291], 1] = [5, 7, 5, 9, 20, 30, 32]
    assert five_points(landmarks).tolist() == [[15, 6], [45, 7], [30, 20], [22, 30], [38, 32]]


def test_a_crop_shows_what_its_matrix_says():
    pixels = np.zeros((100, 120, 3), dtype=np.uint8)
    pixels[40:44, 58:62] = 255  # centre (60, 42): the frame's centre
    found = crop(Photo(pixels), face(40, 20, 40), 16, SYMMETRIC)
    weight = found.picture[:, :, 0] / found.picture[:, :, 0].sum()
    centre = np.arange(16) + 0.5
    assert (weight.sum(axis=0) @ centre, weight.sum(axis=1) @ centre) == pytest.approx((8, 8), abs=0.1)
    np.testing.assert_allclose(found.to_photo, portrait_frame(SYMMETRIC, 16))


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (face(10, 10, 8), "The face is only 8 px wide. Use a photo where the face is at least 12 px wide."),
        (
            face(-20, 10, 50),
            "The border of the 120 x 100 px picture cuts the face. Use a photo that shows the whole face.",
        ),
        (
            face(60, 60, 60),
            "The border of the 120 x 100 px picture cuts the face. Use a photo that shows the whole face.",
        ),
    ],
)
def test_an_unusable_face_is_refused_in_a_sentence(found, sentence):
    with pytest.raises(NoFaceFound) as error:
        check_usable(found, PHOTO, TINY)
    assert str(error.value) == sentence


def test_a_box_that_reaches_beyond_the_border_is_usable_as_long_as_all_points_are_inside():
    check_usable(face(-2, 10, 40), PHOTO, TINY)  # 95 % inside
    near = face(-14, 10, 50)  # 72 %: boxes of faces that fill a picture reach too far
    points = np.maximum(near.points, (1, 0))
    check_usable(replace(near, points=points), PHOTO, TINY)
    with pytest.raises(NoFaceFound, match="border"):
        check_usable(replace(near, points=points - (2, 0)), PHOTO, TINY)
    check_usable(face(70, 50, 12), PHOTO, TINY)  # exactly the smallest size


def test_pick():
    large, small = face(5, 5, 60), face(80, 10, 20)
    detector = Fixed(large, small)
    assert detector.pick(PHOTO) is large and detector.pick(PHOTO, 0) is large
    assert detector.pick(PHOTO, 1) is small and detector.pick(PHOTO, "1") is small
    assert detector.usable(PHOTO) == [large, small]


def test_the_face_in_the_middle():
    corner, middle, cut = face(0, 40, 60), face(50, 40, 20), face(45, -12, 30)  # the photo is 120 x 100 px
    assert Fixed(corner, middle).pick(PHOTO, "central") is middle
    assert Fixed(corner, middle).pick(PHOTO) is corner
    assert Fixed(cut, corner).pick(PHOTO, "central") is corner  # a face that cannot be used is none
    with pytest.raises(NoFaceFound, match="No face was found"):
        Fixed().pick(PHOTO, "central")


@pytest.mark.parametrize("number", [2, -1, "7"])
def test_a_face_number_that_does_not_exist(number):
    with pytest.raises(
        NoFaceFound, match=rf"Face number {number} was asked for, but the picture has 2\. Choose a number"
    ):
        Fixed(face(5, 5, 60), face(80, 10, 20)).pick(PHOTO, number)


def test_a_face_that_is_no_number():
    with pytest.raises(BadSetting, match="Choose largest, central, or a number"):
        Fixed(face(5, 5, 60)).pick(PHOTO, "second")


def test_unusable_faces_are_left_out_and_an_empty_list_is_explained():
    cut, whole = face(-30, 5, 60), face(80, 10, 20)
    assert Fixed(cut, whole).usable(PHOTO) == [whole] and Fixed(cut, whole).pick(PHOTO) is whole
    with pytest.raises(NoFaceFound, match="border"):
        Fixed(face(-30, 5, 60), face(80, 10, 20)).pick(PHOTO, 0)
    with pytest.raises(NoFaceFound, match="border"):
        Fixed(face(-30, 5, 60)).usable(PHOTO)
    with pytest.raises(NoFaceFound, match="No face was found in the 120 x 100 px picture"):
        Fixed().pick(PHOTO)


@pytest.mark.lab
def test_a_face_that_fills_the_picture_is_found_where_it_is():
    detector = MtcnnDetector(LAB, torch.device("cpu"))
    photo = image.open_photo(ASSETS / "examples/person-4.png")
    [whole] = detector.faces(photo)
    left, top = (whole.points.min(axis=0) - 0.4 * np.ptp(whole.points, axis=0)).astype(int)
    right, bottom = (whole.points.max(axis=0) + 0.4 * np.ptp(whole.points, axis=0)).astype(int)
    tight = Photo(photo.pixels[top:bottom, left:right].copy())
    assert not detector._detect(tight.pixels, np.ones(2, np.float32))  # the case that needs a border
    [found] = detector.faces(tight)
    eyes = np.hypot(*(whole.points[1] - whole.points[0]))
    assert np.abs(found.points + np.array([left, top]) - whole.points).max() < 0.15 * eyes


@pytest.mark.lab
@pytest.mark.parametrize(("person", "left", "mirrored"), [(1, 117, True), (3, 117, True), (6, 104, False)])
def test_a_whole_face_beside_the_border_is_usable(person, left, mirrored):
    detector = MtcnnDetector(LAB, torch.device("cpu"))
    pixels = image.open_photo(ASSETS / f"examples/person-{person}.png").pixels
    whole = Photo(np.ascontiguousarray(pixels[:, ::-1] if mirrored else pixels))
    beside = Photo(whole.pixels[:, left:].copy())
    first, *_ = detector._detect(beside.pixels, np.ones(2, np.float32))
    with pytest.raises(NoFaceFound, match="border"):  # the case that needs one
        check_usable(first, beside, LAB)
    face = detector.pick(beside)
    reference = detector.pick(whole).points
    eyes = np.hypot(*(reference[1] - reference[0]))
    assert np.abs(face.points + np.array([left, 0]) - reference).max() < 0.2 * eyes  # a beginning for the landmarks


@pytest.mark.lab
def test_a_face_that_the_border_cuts_stays_refused():
    photo = image.open_photo(ASSETS / "examples/person-1.png")
    face = MtcnnDetector(LAB, torch.device("cpu")).pick(photo)
    half = Photo(photo.pixels[:, round(float(face.points[2, 0])) :].copy())  # from the nose on
    with pytest.raises(NoFaceFound):
        MtcnnDetector(LAB, torch.device("cpu")).pick(half)


def test_tiles_cover_the_picture_and_overlap():
    windows = tiles(8000, 6000, 2560, 120)
    covered = np.zeros((60, 80), dtype=int)
    for left, top, right, bottom in windows:
        assert 0 <= left < right <= 8000 and 0 <= top < bottom <= 6000 and right - left <= 2560 >= bottom - top
        covered[top // 100 : -(-bottom // 100), left // 100 : -(-right // 100)] += 1
    assert covered.min() >= 1
    lefts = sorted({(left, right) for left, _, right, _ in windows})
    assert all(first[1] - second[0] >= 120 for first, second in pairwise(lefts))
    assert tiles(300, 200, 2560, 120) == [(0, 0, 300, 200)]


@pytest.mark.lab
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_face_on_its_side_or_on_its_head_is_found_as_it_lies(turns, mtcnn):
    """Eyes and mouth are not exchanged: the points are those of the upright picture, turned with it."""
    upright = open_photo(ASSETS / "examples" / "person-1.png")
    (expected,) = mtcnn.faces(upright)
    (found,) = mtcnn.faces(Photo(np.ascontiguousarray(np.rot90(upright.pixels, turns))))
    side = upright.pixels.shape[0]
    x, y = expected.points.T
    moved = {1: (y, side - x), 2: (side - x, side - y), 3: (side - y, x)}[turns]
    np.testing.assert_allclose(found.points, np.stack(moved, axis=1), atol=0.03 * side)


@pytest.mark.lab
def test_a_face_in_a_long_strip_is_found():
    """As of 30,000 x 200 px, which would be 17 px high when the strip is shrunk to what the detector looks at."""
    mtcnn = MtcnnDetector(replace(LAB, detect_side=LAB.detect_side // 4), torch.device("cpu"))  # 7,500 px to its own
    strip = Image.new("RGB", (7500, 200), "gray")
    strip.paste(Image.open(ASSETS / "examples" / "person-4.png").convert("RGB").resize((200, 200)), (5100, 0))
    (found,) = mtcnn.faces(Photo(np.asarray(strip)))
    assert 5100 <= found.box[0] < found.box[2] <= 5300


@pytest.mark.lab
def test_small_faces_of_a_large_picture_are_found():
    """Faces of about 45 px, which would have 10 px when the picture is shrunk to what the detector looks at."""
    mtcnn = MtcnnDetector(replace(LAB, detect_side=LAB.detect_side // 4), torch.device("cpu"))  # 6,000 px to its own
    face = Image.fromarray(open_photo(ASSETS / "examples" / "person-4.png").pixels).resize(
        (110, 110), Image.Resampling.LANCZOS
    )
    wall = Image.new("RGB", (1500, 1000), "gray")
    places = [(75, 50), (625, 475), (1380, 880)]
    for place in places:
        wall.paste(face, place)
    found = mtcnn.faces(Photo(np.asarray(wall)))
    centres = sorted(tuple((each.box.reshape(2, 2).mean(axis=0) // 150).astype(int)) for each in found)
    assert centres == sorted(((x + 55) // 150, (y + 55) // 150) for x, y in places)
