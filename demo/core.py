"""What the demo asks of the core, and the core of this machine behind it. Nothing here knows gradio or torch."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from demo.steps import Steps, Tell
from kfaar_core import methods
from kfaar_core.data.cache import InMemoryCache
from kfaar_core.keys import UserKey
from kfaar_core.presets import Preset, get_preset
from kfaar_core.records import EnrolledPerson, Face, GroupPhoto, Photo, Rejection, Verdict, VirtualFace
from kfaar_core.results import Result as Result  # for the rest of the demo
from kfaar_core.scenarios import pairs, populations

if TYPE_CHECKING:
    from kfaar_core.assemble import Stages
    from kfaar_core.attacks.result import AttackResult
    from kfaar_core.servers import AnonymisationServer, AuthenticationServer

Progress = Callable[..., None]  # stage name, done, of and, of a group, which of its faces
Preview = Callable[[str, np.ndarray], None]  # stage name, a face that is not final yet
Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]

METHOD_NAMES: tuple[str, ...] = methods.names()  # every method that the core knows


@dataclass(frozen=True)
class Method:
    """A way to move an identity by a key, and to read it back, as a menu offers it."""

    name: str
    label: str
    help: str = ""
    key_lengths: tuple[int, ...] = ()  # bits; () takes any
    readable: bool = True  # the key reads the person from the face


def readers(methods: Sequence[Method]) -> tuple[Method, ...]:
    """The methods whose faces the key reads."""
    return tuple(method for method in methods if method.readable)


ROUGH = "rough"  # mode: a portrait that keeps head pose and expression only roughly (stages.correct.coarse)


@dataclass(frozen=True)
class Request:
    """One face to draw."""

    photo: Photo
    key: UserKey = field(repr=False)
    method: str
    faces: tuple[int, ...] = (0,)  # numbers of faces in the photo, 0 being the largest
    mode: str = "portrait"  # or ROUGH; or `paste`: the whole photo, face exchanged; several faces are always pasted
    refine: bool = True
    size: int | None = None  # px of the portrait; None takes the preset's
    enrol: bool = False  # draw somebody whom later photos can show as well
    person: EnrolledPerson | None = None  # whom the key remembers: only their posture is drawn


@dataclass(frozen=True)
class Facts:
    """What runs under one method: shown in the About tab and used by the bars and curves."""

    preset: str
    device: str
    method: str
    dimension: int  # d, of the features that KVFA compares
    threshold: float  # of KVFA, in force
    judge_threshold: float  # of FR, the independent recogniser
    key_bits: int  # default length of a new key
    # Reference marks beside a cosine, for example {"two strangers": 0.01}.
    marks: Mapping[str, float] = field(default_factory=dict)  # of KVFA
    judge_marks: Mapping[str, float] = field(default_factory=dict)


class Reading(Protocol):
    """Two pictures that were looked at once; keys can be tried on them without looking again."""

    def with_key(self, key: UserKey) -> Verdict: ...

    def without_key(self) -> Verdict: ...

    def with_keys(self, keys: Sequence[UserKey]) -> np.ndarray: ...


class Core(Protocol):
    """The servers of section III as the demo sees them; `method` is the name of one of methods()."""

    def methods(self) -> tuple[Method, ...]:
        """The methods that can be asked for, the default first."""

    def facts(self, method: str) -> Facts: ...

    def fingerprint(self, method: str) -> bytes:
        """Of the networks that a remembered person depends on."""

    def faces(self, photo: Photo) -> list[Face]: ...

    def anonymise(
        self, request: Request, progress: Progress | None = None, preview: Preview | None = None
    ) -> VirtualFace:
        """The first of the request's faces."""

    def anonymise_group(
        self, request: Request, progress: Progress | None = None, preview: Preview | None = None
    ) -> GroupPhoto:
        """All of the request's faces, in the photo; a face that cannot be replaced is pixelated."""

    def authenticate(
        self, virtual: Photo, original: Photo, key: UserKey | None, *, method: str, client: str
    ) -> Verdict: ...

    def readout(self, virtual: Photo, original: Photo, *, method: str) -> Reading: ...

    def judge_cosines(self, photos: Sequence[Photo]) -> np.ndarray: ...

    def evaluate(
        self, archive: Path, *, method: str, people: int, keys: str, progress: Callable[[int, int], None]
    ) -> Result: ...

    def attack(self, name: str, *, method: str, people: int, progress: Callable[[int, int], None]) -> AttackResult: ...


@dataclass(frozen=True)
class Servers:
    """One loaded pipeline and the two servers on it."""

    stages: Stages
    fas: AnonymisationServer
    vfas: AuthenticationServer


