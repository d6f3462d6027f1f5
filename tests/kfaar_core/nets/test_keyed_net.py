from __future__ import annotations

import torch

from kfaar_core.nets.keyed_net import KeyedNet


def test_readings_are_seen_as_they_stand_among_training_faces():
    torch.manual_seed(0)
    plain, other = KeyedNet(reading=5, bits=8, dimension=3, hidden=16), KeyedNet(5, 8, 3, hidden=16)
    mean, scale = torch.tensor([1.0, -2, 0, 5, 9]), torch.tensor([0.5, 1, 2, 4, 0.1])
    other.load_state_dict(plain.state_dict() | {"mean": mean, "scale": scale})
    reading, bits = torch.randn(4, 5), torch.ones(4, 8)
    found = plain(reading, bits)
    assert found.shape == (4, 3)
    torch.testing.assert_close(other(mean + scale * reading, bits), found, atol=1e-5, rtol=1e-4)


def test_a_key_and_no_key_and_another_key():
    torch.manual_seed(0)
    net = KeyedNet(reading=5, bits=8, dimension=3, hidden=16)
    reading = torch.randn(1, 5)
    keys = [torch.zeros(1, 8), torch.ones(1, 8), -torch.ones(1, 8), torch.ones(1, 8) - 2 * torch.eye(8)[:1]]
    answers = [net(reading, key) for key in keys]
    for i, one in enumerate(answers):
        assert all((one - other).abs().max() > 1e-4 for other in answers[:i])


def test_mean_and_scale_travel_with_the_weights_and_are_not_learned():
    net = KeyedNet(reading=5, bits=8, dimension=3)
    assert {"mean", "scale"} <= net.state_dict().keys() and not {"mean", "scale"} & dict(net.named_parameters()).keys()
