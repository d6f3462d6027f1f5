"""Training with renders, here on the CPU: same features as in use, and gradients reach P alone."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from kfaar_core import cast, image, weights
from kfaar_core.errors import BadSetting, BadWeights
from kfaar_core.nets.geometry_net import Geometry
from kfaar_core.nets.projector_net import BitsNet
from kfaar_core.nets.reader_net import ReaderNet
from kfaar_core.presets import LAB
from kfaar_core.stages.differentiable import FeatureExtractor, crops, five_points, similarity, view
from kfaar_core.stages.encode import SFACE, FaceEncoder, load_encoder
from kfaar_core.stages.face_view import MeanFace, upright
from kfaar_core.stages.generate import GROUPS, part
from kfaar_core.stages.geometry import GeometryReader, to_pixels
from kfaar_core.stages.identify import FaceReader, reader_net
from kfaar_core.stages.latent import NaturalSpace
from kfaar_core.stages.tiny import TinyGeometry
from kfaar_core.train import __main__ as command
from kfaar_core.train import hashed
from kfaar_core.train.bits import KeyedExamples, draw_of
from kfaar_core.train.hashed import initial_projector, train_hashed
from kfaar_core.train.live import (
    Camera,
    LiveEncoder,
    LiveGenerator,
    LiveRenderer,
    LiveTrainingData,
    live_encoder,
)
from kfaar_core.train.loop import Checkpoints
from kfaar_core.train.projector import ProjectorInputs
from kfaar_core.train.settings import LAB_TRAINING
from tests.kfaar_core.train.small_worlds import MOVED, SPACE, crowd, still

CPU = torch.device("cpu")
FEATURES = 6


# ---- a small world: a pattern for a face, and landmarks that move with its brightness


class Pattern(nn.Module):
    """w+ -> 64 px of soft colours."""

    def __init__(self) -> None:
        super().__init__()
        self.paint = nn.Linear(512, 3 * 8 * 8)
        self.asked = 0

    def forward(self, styles: Tensor) -> Tensor:
        self.asked += len(styles)
        soft = self.paint(styles[:, [0, 8, 20]].mean(dim=1)).unflatten(1, (3, 8, 8)).tanh()
        return nn.functional.interpolate(soft, size=(64, 64), mode="bilinear", align_corners=False)


class SmallGenerator(LiveGenerator):
    def __init__(self) -> None:
        torch.manual_seed(1)
        self.synthesis, self.groups = Pattern().requires_grad_(False), GROUPS

    def render(self, w_plus: Tensor, side: int = 512) -> Tensor:
        return self.synthesis(w_plus)


class SmallGeometry(GeometryReader):
    """The face of the preset tiny, which grows with the brightness of the picture."""

    def __init__(self) -> None:
        self.weight = nn.Parameter(torch.tensor(0.05), requires_grad=False)
        self._points = torch.from_numpy(TinyGeometry().points)

    def measure(self, portraits: Tensor) -> Geometry:
        grown = 1 + self.weight * portraits.mean(dim=(1, 2, 3))
        places = (self._points - torch.tensor([0.5, 0.6, 0])) * grown[:, None, None] / 0.4
        return Geometry(places, torch.eye(3).expand(len(portraits), 3, 3), torch.zeros(len(portraits), 52))


class SmallEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3 * 11 * 11, FEATURES)

    def forward(self, seen: Tensor) -> Tensor:
        return self.layer(nn.functional.avg_pool2d(seen, 10).flatten(1))


class World:
    """A camera with everything that looks through it."""

    def __init__(self, part: int = 4) -> None:
        generator = SmallGenerator()
        self.encoder = FaceEncoder(SmallEncoder(), SFACE, torch.zeros(1), CPU, flip=True)
        self.reader = ReaderNet(5, textures=6, shapes=4, hidden=8)
        self.reader.mean_shape.copy_(torch.from_numpy(upright(TinyGeometry().points.astype(np.float64) * 64)[1]))
        self.camera = Camera(generator, SmallGeometry(), part)
        self.render = LiveRenderer(self.camera, self.encoder, SPACE)
        self.latent_encoder: LiveEncoder = live_encoder(
            SPACE, still(), self.camera, FeatureExtractor(self.encoder, self.reader, CPU), torch.randn(12, 3, 512)
        )

    def frozen(self) -> Iterator[nn.Parameter]:
        yield from self.camera.generator.synthesis.parameters()
        yield from self.encoder.net.parameters()
        yield from self.reader.parameters()
        yield self.camera.geometry.weight  # type: ignore[attr-defined]


def test_gradients_reach_the_styles_and_no_frozen_network():
    world = World()
    before = [parameter.clone() for parameter in world.frozen()]
    v = torch.randn(6, 3, 32, requires_grad=True)
    seen = world.render(v)
    torch.testing.assert_close(seen.norm(dim=1), torch.ones(6))
    (of_features,) = torch.autograd.grad(seen[:, 0].sum(), v)
    w = torch.randn(6, 3, 512, requires_grad=True)
    (of_shape,) = torch.autograd.grad(world.latent_encoder.encode(w)[:, FEATURES:].square().sum(), w)
    for found in (of_features, of_shape):
        assert found.isfinite().all() and (found.flatten(1).abs().amax(dim=1) > 0).all()
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in world.frozen())
    assert all(torch.equal(one, other) for one, other in zip(before, world.frozen(), strict=True))


def test_the_gradient_is_the_slope():
    """Moved along its gradient, a feature changes as much as the gradient says."""
    world, v = World(), torch.randn(1, 3, 32, requires_grad=True)

    def first(at: Tensor) -> Tensor:
        return world.render(at)[0, 0]

    (slope,) = torch.autograd.grad(first(v), v)
    step = 1e-2 * slope / slope.norm()
    with torch.no_grad():
        change = first(v + step) - first(v - step)
    # The alignment counts as given in the gradient, and follows the face in the change.
    assert float(change) == pytest.approx(2e-2 * float(slope.norm()), rel=0.1)


def test_parts_do_not_show():
    """And each face is rendered again for its gradient, which is what keeps memory small."""
    small, large = World(part=2), World(part=50)
    small.encoder, small.render = large.encoder, LiveRenderer(small.camera, large.encoder, SPACE)
    v = torch.randn(5, 3, 32, requires_grad=True)
    asked = small.camera.generator.synthesis
    asked.asked = 0
    one, other = small.render(v), large.render(v)
    assert asked.asked == 5
    torch.testing.assert_close(one, other)
    gradients = [torch.autograd.grad(seen[:, 0].sum(), v)[0] for seen in (one, other)]
    assert asked.asked == 10
    torch.testing.assert_close(*gradients)


def test_a_face_is_placed_in_full_precision_where_networks_run_in_half():
    world, placed = World(), []

    def by(pictures: Tensor, landmarks: Tensor) -> Tensor:
        placed.append((pictures, similarity(SFACE.template, five_points(landmarks))))
        return landmarks.flatten(1)

    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        world.camera.features(torch.randn(3, 3, 512), by)
    ((pictures, found),) = placed
    landmarks = to_pixels(world.camera.geometry.measure(pictures).landmarks, pictures.shape[-1])
    torch.testing.assert_close(found, similarity(SFACE.template, five_points(landmarks)))


QUICK = replace(LAB_TRAINING, projector_steps=2, projector_batch=4, projector_keys=2)


class Killed(Exception):
    pass


def trained(folder: Path, resume: bool = False, dies_at: int = -1) -> dict[str, Tensor]:
    """Two steps of `hashed`; the state at the end."""
    torch.manual_seed(0)
    world = World()
    calls = []

    def renderer(v: Tensor) -> Tensor:
        calls.append(v)
        if len(calls) == dies_at:
            raise Killed
        return world.render(v)

    net = initial_projector(4, torch.eye(MOVED), QUICK)
    folder.mkdir(exist_ok=True)
    people = crowd(np.random.default_rng(0))
    train_hashed(net, ProjectorInputs(people, renderer, world.latent_encoder), QUICK, Checkpoints(folder, resume))
    return net.state_dict()


def test_two_steps_through_the_generator_show_every_term_and_repeat(tmp_path):
    first, again = trained(tmp_path / "one"), trained(tmp_path / "two")
    assert all(torch.equal(first[name], again[name]) for name in first)
    with (tmp_path / "one" / "log.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row.keys() == {"step", "ano", "syn", "div", "dif", "read", "seen", "natural"}
    assert all(np.isfinite(float(value)) for value in row.values())


def test_a_killed_lesson_goes_on_as_if_nothing_had_been(tmp_path, monkeypatch):
    plan = hashed.projector_plan
    monkeypatch.setattr(hashed, "projector_plan", lambda *a: replace(plan(*a), checkpoint_s=0.0))
    whole = trained(tmp_path / "whole")
    with pytest.raises(Killed):
        trained(tmp_path / "killed", dies_at=6)  # four looks a step
    resumed = trained(tmp_path / "killed", resume=True)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert (tmp_path / "whole" / "log.csv").read_text() == (tmp_path / "killed" / "log.csv").read_text()


# ---- the committed networks


@pytest.fixture(scope="module")
def camera() -> Camera:
    generator = LiveGenerator(*(cast.torch_generator(LAB, CPU) for _ in range(2)))
    geometry = GeometryReader(weights.load("geometry"), CPU)
    return Camera(generator, geometry, side=512)


@pytest.fixture(scope="module")
def portrait(camera: Camera) -> tuple[Tensor, Tensor]:
    """A generated face (1, 3, 512, 512) and its landmarks (1, 478, 2)."""
    generator = camera.generator
    z = torch.randn(1, 512, generator=torch.Generator().manual_seed(8))
    w = generator.w_mean + 0.7 * (generator.map(z) - generator.w_mean)
    kept: list[Tensor] = []
    camera.features(w[:, None].expand(-1, 3, -1), lambda *seen: kept.extend(seen) or seen[1])  # type: ignore[func-returns-value]
    return kept[0], kept[1]


@pytest.fixture(scope="module")
def encoder() -> FaceEncoder:
    return load_encoder(CPU)


@pytest.mark.lab
def test_e_sees_what_it_sees_at_run_time(portrait, encoder):
    pictures, landmarks = portrait
    ours = encoder.embed_crops(crops(pictures, landmarks, encoder))[0]
    theirs = torch.from_numpy(encoder.embed(image.to_uint8(pictures)[0], landmarks[0].numpy()))
    off = torch.linalg.vector_norm(ours - theirs) / torch.linalg.vector_norm(theirs)
    assert torch.cosine_similarity(ours, theirs, dim=0) > 0.99 and off < 0.1


@pytest.mark.lab
def test_f_sees_what_it_sees_at_run_time(portrait):
    pictures, landmarks = portrait
    state = weights.load("kvfa")
    net = reader_net(part(state, "net."))
    face = MeanFace(net.mean_shape.numpy())
    levels = image.to_uint8(pictures)[0]
    expected = face.view(levels, landmarks[0].numpy())
    texture, shape = view(face, pictures, landmarks)
    np.testing.assert_allclose(shape[0].numpy(), expected.shape, atol=1e-2)
    off = np.abs((texture[0].permute(1, 2, 0).numpy() + 1) * 127.5 - expected.texture)
    assert off.mean() < 1 and np.quantile(off, 0.99) < 5  # the kernels of the two warps differ a little
    ours = net(texture, shape)[0]
    theirs = torch.from_numpy(FaceReader(state, CPU)(levels, landmarks[0].numpy()))
    assert torch.cosine_similarity(ours, theirs, dim=0) > 0.99


@pytest.mark.lab
def test_a_gradient_comes_back_through_the_committed_generator(camera, encoder):
    space = NaturalSpace({"natural.mean": camera.generator.w_mean / 2**0.5, "natural.basis": 0.2 * torch.eye(512)})
    v = torch.zeros(1, 3, 32, requires_grad=True)
    features = LiveRenderer(camera, encoder, space)(v)
    features[0, 0].backward()
    assert v.grad is not None and v.grad.isfinite().all() and (v.grad[0].abs().amax(dim=1) > 0).all()
    assert all(parameter.grad is None for parameter in camera.generator._there.synthesis.parameters())


# ---- the command


@pytest.mark.parametrize("words", [("projector", "hashed"), ("kvfa", "bits-8"), ("renders", "mixed"), ("judge",)])
@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--device", "cuda"), "this machine has none"),
        (("--device", "gpu"), "use auto, cpu or cuda"),
        (("--preset", "tiny"), "nothing to train"),
        (("--preset", "paper"), "4 files that are not here"),
    ],
)
def test_a_device_or_preset_that_is_none_is_one_sentence(monkeypatch, words, option, said):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(command, "locate", lambda *_: pytest.fail("began to work"))
    with pytest.raises((BadSetting, BadWeights)) as told:
        command.app([*words, *option], standalone_mode=False)
    assert said.lower() in str(told.value).lower()


@pytest.mark.parametrize("there", [False, True])
def test_auto_says_which_device_it_takes(monkeypatch, capsys, there):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    name = "cuda" if there else "cpu"
    assert command._device("auto", "lab").type == name and capsys.readouterr().err == f"device: {name}\n"
    assert command._device("cpu", "lab").type == "cpu" and capsys.readouterr().err == ""


# ---- KVFA with renders


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LiveTrainingData:
    """The data of a small world, with P of `bits` for keys of 8 bits among its weights."""
    net = BitsNet(FEATURES, 8, 16)
    state = {f"net.{name}": tensor for name, tensor in net.state_dict().items()}
    state["truncation"] = torch.tensor(0.7)
    save_file(state, tmp_path / "projector_bits_8.safetensors")
    world = World()
    monkeypatch.setattr(LiveTrainingData, "encoder", lambda self, reader, kind: world.latent_encoder)
    monkeypatch.setattr(LiveTrainingData, "reader", lambda self, folder: None)
    monkeypatch.setattr(LiveTrainingData, "generator", Styles())
    return LiveTrainingData(QUICK, tmp_path, CPU)


class Styles:
    """M as the identity; the mean style is none."""

    w_mean = torch.zeros(512)

    def map(self, z: Tensor) -> Tensor:
        return z


def test_the_keyed_mlp_learns_from_faces_that_are_rendered_for_it(data):
    world, people = data.encoder(None, "bits-8"), crowd(np.random.default_rng(0))
    asked = world.camera.generator.synthesis
    asked.asked = 0
    nothing = KeyedExamples(np.zeros((2, 0, 1)), np.zeros((0, 12)), np.zeros((0, 3, 512)))
    draw = draw_of(data, nothing, "bits-8", data.lfw, people)
    features, u, key = draw(4)
    assert asked.asked == 3 * 4  # x1, x2 and y of each
    assert features.shape[:2] == (4, 3) and not features.requires_grad
    assert u.shape == (4, people.identity.shape[1]) and key.shape == (4, 8)


def test_f_learns_on_the_device_of_the_data(data):
    plans = {name: replace(data, device=torch.device(name)).reader_plan(7) for name in ("cpu", "cuda")}
    assert all(plan.device == name and plan.steps == 7 for name, plan in plans.items())
    assert plans["cuda"].bfloat16 and not plans["cpu"].bfloat16
