"""Table IX on the tiny preset, and its figures by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from kfaar_core.data.split import TEST
from kfaar_core.evaluate.ablate_projector import Bench, VariantFace, figures, table_ix, train_variant
from kfaar_core.evaluate.ablation import PROJECTOR, Repeats
from kfaar_core.evaluate.context import EvaluationConfig
from kfaar_core.methods.rotated import tiny_weights
from kfaar_core.presets import TINY
from kfaar_core.scenarios import pairs
from kfaar_core.servers import AnonymisationServer
from kfaar_core.stages import tiny
from kfaar_core.train.loop import Checkpoints
from kfaar_core.train.projector import ProjectorInputs
from kfaar_core.train.settings import LAB_TRAINING
from kfaar_core.train.surrogates import SurrogateRenderer
from tests.kfaar_core.train.small_worlds import MOVED, crowd, encoder_of

QUICK = replace(
    LAB_TRAINING, projector_steps=2, projector_batch=8, projector_keys=4, code_dimension=tiny.DIMENSION
)  # everything else as in a real run


@pytest.fixture
def bench() -> Bench:
    torch.manual_seed(0)
    state = {k: v for k, v in tiny_weights("projector_hashed").items() if not k.startswith("net.")}
    people = crowd(np.random.default_rng(0), width=tiny.FEATURES, d=tiny.DIMENSION)
    renderer = SurrogateRenderer(tiny.FEATURES, hidden=8).eval().requires_grad_(False)
    width = tiny.FEATURES + 2  # what E sees and a little of F
    encoder = encoder_of(torch.randn(width, MOVED) / 20, 0.1 * torch.eye(width))
    return Bench(ProjectorInputs(people, renderer, encoder), torch.eye(MOVED), state)


@pytest.fixture
def context(tmp_path, monkeypatch):
    monkeypatch.setenv("KFAAR_CACHE", str(tmp_path / "cache"))
    return EvaluationConfig(replace(TINY, method="floor"), "synthetic", limit=8).open()


@pytest.fixture
def people(context):
    return pairs.people(context.data.samples, context.data.identities_of(TEST), limit=2)


def faces(*places: int) -> np.ndarray:
    """Unit vectors along the axes named; -1 is a face that was not found."""
    return np.stack([np.full(9, np.nan) if place < 0 else np.eye(9)[place] for place in places])


def values(found: dict) -> dict[str, float]:
    """Of the figures that are no cosines."""
    shown = {name: found[name].interval(np.random.default_rng(0)) for name in found if "cosine" not in name}
    return {name: interval.value for name, interval in shown.items()}


REAL = faces(6, 6, 7, 7, 8, 8).reshape(3, 2, 9)
BEST = faces(*(key + 2 * person for person in range(3) for _ in range(2) for key in range(2))).reshape(1, 3, 2, 2, 9)


def test_a_virtual_person_for_every_person_and_key():
    found = figures(REAL, BEST, 0.5)
    assert values(found) == dict.fromkeys(values(found), 1) | {"EER": 0}
    assert {name: found[name].interval(np.random.default_rng(0)).n for name in values(found)} == {
        "AUC": 3 * 2 + 3 * 2 * 2,
        "EER": 3 * 2 + 3 * 2 * 2,
        "detection": 12,
        "anonymity": 12,
        "diversity": 6,
        "differentiation": 12,
    }


def test_each_figure_sees_its_own_fault():
    def with_faces(virtual: np.ndarray) -> dict[str, float]:
        return values(figures(REAL, virtual, 0.5))

    one_key = np.repeat(BEST[:, :, :, :1], 2, axis=3)
    assert with_faces(one_key) == with_faces(BEST) | {"diversity": 0}
    one_person = np.repeat(BEST[:, :1], 3, axis=1)
    assert with_faces(one_person) == with_faces(BEST) | {"differentiation": 0, "AUC": 0.5, "EER": 0.5}
    as_they_are = np.repeat(REAL[None, :, :, None], 2, axis=3)
    assert with_faces(as_they_are) == with_faces(BEST) | {"diversity": 0, "anonymity": 0}
    by_photo = BEST.copy()
    by_photo[:, :, 1] = np.roll(BEST[:, :, 1], 1, axis=1)  # the second photo gets the face of somebody else
    assert with_faces(by_photo)["AUC"] == 0.25  # a third of the impostors are at 1, every genuine pair is at 0


def test_the_cosines_behind_the_figures():
    """The second person's face leans towards the photo, the first photo alone."""
    virtual = BEST.copy()
    virtual[0, 1, 0] = 0.6 * virtual[0, 1, 0] + 0.8 * REAL[1, 0]
    found = {name: figure.seeds[0] for name, figure in figures(REAL, virtual, 0.5).items() if "cosine" in name}
    assert found == {
        "cosine: synchronism": pytest.approx((4 + 2 * 0.6) / 6),
        "cosine: anonymity": pytest.approx(2 * 0.8 / 12),
        "cosine: diversity": pytest.approx(0.64 / 6),
        "cosine: differentiation": 0,
    }


def test_a_face_that_is_not_found_counts_in_detection_alone():
    virtual = BEST.copy()
    virtual[0, 1, 0, 1] = np.nan
    found = figures(REAL, virtual, 0.5)
    assert values(found)["detection"] == pytest.approx(11 / 12)
    assert values(found)["anonymity"] == values(found)["diversity"] == 1
    assert found["anonymity"].interval(np.random.default_rng(0)).n == 11
    assert found["diversity"].interval(np.random.default_rng(0)).n == 5


@pytest.mark.slow
def test_a_table_comes_again_without_a_step_or_a_face(bench, context, people, monkeypatch):
    repeats = Repeats(QUICK, seeds=2, resume=True)
    table = table_ix(bench, context, people, repeats, keys=2)
    assert table.number == "IX" and len(table.rows) == 10 * len(PROJECTOR)
    assert "2 test people" in table.about and "4 training people" in table.about and "2 steps" in table.about
    assert all(row.n > 0 and np.isfinite(row.value) for row in table.rows)
    monkeypatch.setattr(AnonymisationServer, "anonymise", None)
    assert table_ix(bench, context, people, repeats, keys=2) == table


def test_a_face_is_that_of_the_p_in_its_folder(bench, context, tmp_path):
    """Made through the pipeline; another P in the same folder is another entry, and another face."""
    request, folder = VariantFace("ablation/some", 0, "shared 0"), tmp_path / "cache" / "ablation" / "some"
    folder.mkdir(parents=True)
    names, seen = [], []
    for seed in (0, 1, 0):
        train_variant(bench, replace(QUICK, seed=seed), Checkpoints(folder))
        names.append(context.name_of(request))
        seen.append(request.arrays(context)["judge"])
    assert names[0] == names[2] != names[1]
    np.testing.assert_array_equal(seen[0], seen[2])
    assert not np.allclose(seen[0], seen[1])
