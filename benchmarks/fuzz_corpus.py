"""The small valid files that benchmarks.fuzz damages, and how it damages them. Everything is drawn; seeded."""

from __future__ import annotations

import io
import json
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
from PIL import Image, ImageCms, PngImagePlugin
from pyarrow import parquet

from benchmarks.serving import ROOT
from kfaar_core.attacks.result import save as save_attack
from kfaar_core.keyring import KeyRing, Person, RecordedFace
from kfaar_core.keys import UserKey
from kfaar_core.records import Row
from kfaar_core.report.tables import Table, to_json
from kfaar_core.results import save_result
from tests.demo.stand_in import attacked, result

SIDE = (48, 40)  # px, width and height of the seed pictures
HEIC = ROOT / "tests/kfaar_core/sample.heic"  # no encoder is installed for it
KEY = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"


@dataclass(frozen=True)
class Seed:
    """One valid input: its files by name; the first is the one that is opened."""

    kind: str  # "picture", "key text", "key file", "scores", "pair", "result", "table", "attack" or "data"
    files: Mapping[str, bytes]


# ---- pictures


def pictures(rng: np.random.Generator) -> list[Seed]:
    """Every format that is read, with what files of it carry: profiles, EXIF, text, palettes, several frames."""
    wide, high = SIDE
    coarse = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    colour = coarse.resize((wide, high), Image.Resampling.BICUBIC)
    sheer, grey = colour.copy(), colour.convert("L")
    sheer.putalpha(grey)
    deep = Image.fromarray(rng.integers(0, 65536, (high, wide), dtype=np.uint16))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a drawing"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "nothing of interest", zip=True)
    text.add_itxt("Title", "a drawing")
    about: dict[str, Any] = {"exif": exif, "icc_profile": profile}
    frames: dict[str, Any] = {"save_all": True, "append_images": [colour.rotate(90), colour.rotate(180)]}
    drawn: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (colour, "JPEG", about),
        (colour, "JPEG", {"progressive": True, "comment": b"a drawing"}),
        (colour.convert("CMYK"), "JPEG", {}),
        (grey, "JPEG", {"restart_marker_rows": 1}),
        (colour, "PNG", {**about, "pnginfo": text}),
        (sheer, "PNG", {}),
        (colour.quantize(16), "PNG", {"transparency": 3}),
        (deep, "PNG", {}),
        (grey.convert("1"), "PNG", {}),
        (colour, "PNG", frames),
        (colour, "WEBP", about),
        (sheer, "WEBP", {"lossless": True}),
        (colour, "WEBP", {**frames, "exif": exif}),
        (colour, "GIF", frames),
        (colour.quantize(16), "GIF", {"transparency": 3, "interlace": 1}),
        (colour, "BMP", {}),
        (colour.quantize(200), "BMP", {}),
        (sheer, "BMP", {}),
        (colour, "DIB", {}),
        *((colour, "TIFF", {"compression": packing, **about}) for packing in (None, "tiff_lzw", "jpeg", "packbits")),
        (deep, "TIFF", {"compression": "tiff_adobe_deflate"}),
        (grey.convert("1"), "TIFF", {"compression": "group4"}),
        (colour.convert("CMYK"), "TIFF", frames),
        (Image.fromarray(rng.random((high, wide), dtype=np.float32)), "TIFF", {}),
        *((picture, "PPM", {}) for picture in (colour, grey, deep, grey.convert("1"))),
        (sheer, "AVIF", {**about, "speed": 10}),
        (colour, "AVIF", {**frames, "speed": 10}),
    ]
    found = [HEIC.read_bytes(), b"P3\n2 2\n255\n" + b"1 2 3 " * 4]
    for picture, form, settings in drawn:
        stream = io.BytesIO()
        picture.save(stream, form, **settings)
        found.append(stream.getvalue())
    return [Seed("picture", {"photo": data}) for data in found]


# ---- keys, scores, results, data sets


def files(rng: np.random.Generator) -> list[Seed]:
    """Keys, key files, score lists, results, tables, results of attacks, and zip and parquet files of photos."""
    photos = [seed.files["photo"] for seed in pictures(rng)[2:6]]
    with tempfile.TemporaryDirectory() as folder:
        score_lists = [Seed("scores", {name: data}) for name, data in lists(rng, Path(folder)).items()]
        results = [*saved(Path(folder) / "results")]
    sides = {f"{side}.txt": b"\n".join(b"a b %.4f" % score for score in rng.random(9)) for side in ("genuine", "im")}
    return [*keys(), *score_lists, Seed("pair", sides), *results, *data_sets(photos)]