class LocalCore:
    """The pipelines in this process, one for each method. Networks are read-only, so that all visitors share them."""

    def __init__(self, stages: Stages, wrap: Wrap | None = None) -> None:
        """
        Args:
            stages: from pipeline.load; its method is the default, the others are loaded when they are asked for.
            wrap: marks a function that needs the GPU (spaces.GPU), None where there is nothing to mark.
        """
        self._default = stages.preset.method
        self._loaded = {self._default: servers(stages)}
        self._reading: dict[str, Servers] = {}
        self._loading = threading.Lock()
        self._draw: Callable[..., Generator[Any, None, None]] = wrap(self._steps) if wrap else self._steps
        self._apart = wrap is not None  # it may run in another process, and a key is never pickled
        if self._apart:  # what is placed on the GPU later than at the start is lost with the process that draws
            for method in methods.available(stages.preset):
                self._under(method)

    def methods(self) -> tuple[Method, ...]:
        found = map(methods.get, methods.available(self._under(self._default).stages.preset))
        return tuple(Method(m.name, m.label, m.about, m.key_lengths, m.readable) for m in found)

    def _under(self, method: str) -> Servers:
        """The pipeline of a method.

        Raises:
            BadSetting: there is none of that name, or its networks are not here.
        """
        from kfaar_core.pipeline import load

        with self._loading:
            if method not in self._loaded:
                first = self._loaded[self._default].stages
                preset = methods.with_method(first.preset, method)
                self._loaded[method] = servers(load(preset, device=first.device.type))
            return self._loaded[method]

    def _reader(self, method: str) -> Servers:
        """The pipeline that reads and compares: a second one on the CPU where drawing alone has a GPU."""
        from kfaar_core.pipeline import load

        used = self._under(method)
        if not self._apart or used.stages.device.type == "cpu":
            return used
        with self._loading:
            if method not in self._reading:
                self._reading[method] = servers(load(used.stages.preset, device="cpu"))
            return self._reading[method]

    def facts(self, method: str) -> Facts:
        """Read anew each time, because thresholds belong to the loaded stages."""
        stages = self._under(method).stages
        return Facts(
            preset=stages.preset.name,
            device=str(stages.device),
            method=stages.method.name,
            dimension=stages.identifier.dimension,
            threshold=stages.kvfa_threshold,
            judge_threshold=stages.judge_threshold,
            key_bits=stages.preset.key_bits,
            marks=of("kvfa", stages.marks),
            judge_marks=of("judge", stages.marks),
        )

    def fingerprint(self, method: str) -> bytes:
        return self._under(method).stages.fingerprint

    def faces(self, photo: Photo) -> list[Face]:
        return self._reader(self._default).fas.faces(photo)

    def anonymise(
        self, request: Request, progress: Progress | None = None, preview: Preview | None = None
    ) -> VirtualFace:
        return _keyed(self._ask(request, progress, preview), request.key)

    def anonymise_group(
        self, request: Request, progress: Progress | None = None, preview: Preview | None = None
    ) -> GroupPhoto:
        answer = self._ask(request, progress, preview)
        faces = {number: _keyed(fields, request.key) for number, fields in answer.pop("replaced").items()}
        return GroupPhoto(**answer, replaced=faces)

    def _ask(self, request: Request, progress: Progress | None, preview: Preview | None) -> dict[str, Any]:
        """The fields of what was asked for, without the key."""
        self._under(request.method)  # load it here: what another process loads is lost with it
        keyless = {name: value for name, value in vars(request).items() if name != "key"}
        listeners = {"progress": progress, "preview": preview}

        def hear(kind: str, *said: Any) -> None:
            if (listener := listeners[kind]) is not None:
                listener(*said)

        if not self._apart:
            return self._drawn(keyless, request.key.text(), hear)
        # Whoever raises in a listener leaves the loop, which closes the generator, which ends the drawing.
        with closing(self._draw(keyless, request.key.text())) as steps:
            for step in steps:
                if isinstance(step, dict):
                    return step
                hear(*step)
        raise AssertionError("the drawing ended without a face")

    def _steps(self, keyless: dict[str, Any], key: str) -> Generator[Any, None, None]:
        """Each step of the drawing as it comes, then the fields of what was drawn.

        A generator, because a callback does not reach back from another process and what a generator yields does.
        """
        steps = Steps(lambda tell: self._drawn(keyless, key, tell))
        yield from steps
        yield steps.result

    def _drawn(self, keyless: dict[str, Any], key: str, tell: Tell) -> dict[str, Any]:
        """The fields of a virtual face or a group photo, without the key: it may not travel between processes."""
        from kfaar_core.pipeline import AnonymiseRequest

        asked = dict(keyless)
        server, faces = self._under(asked.pop("method")).fas, asked.pop("faces")
        size = asked.pop("size")
        if asked["mode"] == ROUGH:
            asked |= {"mode": "portrait", "coarse": True}
        preview = partial(tell, "preview")
        request = AnonymiseRequest(**asked, face=faces[0], side=size, key=UserKey.parse(key))
        if len(faces) == 1:
            return _keyless(server.anonymise(request, partial(tell, "progress"), preview=preview))

        def progress(index: int, stage: str, done: int, of: int) -> None:
            tell("progress", stage, done, of, index)

        group = server.anonymise_group(request, faces, progress, preview)
        return vars(group) | {"replaced": {number: _keyless(face) for number, face in group.replaced.items()}}

    def authenticate(
        self, virtual: Photo, original: Photo, key: UserKey | None, *, method: str, client: str
    ) -> Verdict:
        return self._reader(method).vfas.authenticate(virtual, original, key, client)

    def readout(self, virtual: Photo, original: Photo, *, method: str) -> Reading:
        return self._reader(method).vfas.compare(virtual, original)

    def judge_cosines(self, photos: Sequence[Photo]) -> np.ndarray:
        return self._reader(self._default).stages.judge_cosines(photos)

    def evaluate(
        self, archive: Path, *, method: str, people: int, keys: str, progress: Callable[[int, int], None]
    ) -> Result:
        """Tables VI and VII (without scenario 1) for photos of people in a zip; nothing is kept.

        Args:
            archive: a zip of person/photo.jpg. people: at most. keys: `shared` or `own`. progress: (done, of).
        """
        from kfaar_core.data.photos import open_dataset
        from kfaar_core.evaluate import authentication, context, runner

        used, seed = self._reader(method), secrets.randbits(32)
        preset, data = used.stages.preset, open_dataset(archive, name=OWN_DATA)
        config = context.EvaluationConfig(preset, str(archive), people, seed)
        place = context.EvaluationContext(
            config, used.stages, used.fas, data, InMemoryCache(), context.hashes(preset), progress
        )
        chosen = pairs.people(data.samples, limit=people, seed=seed)
        asked = runner.Evaluation(table="VI", preset=preset, key_mode=keys)
        found = runner.result(place, chosen, asked, command="")
        attacks = [populations.scenario(number, photo) for number in (2, 3) for photo in populations.PHOTOS]
        # Everything has been looked at; these are other cosines of the same looks.
        scores, _ = authentication.authentication(place, chosen, keys, populations.TRIALS, attacks)
        return replace(found, populations=(*found.populations, *scores))

    def attack(self, name: str, *, method: str, people: int, progress: Callable[[int, int], None]) -> AttackResult:
        """An attack on faces that are made now, of people who do not exist and without refinement.

        Args:
            name: of the attack. people: whose faces are made, besides some for galleries.
            progress: (done, of) faces, then steps of the attack.
        """
        from kfaar_core import attacks
        from kfaar_core.attacks.run import on_nobody

        return on_nobody(attacks.get(name), self._under(method).stages, people, progress)


