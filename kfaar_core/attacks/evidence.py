"""Evidence: the features of photos and virtual faces that an attack starts from, one row a person.

`gather` takes them from an evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kfaar_core.attacks.pictures import CoarseFace, Covered, Embedded, Forgery, Rebuilt, SeenFace, SeenPhoto
from kfaar_core.data.cache import content_key
from kfaar_core.data.split import TEST
from kfaar_core.errors import BadSetting, DataMissing
from kfaar_core.evaluate.context import Arrays, EvaluationContext, Request
from kfaar_core.evaluate.jobs import fill
from kfaar_core.evaluate.trials import purpose_of
from kfaar_core.key_schedule import rotation
from kfaar_core.keys import UserKey
from kfaar_core.runtime import stream
from kfaar_core.scenarios import pairs, populations
from kfaar_core.stages.linear import unit

# Parts of an Evidence besides the photos x: name -> what it is.
PARTS: Mapping[str, str] = {
    "again": "another photo x2 of each person",
    "shared": "virtual faces of x under one key that everybody has",
    "own": "virtual faces of x, each person with a key of their own",
    "coarse": "virtual faces as `own`, with a coarse posture",
    "forged": "real photos x2 and random faces of the generator, given as virtual faces",
    "rebuilt": "portraits that are made from `own` and their keys",
    "around": "what is outside the face in x and x2",
    "gallery": "photos of other people",
}
SEEN = ("judge", "embedding", "posture", "male", "age", "colours")  # of photos and of virtual faces
SIMULATED = ("again", "shared", "own", "gallery")  # parts whose readings can be simulated
GALLERY = 2000  # most photos of other people  [design]


@dataclass(frozen=True)
class Photos:
    """Features of N real photos."""

    u: np.ndarray  # (N, d) I(x), unit length
    judge: np.ndarray  # (N, D') by the judge, unit length
    embedding: np.ndarray  # (N, 192) by the observers' recogniser, unit length
    posture: np.ndarray  # (N, 54) see stages.correct.posture_vector
    male: np.ndarray  # (N,) probability, by the observers
    age: np.ndarray  # (N,) years, by the observers
    colours: np.ndarray  # (N, 2, 3) CIE Lab of hair and skin, NaN where they are not seen


@dataclass(frozen=True)
class Faces:
    """Features of the virtual faces of N people."""

    code: np.ndarray  # (N, d) what KVFA reads without a key: h(x_v) where a key is a rotation
    read: np.ndarray  # (N, d) I(x_v, k) with the right key
    identity: np.ndarray  # (N, d) u of the virtual face, as if it were a photo
    judge: np.ndarray  # (N, D') by the judge
    embedding: np.ndarray  # (N, 192) by the observers' recogniser, unit length
    posture: np.ndarray  # (N, 54)
    male: np.ndarray  # (N,) probability, by the observers
    age: np.ndarray  # (N,) years, by the observers
    colours: np.ndarray  # (N, 2, 3) CIE Lab of hair and skin, NaN where they are not seen
    features: np.ndarray = field(repr=False)  # (N, S) all features, see identify.features_of
    picture: np.ndarray = field(repr=False)  # (N, 96, 96, 3) uint8


@dataclass(frozen=True)
class Forged:
    """N pictures that no method made, given as virtual faces: photos x2 of all P people, then random faces."""

    cosine: np.ndarray  # (N, P) of I(x) of each person and what their right key reads from the picture
    features: np.ndarray = field(repr=False)  # (N, S) all features


@dataclass(frozen=True)
class Surroundings:
    """What is outside the face in x and x2 of P people."""

    u: np.ndarray  # (P, 2, d) unit length, of photos whose face is covered
    judge: np.ndarray  # (P, 2, D')
    colours: np.ndarray  # (P, 2, 64) see pictures.Covered


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Features of P people, and what they depend on. Rows of all parts but the gallery are the same people."""

    dataset: str
    method: str
    refined: bool  # whether the virtual faces were refined
    dimension: int  # d
    threshold: float  # of KVFA, in force
    judge_threshold: float  # FMR 1 % on dev people
    random_directions: bool  # a key is a rotation of d dimensions
    seed: int
    simulated: float | None = None  # cosine of readings that were simulated, for faces that were not made
    left_out: int  # people without a usable face in one of the pictures
    weights: Mapping[str, str]  # name -> sha256
    preset_sha256: str
    data_sha256: str
    photos: Photos
    again: Photos | None = None
    shared: Faces | None = None
    own: Faces | None = None
    coarse: Faces | None = None
    forged: Forged | None = None
    rebuilt: Faces | None = None
    around: Surroundings | None = None
    gallery: Photos | None = None

    @property
    def people(self) -> int:
        """P."""
        return len(self.photos.u)

    def has(self, part: str) -> bool:
        """Whether a part of PARTS was gathered."""
        return getattr(self, part) is not None

    def part(self, name: str) -> Photos | Faces | Forged | Surroundings:
        """A part of PARTS.

        Raises:
            DataMissing: it was not gathered.
        """
        found: Photos | Faces | Forged | Surroundings | None = getattr(self, name)
        if found is None:
            raise DataMissing(got=f"the evidence has no {PARTS[name]}", mend="gather it first")
        return found

    def faces(self, name: str) -> Faces:
        """The virtual faces of a part."""
        found = self.part(name)
        assert isinstance(found, Faces)
        return found

    def others(self, name: str) -> Photos:
        """The photos of a part; `photos` are x."""
        found = self.photos if name == "photos" else self.part(name)
        assert isinstance(found, Photos)
        return found


