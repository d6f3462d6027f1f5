from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from kfaar_core import methods, weights
from kfaar_core.assemble import Stages, assemble
from kfaar_core.calibration import Calibration
from kfaar_core.errors import BadSetting, BadWeights
from kfaar_core.keys import UserKey
from kfaar_core.presets import LAB, TINY, Descent
from kfaar_core.records import Photo
from kfaar_core.stages.encode import JUDGE, encoder_of
from kfaar_core.stages.judge import judge_features


class Affine(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(x.flatten(1)[:, :2])


@pytest.mark.parametrize("prefix", ["", "net."])
def test_a_state_with_and_without_a_mean(prefix):
    torch.manual_seed(0)
    net, other = Affine(), Affine()
    mean = torch.tensor([1.0, 2, 3])
    state = {f"{prefix}{name}": tensor.half() for name, tensor in net.state_dict().items()}
    found = encoder_of(other, JUDGE, {**state, "mean": mean} if prefix else state, torch.device("cpu"), flip=False)
    crop = torch.ones(1, 3, 112, 96)
    torch.testing.assert_close(found.embed_crops(crop), net(crop).detach(), atol=2e-3, rtol=2e-3)
    centred = found.embed_crops(crop) - (mean if prefix else 0)
    torch.testing.assert_close(found.embed_crops_normalised(crop), centred / centred.norm())


def test_thresholds_in_force(tiny):
    marked = replace(tiny, calibration=Calibration(0.2, 0.3, 0.4, marks={"strangers": 0.0}))
    assert marked.judge_threshold == 0.2 and marked.kvfa_threshold == 0.4 and marked.marks == {"strangers": 0.0}
    paper = replace(marked, preset=replace(tiny.preset, threshold_in_force="paper"))
    assert paper.kvfa_threshold == 0.7
    lengths = replace(marked, own_thresholds={8: 0.6})  # a form with networks of its own for each length
    assert lengths.kvfa_threshold_for(UserKey(b"\x01")) == 0.6
    assert lengths.kvfa_threshold_for(UserKey(bytes(32))) == lengths.kvfa_threshold_for(None) == 0.4
    assert replace(paper, own_thresholds={8: 0.6}).kvfa_threshold_for(UserKey(b"\x01")) == 0.7


def test_the_judge_compares_photos(tiny, photo, other_photo):
    cosines = tiny.judge_cosines([photo, other_photo, photo])
    assert cosines.shape == (3, 3)
    np.testing.assert_allclose(np.diag(cosines), 1, atol=1e-6)
    np.testing.assert_allclose(cosines, cosines.T)
    assert cosines[0, 2] == pytest.approx(1) and cosines[0, 1] < 0.99
    alone, both = (judge_features(tiny.judge, tiny.locator, of) for of in ([other_photo], [photo, other_photo]))
    np.testing.assert_allclose(both[1:], alone, atol=1e-6)


def features_of(stages: Stages, photo: Photo) -> np.ndarray:
    return stages.features(photo.pixels, stages.locator.locate(photo).landmarks)


def test_kvfa_sees_the_face_of_a_photo(tiny, photo):
    embedding = tiny.encoder.embed(photo.pixels, tiny.locator.locate(photo).landmarks)
    np.testing.assert_array_equal(features_of(tiny, photo), embedding)


@pytest.mark.parametrize("method", ["hashed", "bits"])
def test_where_f_is_trained_its_reading_stands_behind_the_encoder_s(photo, method):
    stages = assemble(replace(TINY, method=method), "cpu")
    assert stages.reader is not None
    features, landmarks = features_of(stages, photo), stages.locator.locate(photo).landmarks
    width = stages.identity.width
    np.testing.assert_array_equal(features[:width], stages.encoder.embed(photo.pixels, landmarks))
    np.testing.assert_array_equal(features[width:], stages.reader(photo.pixels, landmarks))
    assert features.dtype == np.float32


@pytest.mark.lab
@pytest.mark.parametrize("name", methods.readable())
def test_a_method_loads_the_weights_that_are_named_for_it_and_no_others(monkeypatch, name):
    """Beside those that every method shares. With no steps, the rows that only refinement needs are read as well."""
    asked, load = set(), weights.load
    monkeypatch.setattr(weights, "load", lambda weight: asked.add(weight) or load(weight))
    stages = assemble(replace(LAB, method=name, descent=Descent(steps=0)), "cpu")
    assert stages.refiner is None  # and with no steps nothing is made ready for it
    assert asked == {"mobile_stylegan", "sface", "geometry", "posture", "judge", *methods.get(name).all_weights()}


@pytest.mark.lab
@pytest.mark.parametrize("name", methods.readable())
def test_faces_of_hashed_and_look_are_refined(name):
    stages = assemble(replace(LAB, method=name, descent=Descent(steps=1)), "cpu")
    assert (stages.refiner is not None) == (name in ("hashed", "look"))


def test_methods_on_offer_are_those_whose_weights_and_thresholds_are_all_there(monkeypatch):
    present, calibrated = {"floor", "projector_hashed"}, {"floor", "hashed"}
    monkeypatch.setattr(weights, "find", lambda name: Path(name) if name in present else None)
    monkeypatch.setattr(methods, "has_calibration", lambda preset, name: preset == "lab" and name in calibrated)

    def offered() -> tuple[str, ...]:
        return tuple(name for name in methods.available() if methods.get(name).readable)

    assert offered() == ("floor",)
    assert {"blur", "random_face"} < set(methods.available())
    present.update(methods.get("hashed").all_weights())
    assert offered() == ("hashed", "floor")  # the preset's own first
    present.update(methods.get("bits").all_weights())
    assert offered() == ("hashed", "floor")  # no thresholds yet
    calibrated.add("bits")
    assert offered() == ("hashed", "floor", "bits")
    present.remove("kvfa_bits_8")  # of one of its key lengths
    assert offered() == ("hashed", "floor")


def test_wrong_settings_are_told_before_anything_is_loaded(monkeypatch):
    monkeypatch.setenv("KFAAR_WEIGHTS", "/nowhere")
    with pytest.raises(BadSetting, match="bits, blur, floor"):
        assemble(replace(LAB, method="mlp"), "cpu")
    with pytest.raises(BadSetting, match="auto, cpu or cuda"):
        assemble(LAB, "quantum")


def test_missing_weights_are_told(monkeypatch):
    def missing(name: str) -> dict[str, torch.Tensor]:
        raise BadWeights(got=f"the weights {name!r} are missing", mend="restore them")

    monkeypatch.setattr(weights, "load", missing)
    with pytest.raises(BadWeights, match="mobile_stylegan"):
        assemble(LAB, "cpu")
