"""A stand-in core that paints what the key says; `python -m tests.demo.stand_in PORT` serves the app with it."""

from __future__ import annotations

import math
import os
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from demo.core import Facts, Method, Preview, Progress, Request
from kfaar_core import attacks
from kfaar_core.attacks.base import Figure
from kfaar_core.attacks.result import AttackResult, Check
from kfaar_core.errors import BadKey, NoFaceFound, OtherPerson
from kfaar_core.keys import UserKey
from kfaar_core.records import Face, FaceCrop, GroupPhoto, Photo, Posture, Rejection, Scores, Verdict, VirtualFace
from kfaar_core.results import Result, Thresholds, save_result
from kfaar_core.scenarios import populations

DIMENSION, THRESHOLD, JUDGE = 32, 0.5, 0.4


def posture(yaw: float) -> Posture:
    shapes = np.zeros(52, dtype=np.float32)
    shapes[44] = 0.5
    return Posture(yaw, 1.0, -2.0, shapes, np.zeros((478, 3), dtype=np.float32))


class StandInReading:
    """0.8 for the key that drew the face, something small and fixed for every other."""

    def __init__(self, right: bytes | None) -> None:
        self.right = right

    def with_key(self, key: UserKey) -> Verdict:
        cosine = 0.8 if key.data == self.right else 0.2 * math.cos(int.from_bytes(key.expand("cosine", 4)))
        return Verdict(cosine, THRESHOLD, cosine >= THRESHOLD, DIMENSION, "I(x) with I(x_v, k)", True)

    def without_key(self) -> Verdict:
        return Verdict(0.1, THRESHOLD, False, DIMENSION, "I(x) with I(x_v), no key", False)

    def with_keys(self, keys: Sequence[UserKey]) -> np.ndarray:
        return np.array([self.with_key(key).cosine for key in keys])


LABELS = {"floor": "linear (floor)", "bits": "key bits (bits)"}
REFINE_STEPS, LONG_STEPS = 10, 12_000


def _of_face(progress: Progress, index: int, *step: Any) -> None:
    progress(*step, index)


class StandInCore:
    """Paints the virtual face in a colour that the key chooses; a picture of one colour has no face.

    A key whose first byte is 255 gives a face that is too close to the photo; without refinement, the key of a face
    whose first byte is 254 is not read; one of 253 takes ten minutes. A photo twice as wide as high shows two people.
    Who is on a photo is the mean colour of its first line.
    """

    def __init__(self, seconds: float = 0.0, methods: tuple[str, ...] = ("floor", "bits")) -> None:
        self.seconds = seconds  # that a stage takes
        self.names = methods
        self.drawn: dict[bytes, tuple[str, bytes]] = {}  # virtual picture -> method, key
        self.clients: list[str] = []
        self.stages: list[str] = []

    def methods(self) -> tuple[Method, ...]:
        return tuple(Method(name, LABELS.get(name, name), f"The words of {name}.") for name in self.names)

    def facts(self, method: str) -> Facts:
        threshold = THRESHOLD if method == "floor" else THRESHOLD + 0.1
        return Facts("stand-in", "cpu", method, DIMENSION, threshold, JUDGE, 256, {"another person": 0.0})

    def fingerprint(self, method: str) -> bytes:
        return method.encode().ljust(32)

    def faces(self, photo: Photo) -> list[Face]:
        if photo.pixels.std() < 1:
            return []
        points = np.array([[20, 20], [40, 20], [30, 30], [22, 40], [38, 40]], dtype=np.float32)
        high, wide = photo.pixels.shape[:2]
        boxes = [[10, 10, 50, 50]] if wide < 2 * high else [[wide / 2 + 5, 10, wide - 10, high - 5], [10, 10, 40, 40]]
        return [Face(np.array(box, dtype=np.float32), points, 0.99) for box in boxes]

    def anonymise(
        self, request: Request, progress: Progress | None = None, preview: Preview | None = None
    ) -> VirtualFace:
        photo, key = request.photo, request.key
        if request.method == "bits" and key.bits not in (8, 128, 256):
            raise BadKey(got=f"a key of {key.bits} bits", mend="take one of 8, 128 or 256 bits")
        found = self.faces(photo)
        if not found:
            raise NoFaceFound(got="no face in the picture", mend="use another photo")
        steps = [("locate", 1, 2), ("generate", 2, 2)]
        long = key.data[0] == 253
        last = LONG_STEPS if long else REFINE_STEPS if self.seconds and request.person is None else 0
        for step in [*steps, *(("refine", step, last) for step in range(1, last + 1))]:
            self.stages.append(step[0])
            time.sleep(0.05 if long else self.seconds / (REFINE_STEPS if step[0] == "refine" else 1))
            if progress:
                progress(*step)
        seen = np.resize(photo.pixels[:1].mean(axis=(0, 1)), 64)
        if request.person is not None and not np.allclose(request.person.identity, seen, atol=0.5):
            raise OtherPerson(got="this key is enrolled for somebody else", mend="use another")
        pixels = np.random.default_rng(list(key.data)).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        if preview:
            preview("generate", pixels)
        unread = key.data[0] == 254 and not request.refine
        self.drawn[pixels.tobytes()] = request.method, b"" if unread else key.data
        crop = FaceCrop(
            np.resize(photo.pixels, (64, 64, 3)),
            np.eye(2, 3),
            found[request.faces[0]],
        )
        picture = pixels if request.mode == "portrait" else np.resize(pixels, photo.pixels.shape)
        close = key.data[0] == 255
        return VirtualFace(
            picture=picture,
            portrait=pixels,
            draft=pixels,
            crop=crop,
            latent=np.zeros((3, 512), dtype=np.float32),
            identity=seen,
            posture_original=posture(5.0),
            posture_before=posture(-3.0),
            posture_after=posture(4.5),
            judge_cosine=0.6 if close else 0.1,
            judge_threshold=JUDGE,
            anonymous=not close,
            look_distance=0.5,
            detected=True,
            key=key,
            rekeyed=0,
            rejection=Rejection.TOO_CLOSE if close else None,
            seconds={"locate": 0.1, "generate": 0.3},
            reading=StandInReading(key.data).with_key(key) if request.refine else None,
            warnings=("a sentence of the core",),
        )

    def anonymise_group(
        self, request: Request, progress: Progress | None = None, preview: Preview | None = None
    ) -> GroupPhoto:
        """The second face cannot be replaced when the key's second byte is 255."""
        replaced, hidden = {}, []
        for index, number in enumerate(request.faces):
            report = None if progress is None else partial(_of_face, progress, index)
            face = self.anonymise(replace(request, faces=(number,), mode="paste"), report, preview)
            if number == 1 and request.key.data[1] == 255:
                hidden.append(number)
            else:
                replaced[number] = face
        return GroupPhoto(np.roll(request.photo.pixels, 1, axis=0), replaced, tuple(hidden))

    def readout(self, virtual: Photo, original: Photo, *, method: str) -> StandInReading:
        time.sleep(8 * self.seconds)  # long enough to press Stop
        made_by, key = self.drawn.get(virtual.pixels.tobytes(), ("", b""))
        return StandInReading(key if made_by == method else None)

    def authenticate(
        self, virtual: Photo, original: Photo, key: UserKey | None, *, method: str, client: str
    ) -> Verdict:
        self.clients.append(client)
        reading = self.readout(virtual, original, method=method)
        return reading.with_key(key) if key else reading.without_key()

    def judge_cosines(self, photos: Sequence[Photo]) -> np.ndarray:
        return np.array([[1.0 if np.array_equal(a.pixels, b.pixels) else 0.1 for a in photos] for b in photos])

    def evaluate(
        self, archive: Path, *, method: str, people: int, keys: str, progress: Callable[[int, int], None]
    ) -> Result:
        """Random numbers for as many people as the zip has folders; long work for a zip of more than `people`."""
        with zipfile.ZipFile(archive) as packed:
            assert packed.testzip() is None
            found = len({Path(name).parent.name for name in packed.namelist()})
        for done in range(min(found, people)):
            progress(done, min(found, people))
            time.sleep(self.seconds * (20 if found > people else 1))
        return result("yours", keys, min(found, people))

    def attack(self, name: str, *, method: str, people: int, progress: Callable[[int, int], None]) -> AttackResult:
        for done in range(people):
            progress(done, people)
            time.sleep(self.seconds)
        return attacked(name, method, people)