def gather(context: EvaluationContext, limit: int | None, needs: Sequence[str], gallery: int = GALLERY) -> Evidence:
    """The evidence of the first `limit` test people; None takes all.

    Args:
        context: opens photos, makes virtual faces with keys of the evaluation, and caches features.
        limit: number of people.
        needs: names of PARTS.
        gallery: most people in the part `gallery`.

    Raises:
        DataMissing: nobody has a usable face in every picture.
    """
    allowed = context.data.identities_of(TEST)
    attacked = pairs.people(context.data.samples, allowed, seed=context.seed)[:limit]
    asked = [requests_of(context, person, needs) for person in attacked]
    beside = distractors(context, attacked, gallery) if "gallery" in needs else []
    foreign = [Forgery(number, real=False) for number in range(len(attacked))] if "forged" in needs else []
    fill(context, [*(request for some in asked for request in some.values()), *beside, *foreign])
    answers = [{name: context.ask(request) for name, request in some.items()} for some in asked]
    kept = [i for i, found in enumerate(answers) if all(found.values())]
    if not kept:
        raise DataMissing(got="no usable face in any picture", mend="give photos with a face, or more of them")
    identifier = context.stages.identifier

    def keys(part: str) -> list[UserKey]:
        requests = [asked[i][part] for i in kept]
        return [context.key(request.purpose, request.bits) for request in requests if isinstance(request, SeenFace)]

    def photos(found: Sequence[Arrays]) -> Photos:
        return Photos(identifier.original(column(found, "features")), **{name: column(found, name) for name in SEEN})

    def faces(part: str) -> Faces | None:
        if part not in needs:
            return None
        found = [answers[i][part] for i in kept]
        keyless = [identifier.keyless(arrays["features"]) for arrays in found]
        read = [identifier.virtual(arrays["features"], key) for arrays, key in zip(found, keys(part), strict=True)]
        return Faces(
            code=np.stack([each[-1] for each in keyless]),
            read=np.stack(read),
            identity=np.stack([each[0] for each in keyless]),
            **{name: column(found, name) for name in (*SEEN, "features", "picture")},
        )

    def forged(u: np.ndarray) -> Forged:
        found = [answers[i]["forged"] for i in kept] + [arrays for arrays in map(context.ask, foreign) if arrays]
        features = column(found, "features")
        cosines = [identifier.virtual(features, key) @ one for key, one in zip(keys("own"), u, strict=True)]
        return Forged(np.stack(cosines, axis=1), features)

    def around() -> Surroundings:
        both = [[answers[i][part] for part in ("around", "around x2")] for i in kept]
        kinds = {name: np.stack([column(two, name) for two in both]) for name in ("features", "judge", "colours")}
        return Surroundings(identifier.original(kinds["features"]), kinds["judge"], kinds["colours"])

    x = photos([answers[i]["photos"] for i in kept])
    return Evidence(
        **described(context),
        left_out=len(asked) - len(kept),
        photos=x,
        again=photos([answers[i]["again"] for i in kept]) if "again" in needs else None,
        shared=faces("shared"),
        own=faces("own"),
        coarse=faces("coarse"),
        rebuilt=faces("rebuilt"),
        around=around() if "around" in needs else None,
        forged=forged(x.u) if "forged" in needs else None,
        gallery=photos([found for found in map(context.ask, beside) if found]) if beside else None,
    )


def column(found: Sequence[Arrays], name: str) -> np.ndarray:
    """One array of all answers, stacked."""
    return np.stack([arrays[name] for arrays in found])


