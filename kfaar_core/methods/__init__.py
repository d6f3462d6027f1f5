"""Registry of methods. Each is one file: `kfaar_core/methods/NAME.py`, or NAME.py in the folder KFAAR_METHODS.

`names` imports no method, which keeps help texts fast. `get` and `registered` import the method files.
"""

from __future__ import annotations

import os
import pkgutil
from dataclasses import replace
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from kfaar_core.calibration import has_calibration
from kfaar_core.errors import BadSetting
from kfaar_core.presets import LAB, Preset, one_of

if TYPE_CHECKING:
    from kfaar_core.methods.base import Method

FOLDER_VARIABLE = "KFAAR_METHODS"  # environment variable: a folder with the user's own method files
NO_METHODS = ("base", "obscured", "rotated")

__path__ += [folder for folder in [os.environ.get(FOLDER_VARIABLE, "")] if folder]


def names() -> tuple[str, ...]:
    """The names of all methods, sorted."""
    return tuple(sorted(name for _, name, _ in pkgutil.iter_modules(__path__) if name not in NO_METHODS))


def get(name: str) -> Method:
    """The method with this name, or `NAME:ARGUMENT` for a method with variants.

    Raises:
        BadSetting: no method has that name, or an argument too many, missing or wrong.
    """
    name, colon, argument = name.partition(":")
    method = _imported(one_of("method", name, names()))
    if colon and method.variant is None:
        raise BadSetting(got=f"the method {name!r} with an argument", mend=f"write {name} alone")
    if method.needs_argument and not argument:
        raise BadSetting(got=f"the method {name!r} alone", mend=f"write {name}:{method.argument}")
    return method.variant(argument) if colon and method.variant else method


@cache
def _imported(name: str) -> Method:
    from kfaar_core import weights

    method: Method = import_module(f"{__name__}.{name}").METHOD
    weights.register(*method.registers)
    return method


def registered() -> tuple[Method, ...]:
    """Every method, in the order of menus and tables."""
    return tuple(sorted(map(_imported, names()), key=lambda method: (method.order, method.name)))


def readable() -> tuple[str, ...]:
    """The names of the methods from whose virtual faces the key reads the person, in the order of menus and tables."""
    return tuple(method.name for method in registered() if method.readable)


def with_method(preset: Preset, name: str | None) -> Preset:
    """A copy of the preset with this method; None keeps the preset's own.

    Raises:
        BadSetting: an unknown method.
    """
    chosen = name or preset.method
    if ":" in chosen:
        get(chosen)  # checks the argument
    else:
        one_of("method", chosen, names())
    return replace(preset, method=chosen)


def available(preset: Preset = LAB) -> tuple[str, ...]:
    """The names of the methods whose weights and thresholds are installed, the preset's own method first."""
    from kfaar_core import weights

    def present(method: Method) -> bool:
        if method.needs_argument:  # NAME alone is none
            return False
        if preset.name == "tiny":  # random weights and fixed thresholds
            return True
        own = (weights.trained_for(preset.name, name) for name in method.all_weights())
        here = all(weights.find(name) is not None for name in own)
        return here and (has_calibration(preset.calibrated_as, method.name) or not method.readable)

    present_names = [method.name for method in registered() if present(method)]
    return tuple(sorted(present_names, key=lambda name: name != preset.method))
