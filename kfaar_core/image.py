"""Image operations: decoding, uint8 <-> float conversion, warping between frames, pasting back, PNG output.

Coordinates are continuous: x right, y down, and the centre of the first pixel is (0.5, 0.5). A similarity is a (2, 3)
float64 matrix that maps (x, y, 1) of one frame to (x, y) of another.
"""

from __future__ import annotations

import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pi_heif
import torch
from PIL import Image, ImageCms, ImageDraw, ImageFilter, ImageOps, PngImagePlugin
from scipy.spatial import ConvexHull
from torch import Tensor

from kfaar_core import mark
from kfaar_core.errors import BadPicture, BadSetting
from kfaar_core.records import Photo

MAX_PIXELS = 50_000_000  # larger pictures are refused before decoding                                       [design]
FEATHER = 1 / 40  # sd of the blur of the mask's soft edge, as a share of the portrait's side                [design]
# Limits of the gain of luminance and chroma in paste_back. Chroma may become 0, since the photo can be grey.  [design]
GAIN_LOW, GAIN_HIGH = (0.5, 0.0, 0.0), (1.6, 1.6, 1.6)

# Explicit, because Pillow would otherwise try every decoder it has; one of them starts Ghostscript.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "AVIF", "HEIF")
pi_heif.register_heif_opener()  # HEIC, the format of phones

_ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")  # not JPEG: further pictures in it (MPO) are depth maps or previews
_BAND = 1_000_000  # pixels converted at a time, to avoid a second full copy of a large photo
_LONGEST_PIPE = 1 << 30  # bytes; more than any picture of MAX_PIXELS takes

# One decode at a time: this bounds the memory of a server, and `warnings.catch_warnings` is not thread-safe.
_decoding = threading.Lock()

# Luminance and chroma of full-range R'G'B', ITU-T T.871 (JFIF), section 7.
_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
_TO_RGB = np.linalg.inv(_TO_YCC)


# ---- decode


