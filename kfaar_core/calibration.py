"""Thresholds and reference marks, set on dev identities by `python -m kfaar_core evaluate --table thresholds`.

They are saved as assets/thresholds/<preset>.json and frozen: nothing from test ever touches them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from kfaar_core.errors import BadWeights
from kfaar_core.files import write_whole

FOLDER = Path(__file__).resolve().parent.parent / "assets" / "thresholds"


@dataclass(frozen=True)
class Calibration:
    """What dev people say about one preset."""

    judge_fmr_1: float  # judge cosine that 1 % of impostor pairs reach
    judge_fmr_01: float  # 0.1 %
    kvfa_dev: float  # KVFA cosine at which the share of right decisions is largest, other photo of the person
    marks: Mapping[str, float] = field(default_factory=dict)  # name -> mean cosine, for the reader of a plot
    made_by: Mapping[str, str] = field(default_factory=dict)  # command, data, hashes

    @classmethod
    def tiny(cls) -> Calibration:
        """For the tiny preset, whose networks know no people."""
        return cls(judge_fmr_1=0.9, judge_fmr_01=0.95, kvfa_dev=0.5)


def load_calibration(preset: str) -> Calibration:
    """The committed calibration of a preset.

    Raises:
        BadWeights: there is none.
    """
    path = FOLDER / f"{preset}.json"
    if not path.is_file():
        raise BadWeights(
            got=f"the thresholds of the preset {preset!r} are missing ({path.name})",
            mend="restore assets/thresholds from the repository, or run: "
            "python -m kfaar_core evaluate --table thresholds --data PATH -o assets/thresholds",
        )
    return Calibration(**json.loads(path.read_text()))


def save_calibration(calibration: Calibration, preset: str, folder: Path = FOLDER) -> Path:
    """Write the calibration of a preset; over an old one, since it is made anew on purpose."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{preset}.json"
    write_whole(path, (json.dumps(asdict(calibration), indent=2, sort_keys=True) + "\n").encode(), force=True)
    return path