def attacked(name: str, method: str, people: int = 50) -> AttackResult:
    """What an attack answers, of made-up numbers: a curve of two series, and a single figure."""
    attack, zero = attacks.get(name), "0" * 64
    figures = [
        Figure(f"{series}: rank-1", at, value * at / 64, 0.0, 1.0, people, people, 0.02)
        for series, value in (("one key for all", 0.9), ("a key each", 0.02))
        for at in (8.0, 64.0)
    ]
    return AttackResult(
        name, attack.code, attack.title, attack.holds, attack.learns, "known pairs", f"Words about {name}.",
        "synthetic", method, False, None, people, 1, 64, 0.5, 0, {"floor": zero}, zero, zero,
        "python -m kfaar_core attack",
        (*figures, Figure("a single figure", None, 0.25, 0.2, 0.3, people, people)),
        (Check("a", None, "<= 0.1", False),),
    )  # fmt: skip


def result(dataset: str, keys: str, people: int = 50, mean: float = 0.6) -> Result:
    """What an evaluation answers, of random numbers."""
    rng, zero = np.random.default_rng(5), "0" * 64
    size, trials = 4 * people, np.arange(4 * people) % people
    named = {populations.genuine(photo): rng.normal(mean, 0.1, size).clip(-1, 1) for photo in populations.PHOTOS}
    named[populations.IMPOSTOR] = rng.normal(0, 0.15, size).clip(-1, 1)
    return Result(
        "VI", dataset, keys, "lab", "floor", zero, zero, {"floor": zero}, 0, people, 4, 32,
        "python -m kfaar_core evaluate",
        Thresholds(paper=0.7, dev=0.3, in_force="dev"),
        tuple(Scores(name, values, trials) for name, values in named.items()),
    )  # fmt: skip


def main(port: int) -> None:
    """Serve the app with the stand-in core."""
    from demo import build as whole
    from demo.build import LAUNCH, build
    from demo.tabs import curves

    with tempfile.TemporaryDirectory() as folder:
        for method, keys, mean in (("floor", "shared", 0.6), ("floor", "own", 0.7), ("bits", "own", 0.8)):
            save_result(Path(folder) / f"lab-{method}-lfw-vi-{keys}.json", result("lfw", keys, mean=mean))
        curves.SCORES = Path(folder)
        if "STAND_IN_UPLOADS" in os.environ:  # s, for which uploads live
            whole.DELETE_CACHE = (int(os.environ["STAND_IN_UPLOADS"]),) * 2
        page = build(StandInCore(seconds=float(os.environ.get("STAND_IN_SECONDS", "0"))))
        page.launch(server_port=port, quiet=True, **LAUNCH)


if __name__ == "__main__":
    main(int(sys.argv[1]))
