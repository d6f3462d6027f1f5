"""What an ablation changes, and what its rows say."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from kfaar_core import losses
from kfaar_core.evaluate.ablation import ALL, KVFA, PROJECTOR, Curve, Mean, Repeats, Share, Variant, pooled, rows, runs
from kfaar_core.metrics.verification import area
from kfaar_core.nets.keyed_net import KeyedNet
from kfaar_core.report.paper_figures import FIGURES, OURS
from kfaar_core.train.bits import train_keyed
from kfaar_core.train.hashed import initial_projector, train_hashed
from kfaar_core.train.loop import Checkpoints
from kfaar_core.train.projector import ProjectorInputs
from kfaar_core.train.settings import LAB_TRAINING
from kfaar_core.train.surrogates import SurrogateRenderer
from tests.kfaar_core.train.small_worlds import MOVED, crowd, encoder_of

QUICK = replace(LAB_TRAINING, projector_steps=3, keyed_steps=3, projector_batch=12, projector_keys=4)
PEOPLE = np.arange(4)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KFAAR_CACHE", str(tmp_path / "cache"))


# ---- variants


@pytest.mark.parametrize("variant", [*PROJECTOR, *KVFA], ids=lambda variant: variant.name)
def test_a_variant_changes_its_weights_and_nothing_else(variant):
    before, after = asdict(LAB_TRAINING), asdict(variant.of(LAB_TRAINING))
    changed = {name: after[name] for name in before if after[name] != before[name]}
    assert changed == {f"lambda_{term}": 0 for term in variant.left_out}


@pytest.mark.parametrize(("table", "variants"), [("IX", PROJECTOR), ("X", KVFA)])
def test_every_variant_of_the_paper_is_there(table, variants):
    printed = {name for methods in FIGURES[table].values() for name in methods} - {OURS}
    assert printed <= {variant.name for variant in variants} and variants[0] == Variant(ALL)


def test_each_loss_is_left_out_alone_once():
    for variants in (PROJECTOR, KVFA):
        alone = [variant.left_out[0] for variant in variants if len(variant.left_out) == 1]
        assert len(alone) == len(set(alone))
    assert {v.left_out for v in KVFA} >= {("pmis1", "pmis2", "pmis3"), ("per1", "per2")}


def p_after(folder, training):
    folder.mkdir()
    torch.manual_seed(0)
    renderer = SurrogateRenderer(6, hidden=8).eval().requires_grad_(False)
    encoder = encoder_of(torch.randn(8, MOVED) / 20, 0.1 * torch.eye(8))
    net = initial_projector(4, torch.eye(MOVED), training)
    inputs = ProjectorInputs(crowd(np.random.default_rng(0)), renderer, encoder)
    train_hashed(net, inputs, training, Checkpoints(folder))
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])


def keyed_after(folder, training):
    folder.mkdir()
    torch.manual_seed(0)
    net = KeyedNet(5, 8, 4)

    def draw(n):
        return torch.randn(n, 3, 5), torch.randn(n, 4), torch.randn(n, 8).sign()

    train_keyed(net, draw, training, Checkpoints(folder))
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])


@pytest.mark.parametrize(
    ("trained", "loss", "term"),
    [
        (p_after, "anonymity", "ano"),
        (p_after, "synchronism", "syn"),
        (p_after, "diversity", "div"),
        (p_after, "differentiation", "dif"),
        (keyed_after, "without_key", "pmis1"),
        (keyed_after, "wrong_key", "pmis2"),
        (keyed_after, "other_person", "pmis3"),
        (keyed_after, "right_key", "per1"),
        (keyed_after, "other_photo", "per2"),
    ],
)
def test_what_a_loss_asks_for_matters_only_where_it_is_in(monkeypatch, tmp_path, trained, loss, term):
    """The loss is turned round: with its weight the network becomes another, without it the very same."""
    without = Variant(f"w/o {term}", (term,)).of(QUICK)
    before = trained(tmp_path / "full", QUICK), trained(tmp_path / "without", without)
    asked = getattr(losses, loss)
    monkeypatch.setattr(losses, loss, lambda *features: -50 * asked(*features))
    after = trained(tmp_path / "full turned", QUICK), trained(tmp_path / "without turned", without)
    assert not torch.equal(before[0], after[0])
    assert torch.equal(before[1], after[1])
    assert not torch.equal(before[0], before[1])


def test_the_first_seed_of_all_variants_comes_first(tmp_path):
    found = list(runs(PROJECTOR[:2], Repeats(replace(QUICK, seed=5), 2), "some"))
    assert [(variant.name, training.seed) for variant, training, _ in found] == [
        (ALL, 5),
        ("w/o ano", 5),
        (ALL, 6),
        ("w/o ano", 6),
    ]
    assert [training.lambda_ano for _, training, _ in found] == [0.4, 0, 0.4, 0]
    folders = [kept.folder.relative_to(tmp_path / "cache" / "ablation" / "some") for _, _, kept in found]
    assert [str(folder) for folder in folders] == [
        "all-losses-seed-5",
        "wo-ano-seed-5",
        "all-losses-seed-6",
        "wo-ano-seed-6",
    ]


# ---- figures


def test_trials_without_a_face_are_left_out_of_both_sides():
    one, two = np.array([[1, np.nan, 3], [4, 5, 6]]), np.array([[1, 2, np.nan], [4, 5, 6]])
    values, owners = pooled(np.array([7, 8, 9]), one)
    assert values.tolist() == [1, 3, 4, 5, 6] and owners.tolist() == [7, 9, 7, 8, 9]
    values, owners = pooled(np.array([7, 8, 9]), one, two)
    assert values.tolist() == [[1, 4, 5, 6], [1, 4, 5, 6]] and owners.tolist() == [7, 7, 8, 9]


def test_a_mean_of_two_seeds(rng):
    less, full = (Mean(np.array(v), PEOPLE) for v in ([[0, 0, 0, np.nan], [1, 1, 1, 1]], [[1.0] * 4, [2.0] * 4]))
    assert less.seeds == [0, 1]
    found = less.interval(rng)
    assert (found.value, found.n, found.people) == (pytest.approx(4 / 7), 7, 4)
    away = less.difference(full, rng)
    assert (away.value, away.low, away.high, away.n) == (-1, -1, -1, 7)  # the same for everybody: no doubt about it


def test_a_share_without_a_hit_is_bounded_by_its_people(rng):
    found = Share(np.zeros((3, 4)), PEOPLE).interval(rng)
    assert (found.value, found.high, found.n) == (0, 3 / 4, 12)


def test_a_curve_and_how_far_it_is_from_another(rng):
    good = Curve(area, np.full((2, 4), 0.9), PEOPLE, np.full((2, 4), 0.1), PEOPLE)
    bad = replace(good, genuine=good.impostor, impostor=good.genuine)
    mixed = replace(good, genuine=np.array([[0.9] * 4, [np.nan, 0, 0, 0]]))
    assert good.seeds == [1, 1] and bad.seeds == [0, 0] and mixed.seeds == [1, 0]
    assert good.interval(rng).value == 1 and mixed.interval(rng).value == pytest.approx(4 / 7)
    assert bad.difference(good, rng).value == -1 and good.difference(good, rng).high == 0
    assert mixed.difference(good, rng).value == pytest.approx(4 / 7 - 1)


def test_rows_put_the_variants_of_a_figure_below_each_other_and_the_paper_beside_them():
    figure = Mean(np.ones((2, 4)), PEOPLE)
    found = {name: {"AUC": figure, "other": figure} for name in (ALL, "w/o syn")}
    made = rows("IX", found, "lfw", 0)
    assert [(row.name, row.paper) for row in made] == [
        (f"AUC, {ALL}", 0.973),
        ("AUC, w/o syn", 0.897),
        (f"other, {ALL}", None),
        ("other, w/o syn", None),
    ]
    assert "seeds 1.000, 1.000" in made[0].note and "against" not in made[0].note
    assert "+0.000 (+0.000 to +0.000) against all losses" in made[1].note
