from __future__ import annotations

import numpy as np
import pytest

from kfaar_core.evaluate.recognition import encoders_table, verification


def test_u_of_two_photos_is_compared_as_kvfa_compares_it(context, people):
    compared = verification(context, people)
    two = [[context.real(index) for index in person.photos] for person in people]
    u = [[context.stages.identifier.original(look.features) for look in looks] for looks in two]
    judged = [[look.judge for look in looks] for looks in two]
    for name, seen in (("u", u), ("judge", judged)):
        expected = sorted(float(first @ second) for first, second in seen)
        np.testing.assert_allclose(np.sort(compared[name].genuine), expected, atol=1e-6)


def test_every_recogniser_has_every_figure(context, people):
    rows = {row.name: row for row in encoders_table(context, people, "shared", 1).rows}
    assert {name.partition(": ")[0] for name in rows} == {"E", "u", "judge"} and len(rows) == 15
    u = verification(context, people)["u"]
    assert rows["u: AUC"].value == pytest.approx(np.mean(u.genuine[:, None] > u.impostor))