def keys() -> list[Seed]:
    """Keys as text and as files, with and without people."""
    ring = KeyRing(UserKey.parse(KEY)).with_person(Person("Ada", b"\1" * 16, 5, b"sealed" * 4))
    ring = ring.with_picture("a/1.png", [RecordedFace("a/1.png", (1, 2, 30, 40), "Ada")])
    salted = KeyRing(ring.master, "a1" * 16, ring.people, ring.faces)
    plain = [KEY, f"kfaar-key-2:{KEY}", f"\ufeff{KEY}\r\n"]
    written = [*(text.encode() for text in plain[:2]), KEY.encode("utf-16"), ring.content(), salted.content()]
    return [
        *(Seed("key text", {"key": text.encode()}) for text in plain[:2]),
        *(Seed("key file", {"mine.key": data}) for data in written),
        Seed("keys of compare", {"keys.txt": f"{KEY}\n\n{KEY[::-1]}\n".encode()}),
    ]


def lists(rng: np.random.Generator, folder: Path) -> dict[str, bytes]:
    """One score list in every format of report.score_lists."""
    people, others = np.arange(24) % 6, np.arange(24) // 4
    columns = {"score": rng.random(24), "label": (people == others).astype(int), "person": people, "other": others}
    table, stream, packed = arrow.table(columns), io.BytesIO(), io.BytesIO()
    parquet.write_table(table, stream)
    np.savez_compressed(packed, genuine=columns["score"][:9], impostor=columns["score"][9:])
    rows = [f"{a} {b} t{n} {s:.4f}" for n, (a, b, s) in enumerate(zip(people, others, columns["score"], strict=True))]
    named = [",".join(columns), *(",".join(map(str, row.values())) for row in table.to_pylist())]
    text = "\n".join(named)
    return {
        "scores.csv": text.encode(),
        "scores.tsv": text.replace(",", "\t").encode(),
        "scores.txt": "\n".join(rows).encode(),
        "scores.parquet": stream.getvalue(),
        "scores.npz": packed.getvalue(),
    }


def saved(folder: Path) -> list[Seed]:
    """What evaluate, ablation and attack write."""
    folder.mkdir()
    save_result(folder / "lab-floor-lfw-vi-own.json", result("lfw", "own", people=6))
    pair = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}  # json before npz
    attack = save_attack(attacked("known-pairs", "floor"), folder).read_bytes()
    table = Table("IX", "a table", "made up", (Row("a row", 0.5, 0.4, 0.6, 9, None, "a note"),) * 3)
    return [
        *(Seed("result", pair) for _ in range(3)),
        Seed("table", {"table.json": to_json(table).encode()}),
        Seed("attack", {"attack.json": attack}),
    ]


def data_sets(photos: list[bytes]) -> list[Seed]:
    """Zips of folders of people, of CelebA's layout and of one parquet file, and that file alone."""
    names = [f"person {number % 2}/{number}.jpg" for number in range(len(photos))]
    rows = [
        {"image": {"bytes": data, "path": name}, "identity": name[:8]} for data, name in zip(photos, names, strict=True)
    ]
    stream = io.BytesIO()
    parquet.write_table(arrow.Table.from_pylist(rows), stream)
    listed = "".join(f"{number:06d}.jpg {number % 2}\n" for number in range(len(photos)))
    celeba = {f"img/{number:06d}.jpg": data for number, data in enumerate(photos)}
    people = zipped(dict(zip(names, photos, strict=True)))
    return [
        Seed("data", {"people.zip": people}),
        Seed("data", {"people.zip": zipped({**celeba, "identity_CelebA.txt": listed.encode()})}),
        Seed("data", {"people.zip": zipped({"data/train.parquet": stream.getvalue()})}),
        Seed("data", {"people.parquet": stream.getvalue()}),
    ]


