from __future__ import annotations

import torch
from torch import nn

from kfaar_core.nets.projector_net import GROUPS, LEADING, BitsNet, HashedNet


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def silent(layers: nn.Module) -> None:
    """A network that answers zeros."""
    nn.init.zeros_(list(layers.parameters())[-2])
    nn.init.zeros_(list(layers.parameters())[-1])


def test_code_and_noise_both_draw_the_face():
    torch.manual_seed(0)
    net = HashedNet(code=6, noise=4, hidden=16).eval()
    code, noise = random(3, 6), random(3, 4, seed=1)
    found = net(code, noise)
    assert found.shape == (3, GROUPS, LEADING)
    for moved in (net(code + 1, noise), net(code, noise + 1)):
        assert (moved != found)[..., 1:].all()
    torch.testing.assert_close(net(code[1:2], noise[1:2]), found[1:2])


def test_the_first_coordinate_of_all_layers_is_the_first_of_the_noise():
    torch.manual_seed(0)
    net = HashedNet(code=6, noise=4, hidden=16).eval()
    code, noise = random(3, 6), random(3, 4, seed=1)
    for found in (net(code, noise), net(code + 1, noise)):
        torch.testing.assert_close(found[..., 0], noise[:, :1].expand(3, GROUPS))


def test_where_it_does_not_bend_the_hashed_net_is_linear():
    """So it starts: half the way between two codes stands half the way between their faces."""
    torch.manual_seed(0)
    net = HashedNet(code=6, noise=4, hidden=16)
    a, b, noise = random(1, 6), random(1, 6, seed=1), random(1, 4, seed=2)

    def between() -> torch.Tensor:
        return net((a + b) / 2, noise) - (net(a, noise) + net(b, noise)) / 2

    assert between().abs().max() > 1e-3
    silent(net.bend)
    torch.testing.assert_close(between(), torch.zeros(1, GROUPS, LEADING), atol=1e-6, rtol=0)


def test_in_the_paper_s_form_the_key_stands_beside_the_feature():
    torch.manual_seed(0)
    net = BitsNet(feature=6, bits=8, hidden=16).eval()
    z, bits = random(2, 6), torch.ones(2, 8)
    found = net(z, bits)
    assert found.shape == (2, 512)
    for place in range(8):
        flipped = bits.clone()
        flipped[0, place] = -1
        other = net(z, flipped)
        assert (other[0] != found[0]).any()
        torch.testing.assert_close(other[1], found[1])
    assert (net(z + 1, bits) != found).any(dim=1).all()
