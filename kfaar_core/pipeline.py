"""The two algorithms of KFAAR: anonymise a face (Alg. 1), and compare a virtual face with a photo (Alg. 2).

Each is a straight sequence of stages. kfaar_core.servers adds retries and limits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from kfaar_core import image
from kfaar_core.assemble import Stages, load
from kfaar_core.errors import BadSetting, NoFaceFound, OtherPerson
from kfaar_core.keys import UserKey
from kfaar_core.methods.base import Projected
from kfaar_core.presets import Preset
from kfaar_core.records import EnrolledPerson, Face, Photo, Posture, Rejection, Verdict, VirtualFace
from kfaar_core.stages.animate import Animator
from kfaar_core.stages.correct import coarse
from kfaar_core.stages.generate import GeneratedFace, render_face
from kfaar_core.stages.identify import Identifier, compare
from kfaar_core.stages.judge import look_distance
from kfaar_core.stages.locate import LocatedFace
from kfaar_core.stages.place import PlacedFace, cropped, landmarks_in_frame, placed, rotated_crop, scaled

__all__ = ["AnonymiseRequest", "Comparison", "anonymise", "compare_pictures", "load", "rejection_reason"]

# progress(stage, done, of): called at the start, the steps and the end of a stage. Only `refine` has several steps. An
# exception that it raises ends the work.
Progress = Callable[[str, int, int], None]
# preview(stage, picture): a face that is not final yet, (S, S, 3) uint8: x' after `generate`, and with the photo's
# posture after `correct`.
Preview = Callable[[str, np.ndarray], None]
MODES = ("portrait", "paste")
MOST_FACES = 6  # of a picture that are compared; each pair is another chance for a wrong key  [design]
STEPS = ("locate", "encode", "project", "generate", "correct", "refine", "place", "judge")


@dataclass(frozen=True, kw_only=True)
class AnonymiseRequest:
    """The input of `anonymise`: one face of a photo, a key, and options."""

    photo: Photo  # from image.open_photo
    key: UserKey = field(repr=False)  # selects the virtual person
    face: Face | str | int = "largest"  # a detected face; `largest`, `central`, or an index, 0 being the largest
    mode: str = "portrait"  # `portrait` answers the virtual portrait, `paste` the photo with the face replaced
    side: int | None = None  # px of the portrait, one of the preset's sides; None takes the preset's default
    refine: bool = True  # refine if the method can; takes several times longer, and KVFA decodes the face better
    coarse: bool = False  # keep posture only coarsely (stages.correct.coarse); portraits only
    rekey: int = 0  # most further keys to try when the face is rejected (Section VI-C-2)
    canvas: Photo | None = None  # photo to paste into; None takes `photo`
    enrol: bool = False  # refine in many postures, for later photos (servers.AnonymisationServer.enrol)
    person: EnrolledPerson | None = None  # enrolled under this key: only the posture is corrected

    def checked(self, preset: Preset) -> AnonymiseRequest:
        """Validate the request and fill in its side.

        Raises:
            BadSetting: an unknown mode or side, or a coarse posture in a photo.
        """
        if self.mode not in MODES:
            raise BadSetting(got=f"the mode {self.mode!r} is unknown", mend=f"choose {' or '.join(MODES)}")
        if self.coarse and self.mode != "portrait":
            raise BadSetting(
                got="a coarse posture for a face that is pasted into its photo, which shows the posture anyway",
                mend="ask for a portrait, or for the exact posture",
            )
        if self.side is not None and self.side not in preset.sides:
            choice = " or ".join(map(str, preset.sides))
            raise BadSetting(got=f"a portrait of {self.side} px is not on offer", mend=f"choose {choice} px")
        return replace(self, side=self.side or preset.side)


@torch.inference_mode()
def anonymise(
    stages: Stages, request: AnonymiseRequest, progress: Progress | None = None, preview: Preview | None = None
) -> VirtualFace:
    """Generate the virtual face of one face and one key (Alg. 1): x_v = G_f(G(M(P(E(x), k))), x).

    Args:
        progress: called with (stage, done, of); see Progress.
        preview: called with (stage, picture); see Preview.

    Raises:
        BadSetting: an unknown mode, side or face.
        BadKey: a key length that the method does not support.
        NoFaceFound: no usable face.
    """
    request = request.checked(stages.preset)
    photo, side = request.photo, request.side or stages.preset.side
    if not request.refine and stages.method.needs_refinement:
        raise BadSetting(
            got=f"the method {stages.method.name} without refinement, which alone writes the identity into its faces",
            mend="leave refinement on, or choose another method",
        )
    if request.coarse and not stages.method.corrects_posture:
        raise BadSetting(
            got=f"a coarse posture by the method {stages.method.name}, which corrects none",
            mend="ask for the exact posture, or choose another method",
        )
    clock = Clock(progress, preview)
    with clock.stage("locate"):
        located = stages.locator.locate(photo, request.face)
    made = (generated if stages.editor is None else edited)(stages, request, located, side, clock)
    put = made.placed
    with clock.stage("judge"):
        after = stages.geometry.postures(image.to_float(put.level).to(stages.device))[0]
        landmarks = after.landmarks if made.landmarks is None else made.landmarks
        judged = [
            stages.judge.embed_normalised(pixels, points)
            for pixels, points in ((photo.pixels, located.landmarks), (put.level, landmarks * side))
        ]
        detected = stages.detector.faces(Photo(put.portrait))
        comparison = None
        if made.feature is not None and detected:
            points = stages.locator.locate(Photo(put.portrait), detected[0]).landmarks
            comparison = comparison_of(stages, stages.features(put.portrait, points), made.feature)
    cosine = float(judged[0] @ judged[1])
    crop = rotated_crop(photo, located, side)
    answer = VirtualFace(
        picture=put.picture,
        portrait=put.portrait,
        draft=made.draft,
        crop=crop,
        latent=made.latent,
        identity=made.identity,
        posture_original=rolled(located.posture, located.rotation),
        posture_before=made.posture or after,
        posture_after=rolled(after, located.rotation if made.rotation is None else made.rotation),
        judge_cosine=cosine,
        judge_threshold=stages.judge_threshold,
        anonymous=cosine < stages.judge_threshold,
        look_distance=look_distance(located.crop.picture, put.level),
        detected=bool(detected),
        confidence=max((face.confidence for face in detected), default=0.0),
        key=request.key,
        rekeyed=0,
        seconds=clock.seconds,
        reading=comparison.with_key(request.key) if comparison else None,
        keyless=comparison.without_key() if comparison else None,
        landmarks=None if made.landmarks is None else landmarks_in_frame(located, crop),
        warnings=photo.notes,
    )
    return replace(answer, rejection=rejection_reason(answer, stages.preset))


@dataclass(frozen=True)
class MadeFace:
    """The face that a method made of a photo, before it is judged."""

    placed: PlacedFace
    draft: np.ndarray  # (S, S, 3) uint8: x', or the edited face itself
    posture: Posture | None = None  # of the draft; None for an edited face
    latent: np.ndarray | None = None  # (3, 512) float32; None for an edited face
    feature: np.ndarray | None = None  # (D,) z = E(x), if KVFA shall read the face
    rotation: float | None = None  # degrees, of its portrait; None: that of the photo's face
    landmarks: np.ndarray | None = None  # (478, 3) shares of the level portrait, if the face stayed where it was
    identity: np.ndarray | None = None  # (d,) u of the photo, if the method has one


def generated(stages: Stages, request: AnonymiseRequest, located: LocatedFace, side: int, clock: Clock) -> MadeFace:
    """Alg. 1 from E to G_f: encode, project, generate, correct the posture, refine, place."""
    photo, key = request.photo, request.key
    with clock.stage("encode"):
        feature = stages.encoder.embed(photo.pixels, located.landmarks)  # z = E(x)
        identity = stages.identity(feature) if stages.method.readable else None  # u
        if identity is not None and request.person is not None:
            check_person(identity, request.person, stages.enrolled_threshold)
    with clock.stage("project"):
        if request.person is None:
            projected = stages.projector(feature, key)  # z' = P(z, k)
        else:
            projected = Projected(torch.from_numpy(request.person.latent))
    with clock.stage("generate"):
        latent = projected.latent
        if stages.blend is not None:
            latent = stages.blend(latent, photo, located)
        draft = face = render_face(stages.generator, stages.geometry, latent.to(stages.device), stages.preset.side)
    draft_picture = image.to_uint8(draft.picture[None])[0]
    clock.show("generate", draft)
    if request.coarse:
        if isinstance(stages.corrector, Animator):
            raise BadSetting(
                got=f"a coarse posture, which the preset {stages.preset.name} takes from the photo as it is",
                mend="leave it out, or use the preset lab",
            )
        located = replace(located, posture=coarse(located.posture, draft.posture), rotation=0.0)
    with clock.stage("correct"):
        seen = image.to_float(located.crop.picture)[0].to(stages.device)
        if stages.method.corrects_posture:
            face = stages.corrector.correct(draft, located.posture, side, seen)  # x_v = G_f(x', x)
    clock.show("correct", face)
    refiner, payload = stages.refiner, projected.payload
    refines = request.refine and refiner is not None
    if refines and payload is not None:
        with clock.stage("refine") as steps:
            refine = refiner.enrol if request.enrol else refiner  # type: ignore[union-attr]
            latent = refine(face.latent, located.posture, payload, steps)  # type: ignore[misc, arg-type]
            face = render_face(stages.generator, stages.geometry, latent, side)
    with clock.stage("place"):
        if stages.method.corrects_posture:
            face = stages.corrector.turn(face, located.posture, side, seen)
        canvas = (request.canvas or photo) if request.mode == "paste" else None
        put = placed(face, located, side, canvas)
    read = feature if refines and (payload is not None or request.person is not None) else None
    latents = face.latent.cpu().numpy()
    return MadeFace(put, draft_picture, draft.posture, latents, read, located.rotation, identity=identity)


def edited(stages: Stages, request: AnonymiseRequest, located: LocatedFace, side: int, clock: Clock) -> MadeFace:
    """Let the method's editor change the photo, and crop the face from what it answers."""
    photo = request.canvas or request.photo
    with clock.stage("generate"):
        pixels = stages.editor(photo, located, request.key)  # type: ignore[misc]
    with clock.stage("place"):
        stayed = located if stages.method.in_place else None
        if stayed is None:
            try:
                located = stages.locator.locate(Photo(pixels), "central")
            except NoFaceFound:  # looked for where it was
                stayed = scaled(located, pixels.shape[1] / photo.pixels.shape[1])
        put = cropped(pixels, stayed or located, side, request.mode == "paste")
    return MadeFace(put, put.level, landmarks=None if stayed is None else stayed.posture.landmarks)