def zipped(members: Mapping[str, bytes]) -> bytes:
    """A zip of these files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


# ---- damage

Damage = Callable[[bytearray, np.random.Generator], bytearray]
EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 12_000, 60_000, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFF0)
PARTS = (b"Exif", b"ICC_PROFILE", b"iCCP", b"eXIf", b"acTL", b"fcTL", b"ANMF", b"ANIM", b"NETSCAPE", b"acsp", b"PK\1\2")


def place(data: bytearray, rng: np.random.Generator) -> int:
    """Somewhere in the data; often in its head, or in a profile, EXIF or animation."""
    known = [at for part in PARTS if (at := data.find(part)) >= 0]
    where = rng.random()
    if known and where < 0.3:
        return int(min(len(data), known[rng.integers(len(known))] + rng.integers(64)))
    return int(rng.integers(min(len(data), 64) if where < 0.6 else len(data))) if data else 0


def flip_bits(data: bytearray, rng: np.random.Generator) -> bytearray:
    for _ in range(int(rng.integers(1, 17)) if data else 0):
        data[min(place(data, rng), len(data) - 1)] ^= 1 << int(rng.integers(8))
    return data


def cut(data: bytearray, rng: np.random.Generator) -> bytearray:
    return data[: int(rng.integers(len(data) + 1))]


def drop(data: bytearray, rng: np.random.Generator) -> bytearray:
    at = place(data, rng)
    return data[:at] + data[at + int(rng.integers(1, 40)) :]


def repeat(data: bytearray, rng: np.random.Generator) -> bytearray:
    at, size = place(data, rng), int(rng.integers(1, 400))
    return data[: at + size] + data[at : at + size] * int(rng.integers(1, 4)) + data[at + size :]


def noise(data: bytearray, rng: np.random.Generator) -> bytearray:
    at, size = place(data, rng), int(rng.integers(1, 40))
    return data[:at] + rng.bytes(size) + data[at + (size if rng.random() < 0.7 else 0) :]


def extreme(data: bytearray, rng: np.random.Generator) -> bytearray:
    """A number becomes a border case: a known dimension where it is found, else any field."""
    size, order = int(rng.choice([1, 2, 4])), str(rng.choice(["little", "big"]))
    known = [number.to_bytes(size, order) for number in SIDE]  # type: ignore[arg-type]
    found = [at for number in known if (at := data.find(number)) >= 0]
    at = found[int(rng.integers(len(found)))] if found and rng.random() < 0.5 else place(data, rng)
    value = int(rng.choice(EXTREMES)) % (1 << 8 * size)
    return data[:at] + value.to_bytes(size, order) + data[at + size :]  # type: ignore[arg-type]


VALUES = (None, True, -1, 0, 1e308, 10**400, "", "x" * 5000, "nan", "\ud800", [], {}, [[]], {"a": 1})


def other_value(data: bytearray, rng: np.random.Generator) -> bytearray:
    """JSON: one value becomes another, or is lost. Anything else: a number in the text becomes another."""
    try:
        tree = json.loads(bytes(data))
    except (ValueError, RecursionError):
        return extreme(data, rng)
    within = [tree] if isinstance(tree, dict | list) else []
    for node in within:
        inner = node.values() if isinstance(node, dict) else node
        within += [child for child in inner if child and isinstance(child, dict | list)]
    if not within:
        return extreme(data, rng)
    node = within[int(rng.integers(len(within)))]
    names = list(node) if isinstance(node, dict) else list(range(len(node)))
    if names:
        name = names[int(rng.integers(len(names)))]
        node[name] = VALUES[int(rng.integers(len(VALUES)))]
        if rng.random() < 0.2:
            del node[name]
    text = json.dumps(tree)
    return bytearray((text.replace("1e+308", "1e999") if rng.random() < 0.5 else text).encode())


def deep(data: bytearray, rng: np.random.Generator) -> bytearray:
    """Brackets within brackets, as no parser likes them."""
    at = place(data, rng)
    return data[:at] + b"[" * 100_000 + data[at:]


BINARY: tuple[Damage, ...] = (flip_bits, flip_bits, cut, drop, repeat, noise, extreme, extreme)
TEXT: tuple[Damage, ...] = (*BINARY[1:], other_value, other_value, other_value, other_value, deep)


def damaged(seed: Seed, rng: np.random.Generator) -> Seed:
    """The seed with one or two faults in one of its files. Checksums are often mended, so that more is looked at."""
    name = list(seed.files)[int(rng.integers(len(seed.files)))]
    data = bytearray(seed.files[name])
    kinds = TEXT if name.endswith((".json", ".key", "key", ".txt", ".csv")) else BINARY
    for _ in range(int(rng.integers(1, 3))):
        data = kinds[int(rng.integers(len(kinds)))](data, rng)
    changed = {**seed.files, name: bytes(data)}
    if rng.random() < 0.6:
        changed = {name: mended(data) for name, data in changed.items()}
        if seed.kind == "result":
            changed = rehashed(changed)
    return Seed(seed.kind, changed)


def mended(data: bytes) -> bytes:
    """A PNG with the checksums that its chunks should have; anything else as it is."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    found, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        size = struct.unpack(">I", data[at : at + 4])[0]
        body = data[at + 4 : at + 8 + size]
        found += data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + size
    return bytes(found + data[at:])


def rehashed(pair: Mapping[str, bytes]) -> dict[str, bytes]:
    """A result whose JSON names the hash of its scores."""
    import hashlib

    (listed, record), (packed, scores) = pair.items()
    try:
        tree = json.loads(record)
        tree["scores_sha256"] = hashlib.sha256(scores).hexdigest()
    except (ValueError, TypeError, RecursionError):
        return dict(pair)
    return {listed: json.dumps(tree).encode(), packed: scores}
