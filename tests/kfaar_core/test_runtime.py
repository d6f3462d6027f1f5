from __future__ import annotations

import numpy as np
import pytest
import torch

from kfaar_core.errors import BadSetting
from kfaar_core.runtime import device, has_bfloat16, stream


def test_a_stream_depends_on_seed_and_purpose_alone():
    first, again = (stream(7, "wrong keys").integers(0, 1 << 30, 4).tolist() for _ in range(2))
    assert first == again
    for other in (stream(8, "wrong keys"), stream(7, "wrong key"), stream(7, "")):
        assert other.integers(0, 1 << 30, 4).tolist() != first


def test_streams_ignore_the_global_state():
    np.random.seed(0)
    first = stream(1, "a").random()
    np.random.seed(1)
    assert stream(1, "a").random() == first


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device() == device("cpu") == torch.device("cpu")
    with pytest.raises(BadSetting, match=r"'cuda', but this machine has none.*Use cpu\."):
        device("cuda")
    with pytest.raises(BadSetting, match=r"The device 'tpu'\. Use auto, cpu or cuda\."):
        device("tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device() == device("cuda") == torch.device("cuda") and device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("there", [False, True])
def test_bfloat16_where_the_hardware_has_it(monkeypatch, there):
    class Core:
        def get_property(self, place: str, name: str) -> list[str]:
            assert (place, name) == ("CPU", "OPTIMIZATION_CAPABILITIES")
            return ["FP32", "BF16"] if there else ["FP32"]

    monkeypatch.setattr("kfaar_core.runtime.openvino_core", Core)
    assert has_bfloat16(torch.device("cpu")) is there
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: not there)
    assert has_bfloat16(torch.device("cuda")) is not there
