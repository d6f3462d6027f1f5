"""The roles of Section III (Fig. 2): U makes keys, FAS anonymises, VFAS authenticates. Retries and limits on tries."""

from __future__ import annotations

import hashlib
import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from kfaar_core.assemble import Stages
from kfaar_core.errors import TooManyTries
from kfaar_core.keys import UserKey
from kfaar_core.pipeline import MOST_FACES, AnonymiseRequest, Comparison, Progress, anonymise, compare_pictures
from kfaar_core.records import Face, Photo, Verdict, VirtualFace

log = logging.getLogger(__name__)


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

    def anonymise(self, request: AnonymiseRequest, progress: Progress | None = None) -> VirtualFace:
        """Alg. 1 for one face. A rejected face takes the next key (Section VI-C-2), as often as the request allows.

        Raises:
            BadSetting, BadKey, NoFaceFound: see pipeline.anonymise.
        """
        face, rekeyed = anonymise(self._stages, request, progress), 0
        while face.rejection and rekeyed < request.rekey:
            request, rekeyed = replace(request, key=request.key.next()), rekeyed + 1
            face = anonymise(self._stages, request, progress)
        return replace(face, rekeyed=rekeyed)

    def anonymise_all(self, request: AnonymiseRequest, progress: Progress | None = None) -> list[VirtualFace]:
        """Every usable face, largest first. In `paste` mode each answer shows all faces exchanged so far.

        Raises:
            NoFaceFound: not one usable face. BadSetting, BadKey: see pipeline.anonymise.
        """
        request.checked(self._stages.preset)
        answers: list[VirtualFace] = []
        canvas = request.photo
        for face in self._stages.detector.usable(request.photo):
            answers.append(self.anonymise(replace(request, face=face, canvas=canvas), progress))
            if request.mode == "paste":
                canvas = replace(request.photo, pixels=answers[-1].picture)
        return answers


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
        comparison = self.compare(virtual, original)
        answer = comparison.with_key(key) if key is not None else comparison.without_key()
        # The audit line says that a question was answered, and how; nothing in it leads to a key or a face.
        log.info("authentication: %s, %s", answer.compared, "same person" if answer.same_person else "not the same")
        return answer

    def faces(self, photo: Photo) -> list[Face]:
        """The faces of a picture that are compared, largest first."""
        return self._stages.detector.usable(photo)[:MOST_FACES]

    def compare(self, virtual: Photo, original: Photo) -> Comparison:
        """Read both pictures once, to try keys on; not counted as a try.

        Raises:
            NoFaceFound: no usable face in either picture.
        """
        return compare_pictures(self._stages, virtual, original)

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