def open_photo(source: str | Path | bytes | BinaryIO) -> Photo:
    """Decode a photo: first frame, rotated upright, 8-bit sRGB, no metadata, transparent parts on white.

    Args:
        source: a path, the bytes of a file, or a stream, which is read from its start and left open.

    Raises:
        BadPicture: missing, empty, not a picture, damaged or truncated, over 50 megapixels, floating-point pixels.
    """
    with _opened(source) as (stream, called), _decoding, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks about odd metadata, which we drop anyway
        picture, frames = _decoded(stream, called)
        notes, to_srgb = _notes(picture, frames), _to_srgb(picture)
        pixels = np.empty((picture.height, picture.width, 3), dtype=np.uint8)
        rows = max(1, _BAND // picture.width)
        for top in range(0, picture.height, rows):
            bottom = min(top + rows, picture.height)
            pixels[top:bottom] = _rgb(picture.crop((0, top, picture.width, bottom)), to_srgb)
    return Photo(pixels=pixels, notes=notes)


def from_array(pixels: np.ndarray) -> Photo:
    """Make a Photo from uint8 pixels: (H, W) or (H, W, 1) grey, (H, W, 3) RGB, (H, W, 4) RGBA (put on white).

    The pixels are copied.

    Raises:
        BadPicture: another shape or dtype, no pixels, over 50 megapixels.
    """
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or channels not in (1, 3, 4):
        raise BadPicture(
            got=f"an array of {pixels.dtype} with shape {pixels.shape} is not a picture",
            mend="give uint8 values from 0 to 255, (height, width, 3) in the order red, green, blue",
        )
    height, width = pixels.shape[:2]
    if not pixels.size:
        raise BadPicture(got=f"the picture is empty ({width} x {height} px)", mend="give a picture with pixels")
    _check_pixels(width, height, "the picture")
    if channels == 3:
        return Photo(pixels=np.array(pixels, order="C"))
    picture = Image.fromarray(pixels.reshape(pixels.shape[:2]) if channels == 1 else pixels)
    return Photo(pixels=np.array(_rgb(picture)), notes=_notes(picture))


@contextmanager
def _opened(source: str | Path | bytes | BinaryIO) -> Iterator[tuple[BinaryIO, str]]:
    """A seekable stream of the source, and how errors name the picture."""
    if isinstance(source, bytes):
        yield BytesIO(source), "the picture"
    elif isinstance(source, (str, Path)):
        called = f"the picture {Path(source).name!r}"
        try:
            stream = Path(source).open("rb")  # noqa: SIM115 - closed below, outside what the except clauses cover
        except FileNotFoundError:
            raise BadPicture(got=f"{called} does not exist", mend="check its name and folder") from None
        except IsADirectoryError:
            raise BadPicture(got=f"{called} is a folder", mend="give the name of a file inside it") from None
        except (OSError, ValueError):
            raise BadPicture(got=f"{called} cannot be opened", mend="check that you may read it") from None
        with stream:
            yield _seekable(stream), called
    else:
        yield _seekable(source), "the picture"


def _seekable(stream: BinaryIO) -> BinaryIO:
    """The stream itself, or a copy in memory if it is a pipe."""
    return stream if stream.seekable() else BytesIO(stream.read(_LONGEST_PIPE))


def _decoded(stream: BinaryIO, called: str) -> tuple[Image.Image, int]:
    """The decoded picture, rotated upright, and the number of pictures in the file.

    A file whose metadata is damaged is decoded without it.
    """
    stream.seek(0)
    start = stream.read(16)
    if not start:
        raise BadPicture(got=f"{called} is empty (0 bytes)", mend="copy or download it again")
    with suppress(_Damaged):
        return _loaded(stream, called)
    stream.seek(0)
    for mended in _mended(stream.read()):
        with suppress(_Damaged):
            return _loaded(BytesIO(mended), called)
    known = [Image.OPEN[name][1] for name in _FORMATS if name in Image.OPEN]
    if any(accept is not None and accept(start.ljust(16, b"\0")) is True for accept in known):
        raise BadPicture(got=f"{called} is damaged or cut short", mend="copy or download it again")
    raise BadPicture(
        got=f"{called} is not a picture in a format that we read",
        mend="use JPEG, PNG, WebP, AVIF, HEIC, TIFF, BMP, GIF or PPM; a changed file name does not change the format",
    )


class _Damaged(Exception):
    """The decoder refuses the bytes."""


def _loaded(stream: BinaryIO, called: str) -> tuple[Image.Image, int]:
    stream.seek(0)
    try:
        picture = Image.open(stream, formats=_FORMATS)
        _check_pixels(picture.width, picture.height, called)
        if picture.mode == "F":
            raise BadPicture(
                got=f"{called} has floating-point pixels, whose white is not known",
                mend="export it with 8 or 16 bits a channel",
            )
        frames = getattr(picture, "n_frames", 1)  # reading it after load() discards a TIFF's pixels and rotation
        picture.load()
    except (BadPicture, MemoryError):
        raise
    except Image.DecompressionBombError:  # also for a GIF with a frame far larger than its canvas
        raise _too_large(called, "") from None
    except Exception:  # decoders raise many kinds of exceptions for truncated or invalid bytes
        raise _Damaged from None
    with suppress(Exception):  # unreadable EXIF: no rotation
        ImageOps.exif_transpose(picture, in_place=True)
    return picture, frames


# The chunks of a PNG with its pixels, and the optional chunks that are used here.
_PIXELS, _ABOUT_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"), (b"acTL", b"fcTL", b"fdAT", b"iCCP", b"eXIf")


def _mended(data: bytes) -> Iterator[bytes]:
    """Versions of a damaged file without the parts that are not needed; each may be decodable."""
    if data.startswith(b"\x89PNG"):
        chunks = list(_chunks(data))
        whole = [kind in _PIXELS or zlib.crc32(chunk[4:-4]).to_bytes(4) == chunk[-4:] for kind, chunk in chunks]
        for kept in ((*_PIXELS, *_ABOUT_PIXELS), _PIXELS):
            sound = (chunk for (kind, chunk), good in zip(chunks, whole, strict=True) if good and kind in kept)
            yield data[:8] + b"".join(sound)
    elif data.startswith(b"\xff\xd8"):
        # After an end marker the decoder fills in missing data. If two fillers give the same picture, only the marker
        # was missing. This does not hold for progressive files, which may lack whole scans.
        fillers = (b"", bytes(range(253, 0, -1)))
        ends = [data.removesuffix(b"\xff") + filler + b"\xff\xd9" for filler in fillers]
        with suppress(Exception):
            first, second = (Image.open(BytesIO(end), formats=_FORMATS) for end in ends)
            if "progressive" not in first.info and first.tobytes() == second.tobytes():
                yield ends[0]


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and bytes of every chunk of a PNG, with its length field and checksum."""
    start = 8
    while start < len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4])
        yield data[start + 4 : start + 8], data[start:end]
        start = end


def _check_pixels(width: int, height: int, called: str) -> None:
    if width * height > MAX_PIXELS:
        raise _too_large(called, f": {width} x {height} px, {width * height / 1e6:.1f} million")


def _too_large(called: str, size: str) -> BadPicture:
    return BadPicture(
        got=f"{called} is over {MAX_PIXELS // 1_000_000} megapixels{size}",
        mend="make it smaller; a face needs no more than 1000 px",
    )


def _notes(picture: Image.Image, frames: int = 1) -> tuple[str, ...]:
    notes = []
    if frames > 1 and picture.format in _ANIMATED:
        notes.append(f"The picture is an animation of {frames} frames; the first one was used.")
    if frames > 1 and picture.format == "TIFF":
        notes.append(f"The file holds {frames} pictures; the first one was used.")
    transparent = picture.mode in ("RGBA", "LA") and picture.getchannel("A").getextrema() != (255, 255)
    if transparent or "transparency" in picture.info:
        notes.append("Transparent parts were laid on white.")
    if picture.mode == "CMYK":
        notes.append("The colours were converted from CMYK to RGB, so they may look slightly different.")
    return tuple(notes)


_SAME = 2  # levels; profiles that differ by at most this from sRGB are treated as sRGB


def _to_srgb(picture: Image.Image) -> ImageCms.ImageCmsTransform | None:
    """The transform from the picture's colour profile to sRGB; None if it is sRGB or has no usable profile."""
    mode = "CMYK" if picture.mode == "CMYK" else "L" if Image.getmodebase(picture.mode) == "L" else "RGB"
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(picture.info["icc_profile"]))
        transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (
        KeyError,
        TypeError,
        OSError,
        ImageCms.PyCMSError,
    ):  # no profile, an invalid one, or of another colour space
        return None
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(len(steps), -1, 3)  # (18, 324, 3)
    known = Image.fromarray(colours).convert(mode)
    moved = np.asarray(transform.apply(known), dtype=int) - np.asarray(known.convert("RGB"))
    return None if np.abs(moved).max() <= _SAME else transform


