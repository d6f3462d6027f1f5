"""The attack laboratory: one file an attack, in order of their codes. `get` and `every` import the files."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING

from kfaar_core.presets import one_of

if TYPE_CHECKING:
    from kfaar_core.attacks.base import Attack

BESIDE = ("base", "evidence", "pictures", "result", "run")  # files of this folder that are no attacks


def names() -> tuple[str, ...]:
    """The names of all attacks, sorted."""
    files = [name for _, name, _ in pkgutil.iter_modules(__path__) if name not in BESIDE]
    return tuple(sorted(name.replace("_", "-") for name in files))


def get(name: str) -> Attack:
    """The attack with this name.

    Raises:
        BadSetting: no attack has that name.
    """
    file = one_of("attack", name, names()).replace("-", "_")
    attack: Attack = import_module(f"{__name__}.{file}").ATTACK
    return attack


def every() -> tuple[Attack, ...]:
    """Every attack, in the order of their codes."""
    return tuple(sorted(map(get, names()), key=lambda attack: attack.order))
