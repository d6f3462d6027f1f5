from __future__ import annotations

import io
import os
import struct
import threading
import tracemalloc
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from kfaar_core import image, mark
from kfaar_core.errors import BadPicture, BadSetting

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


# Two halves of 64 x 48 px, (200, 60, 40) and (40, 80, 190), as a phone's format: no encoder is installed here.
HEIC = Path(__file__).with_name("sample.heic").read_bytes()


def test_heic_is_read():
    pixels = image.open_photo(HEIC).pixels
    assert pixels.shape == (48, 64, 3)
    assert np.abs(pixels[:, :24].astype(int) - (200, 60, 40)).max() < 12
    assert np.abs(pixels[:, 40:].astype(int) - (40, 80, 190)).max() < 12
    assert "damaged" in refused(HEIC[:450])


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_tiff_of_two_pages_stands_upright(orientation):
    stored, turned = smooth(40, 24), Image.Exif()
    turned[0x0112] = orientation
    pages = [Image.fromarray(stored), Image.fromarray(stored[::-1].copy())]
    photo = image.open_photo(encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:], exif=turned))
    np.testing.assert_array_equal(photo.pixels, stored if orientation == 1 else np.rot90(stored, -1))
    assert "2 pictures" in photo.notes[0]


def test_a_photo_from_a_named_pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    thread = threading.Thread(target=lambda: path.write_bytes(encoded(COLOURS)))
    thread.start()
    np.testing.assert_array_equal(image.open_photo(path).pixels, COLOURS)
    thread.join()


# ---- decode: colours

# Red, green and blue under D50 as columns of X, Y, Z, and the exponent (None: the curve of sRGB). From the profiles
# that Apple, Adobe and Kodak (ISO 22028-2) publish, and IEC 61966-2-1.
SPACES = {
    "sRGB": ([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]], None),
    "Display P3": ([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]], None),
    "Adobe RGB": ([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]], 563 / 256),
    "ProPhoto": ([[0.79767, 0.13519, 0.03134], [0.28804, 0.71188, 0.00009], [0.0, 0.0, 0.82491]], 1.8),
}


def icc(space: str) -> bytes:
    """A display profile of three primaries and one curve (ICC.1:2010)."""
    columns, gamma = SPACES[space]
    fixed = [struct.pack(">4s4xiii", b"XYZ ", *(round(v * 65536) for v in column)) for column in np.transpose(columns)]
    white = struct.pack(">4s4xiii", b"XYZ ", 63190, 65536, 54061)
    numbers = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045) if gamma is None else (gamma,)
    curve = struct.pack(
        f">4s4xHH{len(numbers)}i", b"para", 3 if gamma is None else 0, 0, *(round(n * 65536) for n in numbers)
    )
    tags = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), fixed, strict=True)) | {b"wtpt": white}
    tags |= {name: curve for name in (b"rTRC", b"gTRC", b"bTRC")}
    table, body, place = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += struct.pack(">4sII", name, place + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s", place + len(body), b"", 0x04200000, b"mntr", b"RGB ", b"XYZ ").ljust(36, b"\0")
    head = (head + b"acsp").ljust(68, b"\0") + struct.pack(">iii", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + body


def as_srgb(pixels: np.ndarray, space: str) -> np.ndarray:
    """By the formulas of the two spaces, in float64; colours that sRGB lacks are cut off."""
    columns, gamma = SPACES[space]
    v = pixels / 255
    light = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4) if gamma is None else v**gamma
    linear = np.clip(light @ np.transpose(columns) @ np.linalg.inv(np.transpose(SPACES["sRGB"][0])), 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "AVIF"])