def _rgb(band: Image.Image, to_srgb: ImageCms.ImageCmsTransform | None = None) -> np.ndarray:
    """Convert a picture of any mode to RGB: (H, W, 3) uint8, read-only."""
    if band.mode.startswith("I"):  # 16-bit grey: I;16, I;16B, or I, depending on Pillow
        grey = np.clip(np.asarray(band).astype(np.float32) / 257 + 0.5, 0, 255)  # 65535 = 257 * 255
        band = Image.fromarray(grey.astype(np.uint8))
    cover = band.convert("RGBA").getchannel("A") if band.has_transparency_data else None
    if to_srgb is not None:
        band = to_srgb.apply(band.convert(to_srgb.input_mode))
    if cover is not None:
        band = band.convert("RGBA")
        band.putalpha(cover)
        band = Image.alpha_composite(Image.new("RGBA", band.size, "white"), band)
    return np.asarray(band.convert("RGB"))


# ---- convert


def to_float(picture: np.ndarray) -> Tensor:
    """(H, W, 3) or (N, H, W, 3) uint8 -> (N, 3, H, W) float32 in [-1, 1], a copy on the CPU.

    Raises:
        ValueError: another dtype or shape.
    """
    batch = picture[None] if picture.ndim == 3 else picture
    if batch.dtype != np.uint8 or batch.ndim != 4 or batch.shape[3] != 3:
        raise ValueError(f"expected uint8 (N, H, W, 3), got {picture.dtype} {picture.shape}")
    channels_first = np.ascontiguousarray(batch.transpose(0, 3, 1, 2), dtype=np.float32)  # (N, 3, H, W)
    return torch.from_numpy(channels_first / 127.5 - 1)


