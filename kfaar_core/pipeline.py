"""KFAAR in two straight lines, Alg. 1 (anonymise) and Alg. 2 (authenticate), and the roles of Section III (Fig. 2)."""

from __future__ import annotations

import hashlib
import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from kfaar_core import image
from kfaar_core.errors import BadSetting, TooManyTries
from kfaar_core.keys import UserKey
from kfaar_core.presets import Preset, get_preset
from kfaar_core.records import Face, FaceCrop, Photo, Posture, Verdict, VirtualFace
from kfaar_core.stages.assemble import Stages, assemble
from kfaar_core.stages.correct import Corrected, Draft
from kfaar_core.stages.detect import five_points, in_photo, portrait_frame
from kfaar_core.stages.generate import w_plus
from kfaar_core.stages.recognise import Identifier, verdict
from kfaar_core.stages.show import face_mask, look_distance, place

log = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]  # stage name, done, of
MODES = ("portrait", "paste")
STEPS = ("detect", "encode", "project", "generate", "correct", "judge")


def load(preset: Preset | str = "lab", device: str = "auto", threads: int = 0) -> Stages:
    """Load every network of a preset, verified; read-only afterwards, so that all visitors may share it.

    Args:
        preset: a Preset or the name of one.
        device: auto, cpu or cuda.
        threads: of the CPU runtime; 0 lets it choose.
    Raises:
        BadSetting: unknown preset, projector or device.
        BadWeights: a file is missing or altered.
    """
    return assemble(get_preset(preset) if isinstance(preset, str) else preset, device, threads)


@dataclass(frozen=True)
class Seen:
    """One face of a photo as every later stage needs it."""

    crop: FaceCrop  # level portrait frame
    posture: Posture  # measured in that frame, without the frame's own turn
    landmarks: np.ndarray  # (478, 3) float64, photo px (z on the same scale)
    turn: float  # degrees, clockwise: how far the frame is turned in the photo


def look(stages: Stages, photo: Photo, face: Face) -> Seen:
    """Detect's points -> landmarks -> a frame that the landmarks define -> posture."""
    framed, posture = stages.framed(photo, face)
    turn = np.degrees(np.arctan2(framed.to_photo[1, 0], framed.to_photo[0, 0]))
    return Seen(framed, posture, in_photo(framed, posture), float(turn))


class User:
    """U: makes the keys, and nobody else does."""

    @staticmethod
    def key_gen(bits: int = 256) -> UserKey:
        """KeyGen from the operating system's random source (Section VI-B)."""
        return UserKey.generate(bits)


