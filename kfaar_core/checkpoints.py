"""The published checkpoints of the paper's networks, for the preset `paper`: sources, pins, licences.

None of them is committed. Hashes and sizes come from public pages. A file without a hash here is pinned at first use.
"""

from __future__ import annotations

from kfaar_core.hub import HubFile
from kfaar_core.weights import ByHand, Pin, Weight, register

NVIDIA = "NVIDIA Source Code License-NC: research and other non-commercial use only"
RESEARCH = "for non-commercial research only"
LIVE_PORTRAIT = ("Kijai/LivePortrait_safetensors", "59f30f36d7b791929c25437df7461d5b0e0010b1")
TALKING_HEADS = "VoxCeleb, for research only"


def _stylegan2(side: int, file: str, sources: tuple[HubFile | ByHand, ...], pin: Pin | None, about: int) -> Weight:
    return Weight(
        name=f"stylegan2_{side}",
        file=file,
        sources=sources,
        pin=pin,
        about=about,
        entries=("g_ema", "latent_avg"),
        pickles=(
            "stylegan2-ffhq-config-f.pkl",
            "ffhq.pkl",
            f"stylegan2-ffhq-{side}x{side}.pkl",
        ),
        noncommercial=True,
        checked=False,
        licence_code="Apache-2.0 (this project); the published PyTorch form is rosinality's, MIT",
        licence_weights=NVIDIA,
        licence_data="FFHQ, CC BY-NC-SA 4.0",
        citation="Karras et al., Analyzing and Improving the Image Quality of StyleGAN, arXiv 1912.04958, 2020",
    )


def _live_portrait(part: str, sha256: str, size: int) -> Weight:
    repository, revision = LIVE_PORTRAIT
    return Weight(
        name=f"liveportrait_{part}",
        file=f"{part}.safetensors",
        sources=(HubFile(repository, f"{part}.safetensors", revision),),
        pin=Pin(sha256, size),
        noncommercial=True,
        checked=False,
        licence_code="Apache-2.0 (this project)",
        licence_weights="MIT (KwaiVGI/LivePortrait); its cropping uses InsightFace's models, " + RESEARCH,
        licence_data="talking heads (VoxCeleb, MEAD, RAVDESS and others), for research only",
        citation="Guo et al., LivePortrait: Efficient Portrait Animation with Stitching and Retargeting Control, "
        "arXiv 2407.03168, 2024",
    )


def _arcface(depth: str, source: HubFile, about: int, licence: str, data: str) -> Weight:
    return Weight(
        name=f"arcface_{depth}",
        file=source.file,
        sources=(source,),
        about=about,
        noncommercial=True,
        checked=False,
        licence_code="Apache-2.0 (this project)",
        licence_weights=licence,
        licence_data=data,
        citation="Deng et al., ArcFace: Additive Angular Margin Loss for Deep Face Recognition, arXiv 1801.07698, 2019",
        limits="A judge: nothing may be trained against it.",
    )


