"""Thresholds and reference cosines, set on dev identities by `python -m kfaar_core evaluate --table thresholds`.

They are saved as assets/thresholds/<preset>-<method>.json and never depend on test identities. The thresholds of the
judge do not depend on the method: they are the same in all files made with the same people. A method with different
networks for different key lengths has further files <bits>-bit/<preset>-<method>.json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from kfaar_core import hub
from kfaar_core.errors import BadWeights
from kfaar_core.files import write_whole
from kfaar_core.presets import PRESETS

FOLDER = Path(__file__).resolve().parent.parent / "assets" / "thresholds"

# KVFA's dev threshold has the highest CRR among the thresholds that accept at most this share of dev impostors. It is
# half of the target for test people (1 %), because a threshold fitted to a rate on some people exceeds it on others.
FAR_MAX = 0.005  # [design]
ENROLLED_FMR = 0.001  # share of strangers whose photo may pass for the enrolled person's  [design]


@dataclass(frozen=True)
class Calibration:
    """Thresholds of one preset and method, set on dev people."""

    judge_fmr_1: float  # judge cosine that 1 % of impostor pairs reach
    judge_fmr_01: float  # judge cosine that 0.1 % of impostor pairs reach
    kvfa_dev: float  # KVFA cosine of the best CRR, another photo of the person, shared keys; see FAR_MAX
    # Cosine of two photos' u that 0.1 % of impostor pairs reach; from it on they show one enrolled person. None: unset.
    enrolled: float | None = None
    marks: Mapping[str, float] = field(default_factory=dict)  # name -> mean cosine, reference lines of plots
    made_by: Mapping[str, str] = field(default_factory=dict)  # command, data, hashes

    @classmethod
    def tiny(cls) -> Calibration:
        """Fixed thresholds for the preset tiny, whose networks are untrained."""
        return cls(judge_fmr_1=0.9, judge_fmr_01=0.95, kvfa_dev=0.5, enrolled=-1.0)

    @classmethod
    def unset(cls) -> Calibration:
        """Infinite thresholds, for the run that sets the real ones; none of its figures depends on them."""
        return cls(*(float("inf"),) * 3)


def load_calibration(preset: str, method: str, bits: int = 0) -> Calibration:
    """Read the committed calibration of a preset and a method.

    Args:
        bits: length of the keys. Without a file for this length, the file for all lengths is read.

    Raises:
        BadWeights: the file is missing or damaged.
    """
    name = f"{preset}-{method}.json"
    folder = hub.folder("thresholds", FOLDER)
    own = folder / f"{bits}-bit" / name
    path = own if own.is_file() else folder / name
    mend = (
        "restore assets/thresholds from the repository, or run: python -m kfaar_core evaluate --table thresholds "
        f"--preset {preset.partition('-')[0]} --method {method} --data PATH -o assets/thresholds"
    )
    try:
        return Calibration(**json.loads(path.read_text()))
    except FileNotFoundError:
        got = f"the thresholds of the preset {preset!r} with the method {method!r} are missing ({path.name})"
    except (OSError, ValueError, TypeError):  # not readable, not JSON, other fields
        got = f"{path.name} holds no thresholds"
    raise BadWeights(got=got, mend=mend)


def load_judge_calibration(preset: str) -> Calibration:
    """The judge's thresholds alone, for methods whose virtual faces cannot be read; KVFA's is infinite.

    Raises:
        BadWeights: as load_calibration, for the preset's own method.
    """
    found = load_calibration(preset, PRESETS[preset.partition("-")[0]].method)
    marks = {name: value for name, value in found.marks.items() if name.startswith("judge")}
    return replace(found, kvfa_dev=float("inf"), marks=marks)


def has_calibration(preset: str, method: str) -> bool:
    """Whether a calibration of a preset and a method is committed."""
    return (hub.folder("thresholds", FOLDER) / f"{preset}-{method}.json").is_file()


def save_calibration(calibration: Calibration, preset: str, method: str, folder: Path = FOLDER) -> Path:
    """Write the calibration of a preset and a method, replacing an older file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{preset}-{method}.json"
    write_whole(path, (json.dumps(asdict(calibration), indent=2, sort_keys=True) + "\n").encode(), force=True)
    return path