def simulated(
    context: EvaluationContext, limit: int | None, needs: Sequence[str], cosine: float, gallery: int = GALLERY
) -> Evidence:
    """Evidence of real photos and of virtual faces that were not made: what is read of them is simulated.

    Every reading has the same cosine with the code, and an error in a random direction. Real readings differ in two
    things: their errors have favourite directions, and some faces are read worse than others.

    Args:
        context: opens photos and caches their features.
        limit: number of people.
        needs: names of PARTS; of virtual faces only `own` and `shared`, which then have a code and a reading alone.
        cosine: of a reading and the code, in [0, 1].
        gallery: most people in the part `gallery`.

    Raises:
        BadSetting: a method whose keys are no rotations, or a part that cannot be simulated.
        DataMissing: nobody has a usable face in every photo.
    """
    stages, d = context.stages, context.stages.identifier.dimension
    if not stages.method.random_directions or set(needs) - set(SIMULATED) or not 0 <= cosine <= 1:
        raise BadSetting(
            got="readings that cannot be simulated",
            mend="choose a method whose keys are rotations, an attack on readings alone, and a cosine in [0, 1]",
        )
    allowed = context.data.identities_of(TEST)
    attacked = pairs.people(context.data.samples, allowed, seed=context.seed)[:limit]
    beside = (
        [Embedded(request.index) for request in distractors(context, attacked, gallery)] if "gallery" in needs else []
    )
    asked = [(Embedded(person.photos[0]), Embedded(person.photos[1])) for person in attacked]
    fill(context, [*(request for two in asked for request in two), *beside])
    found = [(context.ask(x), context.ask(x2)) for x, x2 in asked]
    kept = [i for i, two in enumerate(found) if all(two)]
    if not kept:
        raise DataMissing(got="no usable face in any picture", mend="give photos with a face, or more of them")

    def photos(answers: Sequence[Arrays]) -> Photos:
        u = stages.identifier.original(column(answers, "features"))
        empty = np.zeros((len(u), 0))
        none = np.full(len(u), np.nan)
        return Photos(u, empty, empty, empty, none, none, np.full((len(u), 2, 3), np.nan))

    x = photos([found[i][0] for i in kept])

    def faces(mode: str) -> Faces:
        rng, turns = stream(context.seed, f"simulated readings, {mode}"), []
        for i in kept:
            turns.append(rotation(context.key(purpose_of(mode, 0, attacked[i])), d))
        code = np.stack([turn @ u for turn, u in zip(turns, x.u, strict=True)])
        error = rng.standard_normal(code.shape)
        error = unit(error - (error * code).sum(axis=1, keepdims=True) * code)
        code = cosine * code + np.sqrt(1 - cosine**2) * error
        read = np.stack([one @ turn for one, turn in zip(code, turns, strict=True)])
        empty = np.zeros((len(code), 0))
        return Faces(code, read, empty, x.judge, x.embedding, x.posture, x.male, x.age, x.colours, empty, empty)

    return Evidence(
        **described(context),
        simulated=cosine,
        left_out=len(asked) - len(kept),
        photos=x,
        again=photos([found[i][1] for i in kept]),
        shared=faces(populations.SHARED),
        own=faces(populations.OWN),
        gallery=photos([answer for answer in map(context.ask, beside) if answer]) if beside else None,
    )


def described(context: EvaluationContext) -> dict[str, Any]:
    """The fields of an Evidence that say what it depends on."""
    stages = context.stages
    return {
        "dataset": context.data.name,
        "method": stages.method.name,
        "refined": stages.refiner is not None,
        "dimension": stages.identifier.dimension,
        "threshold": stages.kvfa_threshold,
        "judge_threshold": stages.judge_threshold,
        "random_directions": stages.method.random_directions,
        "seed": context.seed,
        "weights": dict(context.used),
        "preset_sha256": content_key(preset=stages.preset),
        "data_sha256": context.data.sha256,
    }


def requests_of(context: EvaluationContext, person: pairs.Person, needs: Sequence[str]) -> Mapping[str, Request]:
    """The requests for one person: part -> request; `photos` is x."""
    bits, x, x2 = context.stages.preset.key_bits, *person.photos
    shared, own = (purpose_of(mode, 0, person) for mode in (populations.SHARED, populations.OWN))
    requests: dict[str, Request] = {
        "photos": SeenPhoto(x),
        "again": SeenPhoto(x2),
        "shared": SeenFace(x, shared, bits),
        "own": SeenFace(x, own, bits),
        "coarse": CoarseFace(x, own, bits),
        "rebuilt": Rebuilt(x, own, bits),
        "forged": Forgery(x2, real=True),
        "around": Covered(x),
        "around x2": Covered(x2),
    }
    return {part: request for part, request in requests.items() if part.removesuffix(" x2") in ("photos", *needs)}


def distractors(context: EvaluationContext, attacked: Sequence[pairs.Person], most: int) -> list[SeenPhoto]:
    """One photo each of at most `most` test people who are not attacked, those with two photos first."""
    allowed, samples = context.data.identities_of(TEST), context.data.samples
    ordered = [
        person.photos[0]
        for at_least in (pairs.PHOTOS_EACH, 1)
        for person in pairs.people(samples, allowed, at_least=at_least, seed=context.seed)
    ]
    taken = {index for person in attacked for index in person.photos}
    return [SeenPhoto(index) for index in dict.fromkeys(ordered) if index not in taken][:most]
