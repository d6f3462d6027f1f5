from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from kfaar_core.assemble import assemble
from kfaar_core.calibration import Calibration
from kfaar_core.errors import BadSetting, BadWeights
from kfaar_core.keys import UserKey
from kfaar_core.methods import available, names
from kfaar_core.presets import LAB, TINY, Descent
from kfaar_core.stages import assemble as assembling
from kfaar_core.stages import tiny as tiny_stages
from kfaar_core.stages.assemble import FORM_WEIGHTS, form_of
from kfaar_core.stages.encode import JUDGE, encoder_of


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
    torch.testing.assert_close(found.raw(crop), net(crop).detach(), atol=2e-3, rtol=2e-3)
    centred = found.raw(crop) - (mean if prefix else 0)
    torch.testing.assert_close(found.features(crop), centred / centred.norm())


def test_thresholds_in_force(tiny):
    marked = replace(tiny, calibration=Calibration(0.2, 0.3, 0.4, marks={"strangers": 0.0}))
    assert marked.judge_threshold == 0.2 and marked.kvfa_threshold == 0.4 and marked.marks == {"strangers": 0.0}
    paper = replace(marked, preset=replace(tiny.preset, threshold_in_force="paper"))
    assert paper.kvfa_threshold == 0.7
    lengths = replace(marked, own_thresholds={8: 0.6})  # a form with networks of its own for each length
    assert lengths.kvfa_threshold_for(UserKey(b"\x01")) == 0.6
    assert lengths.kvfa_threshold_for(UserKey(bytes(32))) == lengths.kvfa_threshold_for(None) == 0.4
    assert replace(paper, own_thresholds={8: 0.6}).kvfa_threshold_for(UserKey(b"\x01")) == 0.7


def test_pictures_become_tensors_on_the_device(tiny):
    picture = np.zeros((4, 4, 3), dtype=np.uint8)
    picture[0, 1] = (255, 0, 128)
    found = tiny.tensor(picture)
    assert found.shape == (1, 3, 4, 4) and found.device == tiny.device
    assert found[0, :, 0, 1].tolist() == pytest.approx([1, -1, 1 / 255], abs=1e-6)
    assert tiny.tensor(np.stack([picture] * 3)).shape == (3, 3, 4, 4)


def test_the_judge_compares_photos(tiny, photo, other_photo):
    cosines = tiny.judge_cosines([photo, other_photo, photo])
    assert cosines.shape == (3, 3)
    np.testing.assert_allclose(np.diag(cosines), 1, atol=1e-6)
    np.testing.assert_allclose(cosines, cosines.T)
    assert cosines[0, 2] == pytest.approx(1) and cosines[0, 1] < 0.99
    alone = tiny.judge_features([other_photo])
    np.testing.assert_allclose(tiny.judge_features([photo, other_photo])[1:], alone, atol=1e-6)


def test_kvfa_sees_the_face_of_a_photo(tiny, photo):
    feature = tiny.sight_of(photo)
    np.testing.assert_array_equal(feature, tiny.encoder.embed(photo.pixels, tiny.locator.locate(photo).landmarks))


@pytest.mark.parametrize("projector", ["hashed", "bits"])
def test_where_f_is_trained_its_reading_stands_behind_the_encoder_s(photo, projector):
    stages = assemble(replace(TINY, projector=projector), "cpu")
    assert stages.reader is not None
    sight, landmarks = stages.sight_of(photo), stages.locator.locate(photo).landmarks
    width = stages.identity.width
    np.testing.assert_array_equal(sight[:width], stages.encoder.embed(photo.pixels, landmarks))
    np.testing.assert_array_equal(sight[width:], stages.reader(photo.pixels, landmarks))
    assert sight.dtype == np.float32


@pytest.mark.parametrize("projector", names)
def test_a_form_loads_the_weights_that_are_named_for_it_and_no_others(tiny, projector):
    asked: list[str] = []

    def load(name: str) -> dict[str, torch.Tensor]:
        asked.append(name)
        return tiny_stages.weights(name)

    form_of(projector, load, tiny.encoder, tiny.generator, tiny.device, 0.3)
    networks = {"dlib_resnet"}  # loaded beside E, whichever form it serves
    assert sorted(asked) == sorted(set(FORM_WEIGHTS[projector]) - networks)


@pytest.mark.lab
def test_faces_of_hashed_alone_are_refined():
    """And with no steps nothing is made ready for it."""
    refined = {}
    for name in names:
        for steps in (0, 1):
            stages = assemble(replace(LAB, projector=name, descent=Descent(steps=steps)), "cpu")
            refined[name, steps] = stages.corrector._refine is not None
    assert refined == {(name, steps): (name, steps) == ("hashed", 1) for name, steps in refined}


def test_forms_on_offer_are_those_whose_weights_and_thresholds_are_all_there(monkeypatch):
    present, calibrated = {"floor", "projector_hashed"}, {"floor", "hashed"}
    monkeypatch.setattr(
        assembling.weights, "find", lambda name, download: name if name in present and not download else None
    )
    monkeypatch.setattr(assembling.weights, "WEIGHTS", {name for form in FORM_WEIGHTS.values() for name in form})
    monkeypatch.setattr(assembling, "has_calibration", lambda preset, name: preset == "lab" and name in calibrated)
    assert available() == ("floor",)
    present.update(("kvfa", "identity", "posture_rows", "dlib_resnet", "second"))
    assert sorted(available()) == ["floor", "hashed"]
    present.update(FORM_WEIGHTS["bits"])
    assert sorted(available()) == ["floor", "hashed"]  # no thresholds yet
    calibrated.add("bits")
    assert sorted(available()) == sorted(names) and available()[0] == LAB.projector


def test_wrong_settings_are_told_before_anything_is_loaded(monkeypatch):
    monkeypatch.setenv("KFAAR_WEIGHTS", "/nowhere")
    with pytest.raises(BadSetting, match="floor, hashed, bits"):
        assemble(replace(LAB, projector="mlp"), "cpu")
    with pytest.raises(BadSetting, match="auto, cpu or cuda"):
        assemble(LAB, "quantum")


def test_missing_weights_are_told(monkeypatch):
    from kfaar_core import weights

    def missing(name: str) -> dict[str, torch.Tensor]:
        raise BadWeights(got=f"the weights {name!r} are missing", mend="restore them")

    monkeypatch.setattr(weights, "load", missing)
    with pytest.raises(BadWeights, match="mobile_stylegan"):
        assemble(LAB, "cpu")
