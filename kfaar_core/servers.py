"""The roles of Section III (Fig. 2): U makes keys, FAS anonymises, VFAS authenticates.

FAS retries with further keys when a virtual face is rejected. VFAS limits the number of tries.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from kfaar_core.assemble import Stages
from kfaar_core.errors import NoFaceFound, TooManyTries
from kfaar_core.keys import UserKey
from kfaar_core.pipeline import AnonymiseRequest, Comparison, Preview, Progress, anonymise, compare_pictures
from kfaar_core.records import EnrolledPerson, Face, GroupPhoto, Photo, Verdict, VirtualFace
from kfaar_core.stages.pixelate import pixelated
from kfaar_core.tries import Tries

log = logging.getLogger(__name__)

# The key of a face, by its number in the photo (0 is the largest) and the number of its keys that were rejected before.
KeyOf = Callable[[int, int], UserKey]


class User:
    """U, the user, who alone makes keys."""

    @staticmethod
    def key_gen(bits: int = 256) -> UserKey:
        """KeyGen: a new key of `bits` bits from the operating system's random source (Section VI-B)."""
        return UserKey.generate(bits)


class AnonymisationServer:
    """FAS: turns a photo and a key into a virtual face. It stores neither photos nor keys (Section VI-A)."""

    def __init__(self, stages: Stages) -> None:
        self._stages = stages

    def faces(self, photo: Photo) -> list[Face]:
        """Every detected face of the photo, largest first."""
        return self._stages.detector.faces(photo)

    def anonymise(
        self,
        request: AnonymiseRequest,
        progress: Progress | None = None,
        key_of: KeyOf | None = None,
        number: int = 0,
        preview: Preview | None = None,
    ) -> VirtualFace:
        """Alg. 1 for one face. If the virtual face is rejected, try `request.rekey` more keys (Section VI-C-2).

        Args:
            request: the face.
            progress, preview: see pipeline.
            key_of: gives the first and all further keys; None starts with the request's and goes on with its next ones.
            number: of the face, for key_of.

        Raises:
            BadSetting, BadKey, NoFaceFound: see pipeline.anonymise.
        """
        if key_of is not None:
            request = replace(request, key=key_of(number, 0))
        face, rekeyed = anonymise(self._stages, request, progress, preview), 0
        while face.rejection and rekeyed < request.rekey:
            rekeyed += 1
            request = replace(request, key=request.key.next() if key_of is None else key_of(number, rekeyed))
            face = anonymise(self._stages, request, progress, preview)
        return replace(face, rekeyed=rekeyed)

    def enrol(
        self, request: AnonymiseRequest, progress: Progress | None = None, key_of: KeyOf | None = None, number: int = 0
    ) -> tuple[VirtualFace, EnrolledPerson | None]:
        """Anonymise a first photo so that later photos of the person show the same virtual person.

        Where the face is refined, this takes about three times as long as `anonymise`. Give what is returned as
        `person` of later requests, with the key of the returned face: they are not refined again. A method that
        draws no person from the key, such as blurring, answers None.

        Args:
            request, progress, key_of, number: as in `anonymise`.

        Raises:
            BadSetting, BadKey, NoFaceFound: see pipeline.anonymise.
        """
        face = self.anonymise(replace(request, enrol=True, person=None), progress, key_of, number)
        return face, face.person

    def anonymise_all(
        self, request: AnonymiseRequest, progress: Progress | None = None, key_of: KeyOf | None = None
    ) -> list[VirtualFace]:
        """Anonymise every usable face, largest first.

        Args:
            request: what all faces share.
            progress: see pipeline.
            key_of: gives each face a key of its own; None gives all of them the request's.

        Returns:
            One VirtualFace for each face. In `paste` mode each picture shows all faces replaced so far.

        Raises:
            NoFaceFound: no usable face.
            BadSetting, BadKey: see pipeline.anonymise.
        """
        request.checked(self._stages.preset)
        answers: list[VirtualFace] = []
        canvas = request.photo
        for number, face in enumerate(self._stages.detector.usable(request.photo)):
            answers.append(self.anonymise(replace(request, face=face, canvas=canvas), progress, key_of, number))
            if request.mode == "paste":
                canvas = replace(request.photo, pixels=answers[-1].picture)
        return answers

    def anonymise_group(
        self,
        request: AnonymiseRequest,
        numbers: Sequence[int],
        progress: Callable[[int, str, int, int], None] | None = None,
        preview: Preview | None = None,
    ) -> GroupPhoto:
        """Replace the chosen faces of a photo, and pixelate those of them that cannot be replaced.

        A face cannot be replaced if it is too small, cut by the border, or rejected under every key that was tried.

        Args:
            request: what all faces share; its `face`, `mode` and `canvas` are not used.
            numbers: of the chosen faces, 0 being the largest. All other faces stay as they are.
            progress: called with (index in `numbers`, stage, done, of).
            preview: see pipeline.

        Raises:
            NoFaceFound: no face with one of the numbers.
            BadSetting, BadKey: see pipeline.anonymise.
        """
        photo, found = request.photo, self.faces(request.photo)
        canvas, replaced, pixelated_ = photo, {}, []
        for index, number in enumerate(numbers):
            if not 0 <= number < len(found):
                raise NoFaceFound(
                    got=f"face number {number} was asked for, but the picture has {len(found)}",
                    mend="choose among those that are there; 0 is the largest",
                )
            wanted = replace(request, face=number, mode="paste", canvas=canvas)
            report = None if progress is None else partial(progress, index)
            try:
                face = self.anonymise(wanted, report, preview=preview)
            except NoFaceFound:  # it is there, but too small or cut by the border
                face = None
            if face is None or face.rejection:
                pixelated_.append(number)
                canvas = replace(photo, pixels=pixelated(canvas.pixels, found[number].box))
            else:
                replaced[number] = face
                canvas = replace(photo, pixels=face.picture)
        return GroupPhoto(canvas.pixels, replaced, tuple(pixelated_))


class AuthenticationServer:
    """VFAS: decides whether a virtual face shows the person of a photo. Tries are limited (Section III-C-1)."""

    def __init__(self, stages: Stages, clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            stages: loaded networks.
            clock: the time in seconds, for the limit on tries.
        """
        self._stages = stages
        self._tries = Tries(stages.preset.tries_per_hour, clock)

    def authenticate(self, virtual: Photo, original: Photo, key: UserKey | None, client: str = "local") -> Verdict:
        """Alg. 2: check Condition 1 without a key, Condition 2 with one.

        Args:
            client: who asks; tries are counted for each client and virtual face (kfaar_core.tries).

        Raises:
            NoFaceFound: no usable face in either picture.
            TooManyTries: the client has asked about this virtual face more than Preset.tries_per_hour times in an hour.
        """
        comparison = self.compare(virtual, original)
        codes = np.stack([comparison.identifier.keyless(face)[-1] for face in comparison.virtual])
        try:
            self._tries.count(client, codes)
        except TooManyTries:
            log.info("authentication: refused, too many tries")
            raise
        answer = comparison.with_key(key) if key is not None else comparison.without_key()
        # The audit line holds the verdict alone; nothing in it leads to a key or a face.
        log.info("authentication: %s, %s", answer.compared, "same person" if answer.same_person else "not the same")
        return answer

    def compare(self, virtual: Photo, original: Photo) -> Comparison:
        """Compute the features of both pictures once, for several keys. Does not count as a try.

        Raises:
            NoFaceFound: no usable face in either picture.
        """
        return compare_pictures(self._stages, virtual, original)
