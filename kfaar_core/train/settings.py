"""Every number that training depends on, with its origin; the committed weights were made with LAB_TRAINING."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from typing import Any

from kfaar_core.errors import BadSetting


@dataclass(frozen=True, kw_only=True)
class Correction:
    """Weights and tolerances of the posture correction."""

    keep: float = 10.0  # lambda, weight of a change of identity                [dev]
    angle_tolerance: float = 0.02  # sd, in units of 10 degrees                 [dev]
    shape_tolerance: float = 0.1  # sd, of a blendshape                        [dev]
    group_reach: tuple[float, ...] = (1.0, 1.0, 0.1)  # coarse, middle, fine: how far they may move  [dev]


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training configuration. Origins: [design] chosen before measuring; [dev] on held-out renders or people;
    [paper] stated by the paper: the weights of the losses in Section V-A."""

    seed: int = 0
    batch: int = 64  # faces                                                    [design]
    rate: float = 2e-3  # peak learning rate of the networks                    [design]
    mixed_shards: int = 32  # of 250 renders                                    [design]
    posed_shards: int = 20  # of 250 renders                                    [design]
    judge_steps: int = 12000  # about 180 epochs                                [design]
    judge_batch: int = 256  # faces                                             [design]
    judge_decay: float = 5e-4  #                                                [design]
    geometry_steps: int = 5200  #                                               [design]
    geometry_decay: float = 1e-4  #                                             [design]
    tune_steps: int = 2600  # with posed renders beside the rest                [design]
    tune_rate: float = 1e-3  #                                                  [design]
    latent_ridge: float = 0.1  # rows from w, share of its mean variance        [dev]
    posed_correction: Correction = Correction(  # one step, in the posed renders [dev]
        keep=30.0, shape_tolerance=0.06, group_reach=(1.0, 0.5, 0.1)
    )
    correction: Correction = Correction()  # at run time, repeated              [dev]
    dimension: int = 32  # d                                                    [design]
    amplitude: float = 1.3  # sd of the payload, in sds of the mixed renders' w [dev]
    truncation: float = 0.55  # sd of everything else                            [dev]
    identity_shrink: float = 0.1  # of the within-class scatter                 [dev]
    reader_ridge: float = 0.003  # of E's mean variance                         [dev]
    # `hashed` and `bits`
    styled_shards: int = 64  # mixed renders for F's first training, on styles [design]
    code_dimension: int = 64  # d of `hashed`                                   [dev]
    code_size: float = 1.1  # sd of the code along each natural coordinate      [dev]
    look_size: float = 0.2  # sd of the noise that the key draws beside it      [dev]
    channel_shards: int = 10  # further ones, for surrogate encoders            [design]
    reader_batch: int = 256  # faces, of F                                      [design]
    reader_rate: float = 1e-3  # peak learning rate of F                        [dev]
    reader_decay: float = 0.05  #                                               [dev]
    reader_noise: float = 0.05  # sd, on the coordinates of its appearance model [dev]
    styles_steps: int = 6000  # of F's first training                           [dev]
    draft_shards: int = 70  # of 250 renders by the bootstrap P                 [design]
    code_shards: int = 26  # of 250 renders by the trained P                    [design]
    draft_unseen: int = 12  # further ones, for surrogate models                [design]
    proxies: int = 2  # surrogate renderers in the ensemble                    [dev]
    proxy_epochs: int = 30  #                                                  [dev]
    unseen_shards: int = 8  # further ones, to which h is fitted               [design]
    code_ridge: float = 0.5  # of the features' mean variance                  [dev]
    code_seen: float = 1.0  # weight of u of E's embedding in h                 [dev]
    code_steps: int = 500  # of F's second training                            [dev]
    styles_share: float = 0.25  # weight of the styles beside the code          [design]
    reliable_shrink: float = 1.0  # of the within-class scatter, for u of P's training [dev]
    second_shrink: float = 0.3  # the same for u of the auxiliary encoder         [dev]
    wide_shrink: float = 2.0  # the same for u of the encoder pair              [dev]
    wide_power: float = 1.5  # `reliable` of its identity map                   [dev]
    axis_shards: int = 10  # mixed renders along the generator's first axis    [design]
    axis_ridge: float = 1.0  # of their features' mean variance                 [design]
    axis_evens: float = 0.6  # strength of class re-weighting along it; 0: none  [dev]
    bits_steps: int = 1500  # of each P of `bits`, through M                     [design]
    bits_rate: float = 1e-3  #                                                  [dev]
    bits_batch: int = 128  # triplets                                           [design]
    bits_shards: int = 8  # of 250 renders by each P of `bits`                 [design]
    keyed_steps: int = 1500  # of the keyed MLP of `bits`                       [design]
    bits_truncation: float = 0.7  # of w in `bits`                              [design]
    look_parts: int = 8  # of 250 labelled persons, for the axes of `look`        [design]
    natural_limit: float = 1.35  # sds of a natural coordinate                   [design]
    projector_steps: int = 1500  #                                              [design]
    projector_batch: int = 256  # triplets                                      [design]
    projector_keys: int = 16  # keys a batch                                    [design]
    projector_rate: float = 5e-4  #                                             [design]
    gallery: int = 120  # generated faces of the method `ksame`                 [design]
    # losses of P (Eq. 10) and of KVFA (Eq. 20, 23)
    margin: float = 0.0  # m of L_cos, which the paper does not give           [design]
    lambda_ano: float = 0.4  #                                                  [paper, V-A]
    lambda_syn: float = 1.0  #                                                  [paper, V-A]
    lambda_div: float = 1.0  #                                                  [paper, V-A]
    lambda_dif: float = 1.0  #                                                  [paper, V-A]
    lambda_pmis1: float = 1.0  #                                                [paper, V-A]
    lambda_pmis2: float = 1.0  #                                                [paper, V-A]
    lambda_pmis3: float = 1.0  #                                                [paper, V-A]
    lambda_per1: float = 1.0  #                                                 [paper, V-A]
    lambda_per2: float = 1.0  #                                                 [paper, V-A]
    lambda_read: float = 2.0  # the code is read from the corrected face        [dev]
    lambda_seen: float = 2.0  # E sees the person of the code, in `hashed`       [dev]
    # Smaller than lambda_read: while P still ignores the key, equal weights cancel, and nothing is ever learned.
    lambda_wrong: float = 1.5  # a wrong key reads something else, in `bits`     [dev]
    lambda_natural: float = 30.0  # natural coordinates stay within the limit    [dev]

    def projector_weights(self) -> dict[str, float]:
        """Weights of the terms that P is trained with, by name: the paper's four and ours."""
        return self._weights("ano", "syn", "div", "dif", "read", "seen", "wrong", "natural")

    def kvfa_weights(self) -> dict[str, float]:
        """Weights of the terms that KVFA is trained with, by name."""
        return self._weights("pmis1", "pmis2", "pmis3", "per1", "per2")

    def _weights(self, *names: str) -> dict[str, float]:
        return {name: getattr(self, f"lambda_{name}") for name in names}


