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
from kfaar_core.presets import LAB, Preset, one_of

if TYPE_CHECKING:
    from kfaar_core.methods.base import Method

FOLDER_VARIABLE = "KFAAR_METHODS"  # environment variable: a folder with the user's own method files
NO_METHODS = ("base",)

__path__ += [folder for folder in [os.environ.get(FOLDER_VARIABLE, "")] if folder]


def names() -> tuple[str, ...]:
    """The names of all methods, sorted."""
    return tuple(sorted(name for _, name, _ in pkgutil.iter_modules(__path__) if name not in NO_METHODS))


def get(name: str) -> Method:
    """The method with this name.

    Raises:
        BadSetting: no method has that name.
    """
    return _imported(one_of("method", name, names()))


@cache
def _imported(name: str) -> Method:
    from kfaar_core import weights

    method: Method = import_module(f"{__name__}.{name}").METHOD
    weights.register(*method.registers)
    return method


def registered() -> tuple[Method, ...]:
    """Every method, in the order of menus and tables."""
    return tuple(sorted(map(get, names()), key=lambda method: (method.order, method.name)))


def with_method(preset: Preset, name: str | None) -> Preset:
    """A copy of the preset with this method; None keeps the preset's own.

    Raises:
        BadSetting: an unknown method.
    """
    return replace(preset, method=one_of("method", name or preset.method, names()))


def available(preset: Preset = LAB) -> tuple[str, ...]:
    """The names of the methods whose weights and thresholds are installed, the preset's own method first."""
    from kfaar_core import weights

    def present(method: Method) -> bool:
        if preset.name == "tiny":  # random weights and fixed thresholds
            return True
        here = all(weights.find(name) is not None for name in method.all_weights())
        return here and has_calibration(preset.name, method.name)

    present_names = [method.name for method in registered() if present(method)]
    return tuple(sorted(present_names, key=lambda name: name != preset.method))