@pytest.mark.parametrize("space", ["Display P3", "Adobe RGB", "ProPhoto"])
def test_colours_of_a_profile_become_those_of_srgb(space, kind):
    pixels = smooth(80, 60)
    options = {"lossless": True} if kind == "WEBP" else {} if kind in ("PNG", "TIFF") else {"quality": 100}
    found = image.open_photo(encoded(pixels, kind, icc_profile=icc(space), **options)).pixels
    wanted = as_srgb(pixels, space)
    assert np.abs(wanted - pixels).mean() > 3  # so much is at stake
    assert np.abs(found - wanted).mean() < 1.5


def test_a_profile_of_srgb_and_one_that_cannot_be_used_change_nothing():
    cut = icc("Display P3")[:200]
    for profile in (icc("sRGB"), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), cut, b"nonsense"):
        np.testing.assert_array_equal(image.open_photo(encoded(COLOURS, icc_profile=profile)).pixels, COLOURS)
    inks = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    plain = image.open_photo(encoded(inks, "JPEG")).pixels
    np.testing.assert_array_equal(image.open_photo(encoded(inks, "JPEG", icc_profile=icc("ProPhoto"))).pixels, plain)


def test_a_profile_counts_for_transparent_pictures_and_for_palettes():
    clear = np.dstack([np.full((4, 4, 3), (200, 90, 60), np.uint8), np.full((4, 4), 128, np.uint8)])
    found = image.open_photo(encoded(clear, icc_profile=icc("ProPhoto"))).pixels
    np.testing.assert_allclose(found, (as_srgb(clear[..., :3], "ProPhoto") + 255) / 2, atol=2)
    palette = Image.fromarray(COLOURS // 2 + 50).quantize(8)
    found = image.open_photo(encoded(palette, icc_profile=icc("Adobe RGB"))).pixels
    np.testing.assert_allclose(found, as_srgb(COLOURS // 2 + 50, "Adobe RGB"), atol=2)


# ---- decode: what is damaged beside the pixels


def with_chunk(data: bytes, kind: bytes, content: bytes, wrong: bool = False, late: bool = False) -> bytes:
    """A PNG with one chunk more, in front of its pixels or behind them, its checksum right or wrong."""
    place = data.index(b"IEND" if late else b"IDAT") - 4
    check = zlib.crc32(kind + content) ^ wrong
    return data[:place] + struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check) + data[place:]


LONG = zlib.compress(bytes(1_500_000))


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("kind", "content", "wrong"),
    [
        (b"zTXt", b"Comment\0\0" + LONG, False),
        (b"iTXt", b"Comment\0\1\0\0\0" + LONG, False),
        (b"zTXt", b"Comment\0\0no zlib", False),
        (b"iCCP", b"profile\0\0" + LONG, False),
        *((kind, b"Comment\0words", True) for kind in (b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf", b"tIME", b"pHYs")),
        *((kind, b"x", False) for kind in (b"gAMA", b"cHRM", b"sRGB", b"eXIf", b"iCCP", b"pHYs", b"acTL")),
    ],
)
def test_a_damaged_chunk_that_is_thrown_away_does_not_refuse_a_png(kind, content, wrong, late):
    np.testing.assert_array_equal(image.open_photo(with_chunk(WHOLE_PNG, kind, content, wrong, late)).pixels, COLOURS)


WHOLE_PNG = encoded(COLOURS)


def test_turn_and_colours_are_kept_when_a_text_is_damaged():
    turned = Image.Exif()
    turned[0x0112] = 6
    data = encoded(smooth(40, 24), exif=turned, icc_profile=icc("Adobe RGB"))
    broken = with_chunk(data, b"tEXt", b"Comment\0words", wrong=True)
    np.testing.assert_array_equal(image.open_photo(broken).pixels, image.open_photo(data).pixels)


def test_a_wrong_checksum_of_the_pixels_is_refused():
    place = WHOLE_PNG.index(b"IDAT") + 8
    assert "damaged" in refused(WHOLE_PNG[:place] + bytes([WHOLE_PNG[place] ^ 1]) + WHOLE_PNG[place + 1 :])


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_exif_that_is_no_tiff_turns_nothing(kind):
    picture = smooth(60, 40)
    photo = image.open_photo(encoded(picture, kind, quality=95, exif=b"Exif\0\0this is no TIFF at all"))
    assert np.abs(photo.pixels.astype(int) - picture).mean() < 3


def test_a_jpeg_may_lack_its_end_mark_and_nothing_more():
    data = encoded(smooth(64, 64), "JPEG", quality=90)
    assert data.endswith(b"\xff\xd9")
    for missing in (1, 2):
        np.testing.assert_array_equal(image.open_photo(data[:-missing]).pixels, image.open_photo(data).pixels)
    for missing in (*range(4, 60), 100, len(data) // 2):
        assert "damaged" in refused(data[:-missing])
    scans = encoded(smooth(64, 64), "JPEG", quality=90, progressive=True)  # may lack whole scans unseen
    last = scans.rindex(b"\xff\xda")
    for missing in (2, 20, len(scans) - last):
        assert "damaged" in refused(scans[:-missing])


# ---- decode: what is refused


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty"),
        (b"this is a letter, not a picture", "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        (b"\0\0\0\x18ftypheic" + bytes(64), "damaged or cut short"),
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
    assert "over 50 megapixels" in said
    assert f"{size[0]} x {size[1]}" in said or size[0] * size[1] > 2 * Image.MAX_IMAGE_PIXELS  # refused by Pillow


def test_fifty_megapixels_pass_the_size_check():
    for size in ((10_000, 5_000), (12_000, 4_000)):
        assert "damaged" in refused(png_header(*size))  # looked at, and found to hold no pixels


def test_48_megapixels_work():
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


@pytest.mark.parametrize("pasted", [False, True])
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_what_is_written_says_that_it_is_synthetic_and_nothing_else(tmp_path, format, pasted):
    data = image.encoded(COLOURS, format, pasted)
    (tmp_path / "face").write_bytes(data)
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        term = b"compositeWithTrainedAlgorithmicMedia" if pasted else b"trainedAlgorithmicMedia"
        packet = picture.info["xmp"]
        assert picture.format == format and b'"http://cv.iptc.org/newscodes/digitalsourcetype/' + term + b'"' in packet
        assert not picture.getexif() and "icc_profile" not in picture.info
    assert mark.marked(tmp_path / "face")
    if format != "JPEG":
        np.testing.assert_array_equal(image.open_photo(data).pixels, COLOURS)


def test_the_mark_does_not_survive_being_written_again_by_another_program(tmp_path):
    """What docs/security.md says of it: re-encoding strips XMP. If Pillow keeps it one day, change the page."""
    for format in ("PNG", "JPEG", "WEBP"):
        with Image.open(io.BytesIO(image.encoded(COLOURS, format, False))) as picture:
            for again in ("PNG", "JPEG", "WEBP"):
                picture.save(tmp_path / "again", again)
                assert not mark.marked(tmp_path / "again")
                assert b"DigitalSourceType" not in (tmp_path / "again").read_bytes()
                kept = format == again == "JPEG"  # its comment
                assert (b"synthetic face" in (tmp_path / "again").read_bytes()) is kept


def test_pictures_of_before_the_xmp_packet_are_still_known_and_others_are_not(tmp_path):
    chunks = PngImagePlugin.PngInfo()
    Image.fromarray(COLOURS).save(tmp_path / "other.png", pnginfo=chunks)
    chunks.add_text("Software", "kfaar")
    chunks.add_text("Comment", "synthetic face")
    Image.fromarray(COLOURS).save(tmp_path / "old.png", pnginfo=chunks)
    (tmp_path / "text.png").write_text("synthetic face")
    assert [mark.marked(tmp_path / name) for name in ("old.png", "other.png", "text.png")] == [True, False, False]


def test_another_format_is_refused():
    with pytest.raises(BadSetting, match="PNG, JPEG or WEBP"):
        image.encoded(COLOURS, "GIF", False)