def to_uint8(batch: Tensor) -> np.ndarray:
    """(N, 3, H, W) floating point, clipped to [-1, 1] -> (N, H, W, 3) uint8, rounded to nearest.

    Raises:
        ValueError: another shape.
    """
    if batch.ndim != 4 or batch.shape[1] != 3:
        raise ValueError(f"expected (N, 3, H, W), got {tuple(batch.shape)}")
    scaled = (batch.detach().float().clamp(-1, 1) + 1) * 127.5
    return scaled.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


# ---- similarities


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The similarity (rotation, scale and shift, no reflection) from source to target with the least squared error.

    A rotation with a scale is a complex factor, for which least squares has a closed form.

    Args:
        source, target: (P, 2), P >= 2, source points not all equal.

    Returns:
        (2, 3) float64.

    Raises:
        ValueError: other shapes, or source points that are all equal.
    """
    start, goal = (np.asarray(points, dtype=np.float64) for points in (source, target))
    if start.shape != goal.shape or start.ndim != 2 or start.shape[1] != 2 or len(start) < 2:
        raise ValueError(f"expected two (P, 2) arrays with P >= 2, got {start.shape} and {goal.shape}")
    start_mean, goal_mean = start.mean(axis=0), goal.mean(axis=0)
    x, y = (start - start_mean) @ (1, 1j), (goal - goal_mean) @ (1, 1j)  # (P,) complex each
    spread = np.vdot(x, x).real
    if spread == 0:
        raise ValueError("expected source points that are not all the same")
    factor = np.vdot(x, y) / spread
    turn = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.column_stack([turn, goal_mean - turn @ start_mean])


def invert(matrix: np.ndarray) -> np.ndarray:
    """The inverse (2, 3) of an affine map (2, 3)."""
    turn = np.linalg.inv(np.asarray(matrix, dtype=np.float64)[:, :2])
    return np.column_stack([turn, -turn @ matrix[:, 2]])


def compose(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """The affine map (2, 3) that applies `inner` first, then `outer`."""
    return np.column_stack([outer[:, :2] @ inner[:, :2], outer[:, :2] @ inner[:, 2] + outer[:, 2]])


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map points (..., 2) by an affine map (2, 3): (..., 2) float64."""
    moved: np.ndarray = np.asarray(points, dtype=np.float64) @ matrix[:, :2].T + matrix[:, 2]
    return moved


# ---- resample


