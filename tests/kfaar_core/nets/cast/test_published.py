"""Every network takes the names and shapes of its published file, and no others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kfaar_core import weights
from kfaar_core.errors import BadWeights
from kfaar_core.nets.cast.arcface import ArcFace
from kfaar_core.nets.cast.facenet import FaceNet
from kfaar_core.nets.cast.facevid2vid import FaceVid2Vid
from kfaar_core.nets.cast.fid_inception import FidInception
from kfaar_core.nets.cast.liveportrait import FILES, LivePortrait
from kfaar_core.nets.cast.published import COUNTER, load_strictly, part, without_spectral_norm
from kfaar_core.nets.cast.sphereface import SphereFace
from kfaar_core.nets.cast.stylegan2 import StyleGan2
from tests.kfaar_core.nets.cast.recorded import empty, shapes, trained

State = dict[str, Tensor]


def live_portrait(state: State) -> LivePortrait:
    return LivePortrait.from_published({file: part(state, f"{file}.") for file in FILES})


LOADERS: dict[str, Callable[[State], nn.Module]] = {
    "facenet": FaceNet.from_published,
    "stylegan2_1024": StyleGan2.from_published,
    "stylegan2_256": lambda state: StyleGan2.from_published(state, side=256),
    "facevid2vid": FaceVid2Vid.from_published,
    "liveportrait": live_portrait,
    "arcface_r50": ArcFace.from_published,
    "arcface_r50_insightface": ArcFace.from_published,
    "arcface_ir101_cvlface": lambda state: ArcFace.from_published(state, depth=100),
    "sphereface20": SphereFace.from_published,
    "fid_inception": FidInception.from_published,
}
LARGE = ("liveportrait", "arcface_r50_insightface", "arcface_ir101_cvlface", "fid_inception")  # half a second each
# Tensor of a file that is taken away, renamed or reshaped below.
VICTIMS = {
    "facenet": "repeat_2.3.branch1.1.conv.weight",
    "stylegan2_1024": "g_ema.convs.4.conv.modulation.bias",
    "stylegan2_256": "g_ema.to_rgbs.2.bias",
    "facevid2vid": "kp_detector.kp.weight",
    "liveportrait": "motion_extractor.detector.fc_exp.weight",
    "arcface_r50": "layer3.5.conv2.bias",
    "arcface_r50_insightface": "layer3.5.bn2.running_var",
    "arcface_ir101_cvlface": "model.net.body.20.res_layer.3.weight",
    "sphereface20": "relu3_4.weight",
    "fid_inception": "Mixed_6c.branch7x7_2.conv.weight",
}
# Parameters of the list that the network does not take: classification heads, and LivePortrait's networks for eyes and
# mouth. (ArcFace in the other layouts loses its normalisations to the convolutions.)
LEFT_OUT = {
    "facenet": 8631 * 513,
    "stylegan2_1024": 0,
    "stylegan2_256": 0,
    "facevid2vid": 0,
    "liveportrait": sum(
        int(np.prod(shape))
        for name, shape in shapes("liveportrait").items()
        if "retarget_eye" in name or "mouth" in name
    ),
    "arcface_r50": 0,
    "sphereface20": 512 * 10574,
    "fid_inception": 1008 * 2049,
}


def nested(state: State) -> dict[str, object]:
    """{"a.b.c": t} -> {"a": {"b.c": t}} for the parts of a training checkpoint."""
    parts: dict[str, object] = {}
    for name, tensor in state.items():
        first, _, rest = name.partition(".")
        if rest:
            inner = parts.setdefault(first, {})
            assert isinstance(inner, dict)
            inner[rest] = tensor
        else:
            parts[name] = tensor
    return parts


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in LOADERS]
)
def test_the_published_file_is_loaded(name, tmp_path):
    """From a file that is written here, read as the registry reads it."""
    file = tmp_path / "checkpoint.pt"
    state = empty(name)
    torch.save(nested(state) if name.startswith(("stylegan2", "facevid2vid")) else state, file)
    net = LOADERS[name](dict(weights._flat(weights.load_checkpoint(file))))
    tensors = [*net.parameters(), *net.buffers()]
    assert not any(tensor.is_meta for tensor in tensors) and not net.training
    assert {tensor.dtype for tensor in tensors if tensor.is_floating_point()} == {torch.float32}
    assert not any(parameter.requires_grad for parameter in net.parameters())
    if name in LEFT_OUT:
        assert sum(parameter.numel() for parameter in net.parameters()) == trained(name) - LEFT_OUT[name]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        *((name, "absent") for name in LOADERS if name not in LARGE),
        *((name, fault) for name in ("stylegan2_256", "arcface_r50") for fault in ("unknown", "reshaped")),
    ],
)
def test_another_file_is_refused(name, fault):
    state, victim = empty(name), VICTIMS[name]
    tensor = state.pop(victim)
    if fault == "unknown":
        state |= {victim: tensor, f"{victim.rpartition('.')[0]}.surplus": torch.zeros(1)}
    if fault == "reshaped":
        state[victim] = torch.zeros(*tensor.shape, 1)
    with pytest.raises(BadWeights, match="not the published file"):
        LOADERS[name](state)


def test_the_counts_are_the_published_ones():
    """FaceNet: facenet-pytorch's README; StyleGAN2: NVIDIA's print of configuration F; LivePortrait: its speed.md."""
    assert trained("facenet") - 8631 * 513 == 23_482_624
    assert trained("stylegan2_1024") == 30_370_060
    live = [
        sum(int(np.prod(shape)) for tensor, shape in shapes("liveportrait").items() if counted(file, tensor)) / 1e6
        for file in FILES
    ]
    assert [round(millions, 2) for millions in live] == [0.84, 28.12, 45.53, 55.37, 0.23]
    assert round(trained("arcface_r50_insightface") / 1e6, 1) == 43.6
    assert round(trained("arcface_ir101_cvlface") / 1e6, 1) == 65.2
    assert round((trained("sphereface20") - 512 * 10574) / 1e6, 2) == 22.67


def counted(file: str, tensor: str) -> bool:
    fixed = ("running_mean", "running_var", COUNTER, "weight_u", "weight_v")
    return tensor.startswith(f"{file}.") and not tensor.endswith(fixed)


@pytest.mark.parametrize(
    ("file", "size"),
    [
        ("appearance_feature_extractor", 3_361_936),
        ("motion_extractor", 112_496_256),
        ("warping_module", 182_158_564),
        ("spade_generator", 221_771_768),
        ("stitching_retargeting_module", 911_836),
    ],
)
def test_the_list_of_liveportrait_makes_files_of_the_published_size(file, size):
    """To the byte: safetensors writes names, shapes and numbers in one way only."""
    listed = {name.removeprefix(f"{file}."): shape for name, shape in shapes("liveportrait").items() if file in name}
    assert safetensors_size(listed) == size


def safetensors_size(listed: dict[str, tuple[int, ...]]) -> int:
    """Bytes of a safetensors file of torch: the length of its header, the header, padded to eight, and the tensors."""
    head: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name in sorted(listed, key=lambda name: (not name.endswith(COUNTER), name)):  # int64 before float32
        kind, each = ("I64", 8) if name.endswith(COUNTER) else ("F32", 4)
        end = at + each * int(np.prod(listed[name]))
        head[name] = {"dtype": kind, "shape": list(listed[name]), "data_offsets": [at, end]}
        at = end
    length = len(json.dumps(head, separators=(",", ":")))
    return 8 + length + -length % 8 + at


def test_our_count_of_a_files_bytes_is_safetensors_own(tmp_path):
    from safetensors.torch import save_file

    listed = {"a.weight": (3, 2), f"a.{COUNTER}": (), "b": (5,)}
    kinds = {name: torch.int64 if name.endswith(COUNTER) else torch.float32 for name in listed}
    file = tmp_path / "some.safetensors"
    save_file({n: torch.zeros(shape, dtype=kinds[n]) for n, shape in listed.items()}, file, metadata={"format": "pt"})
    assert file.stat().st_size == safetensors_size(listed)


@pytest.mark.parametrize(
    ("name", "size"), [("stylegan2_1024", 132_729_083), ("fid_inception", 95_628_359)]
)  # of the published pickles
def test_the_lists_fill_their_pickles(name, size):
    bytes_of_tensors = sum((8 if n.endswith(COUNTER) else 4) * int(np.prod(s)) for n, s in shapes(name).items())
    per_tensor = (size - bytes_of_tensors) / len(shapes(name))
    assert 60 < per_tensor < 400  # names and places; one more convolution or one less would show


@pytest.mark.slow
def test_a_folder_of_liveportrait_as_pickles_is_read_too():
    state = empty("liveportrait")
    last = FILES[-1]
    own = {file: part(state, f"{file}.") for file in FILES}
    own[last] = {name.replace("_module.", ".module.", 1): tensor for name, tensor in own[last].items()}
    assert isinstance(LivePortrait.from_published(own), LivePortrait)
    with pytest.raises(BadWeights, match="stitching"):
        LivePortrait.from_published({file: own[file] for file in FILES[:-1]})


def test_sadtalkers_safetensors_are_refused_by_what_they_lack():
    state = {
        name.replace("kp_detector.", "kp_extractor."): tensor
        for name, tensor in empty("facevid2vid").items()
        if not name.startswith("he_estimator.")
    }
    with pytest.raises(BadWeights, match=r"no pose estimator.*facevid2vid_00189-model\.pth\.tar"):
        FaceVid2Vid.from_published(state | {"audio2exp.netG.weight": torch.zeros(1)})


def test_mtcnn_is_the_published_one():
    """The real files, inside facenet-pytorch. Counts: of the paper's Caffe networks."""
    from kfaar_core.torchvision_shim import prepare

    prepare()
    from facenet_pytorch.models.mtcnn import ONet, PNet, RNet

    for stage, build, count in (("pnet", PNet, 6632), ("rnet", RNet, 100_178), ("onet", ONet, 389_040)):
        net = load_strictly(lambda build=build: build(pretrained=False), weights.load(f"mtcnn_{stage}"))
        assert sum(parameter.numel() for parameter in net.parameters()) == count


