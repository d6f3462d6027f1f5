"""Galleries on the preset tiny: which pictures stand where, and the sheet that shows them."""

from __future__ import annotations

import numpy as np
import pytest

from kfaar_core import image
from kfaar_core.errors import BadSetting
from kfaar_core.evaluate.galleries import FIGURES, KEYS, Maker, gallery
from kfaar_core.report.gallery import GAP, NAME, SIDE, sheet


@pytest.fixture(scope="module")
def maker(context):
    return Maker(context.server, context.stages.preset.key_bits)


@pytest.fixture(scope="module")
def photos(context):
    return [context.photo(index) for index in (0, 2)]


@pytest.mark.parametrize("number", FIGURES)
def test_every_figure_has_a_picture_in_every_place(maker, photos, number):
    steps = []
    drawn = gallery(number, maker, photos, lambda done, of: steps.append((done, of)))
    assert steps == [(1, 2), (2, 2)] and len(drawn.columns) == 2
    assert next(name for name, _ in drawn.rows) == "photo"
    assert all(pixels is not None and pixels.dtype == np.uint8 for _, row in drawn.rows for pixels in row)
    assert sheet(drawn).shape[1] == NAME + 2 * (SIDE + GAP) + GAP


def test_a_row_of_figure_6_shares_its_key_and_rows_differ(maker, photos):
    drawn = gallery("6", maker, [photos[0], photos[0]])
    rows = [row for _, row in drawn.rows]
    assert len(rows) == KEYS + 1
    assert all(np.array_equal(*row) for row in rows)  # the same photo under the same key
    assert not np.array_equal(rows[1][0], rows[2][0])


def test_a_photo_without_a_face_keeps_its_place(maker, photos):
    blank = image.from_array(np.full((64, 64, 3), 128, dtype=np.uint8))
    drawn = gallery("8", maker, [blank, photos[0]])
    assert drawn.rows[1][1][0] is None and drawn.rows[1][1][1] is not None
    assert sheet(drawn).min() < 100  # "no face" is written there


def test_what_is_no_gallery(maker, photos):
    with pytest.raises(BadSetting, match="gallery '9'"):
        gallery("9", maker, photos)
    with pytest.raises(BadSetting, match="0 photos"):
        gallery("5", maker, [])
