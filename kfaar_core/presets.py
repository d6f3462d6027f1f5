"""Presets: the only home of default numbers. Every number that can change a result stands here, with its origin.

Origins: [paper] stated by the paper; [design] chosen before measuring; [dev] chosen on train or dev identities;
[data] fixed by the data or weights that it belongs to.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from kfaar_core.errors import BadSetting


@dataclass(frozen=True, kw_only=True)
class Descent:
    """How stages.refine moves a face; all chosen on 9 to 48 dev people. Prices stand beside 1 - cosine."""

    steps: int = 46  # 0 leaves faces as the posture correction made them
    side: int = 128  # px of the picture that gradients go through; 64 px tell too little
    measured: int = 9  # steps between two looks at the full picture
    augment_turn: float = 3.0  # degrees, sd by which recognisers' looks at the whole picture are off
    augment_growth: float = 0.04  # sd of a share
    augment_shift: float = 0.027  # sd, shares of the crop
    rate: float = 0.15  # of Adam, sds of a natural coordinate
    colour_rate: float = 0.045  # of those of the fine layers: any quicker, colours turn garish
    turn_rate: float = 0.02  # of Adam, units of a posture vector
    betas: tuple[float, float] = (0.8, 0.95)  # of Adam
    identity_weight: float = 0.3  # of 1 - cosine of E's u with the code
    auxiliary_weight: float = 0.9  # the same of the second recogniser's u
    near_weight: float = 4.0  # of the square by which a key-less read-out comes nearer to the photo than
    near_margin: float = 0.2  # this cosine, which one stranger in twelve reaches
    bias_weight: float = 1.5  # of the squared cosine of E's view with what all virtual faces share
    angle_weight: float = 0.6  # of a squared gap of 10 degrees
    shape_weight: float = 0.05  # of a squared gap of a whole blendshape
    move_weight: float = 1.5e-4  # of a coordinate's squared move by one sd


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One configuration of the whole system; the paper's threshold of 0.7 is from Section V-C."""

    name: str
    # detect
    detect_min: float = 0.90  # MTCNN confidence below which a box is no face        [design]
    detect_side: int = 1280  # px, longest side of the picture that MTCNN looks at  [design]
    face_min: int = 40  # px, smallest eye-to-eye based face width accepted    [design]
    # encode
    encoder: str = "sface"  # E, also R in training                                       [dev]
    judge: str = "judge"  # R of the tables, never trained against                [design]
    # project
    method: str = "floor"  # one of kfaar_core.methods                             [design]
    key_bits: int = 256  # default length of a new key                           [design]
    # generate
    generator: str = "mobile_stylegan"  #                                                       [design]
    side: int = 512  # px at which faces are measured and, unless asked otherwise, answered    [design]
    sides: tuple[int, ...] = (512, 1024)  # px that may be asked for         [data]
    precision: str = "bf16"  # of the CPU runtime, where the CPU has it; PSNR 45 dB to f32   [dev]
    # correct
    correct_steps: int = 2  # renders after x': correct, measure, correct           [dev]
    descent: Descent = Descent()  # that follows, where P says what KVFA shall read   [dev]
    turn_steps: int = 4  # further ones that correct the head's angles alone       [dev]
    # recognise
    match_threshold: float = 0.7  # accept when cosine >= this; the paper's          [paper, V-C]
    threshold_in_force: str = "dev"  # dev: the calibrated one; paper: match_threshold    [dev]
    whole_share: float = 0.3  # in `hashed`, of the code as E sees it in the whole picture, beside h [dev]
    # edge cases (VI-C-2)
    rekey_tries: int = 3  # keys tried at most when a virtual face comes too close   [design]
    look_min: float = 0.12  # perceptual distance of x and x_v below which they look alike  [dev]
    # authentication server
    tries_per_hour: int = 100  # per client and virtual face                           [design]


LAB = Preset(name="lab", method="hashed")
PAPER = replace(LAB, name="paper", encoder="facenet_vggface2", judge="arcface", generator="stylegan2", side=1024)
TINY = replace(
    LAB,
    name="tiny",
    method="floor",
    encoder="tiny",
    judge="tiny",
    generator="tiny",
    side=32,
    sides=(32, 64),
    face_min=12,
    descent=Descent(steps=0),
)
PRECISIONS = ("bf16", "f32")  # of the CPU runtime
PRESETS = {preset.name: preset for preset in (LAB, PAPER, TINY)}
RUNNABLE = ("lab", "tiny")  # those whose networks this version has


def get_preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        BadSetting: an unknown name, or `paper`, whose weights this version does not load yet.
    """
    one_of("preset", name, PRESETS)
    if name not in RUNNABLE:
        raise BadSetting(
            got="the preset 'paper' (FaceNet, StyleGAN2, FaceVid2Vid) is declared but its networks are not wired yet",
            mend="use the preset lab, which needs no download",
        )
    return PRESETS[name]


def one_of(what: str, name: str, known: Collection[str]) -> str:
    """The name itself.

    Raises:
        BadSetting: it is not among the known ones.
    """
    if name not in known:
        raise BadSetting(got=f"the {what} {name!r}", mend=f"choose one of {', '.join(known)}")
    return name