def check_person(identity: np.ndarray, person: EnrolledPerson, threshold: float) -> None:
    """Refuse a photo of somebody else than the enrolled person.

    Args:
        identity: (d,) u of the photo.
        threshold: see Stages.enrolled_threshold.

    Raises:
        OtherPerson: the cosine of the two photos' u is below the threshold.
    """
    agreement = float(identity @ person.identity)
    if agreement < threshold:
        raise OtherPerson(
            got=f"this key is enrolled for somebody else: the photos agree by {agreement:.2f}, not {threshold:.2f}",
            mend="use a key or a label of this person's own, or enrol nobody (--stateless)",
        )


def rejection_reason(face: VirtualFace, preset: Preset) -> Rejection | None:
    """The reason why a virtual face should not be used (Section VI-C-2); None if it passes every check."""
    if not face.detected and face.latent is not None:  # of an edited face, as blurred ones are, nothing is expected
        return Rejection.NO_FACE
    if not face.anonymous or face.look_distance < preset.look_min:
        return Rejection.TOO_CLOSE
    if face.reading is not None and not face.reading.same_person:
        return Rejection.NOT_READ
    if face.keyless is not None and face.keyless.same_person:
        return Rejection.READ_WITHOUT_KEY
    return None


def rolled(posture: Posture, degrees: float) -> Posture:
    """A posture measured in a level frame, with the frame's rotation (degrees) added to its roll."""
    return replace(posture, roll=posture.roll + degrees)


