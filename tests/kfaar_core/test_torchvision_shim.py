from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from kfaar_core.torchvision_shim import nms, prepare, real_operators_load


def reference(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    """Greedy suppression, one pair of boxes at a time, areas counted in unit cells of a grid."""

    def cells(box: np.ndarray) -> set[tuple[int, int]]:
        left, top, right, bottom = box.astype(int)
        return {(x, y) for x in range(left, right) for y in range(top, bottom)}

    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        one = cells(boxes[i])
        if all(len(one & cells(boxes[j])) <= threshold * len(one | cells(boxes[j])) for j in kept):
            kept.append(i)
    return kept


def test_nms_by_hand():
    boxes = torch.tensor(
        [
            [0.0, 0.0, 10.0, 10.0],
            [0.0, 5.0, 10.0, 15.0],  # overlaps the first by 50 / 150 = 1/3
            [0.0, 1.0, 10.0, 11.0],  # overlaps the first by 90 / 110 = 0.82, the second by 60 / 140 = 0.43
            [50.0, 50.0, 60.0, 60.0],
        ]
    )
    scores = torch.tensor([0.7, 0.8, 0.9, 0.1])
    assert nms(boxes, scores, 0.3).tolist() == [2, 3]
    assert nms(boxes, scores, 0.5).tolist() == [2, 1, 3]
    assert nms(boxes, scores, 0.9).tolist() == [2, 1, 0, 3]


def test_exactly_at_the_threshold_is_kept():
    boxes = torch.tensor([[0.0, 0.0, 2.0, 1.0], [1.0, 0.0, 2.0, 1.0]])  # overlap 1 / 2
    scores = torch.tensor([0.9, 0.8])
    assert nms(boxes, scores, 0.5).tolist() == [0, 1]
    assert nms(boxes, scores, 0.49).tolist() == [0]


def test_edges_of_the_input():
    assert nms(torch.zeros(0, 4), torch.zeros(0), 0.5).shape == (0,)
    assert nms(torch.zeros(0, 4), torch.zeros(0), 0.5).dtype == torch.int64
    same = torch.tensor([[0.0, 0.0, 4.0, 4.0]]).repeat(3, 1)
    assert nms(same, torch.tensor([0.5, 0.5, 0.5]), 0.5).tolist() == [0]  # ties: the earlier box
    assert nms(torch.zeros(2, 4), torch.tensor([0.2, 0.3]), 0.5).tolist() == [1, 0]  # empty boxes overlap nothing


@pytest.mark.parametrize("seed", range(6))
def test_nms_equals_the_brute_force_reference(seed):
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 20, (40, 2))
    boxes = np.concatenate([corner, corner + rng.integers(1, 15, (40, 2))], axis=1).astype(np.float32)
    scores = rng.integers(0, 12, 40).astype(np.float32) / 12  # with ties
    for threshold in (0.2, 0.37, 0.7):
        found = nms(torch.from_numpy(boxes), torch.from_numpy(scores), threshold)
        assert found.tolist() == reference(boxes, scores, threshold)


def test_prepare_lets_torchvision_suppress_boxes():
    assert prepare() == prepare()  # a second call changes nothing
    from torchvision.ops import batched_nms

    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 1.0, 10.0, 11.0], [0.0, 1.0, 10.0, 11.0]])
    kept = batched_nms(boxes, torch.tensor([0.9, 0.8, 0.7]), torch.tensor([0, 0, 1]), 0.5)
    assert kept.tolist() == [0, 2]  # the third box is of another group


def test_prepare_stands_aside_where_the_real_operators_load(monkeypatch):
    loaded: list[str] = []
    monkeypatch.setattr(torch.ops, "load_library", loaded.append)
    assert real_operators_load()
    assert len(loaded) == 1 and "_C" in loaded[0]
    assert prepare.__wrapped__() is False


def test_the_detector_imports_in_a_fresh_process_and_sees_nothing_in_noise():
    code = (
        "from kfaar_core.torchvision_shim import prepare; prepare()\n"
        "import numpy, facenet_pytorch\n"
        "noise = numpy.random.default_rng(0).integers(0, 256, (80, 80, 3)).astype('uint8')\n"
        "boxes, _ = facenet_pytorch.MTCNN(keep_all=True, device='cpu').detect(noise)\n"
        "assert boxes is None, boxes\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
