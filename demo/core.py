"""What the demo asks of the core, and the core of this machine behind it. Nothing here knows gradio or torch."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from kfaar_core import methods
from kfaar_core.data.cache import InMemoryCache
from kfaar_core.keys import UserKey
from kfaar_core.records import Face, Photo, Verdict, VirtualFace
from kfaar_core.results import Result
from kfaar_core.scenarios import pairs, populations

if TYPE_CHECKING:
    from kfaar_core.assemble import Stages
    from kfaar_core.servers import AnonymisationServer, AuthenticationServer

Progress = Callable[[str, int, int], None]  # stage name, done, of
Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass(frozen=True)
class Facts:
    """What runs under one projector: shown in the About tab and used by the bars and curves."""

    preset: str
    device: str
    projector: str
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
    """The servers of section III as the demo sees them; `projector` is one of projectors()."""

    def projectors(self) -> tuple[str, ...]:
        """The forms of P and KVFA that can be asked for, the default first."""

    def facts(self, projector: str) -> Facts: ...

    def faces(self, photo: Photo) -> list[Face]: ...

    def anonymise(
        self,
        photo: Photo,
        key: UserKey,
        *,
        projector: str,
        face: str | int,
        mode: str,
        progress: Progress | None,
        refine: bool = True,
    ) -> VirtualFace: ...

    def authenticate(
        self, virtual: Photo, original: Photo, key: UserKey | None, *, projector: str, client: str
    ) -> Verdict: ...

    def readout(self, virtual: Photo, original: Photo, *, projector: str) -> Reading: ...

    def judge_cosines(self, photos: Sequence[Photo]) -> np.ndarray: ...

    def evaluate(
        self, archive: Path, *, projector: str, people: int, keys: str, progress: Callable[[int, int], None]
    ) -> Result: ...


@dataclass(frozen=True)
class Servers:
    """One loaded pipeline and the two servers on it."""

    stages: Stages
    fas: AnonymisationServer
    vfas: AuthenticationServer


class LocalCore:
    """The pipelines in this process, one a projector. Networks are read-only, so that all visitors share them."""

    def __init__(self, stages: Stages, wrap: Wrap | None = None) -> None:
        """
        Args:
            stages: from pipeline.load; its projector is the default, the others are loaded when they are asked for.
            wrap: marks a function that needs the GPU (spaces.GPU), None where there is nothing to mark.
        """
        self._default = stages.preset.method
        self._loaded = {self._default: servers(stages)}
        self._loading = threading.Lock()
        self._draw = wrap(self._drawn) if wrap else self._drawn
        self._apart = wrap is not None  # it may run in another process, and a key is never pickled

    def projectors(self) -> tuple[str, ...]:
        return methods.available(self._under(self._default).stages.preset)

    def _under(self, projector: str) -> Servers:
        """The pipeline of a projector.

        Raises:
            BadSetting: there is none of that name, or its networks are not here.
        """
        from kfaar_core.pipeline import load

        with self._loading:
            if projector not in self._loaded:
                first = self._loaded[self._default].stages
                preset = methods.with_method(first.preset, projector)
                self._loaded[projector] = servers(load(preset, device=first.device.type))
            return self._loaded[projector]

    def facts(self, projector: str) -> Facts:
        """Read anew each time, because thresholds belong to the loaded stages."""
        stages = self._under(projector).stages
        return Facts(
            preset=stages.preset.name,
            device=str(stages.device),
            projector=stages.method.name,
            dimension=stages.identifier.dimension,
            threshold=stages.kvfa_threshold,
            judge_threshold=stages.judge_threshold,
            key_bits=stages.preset.key_bits,
            marks=of("kvfa", stages.marks),
            judge_marks=of("judge", stages.marks),
        )

    def faces(self, photo: Photo) -> list[Face]:
        return self._under(self._default).fas.faces(photo)

    def anonymise(
        self,
        photo: Photo,
        key: UserKey,
        *,
        projector: str,
        face: str | int,
        mode: str,
        progress: Progress | None,
        refine: bool = True,
    ) -> VirtualFace:
        self._under(projector)  # load it here: what another process loads is lost with it
        drawn = self._draw(photo, key.text(), projector, face, mode, None if self._apart else progress, refine)
        return VirtualFace(**drawn, key=key)

    def _drawn(
        self,
        photo: Photo,
        key: str,
        projector: str,
        face: str | int,
        mode: str,
        progress: Progress | None,
        refine: bool,
    ) -> dict[str, Any]:
        """The fields of the virtual face, without the key: it may not travel between processes."""
        server = self._under(projector).fas
        from kfaar_core.pipeline import AnonymiseRequest

        request = AnonymiseRequest(photo=photo, key=UserKey.parse(key), face=face, mode=mode, refine=refine)
        answer = server.anonymise(request, progress)
        return {name: value for name, value in vars(answer).items() if name != "key"}

    def authenticate(
        self, virtual: Photo, original: Photo, key: UserKey | None, *, projector: str, client: str
    ) -> Verdict:
        return self._under(projector).vfas.authenticate(virtual, original, key, client)

    def readout(self, virtual: Photo, original: Photo, *, projector: str) -> Reading:
        return self._under(projector).vfas.compare(virtual, original)

    def judge_cosines(self, photos: Sequence[Photo]) -> np.ndarray:
        return self._under(self._default).stages.judge_cosines(photos)

    def evaluate(
        self, archive: Path, *, projector: str, people: int, keys: str, progress: Callable[[int, int], None]
    ) -> Result:
        """Tables VI and VII (without scenario 1) for photos of people in a zip; nothing is kept.

        Args:
            archive: a zip of person/photo.jpg. people: at most. keys: `shared` or `own`. progress: (done, of).
        """
        from kfaar_core.data.photos import open_dataset
        from kfaar_core.evaluate import authentication, context, runner

        used, seed = self._under(projector), secrets.randbits(32)
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


def servers(stages: Stages) -> Servers:
    """Both servers on one set of networks."""
    from kfaar_core.servers import AnonymisationServer, AuthenticationServer

    return Servers(stages, AnonymisationServer(stages), AuthenticationServer(stages))


OWN_DATA = "yours"


def of(who: str, marks: Mapping[str, float]) -> dict[str, float]:
    """The marks whose names start with `who`, without it: {"judge: two strangers": 0.1} -> {"two strangers": 0.1}."""
    start = f"{who}: "
    return {name[len(start) :]: value for name, value in marks.items() if name.lower().startswith(start)}