class Clock:
    """Measures the seconds of each stage, reports progress, and shows faces that are not final yet."""

    def __init__(self, progress: Progress | None, preview: Preview | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self._progress, self._preview = progress, preview

    def show(self, stage: str, face: GeneratedFace) -> None:
        """Show a face as it is after a stage."""
        if self._preview:
            self._preview(stage, image.to_uint8(face.picture[None])[0])

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[int, int], None]]:
        """Context manager that times a stage. It yields a function (done, of) for reporting the stage's steps."""

        def steps(done: int, of: int) -> None:
            if self._progress:
                self._progress(name, done, of)

        steps(0, 1)
        started = time.perf_counter()
        yield steps
        self.seconds[name] = time.perf_counter() - started
        steps(1, 1)


@dataclass(frozen=True)
class Comparison:
    """Features of the faces of two pictures. Many keys can be tried without computing them again.

    If a picture has several faces, a verdict is about the most similar pair under that key.
    """

    identifier: Identifier
    threshold_for: Callable[[UserKey | None], float] = field(repr=False)
    virtual: np.ndarray = field(repr=False)  # (V, S) features of the virtual picture's faces, see Stages.features
    original: np.ndarray = field(repr=False)  # (O, D) embeddings of the photo's faces, from which I(x) is computed
    faces: tuple[Sequence[Face], Sequence[Face]] = ((), ())  # V and O of them; empty for one known pair

    def with_key(self, key: UserKey) -> Verdict:
        """Condition 2: compare I(x) with I(x_v, k)."""
        return self._best(key)

    def without_key(self) -> Verdict:
        """Condition 1: compare I(x) with the most similar key-less read-out of x_v."""
        return self._best(None)

    def with_keys(self, keys: Sequence[UserKey]) -> np.ndarray:
        """(K,) cosines of I(x) and I(x_v, k), one for each key."""
        return np.array([self.with_key(key).cosine for key in keys])

    def _best(self, key: UserKey | None) -> Verdict:
        among = len(self.virtual), len(self.original)
        threshold = self.threshold_for(key)
        verdicts = [
            replace(compare(self.identifier, virtual, original, key, threshold), faces=(i, j), among=among)
            for i, virtual in enumerate(self.virtual)
            for j, original in enumerate(self.original)
        ]
        return max(verdicts, key=lambda verdict: verdict.cosine)


def comparison_of(stages: Stages, virtual: np.ndarray, original: np.ndarray) -> Comparison:
    """A Comparison of one pair of faces, from the features (S,) of x_v and the embedding (D,) of x."""
    return Comparison(stages.identifier, stages.kvfa_threshold_for, virtual[None], original[None])


@torch.inference_mode()
def compare_pictures(stages: Stages, virtual: Photo, original: Photo) -> Comparison:
    """Compute the features of both pictures for Alg. 2. The Comparison then gives verdicts for any number of keys.

    The MOST_FACES largest usable faces of each picture are used.

    Raises:
        NoFaceFound: no usable face in either picture.
    """

    def each(photo: Photo, measure: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> tuple[list[Face], np.ndarray]:
        faces = stages.detector.usable(photo)[:MOST_FACES]
        landmarks = [stages.locator.locate(photo, face).landmarks for face in faces]
        return faces, np.stack([measure(photo.pixels, points) for points in landmarks])

    virtual_faces, features = each(virtual, stages.features)
    original_faces, embeddings = each(original, stages.encoder.embed)
    faces = virtual_faces, original_faces
    return Comparison(stages.identifier, stages.kvfa_threshold_for, features, embeddings, faces)
