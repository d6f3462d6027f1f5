"""Thresholds and reference marks, set on dev identities by `python -m kfaar_core evaluate --table thresholds`.

They are saved as assets/thresholds/<preset>-<projector>.json and frozen: nothing from test ever touches them. The judge
never sees a projector, so that its thresholds are the same in all files that were made with the same people. A form
with a network of its own for another key length has thresholds of its own in <bits>-bit/<preset>-<projector>.json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from kfaar_core.errors import BadWeights
from kfaar_core.files import write_whole

FOLDER = Path(__file__).resolve().parent.parent / "assets" / "thresholds"

# KVFA's dev threshold is the one with the best CRR among those that accept at most this share of dev impostors. Half of
# the 1 % that test people are held to: a threshold that just keeps a rate on some people lets more of others through.
FAR_MAX = 0.005  # [design]


@dataclass(frozen=True)
class Calibration:
    """What dev people say about one preset."""

    judge_fmr_1: float  # judge cosine that 1 % of impostor pairs reach
    judge_fmr_01: float  # 0.1 %
    kvfa_dev: float  # KVFA cosine of the best CRR, other photo of the person, shared keys (see FAR_MAX, random_key_max)
    marks: Mapping[str, float] = field(default_factory=dict)  # name -> mean cosine, for the reader of a plot
    made_by: Mapping[str, str] = field(default_factory=dict)  # command, data, hashes

    @classmethod
    def tiny(cls) -> Calibration:
        """For the tiny preset, whose networks know no people."""
        return cls(judge_fmr_1=0.9, judge_fmr_01=0.95, kvfa_dev=0.5)

    @classmethod
    def unset(cls) -> Calibration:
        """For the run that sets the thresholds: nothing reaches these, and none of its figures depends on them."""
        return cls(judge_fmr_1=float("inf"), judge_fmr_01=float("inf"), kvfa_dev=float("inf"))


def load_calibration(preset: str, projector: str, bits: int = 0) -> Calibration:
    """The committed calibration of a preset with a projector.

    Args:
        bits: length of the keys; the thresholds of all lengths where it has none of its own.
    Raises:
        BadWeights: there is none, or it is no calibration.
    """
    name = f"{preset}-{projector}.json"
    own = FOLDER / f"{bits}-bit" / name
    path = own if own.is_file() else FOLDER / name
    mend = (
        "restore assets/thresholds from the repository, or run: python -m kfaar_core evaluate --table thresholds "
        f"--projector {projector} --data PATH -o assets/thresholds"
    )
    try:
        return Calibration(**json.loads(path.read_text()))
    except FileNotFoundError:
        got = f"the thresholds of the preset {preset!r} with the projector {projector!r} are missing ({path.name})"
    except (OSError, ValueError, TypeError):  # not readable, not JSON, other fields
        got = f"{path.name} holds no thresholds"
    raise BadWeights(got=got, mend=mend)


def has_calibration(preset: str, projector: str) -> bool:
    """Whether thresholds of a preset with a projector are committed."""
    return (FOLDER / f"{preset}-{projector}.json").is_file()


def save_calibration(calibration: Calibration, preset: str, projector: str, folder: Path = FOLDER) -> Path:
    """Write the calibration of a preset with a projector; over an old one, since it is made anew on purpose."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{preset}-{projector}.json"
    write_whole(path, (json.dumps(asdict(calibration), indent=2, sort_keys=True) + "\n").encode(), force=True)
    return path
