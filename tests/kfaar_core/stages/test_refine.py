"""The descent, in a world where what is seen is linear in w; tests/kfaar_core/test_lab.py refines real faces."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from kfaar_core.presets import LAB, Descent, Enrolment, Hold
from kfaar_core.records import Payload
from kfaar_core.stages.differentiable import IDENTITY, Augmentation
from kfaar_core.stages.generate import GROUPS, w_plus
from kfaar_core.stages.latent import NaturalSpace
from kfaar_core.stages.refine import (
    GeneratorBiasPenalty,
    RefinementNetworks,
    RefinementTargets,
    Refiner,
    augmentations_of,
)
from tests.kfaar_core.stages.stand_ins import as_posture

D = 8
CPU = torch.device("cpu")
OWN = np.eye(D)[0]  # u of the photo, where a test is not about it
SPACE = NaturalSpace({"natural.mean": torch.zeros(512), "natural.basis": 0.5 * torch.eye(512)})


class Shown:
    """Where a picture of the world below shows something, by rows of w."""

    def __init__(self, rows: Tensor, first: int) -> None:
        self.rows, self._first = rows, first

    def tensor(self, sight: Tensor) -> Tensor:
        return sight[:, self._first : self._first + len(self.rows)]


class World:
    """A picture of 6 x 6 px shows 54 numbers of the posture, 8 of the code, 8 of the person, one of what all faces
    share, 8 of the identity that anyone reads, and 8 of the person for a second recogniser; all linear in w."""

    w_mean = torch.zeros(512)

    def __init__(self, bias: float = 0.0, turned: float = 0.0) -> None:
        """turned: how much of the code a unit of the posture changes."""
        draw = torch.Generator().manual_seed(0)
        self.code = torch.randn(D, 1536, generator=draw) / 40
        self.posture = torch.randn(54, 1536, generator=draw) / 40
        self.code += turned * torch.randn(D, 54, generator=torch.Generator().manual_seed(1)) @ self.posture
        self.person = Shown(torch.randn(D, 1536, generator=draw) / 40, 54 + D)
        self.shared = Shown(torch.randn(1, 1536, generator=draw) / 40, 54 + 2 * D)
        self.identity = Shown(torch.randn(D, 1536, generator=draw) / 40, 55 + 2 * D)
        self.second = Shown(torch.randn(D, 1536, generator=draw) / 40, 55 + 3 * D)
        self.bias = bias  # by which the full picture is read differently
        self.small, self.full = 0, 0
        self.pictures = 0  # small ones, of which several may be rendered at once
        self.augmentations: list[Augmentation | None] = []

    def map(self, z: Tensor) -> Tensor:
        return z

    groups = GROUPS

    def render(self, w_plus: Tensor, side: int) -> Tensor:
        w = w_plus[:, [0, 7, 13]].flatten(1)
        if side == 512:
            self.full += 1
        else:
            self.small += 1
            self.pictures += len(w_plus)
        code = w @ self.code.T + (self.bias if side == 512 else 0)
        others = (w @ each.rows.T for each in (self.person, self.shared, self.identity, self.second))
        shown = torch.cat((w @ self.posture.T, code, *others), dim=1)
        return torch.nn.functional.pad(0.05 * shown, (0, 3 * 36 - shown.shape[1])).unflatten(1, (3, 6, 6))

    def extract(self, picture: Tensor, landmarks: Tensor, augmentation: Augmentation | None = None) -> Tensor:
        self.augmentations.append(augmentation)
        return self.numbers(picture)

    def numbers(self, picture: Tensor) -> Tensor:
        return picture.flatten(1) / 0.05

    def measure(self, picture: Tensor):
        shown = self.numbers(picture)
        yaw, pitch, roll = torch.deg2rad(10 * shown[:, :3]).T
        o, i = torch.zeros(len(shown)), torch.ones(len(shown))

        def matrix(*entries: Tensor) -> Tensor:
            return torch.stack(entries, dim=1).unflatten(1, (3, 3))

        turn = matrix(yaw.cos(), o, yaw.sin(), o, i, o, -yaw.sin(), o, yaw.cos())
        nod = matrix(i, o, o, o, pitch.cos(), -pitch.sin(), o, pitch.sin(), pitch.cos())
        tilt = matrix(roll.cos(), roll.sin(), o, -roll.sin(), roll.cos(), o, o, o, i)
        shapes = torch.nn.functional.pad(shown[:, 3:54], (1, 0))
        points = torch.zeros(len(shown), 478, 3)
        return SimpleNamespace(landmarks=points, rotation=turn @ nod @ tilt, blendshapes=shapes)

    def tensor(self, sight: Tensor) -> Tensor:
        return sight[:, 54 : 54 + D]

    def refiner(
        self, steps: int, enrolment: Enrolment | None = None, hold: Hold | None = None, **weights: float
    ) -> Refiner:
        descent = Descent(steps=steps, **weights)
        aims = RefinementTargets(self, self.person, self.second, self.identity, self.shared, SPACE, self.posture)
        gain = torch.linalg.pinv(self.posture)
        networks = RefinementNetworks(self.render, self, self, self.extract, gain)
        return Refiner(aims, networks, descent, CPU, enrolment, hold)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.fixture
def start() -> Tensor:
    return torch.randn(3, 512, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def code() -> np.ndarray:
    code = np.random.default_rng(2).standard_normal(D)
    return code / np.linalg.norm(code)


def read(world: World, latent: Tensor) -> np.ndarray:
    return (world.code @ latent.flatten()).numpy() + world.bias


def held(world: World, latent: Tensor) -> np.ndarray:
    return (world.posture @ latent.flatten()).double().numpy()


def test_the_code_is_read_better_and_the_posture_stays(start, code):
    world = World()
    before = held(world, start)
    found = world.refiner(40)(start, as_posture(before), Payload(code, OWN))
    assert found.shape == (3, 512) and not found.requires_grad
    assert cosine(read(world, found), code) > max(0.9, cosine(read(world, start), code) + 0.3)
    assert np.abs(held(world, found) - before).max() < 0.1


def seen_as(shown: Shown, latent: Tensor) -> np.ndarray:
    return (shown.rows @ latent.flatten()).numpy()


def test_e_sees_the_person_of_the_code_as_well(start, code):
    world = World()
    posture = as_posture(held(world, start))
    free, priced = (
        world.refiner(40, identity_weight=price)(start, posture, Payload(code, OWN)) for price in (0.0, 0.5)
    )
    assert cosine(seen_as(world.person, free), code) < 0.3 and cosine(seen_as(world.person, priced), code) > 0.9
    assert cosine(read(world, priced), code) > 0.9


def test_so_does_the_second_recogniser_and_to_it_the_photos_own_person_goes(start, code):
    world = World()
    posture, own = as_posture(held(world, start)), seen_as(World().second, start)
    free, priced = (
        world.refiner(40, auxiliary_weight=price)(start, posture, Payload(code, OWN)) for price in (0.0, 0.5)
    )
    assert cosine(seen_as(world.second, free), code) < 0.3 and cosine(seen_as(world.second, priced), code) > 0.9
    payload = Payload(code, own / np.linalg.norm(own))
    free, priced = (
        world.refiner(40, auxiliary_weight=0.0, near_weight=price)(start, posture, payload) for price in (0.0, 4.0)
    )
    assert cosine(seen_as(world.second, free), own) > 0.6 and cosine(seen_as(world.second, priced), own) < 0.3


def test_a_face_that_shows_the_photos_own_person_leaves_him(start, code):
    world, own = World(), seen_as(World().identity, start)
    posture = as_posture(held(world, start))
    free, priced = (
        world.refiner(40, near_weight=price)(start, posture, Payload(code, own / np.linalg.norm(own)))
        for price in (0.0, 4.0)
    )
    assert cosine(seen_as(world.identity, free), own) > 0.6
    assert cosine(seen_as(world.identity, priced), own) < 0.3
    assert cosine(read(world, priced), code) > 0.9


def test_a_held_look_keeps_the_coarse_picture_and_the_code_goes_into_the_rest(start, code):
    world = World()
    posture = as_posture(held(world, start))

    def shown(latent: Tensor) -> Tensor:
        return world.render(w_plus(latent[None]), 6)

    def change(latent: Tensor) -> float:
        difference = (shown(latent) - shown(start)).unflatten(3, (3, 2)).unflatten(2, (3, 2)).mean(dim=(3, 5))
        return float(difference.norm())

    free, kept, in_groups = (
        world.refiner(40, hold=hold)(start, posture, Payload(code, OWN))
        for hold in (None, Hold(weight=5e3, cell=2), Hold(weight=5e3, cell=2, layer_rate=0.0))
    )
    assert len(free) == len(in_groups) == 3 and len(kept) == 23
    assert change(kept) < 0.4 * change(free) and change(in_groups) < 0.4 * change(free)
    assert cosine(world.tensor(world.numbers(shown(kept)))[0].numpy(), code) > 0.9


def test_a_face_that_is_no_nearer_than_strangers_is_left_alone(start, code):
    world = World()
    posture = as_posture(held(world, start))
    far = -seen_as(world.identity, start) - read(world, start)
    far -= (far @ code + 0.5) * code  # whatever is read comes no nearer on the way to the code
    free, priced = (world.refiner(5, near_weight=price)(start, posture, Payload(code, far)) for price in (0.0, 4.0))
    torch.testing.assert_close(free, priced)


def test_what_all_faces_share_goes(start, code):
    world, payload = World(), Payload(code, OWN)
    posture = as_posture(held(world, start))
    kept, priced = (
        abs(seen_as(world.shared, world.refiner(40, bias_weight=price)(start, posture, payload)).item())
        for price in (0.0, 1.0)
    )
    assert kept > 0.5 and priced < 0.1


def test_likeness_is_one_along_what_virtual_faces_share_and_nothing_across():
    photos, virtual = np.array([1.0, 2.0, 0.0]), np.array([1.0, 4.0, 0.0])
    sights = torch.tensor([[1.0, 7.0, 0.0, 9.0], [1.0, -1.0, 0.0, 9.0], [5.0, 2.0, 3.0, 9.0], [2.0, 3.0, 0.0, 9.0]])
    found = GeneratorBiasPenalty(photos, virtual).tensor(sights)
    torch.testing.assert_close(found, torch.tensor([[1.0], [-1.0], [0.0], [0.5**0.5]]))


def test_a_posture_that_is_off_comes_nearer(start, code):
    world = World()
    wanted = held(world, start) + np.where(np.arange(54) < 3, 0.3, 0.0)
    found = world.refiner(40)(start, as_posture(wanted), Payload(code, OWN))
    assert np.abs(held(world, found) - wanted)[:3].max() < 0.1


def test_fine_layers_move_less_than_the_others_unless_they_may_as_well(start, code):
    world = World()
    posture, rate = as_posture(held(world, start)), LAB.descent.rate
    slow, alike = (
        (world.refiner(20, **rates)(start, posture, Payload(code, OWN)) - start).norm(dim=1)
        for rates in ({}, {"colour_rate": rate})
    )
    assert slow[2] < 0.6 * slow[:2].min() and alike[2] > 0.8 * alike[:2].min()


def test_what_the_full_picture_says_counts(start, code):
    """The small picture misleads by a whole unit in every number of the code."""
    world = World(bias=1.0)
    found = world.refiner(40)(start, as_posture(held(world, start)), Payload(code, OWN))
    assert cosine(read(world, found), code) > 0.9
    assert world.small == 40 and world.full == len(range(0, 40, LAB.descent.measured))


def test_the_full_picture_is_compared_with_a_look_from_its_own_place(start, code):
    """Else what a augmentation is off by would count as what the small picture misleads by."""
    world, measured = World(), LAB.descent.measured
    world.refiner(measured + 2)(start, as_posture(held(world, start)), Payload(code, OWN))
    off = augmentations_of(Descent(steps=measured + 2))
    assert world.augmentations == [IDENTITY, None, *off[1:measured], IDENTITY, None, off[measured + 1]]


def test_augmentations_are_the_same_for_every_face_and_spread_as_they_should():
    how = Descent(steps=400, augment_turn=2.0, augment_growth=0.03, augment_shift=0.02)
    found = augmentations_of(how)
    assert found == augmentations_of(how)
    assert [augmentation.mirrored for augmentation in found[:4]] == [False, True, False, True]
    columns = np.array([(np.degrees(each.turn), each.growth, *each.shift) for each in found])
    np.testing.assert_allclose(columns.std(axis=0), (2.0, 0.03, 0.02, 0.02), rtol=0.15)
    assert np.abs(np.corrcoef(columns.T) - np.eye(4)).max() < 0.2


def test_more_steps_read_better_and_none_change_nothing(start, code):
    world = World()
    reached = [
        cosine(read(world, world.refiner(steps)(start, as_posture(held(world, start)), Payload(code, OWN))), code)
        for steps in (0, 4, 16)
    ]
    assert reached[0] < reached[1] < reached[2]
    torch.testing.assert_close(world.refiner(0)(start, as_posture(held(world, start)), Payload(code, OWN)), start)


def test_it_works_where_the_pipeline_forbids_gradients(start, code):
    world = World()
    refiner, posture = world.refiner(3), as_posture(held(world, start))
    with torch.inference_mode():
        inside = refiner(start.clone(), posture, Payload(code, OWN))
    torch.testing.assert_close(inside, refiner(start, posture, Payload(code, OWN)))


def test_progress_is_told_before_each_step_and_at_the_end(start, code):
    world, told = World(), []
    refiner, posture = world.refiner(3), as_posture(held(world, start))
    refiner(start, posture, Payload(code, OWN), lambda *step: told.append((*step, world.small)))
    assert told == [(0, 3, 0), (1, 3, 1), (2, 3, 2), (3, 3, 3)]


def test_what_progress_raises_ends_the_descent(start, code):
    class Stopped(Exception):
        pass

    def stop(done: int, of: int) -> None:
        if done == 2:
            raise Stopped

    world = World()
    with pytest.raises(Stopped):
        world.refiner(40)(start, as_posture(held(world, start)), Payload(code, OWN), stop)
    assert world.small == 2


def test_an_enrolled_face_is_read_in_later_postures_as_well(start, code):
    """Here a turn of the head changes what is read. The postures asked for are not those that it was enrolled in."""
    world = World(turned=0.1)
    posture, payload = as_posture(held(world, start)), Payload(code, OWN)
    later = torch.randn(50, 1536, generator=torch.Generator().manual_seed(3)) @ world.posture.T
    moves = (later - torch.from_numpy(held(world, start)).float()) @ torch.linalg.pinv(world.posture).T
    refiner = world.refiner(60, Enrolment(steps=60))
    once, person = refiner(start, posture, payload), refiner.enrol(start, posture, payload)
    in_one, in_many = (
        np.mean([cosine(read(world, latent.flatten() + move), code) for move in moves]) for latent in (once, person)
    )
    assert in_one < 0.85 and in_many > in_one + 0.1
    assert cosine(read(world, person), code) > 0.9
    assert np.abs(held(world, person) - held(world, start)).max() < 0.15


def test_each_step_of_an_enrolment_renders_the_face_and_its_turned_ones(start, code):
    world = World()
    world.refiner(0, Enrolment(steps=4, turned=3)).enrol(start, as_posture(held(world, start)), Payload(code, OWN))
    assert (world.small, world.pictures, world.full) == (4, 16, 1)


def test_an_enrolment_in_no_other_posture_is_a_refinement(start, code):
    posture, payload = as_posture(held(World(), start)), Payload(code, OWN)
    alone = World().refiner(0, Enrolment(steps=5, turned=0)).enrol(start, posture, payload)
    torch.testing.assert_close(alone, World().refiner(5)(start, posture, payload), rtol=0, atol=0)
