"""Presets: every default number that can change a result, with its origin.

Origins: [paper] stated by the paper; [design] chosen before measuring; [dev] chosen on train or dev identities;
[data] fixed by the data or weights that it belongs to.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, is_dataclass, replace
from typing import Any

from kfaar_core import hub
from kfaar_core.errors import BadSetting


@dataclass(frozen=True, kw_only=True)
class Descent:
    """Hyperparameters of refinement (stages.refine), chosen on 9 to 48 dev people.

    The weights are relative to the term 1 - cosine of the decoded code, whose weight is 1.
    """

    steps: int = 46  # 0 switches refinement off
    side: int = 128  # px of the picture that gradients are computed on; 64 px show too little
    measured: int = 9  # the full picture is measured once in this many steps
    augment_turn: float = 3.0  # standard deviation of the augmentation's rotation, degrees
    augment_growth: float = 0.04  # standard deviation of its relative scale
    augment_shift: float = 0.027  # standard deviation of its shift, as a share of the crop's side
    rate: float = 0.15  # learning rate of natural coordinates, in their standard deviations
    colour_rate: float = 0.045  # learning rate for the fine layers; higher rates oversaturate colours
    turn_rate: float = 0.02  # learning rate of the posture steps, units of a posture vector
    betas: tuple[float, float] = (0.8, 0.95)  # of Adam
    identity_weight: float = 0.3  # of 1 - cosine of E's u with the code
    auxiliary_weight: float = 0.9  # of 1 - cosine of the auxiliary encoder's u with the code
    near_weight: float = 4.0  # of the squared excess of a key-less cosine with the photo over near_margin
    near_margin: float = 0.2  # cosine that one stranger in twelve exceeds
    bias_weight: float = 1.5  # of the squared cosine of GeneratorBiasPenalty
    angle_weight: float = 0.6  # of the squared error of an angle, unit 10 degrees
    shape_weight: float = 0.05  # of the squared error of a blendshape
    move_weight: float = 1.5e-4  # of the squared step of a natural coordinate, unit one standard deviation


@dataclass(frozen=True, kw_only=True)
class Enrolment:
    """How stages.refine writes a code into a person, once a key; everything else is as in Descent."""

    steps: int = 60  # [dev, two people]
    turned: int = 2  # further postures in which the face is read at each step  [dev, two people]


@dataclass(frozen=True, kw_only=True)
class Hold:
    """How refinement keeps what the eye sees: the coarse picture of the face before it."""

    weight: float  # of the mean squared difference of the coarse pictures, whose levels lie in [-1, 1]
    cell: int = 8  # px of the small picture that one px of the coarse one averages over; 16 x 16 px are left  [dev]
    layer_rate: float = 0.015  # learning rate of single layers, in sds of natural coordinates; 0: groups alone  [dev]


@dataclass(frozen=True, kw_only=True)
class Looks:
    """How the key draws a person, for methods that take the look from the key."""

    spread: float = 0.8  # sd of the person's natural coordinates; 1 gives rarer, less natural faces  [dev]
    candidates: int = 64  # persons drawn, of whom the one nearest to the key's sex, age and skin is taken  [design]
    ages: tuple[float, float] = (20.0, 70.0)  # years, uniform between them                                 [design]
    hold: Hold = Hold(weight=20.0)  # [dev, 6 people]
    auxiliary_weight: float = 0.5  # of refinement, see Descent                                       [dev, 6 people]


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One configuration of the whole system. The paper's threshold of 0.7 is from Section V-C."""

    name: str
    # detect
    detect_min: float = 0.90  # lowest MTCNN confidence of a face                    [design]
    detect_side: int = 1280  # px, longest side of the picture that MTCNN gets      [design]
    face_min: int = 40  # px, smallest eye-to-eye based face width accepted    [design]
    # encode
    encoder: str = "sface"  # E, also R in training                                       [dev]
    judge: str = "judge"  # R of the tables, never trained against                [design]
    # project
    method: str = "floor"  # one of kfaar_core.methods                             [design]
    key_bits: int = 256  # default length of a new key                           [design]
    # generate
    generator: str = "mobile_stylegan"  #                                                       [design]
    side: int = 512  # px of faces that are measured, and default side of the portrait         [design]
    sides: tuple[int, ...] = (512, 1024)  # px, sides of the portrait on offer  [data]
    precision: str = "bf16"  # of the CPU runtime, if the CPU supports it; PSNR 45 dB to f32 [dev]
    # correct
    corrector: str = "latent"  # G_f                                                       [design]
    correct_steps: int = 2  # most renders of the posture correction after x'       [dev]
    descent: Descent = Descent()  # refinement, for methods that refine               [dev]
    enrolment: Enrolment = Enrolment()  # of a person, for later photos               [dev]
    looks: Looks = Looks()  # of methods that take the look from the key             [dev]
    turn_steps: int = 4  # most renders that correct the head angles alone, last   [dev]
    # recognise
    match_threshold: float = 0.7  # the paper's: accept when cosine >= this          [paper, V-C]
    threshold_in_force: str = "dev"  # dev: set on dev people; paper: match_threshold     [dev]
    whole_share: float = 0.3  # in `hashed`, weight of the code from E's embedding of the whole picture [dev]
    # edge cases (VI-C-2)
    rekey_tries: int = 3  # most further keys to try when a virtual face is rejected [design]
    look_min: float = 0.12  # visual difference (1 - SSIM) below which x and x_v are too similar  [dev]
    # authentication server
    # Per client and virtual face. At the threshold of `hashed` a random key passes 5 times in 100,000; so within the
    # limit one passes on less than one day in a hundred (attacks/oracle.py).
    tries_per_hour: int = 5  # [design]

    @property
    def calibrated_as(self) -> str:
        """The name of its thresholds: another judge than the preset's own has other ones."""
        own = PRESETS.get(self.name)
        return self.name if own is None or own.judge == self.judge else f"{self.name}-{self.judge}"


