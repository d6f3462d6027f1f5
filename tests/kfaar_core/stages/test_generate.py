from __future__ import annotations

import torch

from kfaar_core.nets.mobile_stylegan import STYLES, Mapping
from kfaar_core.stages.generate import GROUPS, mean_style, part, w_plus


def test_three_groups_become_23_styles_in_order():
    w = torch.arange(3.0)[None, :, None].expand(2, 3, 512)
    assert w_plus(w).shape == (2, 23, 512)
    assert w_plus(w)[1, :, 0].tolist() == [0.0] * 7 + [1.0] * 6 + [2.0] * 10
    assert sum(GROUPS) == STYLES


def test_a_part_of_a_state_loses_its_prefix_and_is_float32():
    state = {"mapping.a": torch.ones(2).half(), "synthesis.mapping.a": torch.zeros(1)}
    found = part(state, "mapping.")
    assert list(found) == ["a"] and found["a"].dtype == torch.float32


def test_the_mean_style_is_fixed_and_close_to_other_samples():
    torch.manual_seed(0)
    mapping = Mapping(depth=1).eval().requires_grad_(False)
    first, again = (mean_style(mapping, torch.device("cpu")) for _ in range(2))
    assert torch.equal(first, again)
    z = torch.randn(2000, 512)
    off = (mapping(z).mean(dim=0) - first).norm()
    assert off < 3 * (mapping(z).var(dim=0).sum() * (1 / 2000 + 1 / 4096)).sqrt()