def test_a_network_is_built_once_and_adopts_its_tensors():
    state = {"weight": torch.ones(2, 3, dtype=torch.float16), "bias": torch.zeros(2)}
    net = load_strictly(lambda: nn.Linear(3, 2), state)
    assert net.bias.data_ptr() == state["bias"].data_ptr()
    assert net.weight.dtype == torch.float32 and net(torch.ones(1, 3)).tolist() == [[3.0, 3.0]]


def test_a_missing_counter_is_no_fault():
    state = {name: torch.ones(4) for name in ("weight", "bias", "running_mean", "running_var")}
    assert load_strictly(lambda: nn.BatchNorm1d(4), state).num_batches_tracked == 0


def test_only_a_few_names_are_told():
    with pytest.raises(BadWeights) as told:
        load_strictly(lambda: nn.Sequential(*(nn.Linear(2, 2) for _ in range(9))), {})
    assert told.value.got.endswith("it has no 0.bias, no 0.weight, no 1.bias and 15 more")


def test_spectral_normalisation_is_that_of_torch():
    torch.manual_seed(0)
    layer = torch.nn.utils.spectral_norm(nn.Conv2d(5, 4, 3, padding=1))
    x = torch.randn(2, 5, 6, 6)
    for _ in range(40):  # training moves the singular vectors
        layer(x)
    layer.eval()
    plain = without_spectral_norm({f"up.{name}": tensor for name, tensor in layer.state_dict().items()})
    assert set(plain) == {"up.weight", "up.bias"}
    torch.testing.assert_close(nn.functional.conv2d(x, plain["up.weight"], plain["up.bias"], padding=1), layer(x))
    largest = np.linalg.svd(plain["up.weight"].flatten(1).double().numpy(), compute_uv=False)[0]
    assert largest == pytest.approx(1, abs=1e-5)


def test_the_lists_name_their_source():
    for file in (Path(__file__).parent / "published").glob("*.txt"):
        assert file.read_text().startswith("# ") and file.stem in LOADERS