def fault(face: VirtualFace) -> str | None:
    """What is wrong with a virtual face, by code; words.FAULTS has the sentences.

    `unseen`: no face can be made out. `close`: the independent recogniser sees the person of the photo; `alike`: the
    eye does. `open`: the identity can be read without a key. `unread`: the key does not read it.
    """
    if face.keyless is not None and face.keyless.same_person and face.rejection is Rejection.NOT_READ:
        return "open"  # the graver one of the two
    if face.rejection is None:
        return "unread" if face.reading is not None and not face.reading.same_person else None
    if face.rejection is Rejection.TOO_CLOSE and face.anonymous:
        return "alike"
    return _FAULTS[face.rejection]


_FAULTS = {
    Rejection.NO_FACE: "unseen",
    Rejection.TOO_CLOSE: "close",
    Rejection.READ_WITHOUT_KEY: "open",
    Rejection.NOT_READ: "unread",
}


def _keyless(face: VirtualFace) -> dict[str, Any]:
    """The fields of a face without its key."""
    return {name: value for name, value in vars(face).items() if name != "key"}


def _keyed(fields: dict[str, Any], key: UserKey) -> VirtualFace:
    """The face of these fields and its key."""
    return VirtualFace(**fields, key=key)


def servers(stages: Stages) -> Servers:
    """Both servers on one set of networks."""
    from kfaar_core.servers import AnonymisationServer, AuthenticationServer

    return Servers(stages, AnonymisationServer(stages), AuthenticationServer(stages))


@cache
def methods_in_order() -> tuple[str, ...]:
    """The names of all methods, as menus and tables have them."""
    return tuple(method.name for method in methods.registered())


def preset_with(name: str, method: str | None) -> Preset:
    """The preset of that name, with another method where one is given.

    Raises:
        BadSetting: an unknown preset or method, or a preset that cannot run.
    """
    return methods.with_method(get_preset(name), method)


OWN_DATA = "yours"


def of(who: str, marks: Mapping[str, float]) -> dict[str, float]:
    """The marks whose names start with `who`, without it: {"judge: two strangers": 0.1} -> {"two strangers": 0.1}."""
    start = f"{who}: "
    return {name[len(start) :]: value for name, value in marks.items() if name.lower().startswith(start)}