class AnonymisationServer:
    """FAS: photo and key in, virtual face out. It keeps nothing of what it was given (Section VI-A)."""

    def __init__(self, stages: Stages) -> None:
        self._stages = stages

    def faces(self, photo: Photo) -> list[Face]:
        """Every face of the photo, largest first."""
        return self._stages.detector.faces(photo)

    def anonymise(
        self,
        photo: Photo,
        key: UserKey,
        *,
        face: str | int = "largest",
        mode: str = "portrait",
        side: int | None = None,
        rekey: int = 0,
        refine: bool = True,
        progress: Progress | None = None,
    ) -> VirtualFace:
        """Alg. 1 for one face.

        Args:
            photo: from image.open_photo.
            key: chooses the virtual person.
            face: `largest`, `central` (nearest to the middle of the photo), or a number, 0 being the largest.
            mode: `portrait` answers the whole virtual picture, `paste` the photo with the face exchanged.
            side: px of the portrait, one of the preset's sides; None takes its first choice.
            rekey: how many following keys may be tried when the virtual face has a flaw, such as being too close to
                the photo (Section VI-C-2); reported in the answer, never silent.
            refine: where the form knows how (stages.refine): several times the time, a face that KVFA reads better.
            progress: called with (stage, done, of).
        Raises:
            BadSetting: unknown mode or side.
            NoFaceFound: no usable face.
        """
        side = self._check(mode, side)
        started = time.perf_counter()
        found = self._stages.detector.pick(photo, face)
        detect_s = time.perf_counter() - started
        return self._one(photo, found, key, mode, side, rekey, refine, progress, detect_s)

    def anonymise_all(
        self,
        photo: Photo,
        key: UserKey,
        *,
        mode: str = "portrait",
        side: int | None = None,
        rekey: int = 0,
        refine: bool = True,
        progress: Progress | None = None,
    ) -> list[VirtualFace]:
        """Every usable face, largest first. In `paste` mode each answer shows all faces exchanged so far.

        Raises:
            NoFaceFound: not one usable face.
        """
        side = self._check(mode, side)
        usable = self._stages.detector.usable(photo)
        answers: list[VirtualFace] = []
        pixels = photo
        for found in usable:
            answer = self._one(photo, found, key, mode, side, rekey, refine, progress, 0.0, canvas=pixels)
            answers.append(answer)
            if mode == "paste":
                pixels = replace(photo, pixels=answer.picture)
        return answers

    def _check(self, mode: str, side: int | None) -> int:
        preset = self._stages.preset
        if mode not in MODES:
            raise BadSetting(got=f"the mode {mode!r} is unknown", mend=f"choose {' or '.join(MODES)}")
        if side is not None and side not in preset.sides:
            choice = " or ".join(map(str, preset.sides))
            raise BadSetting(got=f"a portrait of {side} px is not on offer", mend=f"choose {choice} px")
        return side or preset.side

    def _one(
        self,
        photo: Photo,
        face: Face,
        key: UserKey,
        mode: str,
        side: int,
        rekey: int,
        refine: bool,
        progress: Progress | None,
        detect_s: float,
        canvas: Photo | None = None,
    ) -> VirtualFace:
        passed_over = 0
        answer = self._draw(photo, face, key, mode, side, refine, progress, detect_s, canvas or photo)
        while flaw(answer, self._stages.preset) and passed_over < rekey:
            key, passed_over = key.next(), passed_over + 1
            answer = self._draw(photo, face, key, mode, side, refine, progress, detect_s, canvas or photo)
        warnings = list(answer.warnings)
        if passed_over:
            passed = "the face of one key was" if passed_over == 1 else f"the faces of {passed_over} keys were"
            warnings.append(f"{passed} no good; key number {passed_over + 1} is in force")
        found = flaw(answer, self._stages.preset)
        if found:
            warnings.append(f"{found}; take the next key")
        return replace(answer, rekeyed=passed_over, warnings=tuple(warnings))

    @torch.inference_mode()
    def _draw(
        self,
        photo: Photo,
        face: Face,
        key: UserKey,
        mode: str,
        side: int,
        refine: bool,
        progress: Progress | None,
        detect_s: float,
        canvas: Photo,
    ) -> VirtualFace:
        """Alg. 1, steps 4 to 8, for one key."""
        stages = self._stages
        clock = Clock(progress)
        with clock.stage("detect"):
            seen = look(stages, photo, face)
        with clock.stage("encode"):
            feature = stages.encoder.raw_of(photo.pixels, seen.landmarks)  # z = E(x)
        with clock.stage("project"):
            projected = stages.projector(feature, key)  # z' = P(z, k)
        with clock.stage("generate"):
            latent = projected.latent.to(stages.device)
            picture = stages.generator.render(w_plus(latent[None]), stages.preset.side)  # x' = G(M(z'))
            payload = projected.payload if refine else None
            draft = Draft(picture[0], latent, stages.geometry.postures(picture)[0], payload)
        with clock.stage("correct"):
            corrected = stages.corrector.correct(draft, seen.posture, side)  # x_v = G_f(x', x)
            upright, portrait, answer = self._place(canvas, seen, corrected, mode, side)
        with clock.stage("judge"):
            after = stages.geometry.postures(stages.tensor(upright))[0]
            cosine = float(
                stages.judge.of(photo.pixels, seen.landmarks) @ stages.judge.of(upright, after.landmarks * side)
            )
            distance = look_distance(seen.crop.picture, upright)
            virtual, reading, keyless = Photo(portrait), None, None
            found = stages.detector.faces(virtual)
            if found and payload is not None and stages.preset.descent.steps:
                sight = stages.sight(portrait, stages.landmarks(virtual, found[0]))
                readout = Readout(stages.recogniser, stages.kvfa_threshold_for, sight, feature)
                reading, keyless = readout.with_key(key), readout.without_key()
        seconds = {**clock.seconds, "detect": clock.seconds["detect"] + detect_s}
        return VirtualFace(
            picture=answer,
            portrait=portrait,
            draft=image.to_uint8(picture)[0],
            crop=self._turned_crop(photo, seen, side),
            latent=corrected.latent.cpu().numpy() if corrected.latent is not None else np.zeros((3, 512), np.float32),
            posture_original=turned(seen.posture, seen.turn),
            posture_before=draft.posture,
            posture_after=turned(after, seen.turn),
            judge_cosine=cosine,
            judge_threshold=stages.judge_threshold,
            anonymous=cosine < stages.judge_threshold,
            look_distance=distance,
            detected=bool(found),
            key=key,
            rekeyed=0,
            seconds=seconds,
            reading=reading,
            keyless=keyless,
            warnings=photo.notes,
        )

    def _place(
        self, canvas: Photo, seen: Seen, corrected: Corrected, mode: str, side: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The similarity part of the correction: (level portrait, portrait turned as in the photo, the answer)."""
        render = image.to_uint8(corrected.picture[None])[0]
        frame = portrait_frame(five_points(corrected.posture.landmarks * render.shape[0]), side)
        upright = place(render, frame, side, 0.0)
        portrait = place(render, frame, side, seen.turn) if abs(seen.turn) > 0.05 else upright
        if mode == "portrait":
            return upright, portrait, portrait
        points = image.apply(image.invert(frame), corrected.posture.landmarks[:, :2] * render.shape[0]) / side
        mask = face_mask([points, seen.posture.landmarks[:, :2]], side)
        shrink = seen.crop.picture.shape[0] / side  # the answer's px are smaller than those that `look` framed
        to_photo = seen.crop.to_photo @ np.diag([shrink, shrink, 1.0])
        return upright, portrait, image.paste_back(canvas.pixels, upright, to_photo, mask)

    @staticmethod
    def _turned_crop(photo: Photo, seen: Seen, side: int) -> FaceCrop:
        """x in the frame of the portrait: as large and as placed as the level frame, but as turned as the photo."""
        centre = image.apply(seen.crop.to_photo, np.full(2, seen.crop.picture.shape[0] / 2))
        scale = np.hypot(*seen.crop.to_photo[:, 0]) * seen.crop.picture.shape[0] / side
        matrix = np.array([[scale, 0, centre[0] - scale * side / 2], [0, scale, centre[1] - scale * side / 2]])
        return FaceCrop(image.warp(photo.pixels, matrix, (side, side)), matrix, seen.crop.face)


def flaw(answer: VirtualFace, preset: Preset) -> str | None:
    """What is wrong with a virtual face, if anything is: no face to see, too close to the photo (Section VI-C-2), not
    read by KVFA although it was refined to be, or read without a key."""
    if not answer.detected:
        return "no face can be made out in the virtual picture"
    if not answer.anonymous or answer.look_distance < preset.look_min:
        return "the virtual face is close to the photo"
    if answer.reading is not None and not answer.reading.same_person:
        return "the key does not read the original identity from the virtual face"
    if answer.keyless is not None and answer.keyless.same_person:
        return "the original identity can be read from the virtual face without a key"
    return None


def turned(posture: Posture, degrees: float) -> Posture:
    """A posture measured in a level frame, as it stands in the photo."""
    return replace(posture, roll=posture.roll + degrees)


class Clock:
    """Seconds of each stage, and the progress call at its start and end."""

    def __init__(self, progress: Progress | None) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what runs inside."""
        if self._progress:
            self._progress(name, STEPS.index(name), len(STEPS))
        started = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - started
        if self._progress:
            self._progress(name, STEPS.index(name) + 1, len(STEPS))


@dataclass(frozen=True)
class Readout:
    """The features of one virtual and one original face; keys can be tried on it without looking at pictures again."""

    recogniser: Identifier
    threshold_for: Callable[[UserKey | None], float] = field(repr=False)
    virtual: np.ndarray = field(repr=False)  # (S,) what KVFA reads
    original: np.ndarray = field(repr=False)  # (D,) the encoder's raw feature, all that I(x) is made of

    def with_key(self, key: UserKey) -> Verdict:
        """Condition 2: I(x) with I(x_v, k)."""
        return verdict(self.recogniser, self.virtual, self.original, key, self.threshold_for(key))

    def without_key(self) -> Verdict:
        """Condition 1: I(x) with the most similar key-less read-out of x_v."""
        return verdict(self.recogniser, self.virtual, self.original, None, self.threshold_for(None))

    def with_keys(self, keys: Sequence[UserKey]) -> np.ndarray:
        """(K,) cosines of I(x) and I(x_v, k)."""
        return np.array([self.with_key(key).cosine for key in keys])


class AuthenticationServer:
    """VFAS: is a virtual face the person of an original photo? Asked a limited number of times (Section III-C-1)."""

    def __init__(self, stages: Stages, clock: Callable[[], float] = time.monotonic) -> None:
        self._stages, self._clock = stages, clock
        self._tries: OrderedDict[tuple[str, str], list[float]] = OrderedDict()
        self._lock = threading.Lock()

    def authenticate(self, virtual: Photo, original: Photo, key: UserKey | None, client: str = "local") -> Verdict:
        """Alg. 2: Condition 1 without a key, Condition 2 with one.

        Raises:
            NoFaceFound: no usable face in either picture.
            TooManyTries: the client has asked about this virtual face too often within the hour.
        """
        self._count(virtual, client)
        readout = self.readout(virtual, original)
        answer = readout.with_key(key) if key is not None else readout.without_key()
        # The audit line says that a question was answered, and how; nothing in it leads to a key or a face.
        log.info("authentication: %s, %s", answer.compared, "same person" if answer.same_person else "not the same")
        return answer

    @torch.inference_mode()
    def readout(self, virtual: Photo, original: Photo) -> Readout:
        """Look at both pictures once; the verdicts follow from the features."""
        stages = self._stages
        sight = stages.sight_of(virtual)
        feature = stages.encoder.raw_of(original.pixels, stages.landmarks(original))
        return Readout(stages.recogniser, stages.kvfa_threshold_for, sight, feature)

    def _count(self, virtual: Photo, client: str) -> None:
        now, limit = self._clock(), self._stages.preset.tries_per_hour
        entry = (client, hashlib.sha256(virtual.pixels.tobytes()).hexdigest())
        with self._lock:
            recent = [at for at in self._tries.pop(entry, []) if now - at < 3600]
            refused = len(recent) >= limit
            self._tries[entry] = recent if refused else [*recent, now]
            while len(self._tries) > 10_000:  # a bound on memory; the oldest question is forgotten first
                self._tries.popitem(last=False)
        if refused:
            raise TooManyTries(
                got=f"more than {limit} tries for this virtual face within an hour",
                mend=f"wait {math.ceil((3600 - (now - recent[0])) / 60)} minutes",
            )
