from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from kfaar_core.nets.reader_net import LANDMARKS, TEXTURE, ReaderNet
from kfaar_core.nets.sface import FEATURE
from kfaar_core.stages.face_view import FaceView
from kfaar_core.stages.identify import IdentityMap, reader_net
from kfaar_core.train import kvfa, road
from kfaar_core.train.road import Road, joined
from kfaar_core.train.settings import LAB_TRAINING
from kfaar_core.train.views import Views
from tests.kfaar_core.train.stand_ins import SPACE

QUICK = replace(
    LAB_TRAINING, reader_batch=4, styles_steps=1, styled_shards=3, channel_shards=1, draft_shards=2, draft_unseen=2
)
MEAN = 80 + 20 * np.random.default_rng(0).standard_normal((LANDMARKS, 2))


def views_of(rng: np.random.Generator, count: int, carried: int) -> Views:
    def faces() -> FaceView:
        textures = rng.integers(0, 256, (count, *TEXTURE, 3), dtype=np.uint8)
        return FaceView(textures, (MEAN + rng.standard_normal((count, LANDMARKS, 2))).astype(np.float16))

    w = rng.standard_normal((count, 3, 512)).astype(np.float32)
    return Views(faces(), faces(), w, rng.standard_normal((count, carried)).astype(np.float32))


def test_views_of_two_kinds_are_joined_row_by_row(rng):
    """Mixed renders carry nothing, and those of P do."""
    mixed, draft = views_of(rng, 3, 0), views_of(rng, 2, 4)
    found = joined([mixed, draft])
    for part, rows in ((mixed, slice(0, 3)), (draft, slice(3, 5))):
        np.testing.assert_array_equal(found[rows].clean.texture, part.clean.texture)
        np.testing.assert_array_equal(found[rows].clean.shape, part.clean.shape)
        np.testing.assert_array_equal(found[rows].damaged.texture, part.damaged.texture)
        np.testing.assert_array_equal(found[rows].damaged.shape, part.damaged.shape)
        np.testing.assert_array_equal(found[rows].w, part.w)
    assert found.payload.shape == (5, 0)


def test_the_lesson_in_styles_keeps_renders_back_and_writes_f_with_its_mean_face(
    rng, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = []

    def seen(_: Road, kind: str, first: int = 0, last: int | None = None) -> Views:
        asked.append((kind, first, last))
        return views_of(rng, 4, 0 if kind == "mixed" else 4)

    monkeypatch.setattr(Road, "_views", seen)
    monkeypatch.setattr(Road, "mean_shape", MEAN)
    monkeypatch.setattr(Road, "space", SPACE)
    fitted = []

    def fit(net: ReaderNet, faces: FaceView, mean: np.ndarray) -> None:  # the axes of so many pixels take a minute
        fitted.append(len(faces.shape))
        net.mean_shape.copy_(torch.from_numpy(mean))

    monkeypatch.setattr(road, "fit_appearance", fit)
    report = Road(QUICK, tmp_path).teach_styles(tmp_path, resume=False)
    assert asked == [("mixed", 0, 3), ("draft", 0, 2), ("draft", 2, 4)]  # the last to test, and for the channel
    assert report.keys() == {"coarse_told", "middle_told", "fine_told"} and max(report.values()) < 0.5
    assert fitted == [8]  # all faces of the lesson
    net = reader_net(load_file(tmp_path / "net.safetensors"))
    assert net.last.out_features == kvfa.STYLES
    torch.testing.assert_close(net.mean_shape, torch.from_numpy(MEAN).float())


def test_u_of_photos_looks_at_all_parts_and_lies_near_the_u_that_p_learned_with(
    rng, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Who somebody is stands in five numbers of E, less well, in five that E's last layer is fed, which show on which
    side they are as well, and in five of another network, better."""
    people = np.repeat(np.arange(80), 4)
    who = rng.standard_normal((80, 5))[people]
    narrow, fed, behind = rng.standard_normal((3, 320, FEATURE))
    narrow[:, :5] = 3 * who + rng.standard_normal((320, 5))
    fed[:, :5] = 3 * who + rng.standard_normal((320, 5))
    behind[:, :5] = 3 * who + 0.3 * rng.standard_normal((320, 5))
    w = rng.standard_normal((600, 3, 512)).astype(np.float32)
    rendered = 0.3 * rng.standard_normal((600, 2 * FEATURE))
    rendered[:, FEATURE] -= SPACE.of_w(torch.from_numpy(w))[:, :2, 0].mean(dim=1).numpy()
    seen = {"lfw-train": narrow, "lfw-train-wide": np.concatenate([narrow, fed], axis=1)}
    monkeypatch.setattr(Road, "_photos", SimpleNamespace(people=people))
    monkeypatch.setattr(Road, "features", lambda self, faces, name, wide=False: seen.get(name, rendered))
    monkeypatch.setattr(Road, "second_features", lambda self, faces, name: behind)
    monkeypatch.setattr(Road, "space", SPACE)
    monkeypatch.setattr(road, "WIDE", 2 * FEATURE)
    monkeypatch.setattr(road, "load_renders", lambda kind, limit: SimpleNamespace(w=w))
    made = Road(replace(LAB_TRAINING, code_dimension=5), tmp_path)
    pair = made.pair_features(made._photos, "lfw-train")
    np.testing.assert_array_equal(pair, np.concatenate([narrow, fed, behind], axis=1))
    beyond = fed[:, 0].reshape(80, 4).mean(axis=1) > 0  # the axis points the other way
    assert np.mean(made.rarer_side(pair, people) == beyond) > 0.75
    learned, photos = IdentityMap(made.identity)(narrow), IdentityMap(made.photo_identity)(pair)
    assert np.mean(np.sum(learned * photos, axis=1)) > 0.8

    beside = IdentityMap(made.second_identity)(behind)  # of another network, which knows the people better
    assert np.mean(np.sum(learned * beside, axis=1)) > 0.8

    def agreement(u: np.ndarray) -> float:
        return float(np.mean(np.sum(u[::4] * u[1::4], axis=1)))

    assert agreement(photos) > agreement(learned) + 0.02 and agreement(beside) > agreement(learned) + 0.02
