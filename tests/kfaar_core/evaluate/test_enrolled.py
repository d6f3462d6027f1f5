from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kfaar_core.evaluate.context import Virtual, features
from kfaar_core.evaluate.enrolled import ENROLLED, FIRST, LATER, Enrolled, Reading, enrolled_table, stolen_rows, without


def test_a_later_face_is_the_first_ones_person(context, people):
    first, later = people[0].photos
    arrays = context.ask(Enrolled(first, later, "shared 0", 256))
    one, two = (features(without(prefix, arrays)).judge for prefix in (FIRST, LATER))
    stateless = features(context.ask(Virtual(later, "shared 0", 256))).judge
    assert two @ one > 0.999 and two @ one > stateless @ one


def strict(context, threshold):
    stages = replace(context.stages, calibration=replace(context.stages.calibration, enrolled=threshold))
    return replace(context, stages=stages, server=type(context.server)(stages))


def test_a_refused_photo_is_counted(context, people):
    first, later = people[0].photos
    arrays = strict(context, 1.1).ask(Enrolled(first, later, "shared 0", 256))
    assert without(FIRST, arrays) and not without(LATER, arrays)


@pytest.mark.parametrize("key_mode", ["shared", "own"])
def test_the_table(context, people, key_mode):
    rows = {row.name: row for row in enrolled_table(context, people, key_mode, 1).rows}
    assert rows["later photo taken for somebody else's"].value == 0
    assert rows[f"{ENROLLED}: sex agrees"].n == len(people)
    assert rows["later face, its own photo: cosine"].n == len(people)
    assert all(np.isfinite(row.value) for row in rows.values())


def test_a_stolen_file_names_whom_u_names(context):
    """Three people whose u of two photos are orthogonal axes; the key reads two of them mixed up."""
    axes = np.eye(3)
    read = [Reading(i, axes[[1, 0, 2][i]], axes[i], (axes[i], axes[i])) for i in range(3)]
    rows = {row.name.partition(", ")[2]: row.value for row in stolen_rows(context, read)}
    assert rows["by the key, from the first virtual face"] == pytest.approx(1 / 3)
    assert rows["by a stolen key file, without any face"] == 1