LAB_TRAINING = Training()


def with_settings(training: Training, changes: Iterable[str]) -> Training:
    """The configuration with some numbers changed; the last change of a name counts.

    Args:
        changes: "name=value" each. A number within a group is "group.name=value"; a row of numbers is "1,0.5,0.1".

    Raises:
        BadSetting: no "=", an unknown name, or a value that is not of the setting's kind.
    """
    for change in changes:
        name, equals, text = (part.strip() for part in change.partition("="))
        if not equals:
            raise BadSetting(got=f"the setting {change!r} has no value", mend="write it as name=value")
        present = _flat(asdict(training))
        if name not in present:
            near = get_close_matches(name, present, n=1)
            meant = f"did you mean {near[0]}? The names are" if near else "choose one of"
            raise BadSetting(got=f"the setting {name!r} is unknown", mend=f"{meant} {', '.join(present)}")
        training = _replaced(training, name, _parsed(name, text, present[name]))
    return training


def _flat(values: dict[str, Any], group: str = "") -> dict[str, Any]:
    """Every number by its name, those of a group as "group.name"."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _flat(value, f"{group}{name}.") if isinstance(value, dict) else {f"{group}{name}": value}
    return found


def _replaced(settings: Any, name: str, value: object) -> Any:
    field, _, rest = name.partition(".")
    return replace(settings, **{field: _replaced(getattr(settings, field), rest, value) if rest else value})


def _parsed(name: str, text: str, present: object) -> object:
    """The text as a value of the same kind as the present one."""
    try:
        if isinstance(present, tuple):
            return tuple(_number(part, type(present[0])) for part in text.split(","))
        return _number(text, type(present))
    except (ValueError, OverflowError):
        kinds = {int: "a whole number", float: "a number", tuple: "numbers with commas between them"}
        raise BadSetting(
            got=f"the setting {name} cannot be {text!r}", mend=f"give {kinds[type(present)]}, such as {_shown(present)}"
        ) from None


def _number(text: str, kind: type) -> float:
    value = kind(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
