from __future__ import annotations

import io
import struct
import time
import tracemalloc
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from kfaar_core import image
from kfaar_core.errors import BadOutput, BadPicture

COLOURS = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[255, 255, 255], [0, 0, 0], [255, 255, 0]]], np.uint8)


def encoded(picture: Image.Image | np.ndarray, kind: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    picture = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    picture.save(stream, kind, **options)
    return stream.getvalue()


def smooth(width: int, height: int) -> np.ndarray:
    """A picture of slow waves, which resampling keeps nearly unchanged."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    waves = [np.sin(x / 23) + np.cos(y / 31), np.sin((x + y) / 37), np.cos((x - y) / 29)]
    return np.stack([np.round(127 + 60 * wave) for wave in waves], axis=-1).clip(0, 255).astype(np.uint8)


def refused(source) -> str:
    with pytest.raises(BadPicture) as caught:
        image.open_photo(source)
    return str(caught.value)


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises that many pixels and holds none."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


# ---- decode: what works


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "PPM", "GIF"])
def test_lossless_formats_come_back_exactly(kind):
    photo = image.open_photo(encoded(COLOURS, kind))
    np.testing.assert_array_equal(photo.pixels, COLOURS)
    assert photo.pixels.dtype == np.uint8 and photo.pixels.flags.writeable and photo.notes == ()


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF", "MPO"])
def test_lossy_formats_come_back_nearly(kind):
    picture = smooth(200, 300)
    photo = image.open_photo(encoded(picture, kind, quality=95))
    assert np.abs(photo.pixels.astype(int) - picture).mean() < 3 and photo.notes == ()


def test_a_path_bytes_and_a_stream_give_the_same(tmp_path):
    data, path = encoded(COLOURS), tmp_path / "photo with no suffix"
    path.write_bytes(data)
    stream = io.BytesIO(data)
    stream.read(7)

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    for source in (data, path, str(path), stream, Pipe(data)):
        np.testing.assert_array_equal(image.open_photo(source).pixels, COLOURS)
    assert not stream.closed


def test_every_mode_becomes_rgb():
    grey = np.array([[0, 100, 255]], np.uint8)
    three = np.repeat(grey[..., None], 3, axis=2)
    palette = Image.fromarray(COLOURS).quantize(8)
    sixteen = Image.fromarray(grey.astype(np.uint16) * 257)
    for source in (
        Image.fromarray(grey),
        sixteen,
        Image.merge("LA", [Image.fromarray(grey), Image.new("L", (3, 1), 255)]),
    ):
        photo = image.open_photo(encoded(source))
        np.testing.assert_array_equal(photo.pixels, three)
        assert photo.notes == ()
    np.testing.assert_array_equal(image.open_photo(encoded(sixteen, "TIFF")).pixels, three)
    np.testing.assert_array_equal(image.open_photo(encoded(palette)).pixels, COLOURS)
    np.testing.assert_array_equal(image.open_photo(encoded(Image.fromarray(grey > 127))).pixels, three // 255 * 255)
    high = b"P5 3 1 65535\n" + (grey.astype(">u2") * 257).tobytes()  # which Pillow opens as 32-bit integers
    np.testing.assert_array_equal(image.open_photo(high).pixels, three)


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_cmyk_is_converted_and_said(kind):
    inks = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    photo = image.open_photo(encoded(inks, kind))
    assert np.abs(photo.pixels.astype(int) - (255, 0, 0)).max() <= 3
    assert any("CMYK" in note for note in photo.notes)


@given(colour=st.tuples(*4 * [st.integers(0, 255)]))
@settings(max_examples=30, deadline=None)
def test_transparent_parts_are_laid_on_white(colour):
    photo = image.open_photo(encoded(Image.new("RGBA", (2, 2), colour)))
    expected = [value * colour[3] / 255 + 255 - colour[3] for value in colour[:3]]
    np.testing.assert_allclose(photo.pixels, np.broadcast_to(expected, (2, 2, 3)), atol=1.01)
    assert bool(photo.notes) is (colour[3] < 255)


def test_a_transparent_palette_colour_becomes_white():
    palette = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    palette.putpalette([255, 0, 0, 0, 0, 255])
    photo = image.open_photo(encoded(palette, transparency=0))
    np.testing.assert_array_equal(photo.pixels, [[[255, 255, 255], [0, 0, 255]]])
    assert "white" in photo.notes[0]


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_several_is_used_and_said(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    photo = image.open_photo(encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    assert (photo.pixels == (255, 0, 0)).all()
    assert len(photo.notes) == 1 and "3" in photo.notes[0] and "first" in photo.notes[0]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_photo_stands_upright_whatever_the_camera_wrote(kind, orientation):
    """Where the standard says that row 0 and column 0 are (CIPA DC-008, 4.6.5.1, Orientation) a corner is red."""
    upright = np.zeros((24, 40, 3), np.uint8)
    upright[:12, :20] = (255, 0, 0)  # visual top left
    upright[:12, 20:] = (0, 255, 0)  # visual top right
    row0, column0 = {
        1: "top left", 2: "top right", 3: "bottom right", 4: "bottom left",
        5: "left top", 6: "right top", 7: "right bottom", 8: "left bottom",
    }[orientation].split()  # fmt: skip
    stored = upright
    if row0 in ("left", "right"):  # stored rows are visual columns
        stored = stored.swapaxes(0, 1)
    if row0 in ("bottom", "right"):
        stored = stored[::-1]
    if column0 in ("bottom", "right"):
        stored = stored[:, ::-1]
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = image.open_photo(encoded(np.ascontiguousarray(stored), kind, exif=exif))
    assert photo.pixels.shape == upright.shape
    assert np.abs(photo.pixels.astype(int) - upright).mean() < 8


def test_broken_exif_and_other_metadata_do_no_harm():
    data = encoded(COLOURS, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\0\0nonsense", comment=b"a comment")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert image.open_photo(data).pixels.shape == COLOURS.shape


# ---- decode: what is refused


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty"),
        (b"this is a letter, not a picture", "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        (b"\0\0\0\x18ftypheic" + bytes(64), "HEIC"),
        (encoded(smooth(64, 64))[:900], "damaged or cut short"),
        (encoded(smooth(64, 64), "JPEG")[:500], "damaged or cut short"),
        (b"\xff\xd8\xff\xe0", "damaged or cut short"),
        (encoded(Image.new("F", (4, 4)), "TIFF"), "floating-point"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_bad_file_has_its_own_sentence(tmp_path, data, sentence):
    assert sentence in refused(data)
    path = tmp_path / "holiday.jpg"
    path.write_bytes(data)
    named = refused(path)
    assert sentence in named and "'holiday.jpg'" in named and str(tmp_path) not in named


def test_files_that_cannot_be_opened(tmp_path):
    assert "'nowhere.png' does not exist" in refused(tmp_path / "nowhere.png")
    assert "is a folder" in refused(tmp_path)
    assert "cannot be opened" in refused(Path("a\0b"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "AVIF"])
@settings(max_examples=25, deadline=None)
@given(choose=st.data())
def test_a_file_cut_anywhere_is_a_photo_or_refused(kind, choose):
    data = WHOLE[kind]
    length = choose.draw(st.integers(0, len(data) - 1))
    try:
        assert image.open_photo(data[:length]).pixels.shape == (40, 60, 3)
    except BadPicture as error:
        assert error.got and error.mend
        return
    assert length > len(data) * 0.9  # only what follows the pixels may be missing


WHOLE = {kind: encoded(smooth(60, 40), kind) for kind in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "AVIF")}


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(sorted(WHOLE)), place=st.floats(0, 0.999), noise=st.binary(min_size=1, max_size=40))
def test_noise_in_a_file_never_gives_another_error(kind, place, noise):
    data = bytearray(WHOLE[kind])
    start = int(place * len(data))
    data[start : start + len(noise)] = noise
    try:
        image.open_photo(bytes(data))
    except BadPicture as error:
        assert len(str(error)) < 250


@pytest.mark.parametrize("size", [(12_501, 4_000), (7_072, 7_072), (10_000, 10_000), (30_000, 30_000), (50_000_001, 1)])
def test_too_large_a_picture_is_refused_before_it_is_decoded(size):
    data = png_header(*size)
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            said = refused(data)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
    assert "over 50 megapixels" in said and f"{size[0]} x {size[1]}" in said


def test_fifty_megapixels_pass_the_size_check():
    for size in ((10_000, 5_000), (12_000, 4_000)):
        assert "damaged" in refused(png_header(*size))  # looked at, and found to hold no pixels


@pytest.mark.parametrize("limit", [1_000_000, None])
def test_48_megapixels_work_whatever_pillow_is_set_to(monkeypatch, limit):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    data = encoded(Image.new("L", (12_000, 4_000), 77), "JPEG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        photo = image.open_photo(data)
    assert photo.pixels.shape == (4_000, 12_000, 3) and photo.pixels[3_999, 11_999].tolist() == [77, 77, 77]


# ---- arrays


def test_arrays_become_photos_of_their_own():
    photo = image.from_array(COLOURS)
    assert photo.pixels is not COLOURS and not np.shares_memory(photo.pixels, COLOURS)
    np.testing.assert_array_equal(photo.pixels, COLOURS)
    grey = COLOURS[..., 0]
    for shape in (grey, grey[..., None]):
        np.testing.assert_array_equal(image.from_array(shape).pixels, np.stack(3 * [grey], axis=-1))
    clear = np.dstack([COLOURS, np.zeros_like(grey)])
    assert (image.from_array(clear).pixels == 255).all()


@pytest.mark.parametrize(
    ("pixels", "sentence"),
    [
        (np.zeros((4, 4, 3)), "float64"),
        (np.zeros((4, 4, 2), np.uint8), "(4, 4, 2)"),
        (np.zeros((2, 4, 4, 3), np.uint8), "(2, 4, 4, 3)"),
        (np.zeros((0, 4, 3), np.uint8), "empty"),
        (np.broadcast_to(np.uint8(0), (10_000, 5_001, 3)), "over 50 megapixels"),
    ],
)
def test_arrays_that_are_no_pictures_are_refused(pixels, sentence):
    with pytest.raises(BadPicture) as caught:
        image.from_array(pixels)
    assert sentence in str(caught.value)


def test_every_value_survives_the_way_to_float_and_back():
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    floats = image.to_float(ramp)
    assert floats.shape == (1, 3, 16, 16) and floats.dtype == torch.float32
    assert floats.min() == -1 and floats.max() == 1 and floats[0, 0, 8, 0] == pytest.approx(1 / 255, abs=1e-6)
    np.testing.assert_array_equal(image.to_uint8(floats), ramp)
    assert image.to_float(COLOURS).shape == (1, 3, 2, 3) and image.to_float(COLOURS)[0, 2, 0, 2] == 1


def test_values_outside_are_clipped_and_between_are_rounded():
    values = torch.tensor([-9.0, 9.0, 0.49 / 127.5 - 1, 0.51 / 127.5 - 1]).reshape(1, 1, 2, 2).expand(1, 3, 2, 2)
    assert image.to_uint8(values)[0, ..., 0].tolist() == [[0, 255], [0, 1]]
    for wrong in (torch.zeros(3, 4, 4), torch.zeros(1, 4, 4, 3)):
        with pytest.raises(ValueError, match="expected"):
            image.to_uint8(wrong)
    with pytest.raises(ValueError, match="expected"):
        image.to_float(np.zeros((2, 2, 3)))


# ---- similarities


MATRICES = st.builds(
    lambda angle, scale, x, y: np.array(
        [[scale * np.cos(angle), -scale * np.sin(angle), x], [scale * np.sin(angle), scale * np.cos(angle), y]]
    ),
    st.floats(-3.1, 3.1), st.floats(0.05, 20), st.floats(-500, 500), st.floats(-500, 500),
)  # fmt: skip


@given(matrix=MATRICES, seed=st.integers(0, 99))
def test_a_similarity_is_found_again(matrix, seed):
    source = np.random.default_rng(seed).normal(size=(5, 2)) * 50
    np.testing.assert_allclose(image.similarity(source, image.apply(matrix, source)), matrix, atol=1e-8)


def test_noisy_points_give_what_a_linear_solver_gives(rng):
    source, target = rng.normal(size=(2, 9, 2))
    x, y = source.T
    one, none = np.ones(9), np.zeros(9)
    system = np.concatenate([np.stack([x, -y, one, none], axis=1), np.stack([y, x, none, one], axis=1)])
    a, b, shift_x, shift_y = np.linalg.lstsq(system, target.T.ravel())[0]
    np.testing.assert_allclose(image.similarity(source, target), [[a, -b, shift_x], [b, a, shift_y]], atol=1e-12)


def test_a_mirror_image_is_never_mirrored(rng):
    source = rng.normal(size=(20, 2))
    assert np.linalg.det(image.similarity(source, source * (-1, 1))[:, :2]) >= 0


def test_points_that_fix_no_similarity_are_refused():
    for source in (np.zeros((5, 2)), np.zeros((1, 2)), np.zeros((5, 3))):
        with pytest.raises(ValueError, match="expected"):
            image.similarity(source, source)


@given(outer=MATRICES, inner=MATRICES)
def test_inverse_and_composition_agree_with_square_matrices(outer, inner):
    square = [np.vstack([matrix, [0, 0, 1]]) for matrix in (outer, inner)]
    np.testing.assert_allclose(image.compose(outer, inner), (square[0] @ square[1])[:2], atol=1e-6)
    np.testing.assert_allclose(image.invert(outer), np.linalg.inv(square[0])[:2], rtol=1e-6, atol=1e-6)
    points = np.arange(24.0).reshape(3, 4, 2)
    np.testing.assert_allclose(image.apply(image.invert(inner), image.apply(inner, points)), points, atol=1e-6)


# ---- warp


IDENTITY = np.array([[1.0, 0, 0], [0, 1.0, 0]])


def test_the_identity_changes_nothing(rng):
    picture = rng.integers(0, 256, (37, 53, 3), dtype=np.uint8)
    np.testing.assert_array_equal(image.warp(picture, IDENTITY, (53, 37)), picture)
    np.testing.assert_array_equal(image.warp(picture[..., 0], IDENTITY, (53, 37)), picture[..., 0])


def test_whole_pixels_quarter_turns_and_the_repeated_border(rng):
    picture = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    shifted = image.warp(picture, np.array([[1.0, 0, -4], [0, 1.0, 7]]), (40, 20))
    rows, columns = np.clip(np.arange(20) + 7, 0, 19), np.clip(np.arange(40) - 4, 0, 29)
    np.testing.assert_array_equal(shifted, picture[rows][:, columns])
    turned = image.warp(picture, np.array([[0, 1.0, 0], [-1.0, 0, 20]]), (20, 30))
    np.testing.assert_array_equal(turned, np.rot90(picture, -1))


def test_a_crop_is_a_part_of_a_larger_crop(rng):
    picture = rng.integers(0, 256, (90, 90, 3), dtype=np.uint8)
    large = image.warp(picture, np.array([[0.8, -0.6, 40.3], [0.6, 0.8, 10.8]]), (40, 40))
    small = image.warp(picture, np.array([[0.8, -0.6, 42.3], [0.6, 0.8, 24.8]]), (10, 10))  # 10 px right, 10 px down
    assert np.abs(large[10:20, 10:20].astype(int) - small).max() <= 1


def test_a_frame_wholly_outside_shows_the_nearest_border():
    picture = np.full((10, 10, 3), 50, np.uint8)
    picture[-1, -1] = 200
    assert (image.warp(picture, np.array([[1.0, 0, 500], [0, 1.0, 500]]), (8, 8)) == 200).all()
    assert (image.warp(picture, np.array([[9.0, 0, -900], [0, 9.0, -900]]), (8, 8)) == 50).all()


@given(matrix=MATRICES)
@settings(max_examples=40, deadline=None)
def test_one_colour_stays_that_colour_for_every_frame(matrix):
    picture = np.broadcast_to(np.array([10, 120, 250], np.uint8), (60, 80, 3))
    result = image.warp(picture, matrix, (33, 21))
    assert result.shape == (21, 33, 3) and (result == (10, 120, 250)).all()


@pytest.mark.parametrize("scale", [0.3, 1.0, 1.37, 2.0, 5.5])
def test_pixels_come_from_where_the_matrix_says(scale):
    """Against the formula of the waves themselves, read at the mapped coordinates."""
    turn = scale * np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    matrix = np.column_stack([turn, np.array([400, 300]) - turn @ (40, 30)])
    y, x = np.mgrid[0:60, 0:80] + 0.5
    at = np.stack([x, y], axis=-1) @ turn.T + matrix[:, 2]
    phase = (at[..., 0] + at[..., 1]) / 37
    result = image.warp(smooth(800, 600), matrix, (80, 60))[..., 1]
    inside = ((at > 20) & (at < (780, 580))).all(axis=-1)
    error = (result - (127 + 60 * np.sin(phase)))[inside]
    causes = np.stack([60 / 37 * np.cos(phase), np.sin(phase), np.ones_like(phase)], axis=-1)[inside]
    shift = np.linalg.lstsq(causes, error)[0][0]  # photo px along the wave, apart from contrast and brightness
    assert abs(shift) < 0.2
    assert np.abs(error).max() < 4 and abs(error.mean()) < 0.6  # Pillow's kernel sharpens, and cuts off fractions


def test_fine_stripes_turn_grey_when_shrunk_instead_of_making_new_stripes():
    stripes = np.zeros((900, 900, 3), np.uint8)
    stripes[:, ::2] = 255
    for scale in (2.3, 3.0, 7.7):
        matrix = np.array([[scale, 0, 450 - 50 * scale], [0, scale, 450 - 50 * scale]])
        assert image.warp(stripes, matrix, (100, 100)).std() < 12


def test_a_matrix_that_cannot_be_inverted_is_refused():
    for matrix in (np.zeros((2, 3)), np.full((2, 3), np.nan)):
        with pytest.raises(ValueError, match="finite"):
            image.warp(COLOURS, matrix, (4, 4))


def test_a_crop_of_a_12_megapixel_photo_is_quick(rng):
    photo = rng.integers(0, 256, (3000, 4000, 3), dtype=np.uint8)
    matrix = np.array([[3.0, -0.5, 1300], [0.5, 3.0, 500]])
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        image.warp(photo, matrix, (512, 512))
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.25  # 0.03 s on an idle machine; a busy one must not fail


# ---- mask


def test_a_mask_is_the_hull_of_the_points_and_grows_about_the_middle_of_its_corners():
    points = np.array([[2.0, 1], [8, 1], [8, 5], [2, 5], [5, 3]])
    mask = image.hull_mask(points, (12, 8))
    assert mask.shape == (8, 12) and mask.dtype == np.float32 and set(np.unique(mask)) == {0, 1}
    assert mask[2:5, 3:8].all() and not mask[:1].any() and not mask[6:].any() and not mask[:, :2].any()
    grown = image.hull_mask(points, (12, 8), grow=1.5)
    assert (grown >= mask).all() and grown[:, :2].any() and grown.sum() > 1.5 * mask.sum()


# ---- paste back


def disc(side: int, radius: float) -> np.ndarray:
    y, x = np.mgrid[0:side, 0:side] + 0.5 - side / 2
    return (np.hypot(x, y) < radius * side).astype(np.float32)


def turned(angle: float, scale: float, x: float, y: float, side: int) -> np.ndarray:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([turn, np.array([x, y]) - turn @ np.full(2, side / 2)])


@pytest.mark.parametrize("scale", [0.4, 1.0, 2.5])
def test_pasting_what_was_cropped_gives_the_photo_back(scale):
    photo = smooth(500, 400)
    to_photo = turned(0.3, scale, 250, 200, 128)
    portrait = image.warp(photo, to_photo, (128, 128))
    result = image.paste_back(photo, portrait, to_photo, disc(128, 0.4))
    assert np.abs(result.astype(int) - photo).max() <= 6


def test_only_the_masked_part_changes_and_the_photo_is_left_alone(rng):
    photo = rng.integers(0, 256, (200, 300, 3), dtype=np.uint8)
    before = photo.copy()
    to_photo = turned(-0.5, 0.7, 150, 100, 128)
    result = image.paste_back(photo, smooth(128, 128), to_photo, disc(128, 0.3))
    y, x = np.mgrid[0:200, 0:300] + 0.5
    far = np.hypot(x - 150, y - 100) > 0.3 * 128 * 0.7 + 1
    np.testing.assert_array_equal(result[far], photo[far])
    assert (result[~far] != photo[~far]).mean() > 0.7
    np.testing.assert_array_equal(photo, before)


def test_the_edge_is_soft_even_where_the_mask_reaches_the_frame():
    photo, portrait = np.full((300, 300, 3), 128, np.uint8), np.full((100, 100, 3), 128, np.uint8)
    portrait[::2], portrait[1::2] = 108, 148  # same mean, so only the weave is new
    photo[::2, ::2] = 158
    result = image.paste_back(photo, portrait, turned(0, 1.0, 150, 150, 100), np.ones((100, 100), np.float32))
    change = np.abs(result.astype(int) - photo).max(axis=2).astype(float)
    assert change[:100].max() == change[:, :100].max() == change[200:].max() == 0
    profile = [change[100 + depth, 120:180].mean() for depth in (0, 2, 4, 10)]
    assert profile[0] < 0.15 * profile[3] and profile[0] < profile[1] < profile[3]


def test_the_portrait_takes_the_colours_of_the_photo(rng):
    portrait = np.clip(rng.normal((180, 90, 60), 20, (128, 128, 3)), 0, 255).astype(np.uint8)
    photo = np.clip(rng.normal((70, 100, 140), 12, (128, 128, 3)), 0, 255).astype(np.uint8)
    result = image.paste_back(photo, portrait, IDENTITY, disc(128, 0.45))
    core = disc(128, 0.3) > 0
    np.testing.assert_allclose(result[core].mean(axis=0), photo[core].mean(axis=0), atol=3)
    grey = np.repeat(photo[..., :1], 3, axis=2)
    faded = image.paste_back(grey, portrait, IDENTITY, disc(128, 0.45))
    assert np.ptp(faded[core].astype(int), axis=1).max() <= 2


def test_a_portrait_partly_or_wholly_outside_is_no_error():
    photo, portrait = smooth(100, 80), smooth(64, 64)
    for x, changes in ((0, True), (99, True), (-500, False)):
        result = image.paste_back(photo, portrait[::-1], turned(0.2, 1.0, x, 40, 64), disc(64, 0.4))
        assert result.shape == photo.shape and (result != photo).any() == changes
    np.testing.assert_array_equal(
        image.paste_back(photo, portrait, turned(0, 1, 50, 40, 64), np.zeros((64, 64), np.float32)), photo
    )


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match="one frame"):
        image.paste_back(smooth(50, 50), smooth(32, 32), IDENTITY, disc(16, 0.4))


# ---- write


def test_a_png_holds_the_pixels_the_given_text_and_nothing_else(tmp_path):
    path = tmp_path / "face.png"
    words = {"Description": "synthetic face", "Title": "Gesicht № 1"}
    image.write_png(path, COLOURS, words)
    with Image.open(path) as picture:
        assert isinstance(picture, PngImagePlugin.PngImageFile)
        np.testing.assert_array_equal(np.asarray(picture), COLOURS)
        assert picture.text == words and picture.info == words
    assert [file.name for file in tmp_path.iterdir()] == ["face.png"]


def test_a_png_replaces_only_when_forced_and_needs_its_folder(tmp_path):
    path = tmp_path / "face.png"
    image.write_png(path, COLOURS, {})
    first = path.read_bytes()
    with pytest.raises(BadOutput, match="exists already"):
        image.write_png(path, COLOURS[::-1], {})
    assert path.read_bytes() == first
    image.write_png(path, np.ascontiguousarray(COLOURS[::-1]), {}, force=True)
    np.testing.assert_array_equal(image.open_photo(path).pixels, COLOURS[::-1])
    with pytest.raises(BadOutput, match="folder"):
        image.write_png(tmp_path / "no" / "face.png", COLOURS, {})
