"""The committed weights give the committed scores again, on people who do not exist (evaluate.synthetic).

python -m kfaar_core evaluate --table VI --data synthetic --limit 20 --trials 1 --precision f32 --projector FORM
--jobs 2 -o assets/scores
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kfaar_core.evaluate import runner
from kfaar_core.methods import available
from kfaar_core.results import load_result

SCORES = Path(__file__).resolve().parents[3] / "assets" / "scores"
# In float32, since each CPU rounds bfloat16 in its own way: there two machines differed by 0.16 at most and by 0.031 on
# average, over these trials of the floor. In float32 one machine with and without AVX-512 differs by 0.012 and 0.003,
# with refined faces by 0.041 and 0.018, and by 0.094 and 0.032 where the generator's sums were taken in another order;
# with the same instructions the scores are the same to the last digit. The weights of commit 3119017 are away by 0.31
# and 0.12 (strangers), 0.28 and 0.10 (another photo), 0.12 and 0.04 (the same photo).
EACH = 0.11
MEAN = 0.035

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]  # minutes of one core: the faces of hashed are refined


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """A cache of this test's own: what another run has seen is no evidence. Photos and their looks serve all forms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KFAAR_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.parametrize("form", available())
def test_the_scores_come_again(form, tmp_path):
    path = SCORES / f"lab-{form}-synthetic-vi-shared.json"
    committed = load_result(path)
    assert committed.people == 20
    settings = {"limit": committed.people, "key_mode": committed.key_mode, "trials": committed.trials, "jobs": 2}
    found = load_result(
        runner.run("VI", "synthetic", preset="lab", precision="f32", projector=form, out=tmp_path, **settings)
    )
    assert found.weights == committed.weights, f"make {path.name} anew: the weights are others"
    assert (found.data_sha256, found.thresholds) == (committed.data_sha256, committed.thresholds)
    for old in committed.populations:
        new = found.population(old.name)
        np.testing.assert_array_equal(new.people, old.people)
        assert new.failed == old.failed
        away = np.abs(new.values - old.values)
        assert away.max() < EACH and away.mean() < MEAN, old.name
