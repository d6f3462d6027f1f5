"""The committed weights give the committed scores again, on people who do not exist (evaluate.synthetic).

python -m kfaar_core evaluate --table VI --data synthetic --limit 20 --trials 1 --precision f32 --method FORM
--jobs 2 -o assets/scores
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kfaar_core.data.split import TEST
from kfaar_core.evaluate import authentication, jobs
from kfaar_core.evaluate.context import EvaluationConfig, Real, features
from kfaar_core.evaluate.trials import photos_of, trials_of
from kfaar_core.methods import readable
from kfaar_core.metrics.verification import auc
from kfaar_core.presets import LAB
from kfaar_core.results import load_result
from kfaar_core.scenarios import pairs, populations

SCORES = Path(__file__).resolve().parents[3] / "assets" / "scores"
COMMITTED = [form for form in readable() if (SCORES / f"lab-{form}-synthetic-vi-shared.json").is_file()]
PEOPLE = 6  # of the committed ones, the first; each is a face to make, and one of hashed takes most of a minute
# Judged by what rounding cannot flip. In float32 one machine with and without AVX-512 gave scores that differ by 0.012
# at most and by 0.003 on average over 20 people; where faces are refined, by 0.041 and 0.018, by 0.094 and 0.032 where
# the generator's sums were taken in another order, and by 0.036 on average on another maker's CPU. Earlier weights were
# away by 0.31 and 0.12 (strangers), 0.28 and 0.10 (another photo), 0.12 and 0.04 (the same photo). Allowed is at least
# twice what was seen. Scores of hashed that move at random by 0.045 (sd), more than was seen, leave the AUC of these 6
# people as it is.
REFINED = {"hashed"}
AREA = 0.05  # by which the AUC may differ


def mean_of(form: str) -> float:
    """By how much the mean of a population may differ."""
    return 0.07 if form in REFINED else 0.02


def clear_of(form: str) -> float:
    """How far from the threshold a score has to be, so that its decision must come again."""
    return 0.2 if form in REFINED else 0.05


pytestmark = [pytest.mark.lab, pytest.mark.scores, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """A cache of this test's own: what another run has seen is no evidence. Photos and their looks serve all forms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KFAAR_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def again(context, people, committed) -> dict[str, np.ndarray]:
    """The scores of the first of the people, by population, each with the same photos as in the committed run."""
    chosen, strangers = people[:PEOPLE], pairs.impostors(people, 0, seed=committed.seed).probes[:PEOPLE]
    listed = trials_of(chosen, committed.key_mode, committed.trials, context.stages.preset.key_bits)
    jobs.fill(context, [*photos_of(chosen), *map(Real, map(int, strangers)), *(trial.face for trial in listed)])
    found = {name: [] for name in populations.names_for("VI")}
    for trial, stranger in zip(listed, strangers, strict=True):
        virtual = features(context.ask(trial.face))
        same, other = trial.person.photos
        photos = {populations.SAME: same, populations.OTHER: other, populations.STRANGER: int(stranger)}
        for photo, index in photos.items():
            cosines = authentication.keyed_scores(context, virtual, context.real(index), trial)
            found[populations.scenario(4, photo)].append(cosines[4])
    return {name: np.array(values, dtype=float) for name, values in found.items()}


@pytest.mark.parametrize("form", COMMITTED)
def test_the_scores_come_again(form):
    path = SCORES / f"lab-{form}-synthetic-vi-shared.json"
    committed = load_result(path)
    preset = replace(LAB, precision="f32", method=form)
    context = EvaluationConfig(preset, "synthetic", committed.people, committed.seed, jobs=2).open()
    allowed = context.data.identities_of(TEST)
    people = pairs.people(context.data.samples, allowed, limit=committed.people, seed=committed.seed)
    assert context.used == committed.weights, f"make {path.name} anew: the weights are others"
    assert context.data.sha256 == committed.data_sha256
    assert authentication.thresholds_of(context.stages) == committed.thresholds
    found = again(context, people, committed)
    before = {}
    for old in committed.populations:
        np.testing.assert_array_equal(old.people, np.arange(committed.people))  # nobody's face was missed
        before[old.name] = old.values[:PEOPLE]
        away = found[old.name] - before[old.name]
        assert abs(away.mean()) < mean_of(form), old.name
        threshold = committed.thresholds.dev
        clear = np.abs(before[old.name] - threshold) > clear_of(form)
        np.testing.assert_array_equal((found[old.name] >= threshold)[clear], (before[old.name] >= threshold)[clear])
    for photo in populations.PHOTOS:
        areas = [auc(scores[populations.genuine(photo)], scores[populations.IMPOSTOR]) for scores in (found, before)]
        assert abs(areas[0] - areas[1]) < AREA