LAB = Preset(name="lab", method="hashed")
PAPER = replace(
    LAB,
    name="paper",
    method="bits",
    key_bits=8,  # of its headline tables                                                  [paper, V-B-2]
    encoder="facenet_vggface2",
    judge="arcface",
    generator="stylegan2",
    corrector="facevid2vid",
    side=256,  # FaceVid2Vid's                                                             [paper]
    sides=(256,),
)
TINY = replace(
    LAB,
    name="tiny",
    method="floor",
    encoder="tiny",
    judge="tiny",
    generator="tiny",
    corrector="tiny",
    side=32,
    sides=(32, 64),
    face_min=12,
    descent=Descent(steps=0),
)
PUBLISHED_PRESET = "preset.json"  # of a published run
PRECISIONS = ("bf16", "f32")  # of the CPU runtime
PRESETS = {preset.name: preset for preset in (LAB, PAPER, TINY)}


def get_preset(name: str) -> Preset:
    """The preset with this name: that of the published run which KFAAR_HUB_REPO names, else ours.

    Raises:
        BadSetting: an unknown name, or settings of another version of this software.
        BadWeights: see hub.published.
    """
    ours = PRESETS[one_of("preset", name, PRESETS)]
    run = hub.published()
    if run is None or not (run / PUBLISHED_PRESET).is_file():
        return ours
    told = json.loads((run / PUBLISHED_PRESET).read_text(encoding="utf-8"))
    if told.get("name") != name:
        return ours
    try:
        found: Preset = _told(ours, told)
        return found
    except TypeError as error:
        raise BadSetting(
            got=f"the published run has settings that this version of kfaar does not know ({name})",
            mend="install the version that published it, or unset KFAAR_HUB_REPO",
        ) from error


def _told(like: Any, told: Any) -> Any:
    """A record such as `like` from what JSON has of it: dictionaries in place of records, lists in place of tuples."""
    if is_dataclass(like) and not isinstance(like, type):
        return replace(like, **{name: _told(getattr(like, name, None), value) for name, value in told.items()})
    return tuple(told) if isinstance(told, list) else told


def one_of(what: str, name: str, known: Collection[str]) -> str:
    """Return `name` after checking that it is known.

    Args:
        what: the kind of thing, for the error.

    Raises:
        BadSetting: an unknown name.
    """
    if name not in known:
        raise BadSetting(got=f"the {what} {name!r}", mend=f"choose one of {', '.join(known)}")
    return name