def warp(picture: np.ndarray, to_source: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resample a picture into another frame: bicubic, antialiased when downscaling, border pixels repeated outside.

    Args:
        picture: (H, W) or (H, W, 3) uint8.
        to_source: (2, 3), output px -> px of `picture`. Antialiasing assumes a similarity; for other affine maps it
            uses the mean scale.
        size: (width, height) of the output.

    Returns:
        (height, width) or (height, width, 3) uint8.

    Raises:
        ValueError: a matrix that is not finite or not invertible.
    """
    matrix = np.asarray(to_source, dtype=np.float64)
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:, :2])) < 1e-12:
        raise ValueError("expected a finite matrix that can be inverted")
    scale = max(1.0, float(np.sqrt(abs(np.linalg.det(matrix[:, :2])))))  # source px per output px
    corners = apply(matrix, np.array([[0, 0], [size[0], 0], [0, size[1]], list(size)]))
    margin = 3 * scale + 2  # source px: twice the radius of the bicubic kernel (resize, then transform)
    low, high = corners.min(axis=0) - margin, corners.max(axis=0) + margin
    region, picture_to_region = _shrunk(picture, low, high, scale)
    (left, top), (right, bottom) = _missing(apply(picture_to_region, np.stack([low, high])), region.shape[:2])
    region = np.pad(region, [(top, bottom), (left, right), (0, 0)][: region.ndim], mode="edge")
    to_region = compose(compose(np.array([[1.0, 0, left], [0, 1.0, top]]), picture_to_region), matrix)
    turned = Image.fromarray(region).transform(
        size, Image.Transform.AFFINE, tuple(to_region.ravel()), Image.Resampling.BICUBIC
    )
    return np.array(turned)


def _shrunk(picture: np.ndarray, low: np.ndarray, high: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """The part of `picture` between two corners, downscaled by about `scale`, and the map from the picture to it."""
    limit = np.array([picture.shape[1], picture.shape[0]])
    x0, y0 = np.clip(np.floor(low).astype(int), 0, limit - 1)  # at least one pixel, for a frame wholly outside
    x1, y1 = np.clip(np.ceil(high).astype(int), (x0 + 1, y0 + 1), limit)
    region = picture[y0:y1, x0:x1]
    width, height = (max(1, round(length / scale)) for length in (x1 - x0, y1 - y0))
    if (width, height) != (x1 - x0, y1 - y0):
        small = Image.fromarray(region).resize((width, height), Image.Resampling.BICUBIC, reducing_gap=1.5)
        region = np.asarray(small)
    across, down = width / (x1 - x0), height / (y1 - y0)
    return region, np.array([[across, 0, -x0 * across], [0, down, -y0 * down]])


def _missing(corners: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The padding that a region needs to reach two corners: (left, top) and (right, bottom), px, not negative."""
    before = np.ceil(np.maximum(0, -corners[0])).astype(int)
    after = np.ceil(np.maximum(0, corners[1] - (shape[1], shape[0]))).astype(int)
    return before, after


# ---- mask


def hull_mask(points: np.ndarray, size: tuple[int, int], grow: float = 1.0) -> np.ndarray:
    """(height, width) float32: 1 inside the convex hull of the points, 0 elsewhere.

    Args:
        points: (P, 2) px.
        size: width, height.
        grow: scale of the hull about the mean of its corners.
    """
    hull = points[ConvexHull(points).vertices]
    hull = (hull - hull.mean(axis=0)) * grow + hull.mean(axis=0)
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).polygon([tuple(corner) for corner in hull], fill=1)
    return np.asarray(mask, dtype=np.float32)


# ---- paste back


