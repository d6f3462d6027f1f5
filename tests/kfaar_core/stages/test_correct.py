from __future__ import annotations

import numpy as np
import pytest
import torch

from kfaar_core.records import Posture
from kfaar_core.stages.correct import LatentCorrector, coarse, posture_vector, vector_of
from kfaar_core.stages.generate import GROUPS, GeneratedFace
from tests.kfaar_core.stages.stand_ins import as_posture

ROWS = np.random.default_rng(0).standard_normal((54, 1536)) / 40  # a face whose posture is linear in w
EXACT = torch.from_numpy(np.linalg.pinv(ROWS))


class World:
    """Generator and geometry of a linear world; keeps the latents that were rendered."""

    groups = GROUPS

    def __init__(self, bend: float = 0.0) -> None:
        self.rendered: list[np.ndarray] = []
        self.bend = bend

    def render(self, w_plus: torch.Tensor, side: int) -> torch.Tensor:
        self.rendered.append(w_plus[0, [0, 7, 13]].double().flatten().numpy())
        return torch.full((1, 3, side, side), float(len(self.rendered)))

    def measured(self, latent: np.ndarray) -> Posture:
        straight = ROWS @ latent
        return as_posture(straight + self.bend * straight**2)

    def postures(self, pictures: torch.Tensor) -> list[Posture]:
        return [self.measured(self.rendered[int(pictures[0, 0, 0, 0]) - 1])]


def corrected(
    world: World, gain: torch.Tensor, target: np.ndarray, steps: int, turns: int = 0, side: int = 8
) -> GeneratedFace:
    """All entries, then the angles alone, without what may come between the two."""
    draft = GeneratedFace(torch.zeros(3, 8, 8), torch.zeros(3, 512), world.measured(np.zeros(1536)))
    corrector = LatentCorrector({"gain": gain}, world, world, steps, turns)
    face = corrector.correct(draft, as_posture(target), side)
    return corrector.turn(face, as_posture(target), side)


def away(found: GeneratedFace, target: np.ndarray) -> np.ndarray:
    """(2,) what is left of the gap, in the angles and in the shapes."""
    gap = vector_of(found.posture) - target
    return np.array([np.linalg.norm(gap[:3]), np.linalg.norm(gap[3:])])


@pytest.fixture
def target(rng) -> np.ndarray:
    return rng.uniform(0, 0.4, 54)


def test_the_posture_vector_by_hand():
    posture = Posture(5.0, -10.0, 20.0, np.arange(52) / 100, np.zeros((478, 3)))
    assert vector_of(posture)[:5].tolist() == pytest.approx([0.5, -1.0, 2.0, 0.01, 0.02])
    assert posture_vector(np.zeros((7, 3)), np.zeros((7, 52))).shape == (7, 54)


def test_one_step_meets_the_posture_where_it_is_linear(target):
    world = World()
    found = corrected(world, EXACT, target, steps=1)
    np.testing.assert_allclose(vector_of(found.posture), target, atol=1e-5)
    assert len(world.rendered) == 1 and found.latent.shape == (3, 512)
    np.testing.assert_allclose(found.latent.flatten(), world.rendered[0], atol=1e-6)


def test_a_second_step_closes_what_the_first_one_measured(target):
    first, second = (np.linalg.norm(away(corrected(World(0.3), EXACT, target, n), target)) for n in (1, 2))
    assert second < 0.5 * first


def test_a_turn_closes_the_angles_and_leaves_the_shapes_as_they_are(target):
    world = World()
    found = corrected(world, EXACT, target, steps=0, turns=2)
    assert len(world.rendered) == 1  # the first one met the angles
    angles, shapes = away(found, target)
    assert angles < 1e-5
    assert vector_of(found.posture)[3:] == pytest.approx(np.zeros(51), abs=1e-5)
    assert shapes == pytest.approx(np.linalg.norm(target[3:]))


def test_turns_go_on_from_the_best_step(target):
    target[:3] = 0.8  # where the bend leaves a gap behind one step
    step = corrected(World(0.3), EXACT, target, steps=1)
    turned = corrected(World(0.3), EXACT, target, steps=1, turns=4)
    assert away(turned, target)[0] < 0.1 < away(step, target)[0]


def test_a_step_that_is_no_better_is_not_taken_and_the_next_is_half_as_long(target):
    once = corrected(World(), 3 * EXACT, target, steps=1)  # goes to the other side, twice as far away
    np.testing.assert_array_equal(once.latent, 0)
    assert vector_of(once.posture) == pytest.approx(np.zeros(54))
    world = World()
    twice = corrected(world, 3 * EXACT, target, steps=2)
    assert len(world.rendered) == 2
    assert vector_of(twice.posture) == pytest.approx(1.5 * target, abs=1e-5)


def test_the_answer_has_the_size_asked_for_even_when_no_step_was_better(target):
    assert corrected(World(), 5 * EXACT, target, steps=1, side=16).picture.shape == (3, 16, 16)
    assert corrected(World(), EXACT, target, steps=2, side=16).picture.shape == (3, 16, 16)


def test_it_renders_no_more_than_its_steps(target):
    world = World(bend=0.3)
    corrected(world, 0.3 * EXACT, target, steps=3)
    assert len(world.rendered) == 3


def test_a_turn_of_a_face_at_another_size_renders_it_once_more_and_moves_nothing(target):
    """A face that was refined, or met by no step, has the size of the draft."""
    world = World()
    latent = EXACT @ torch.from_numpy(target)
    face = GeneratedFace(torch.zeros(3, 8, 8), latent.float().reshape(3, 512), world.measured(latent.numpy()))
    corrector = LatentCorrector({"gain": EXACT}, world, world, 1, 4)
    assert corrector.turn(face, as_posture(target), 8) is face and not world.rendered
    large = corrector.turn(face, as_posture(target), 16)
    assert large.picture.shape == (3, 16, 16) and len(world.rendered) == 1 and large.latent is face.latent


# ---- coarse posture


def seen(yaw: float, smile: float, other: float = 0.0) -> Posture:
    shapes = np.full(52, other, dtype=np.float32)
    shapes[44:46] = smile
    return Posture(yaw, 7.0, -5.0, shapes, np.zeros((478, 3), dtype=np.float32))


def test_a_coarse_posture_is_one_of_four():
    drawn = seen(3.0, 0.3, other=0.2)
    many = [coarse(seen(yaw, smile), drawn) for yaw in np.linspace(-60, 60, 25) for smile in (0.0, 0.1, 0.5, 0.9)]
    assert len({tuple(vector_of(posture).round(5)) for posture in many}) == 4
    assert {(posture.pitch, posture.roll) for posture in many} == {(0.0, 0.0)}


def test_a_coarse_posture_keeps_where_the_head_looks_and_a_smile_ahead():
    drawn = seen(3.0, 0.3, other=0.2)
    assert [coarse(seen(yaw, 0.0), drawn).yaw for yaw in (-30, -9, -7, 7, 9, 30)] == [-16, -16, 0, 0, 16, 16]
    ahead, turned = (coarse(seen(yaw, 0.9), drawn).blendshapes for yaw in (0.0, 20.0))
    assert ahead[44] == pytest.approx(0.6) and turned[44] == pytest.approx(0.3)  # turned: as it was drawn
    assert ahead[10] == pytest.approx(0.2)
    assert drawn.blendshapes[44] == pytest.approx(0.3)  # not changed in place
