from __future__ import annotations

import torch

from kfaar_core.quantised import dequantised, quantised


def test_levels_lie_about_the_zero_of_their_block():
    state = {
        "w.levels": torch.tensor([[10, 12, 0, -4], [1, 1, 1, 3]], dtype=torch.int8),
        "w.zeros": torch.tensor([[10, 0], [0, 1]], dtype=torch.int8),
        "w.steps": torch.tensor([[0.5, 2.0], [1.0, -1.0]]),
        "bias": torch.tensor([3.0], dtype=torch.float16),
    }
    found = dequantised(state)
    assert set(found) == {"w", "bias"} and found["bias"] is state["bias"]
    assert found["w"].tolist() == [[0.0, 1.0, 0.0, -8.0], [1.0, 1.0, 0.0, -2.0]]


def test_blocks_run_on_through_all_axes_but_the_first():
    levels = torch.arange(16, dtype=torch.int8).reshape(2, 2, 2, 2)
    state = {"w.levels": levels, "w.zeros": torch.zeros(2, 1, dtype=torch.int8), "w.steps": torch.tensor([[1.0], [10]])}
    assert torch.equal(dequantised(state)["w"], levels * torch.tensor([1.0, 10])[:, None, None, None])


def test_a_weight_comes_back_within_half_a_step_of_its_row():
    weight = (
        torch.randn(5, 3, 7, generator=torch.Generator().manual_seed(0))
        * torch.tensor([1e-3, 1, 40, 0, 2])[:, None, None]
    )
    state = quantised("w", weight)
    assert state["w.levels"].dtype == torch.int8 and state["w.levels"].shape == weight.shape
    assert state["w.levels"].flatten(1)[[0, 1, 2, 4]].abs().amax(dim=1).tolist() == [127] * 4
    away = (dequantised(state)["w"] - weight).abs().flatten(1).amax(dim=1)
    assert (away <= weight.abs().flatten(1).amax(dim=1) / 127 / 2 + 1e-7).all() and away[3] == 0