CHECKPOINTS = (
    Weight(
        name="facenet",
        file="facenet_20180402_114759_vggface2.pth",
        sources=(HubFile("py-feat/facenet", "facenet_20180402_114759_vggface2.pth"),),
        about=112_000_000,
        noncommercial=True,
        checked=False,
        licence_code="Apache-2.0 (this project); the published PyTorch form is facenet-pytorch's, MIT",
        licence_weights="MIT (David Sandberg's facenet)",
        licence_data="VGGFace2, " + RESEARCH,
        citation="Schroff et al., FaceNet: A Unified Embedding for Face Recognition and Clustering, arXiv 1503.03832, "
        "2015",
    ),
    _stylegan2(
        1024,
        "stylegan2-ffhq-config-f.pt",
        (
            HubFile("wmpscc/StyleGene", "stylegan2-ffhq-config-f.pt"),
            HubFile("wmpscc/StyleGene_CKPT", "stylegan2-ffhq-config-f.pt"),
        ),
        Pin("d0d7c5e71531c816b8cf01037393ee4fb65ed09dcb6434cc0197771e3051199b", 132_729_083),
        132_729_083,
    ),
    _stylegan2(
        256,
        "550000.pt",
        (ByHand("the releases of rosinality/stylegan2-pytorch (256px FFHQ, 550000 iterations)"),),
        None,
        360_000_000,
    ),
    Weight(
        name="facevid2vid",
        file="facevid2vid_00189-model.pth.tar",
        sources=(
            HubFile("vinthony/SadTalker", "checkpoints/facevid2vid_00189-model.pth.tar"),
            ByHand("the releases of OpenTalker/SadTalker (v0.0.2)"),
        ),
        about=2_112_000_000,
        entries=("generator", "kp_detector", "he_estimator"),
        noncommercial=True,
        checked=False,
        licence_code="Apache-2.0 (this project)",
        licence_weights="not stated; made with zhanglonghao1992's code and published with SadTalker: " + RESEARCH,
        licence_data=TALKING_HEADS,
        citation="Wang et al., One-Shot Free-View Neural Talking-Head Synthesis for Video Conferencing, arXiv "
        "2011.15126, 2021",
    ),
    _live_portrait(
        "appearance_feature_extractor", "38bef5de50a92bf1fc66e8c511051a19dfacdf80c37f8713425ec15dc9ca7d34", 3_361_936
    ),
    _live_portrait("motion_extractor", "3568cd410e29d046771acb55ecfdfe4c7c197d345bd8b7f95942ef63130b6c9e", 112_496_256),
    _live_portrait("warping_module", "f7b7834bd6039b4088f72e5161e60ad366f68a3763df8a3eac0bc0f9d46fdbbf", 182_158_564),
    _live_portrait("spade_generator", "ca04fbec765745e9eae836d2d7522c274647b277ce5f25104fa1705b75222212", 221_771_768),
    _live_portrait(
        "stitching_retargeting_module", "60725cf3523ae413880da28ed583c9e84c5c25695a0cef1b77210ea31cc424ea", 911_836
    ),
    _arcface(
        "r50",
        HubFile("py-feat/arcface_r50", "arcface_r50.safetensors"),
        174_000_000,
        "InsightFace buffalo_l, " + RESEARCH,
        "WebFace600K, for research only",
    ),
    _arcface(
        "r101",
        HubFile("minchul/cvlface_arcface_ir101_webface4m", "model.safetensors"),
        261_000_000,
        "MIT (CVLface)",
        "WebFace4M, " + RESEARCH,
    ),
    Weight(
        name="sphereface",
        file="sphere20a_20171020.pth",
        sources=(ByHand("the repository clcarwin/sphereface_pytorch (model/sphere20a_20171020.7z)"),),
        about=91_000_000,
        noncommercial=True,
        checked=False,
        licence_code="Apache-2.0 (this project)",
        licence_weights="MIT (clcarwin/sphereface_pytorch)",
        licence_data="CASIA-WebFace, " + RESEARCH,
        citation="Liu et al., SphereFace: Deep Hypersphere Embedding for Face Recognition, arXiv 1704.08063, 2017",
        limits="A judge: nothing may be trained against it.",
    ),
    Weight(
        name="fid_inception",
        file="fid_inception.safetensors",
        sources=(HubFile("nikhilr01/sen-bridge-weights", "fid_inception.safetensors"),),
        pin=Pin("b7a528bf4051f62c057bc14657865abf180a23eb1748d00ff0933d84698202ed", None),
        about=95_600_000,
        checked=False,
        licence_code="Apache-2.0 (this project); the published PyTorch form is pytorch-fid's, Apache-2.0",
        licence_weights="Apache-2.0 (TensorFlow's Inception of 2015-12-05)",
        licence_data="ImageNet, for research only",
        citation="Heusel et al., GANs Trained by a Two Time-Scale Update Rule, arXiv 1706.08500, 2017",
    ),
)
register(*CHECKPOINTS)
