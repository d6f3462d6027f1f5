from __future__ import annotations

import numpy as np

from kfaar_core.evaluate.mask import mask_table, swapped
from kfaar_core.scenarios import populations


def landmarks(side):
    angle = np.linspace(0, 2 * np.pi, 478, endpoint=False)
    return np.stack([0.5 + 0.2 * np.cos(angle), 0.5 + 0.25 * np.sin(angle)], axis=1) * side


def coloured(colour, side=100):
    return np.full((side, side, 3), colour, dtype=np.uint8)


def test_the_face_stays_and_the_rest_is_the_other_pictures():
    mixed = swapped(coloured((255, 0, 0)), landmarks(100), coloured((0, 0, 255)), landmarks(100))
    red = (mixed == (255, 0, 0)).all(axis=2)
    assert red[50, 50] and red[30, 50] and not red[5, 5] and not red[50, 20]
    assert ((mixed == (0, 0, 255)).all(axis=2) == ~red).all()
    assert 0.15 < red.mean() < 0.19  # an ellipse of 0.2 x 0.25 sides, and a little more


def test_the_other_picture_is_brought_into_the_frame():
    other = coloured((0, 255, 0), 200)
    other[:, 150:] = 255  # right of the face
    mixed = swapped(coloured(0), landmarks(100), other, landmarks(200))
    assert (mixed[:, 78:] == 255).all() and (mixed[:10, :70, 0] == 0).all()


def test_the_table_tells_how_far_the_cosine_moves(context, people):
    table = mask_table(context, people, populations.OWN, 1)
    rows = {row.name: row for row in table.rows}
    assert rows["another photo: |difference| of the cosine"].value > 0  # the tiny networks look at everything
    assert rows["same photo: cosine before"].n == len(people)
    assert "0 of 5 pairs" in table.about