def paste_back(photo: np.ndarray, portrait: np.ndarray, to_photo: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Paste the masked part of a portrait into the photo, with colours matched to the photo and a soft edge.

    Colours are measured in the portrait frame, so the cost does not grow with the photo. The mask is faded inwards: no
    pixel outside it changes.

    Args:
        photo: (H, W, 3) uint8.
        portrait: (S, S, 3) uint8.
        to_photo: (2, 3), portrait coordinates -> photo coordinates.
        mask: (S, S) float32 in [0, 1], 1 where the portrait is visible.

    Returns:
        (H, W, 3) uint8, a new array.

    Raises:
        ValueError: shapes that do not fit together.
    """
    if portrait.shape[:2] != mask.shape or photo.ndim != 3 or photo.shape[2] != 3:
        raise ValueError(f"expected one frame, got portrait {portrait.shape}, mask {mask.shape}, photo {photo.shape}")
    result, alpha = np.array(photo), _feathered(mask)
    rows, columns = np.nonzero(alpha)
    if not rows.size:
        return result
    left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    corners = apply(to_photo, np.array([[left, top], [right, top], [left, bottom], [right, bottom]]))
    limit = (photo.shape[1], photo.shape[0])
    x0, y0 = np.clip(np.floor(corners.min(axis=0)), 0, limit).astype(int)
    x1, y1 = np.clip(np.ceil(corners.max(axis=0)), 0, limit).astype(int)
    if x0 >= x1 or y0 >= y1:
        return result
    matched = _match_colours(portrait, warp(photo, to_photo, (mask.shape[1], mask.shape[0])), alpha)
    to_portrait = compose(invert(to_photo), np.array([[1.0, 0, x0], [0, 1.0, y0]]))
    size = (int(x1 - x0), int(y1 - y0))
    new = Image.fromarray(warp(matched, to_portrait, size))
    cover = Image.fromarray(warp(np.round(alpha * 255).astype(np.uint8), to_portrait, size))
    result[y0:y1, x0:x1] = np.asarray(Image.composite(new, Image.fromarray(photo[y0:y1, x0:x1]), cover))
    return result


def _feathered(mask: np.ndarray) -> np.ndarray:
    """The mask with a soft edge: (S, S) float32, falling to 0 at the edge of its support and of the frame."""
    blur = FEATHER * mask.shape[0]
    margin = int(np.ceil(3 * blur))
    support = Image.fromarray(np.pad((mask > 0).astype(np.uint8) * 255, margin))
    soft = np.asarray(support.filter(ImageFilter.GaussianBlur(blur)), dtype=np.float32)[margin:-margin, margin:-margin]
    rise = np.clip(soft / 127.5 - 1, 0, 1)  # 0 at a straight edge, where the blurred mask is 0.5
    smooth: np.ndarray = rise * rise * (3 - 2 * rise)  # smoothstep: slope 0 at both ends
    faded: np.ndarray = np.clip(mask, 0, 1).astype(np.float32) * smooth
    return faded


def _match_colours(portrait: np.ndarray, original: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Colour transfer: give the portrait the original's weighted mean and deviation of luminance and chroma.

    After Reinhard et al., Color transfer between images, 2001, in the Y'CbCr space of JPEG, with bounded gain.
    """
    ours, theirs = (picture.astype(np.float32) @ _TO_YCC.T.astype(np.float32) for picture in (portrait, original))
    (our_mean, our_spread), (their_mean, their_spread) = (_moments(values, weight) for values in (ours, theirs))
    gain = np.clip(their_spread / np.maximum(our_spread, 1e-3), GAIN_LOW, GAIN_HIGH)
    matched = ((ours - our_mean) * gain + their_mean) @ _TO_RGB.T
    rounded: np.ndarray = np.clip(np.round(matched), 0, 255).astype(np.uint8)
    return rounded


def _moments(values: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and standard deviation of each channel: (3,) float64 each."""
    share = (weight / weight.sum(dtype=np.float64)).ravel()
    flat = values.reshape(-1, values.shape[-1]).astype(np.float64)
    mean = share @ flat
    return mean, np.sqrt(share @ (flat - mean) ** 2)


# ---- write


JPEG_QUALITY = 95  # with full chroma, because a verdict depends on these pixels                               [design]


def encoded(picture: np.ndarray, format: str, pasted: bool) -> bytes:
    """Encode (H, W, 3) uint8 with the mark of a synthetic picture (kfaar_core.mark) and no other metadata.

    Args:
        picture: (H, W, 3) uint8 RGB.
        format: `PNG`, `JPEG`, or `WEBP`, which is lossless.
        pasted: whether parts of the picture come from a photo.

    Raises:
        BadSetting: another format.
    """
    xmp, stream = mark.packet(pasted), BytesIO()
    if format == "PNG":
        chunks = PngImagePlugin.PngInfo()
        for keyword, words in mark.WORDS.items():
            chunks.add_text(keyword, words)
        chunks.add_itxt("XML:com.adobe.xmp", xmp)
        Image.fromarray(picture).save(stream, "PNG", pnginfo=chunks)
    elif format == "JPEG":
        settings = {"quality": JPEG_QUALITY, "subsampling": "4:4:4", "comment": mark.WORDS["Comment"]}
        Image.fromarray(picture).save(stream, "JPEG", xmp=xmp.encode(), **settings)
    elif format == "WEBP":
        Image.fromarray(picture).save(stream, "WEBP", lossless=True, xmp=xmp.encode())
    else:
        raise BadSetting(got="the format of a picture is unknown", mend="choose PNG, JPEG or WEBP")
    return stream.getvalue()
