from __future__ import annotations

import numpy as np
import pytest
import torch

from kfaar_core.nets.geometry_net import Geometry
from kfaar_core.stages.geometry import euler_degrees, view
from kfaar_core.train.geometry import Labelled, in_view, moved, random_moves, report, terms, train_geometry_net
from kfaar_core.train.loop import Checkpoints, Plan

SIDE = 256
DOTS = np.array([[100.0, 120], [170, 110], [128, 160], [110, 200]])  # px of the portrait


def move(degrees: float, scale: float, x: float, y: float) -> torch.Tensor:
    angle = np.deg2rad(degrees)
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return torch.tensor([[[c, -s, x], [s, c, y]]], dtype=torch.float32)


def dot_picture(x: float, y: float) -> torch.Tensor:
    at = torch.arange(SIDE) + 0.5
    bump = torch.exp(-((at[None] - x) ** 2 + (at[:, None] - y) ** 2) / 18)
    return (2 * bump - 1).expand(1, 3, SIDE, SIDE)


@pytest.mark.parametrize(
    "moves", [move(0, 1, 0, 0), move(20, 1, 0, 0), move(0, 1.3, 0, 0), move(0, 1, 0.2, -0.1), move(-15, 0.8, 0.1, 0.15)]
)
def test_a_drawn_dot_lands_where_the_moved_landmarks_say(moves):
    marks = np.zeros((1, len(DOTS), 3))
    marks[0, :, :2] = DOTS / SIDE
    expected, _ = moved(in_view(marks), torch.eye(3)[None], moves)
    centres = (torch.arange(128) + 0.5) / 64 - 1
    for (x, y), place in zip(DOTS, expected[0], strict=True):
        weight = (view(dot_picture(x, y), moves)[0, 0] + 1).clamp(min=0)
        weight = weight / weight.sum()
        found = (weight.sum(dim=0) @ centres, weight.sum(dim=1) @ centres)
        assert [float(f) for f in found] == pytest.approx(place[:2].tolist(), abs=0.004)


@pytest.mark.parametrize("degrees", [25.0, -40.0])
def test_a_turned_view_turns_head_and_landmarks_alike(degrees):
    """Crown above chin: the roll that the landmarks show is the roll of the rotation."""
    marks = torch.tensor([[[0.0, -0.5, 0], [0, 0.5, 0]]])
    seen, rotation = moved(marks, torch.eye(3)[None], move(degrees, 1.2, 0.1, 0.0))
    crown, chin = seen[0, :, :2]
    x, up = float(crown[0] - chin[0]), float(chin[1] - crown[1])
    roll = np.rad2deg(np.arctan2(x, up))  # clockwise positive
    assert euler_degrees(rotation)[0].tolist() == pytest.approx([0, 0, roll], abs=1e-4)
    assert roll == pytest.approx(-degrees, abs=1e-4)


def test_depth_shrinks_with_the_picture():
    marks = torch.tensor([[[0.3, 0.0, 0.6], [-0.3, 0, 0]]])
    seen, rotation = moved(marks, torch.eye(3)[None], move(0, 1.5, 0, 0))
    assert seen[0, 0].tolist() == pytest.approx([0.2, 0, 0.4])
    torch.testing.assert_close(rotation, torch.eye(3)[None])


def test_random_moves_are_similarities_of_the_stated_size():
    moves = random_moves(4000, np.random.default_rng(0))
    turn = moves[:, :, :2]
    scale = turn[:, :, 0].norm(dim=1)
    torch.testing.assert_close(turn.transpose(1, 2) @ turn, scale[:, None, None] ** 2 * torch.eye(2), atol=1e-5, rtol=0)
    assert torch.linalg.det(turn).min() > 0
    assert float(torch.rad2deg(torch.atan2(turn[:, 1, 0], turn[:, 0, 0])).std()) == pytest.approx(6, rel=0.05)
    assert float(scale.log().std()) == pytest.approx(0.07, rel=0.05)
    assert float(moves[:, :, 2].std()) == pytest.approx(0.05, rel=0.05)


def data(count: int = 4) -> Labelled:
    rng = np.random.default_rng(0)
    return Labelled(
        pictures=rng.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8),
        landmarks=torch.from_numpy(rng.uniform(-0.5, 0.5, (count, 478, 3)).astype(np.float32)),
        rotation=torch.eye(3).repeat(count, 1, 1),
        blendshapes=torch.from_numpy(rng.uniform(0, 1, (count, 52)).astype(np.float32)),
    )


def test_losses_by_hand():
    faces = data()
    right = Geometry(faces.landmarks, faces.rotation, faces.blendshapes)
    labels = faces.landmarks, faces.rotation, faces.blendshapes
    assert all(float(term) == 0 for term in terms(right, *labels).values())
    neutral = faces.blendshapes.clone()
    neutral[:, 0] = 9
    half_turn = faces.rotation * torch.tensor([-1.0, -1, 1])
    wrong = Geometry(faces.landmarks + 0.1, half_turn, neutral)
    found = {name: float(term) for name, term in terms(wrong, *labels).items()}
    assert found == pytest.approx({"landmarks": 2.0, "rotation": 160.0, "blendshapes": 0.0}, abs=1e-4)  # 20 (4 + 4)


class Told:
    """A network that answers given geometry, batch after batch."""

    def __init__(self, geometry: Geometry) -> None:
        self.geometry, self.at = geometry, 0

    def __call__(self, x: torch.Tensor) -> Geometry:
        chosen = slice(self.at, self.at + len(x))
        self.at += len(x)
        return Geometry(*(getattr(self.geometry, name)[chosen] for name in ("landmarks", "rotation", "blendshapes")))


def test_report_by_hand():
    faces = data(count=3)
    faces.landmarks[:, [33, 133], :2] = torch.tensor([-0.25, 0.0])
    faces.landmarks[:, [362, 263], :2] = torch.tensor([0.25, 0.0])  # eyes 0.5 apart
    shifted = faces.landmarks + torch.tensor([0.03, 0.04, 9.0])  # off by 0.05 in the picture; depth is not counted
    angle = np.deg2rad(5)
    yaw = torch.tensor([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]).float()
    found = report(Told(Geometry(shifted, yaw.expand(3, 3, 3), faces.blendshapes)), faces)
    assert found["n"] == 3
    assert found["landmark_nme"] == pytest.approx(0.1, rel=1e-4)
    assert [found[f"{name}_degrees"] for name in ("yaw", "pitch", "roll")] == pytest.approx([5, 0, 0], abs=1e-3)
    assert found["blendshape_cosine"] == pytest.approx(1, abs=1e-5)


def test_learning_again_gives_the_same_network(tmp_path):
    plan = Plan(steps=2, checkpoint_s=1e9, seed=7)
    first, again = (train_geometry_net(data(), plan, 2, Checkpoints(tmp_path)) for _ in range(2))
    for one, other in zip(first.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    assert (tmp_path / "checkpoint.pt").is_file()
