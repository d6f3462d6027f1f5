from __future__ import annotations

import numpy as np
import pytest

from kfaar_core.evaluate import robustness
from kfaar_core.evaluate.robustness import Cosines, crop, damage_rows, jpeg, resize
from kfaar_core.scenarios import populations


def test_what_each_damage_does_to_a_picture(rng):
    y, x = np.mgrid[:400, :400]
    picture = np.stack([x * 255 // 399, y * 255 // 399, 0 * x], axis=-1).astype(np.uint8)
    saved = jpeg(picture, rng)
    assert saved.shape == picture.shape and 0 < np.abs(saved.astype(int) - picture).mean() < 3
    assert resize(picture, rng).shape == (256, 256, 3)
    corners = set()
    for _ in range(50):
        cut = crop(picture, rng)
        assert cut.shape == (360, 360, 3)
        corners.add((int(cut[0, 0, 0]), int(cut[0, 0, 1])))
    assert len(corners) > 20 and max(max(corner) for corner in corners) <= 26  # 40 px of 400


def test_the_loss_is_that_of_the_same_trials(context):
    count, people = len(robustness.DAMAGES), np.arange(6)
    genuine, impostor = np.tile(np.linspace(0.5, 1, 6), (count, 1)), np.tile(np.linspace(-0.5, 0.4, 6), (count, 1))
    genuine[2] = robustness.NOT_DETECTED
    rows = {row.name: row for row in damage_rows(context, "same", Cosines(genuine, people), Cosines(impostor, people))}
    assert rows["AUC, same photo, PNG"].value == rows["AUC, same photo, JPEG 75"].value == 1
    unharmed = rows["AUC, same photo, JPEG 75: loss against PNG"]
    assert (unharmed.value, unharmed.low, unharmed.high) == (0, 0, 0)
    assert rows["AUC, same photo, 256 px"].value == 0
    assert rows["AUC, same photo, 256 px: loss against PNG"].value == 1


def test_a_face_that_is_lost_is_refused_and_counted(context, people, monkeypatch):
    flat = {"PNG": (), "black": (lambda pixels, rng: np.zeros_like(pixels),)}
    monkeypatch.setattr(robustness, "DAMAGES", flat)
    table = robustness.robustness_table(context, people, populations.SHARED, 2)
    rows = {row.name: row for row in table.rows}
    assert "0 of 10 virtual faces not found in the PNG, of the others not found: 10 after black" in table.about
    assert rows["AUC, another photo, black"].value == pytest.approx(0.5)  # everybody is refused alike
    assert rows["AUC, another photo, PNG"].n == 20
