"""The methods, found by their files: `kfaar_core/methods/NAME.py`, or NAME.py in a folder named by KFAAR_METHODS.

Listing names imports nothing, so that help texts answer at once; `get` and `registered` import the method files.
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

FOLDER_VARIABLE = "KFAAR_METHODS"  # a folder with method files of one's own
NO_METHODS = ("base",)

__path__ += [folder for folder in [os.environ.get(FOLDER_VARIABLE, "")] if folder]


def names() -> tuple[str, ...]:
    """Every method's name, sorted."""
    return tuple(sorted(name for _, name, _ in pkgutil.iter_modules(__path__) if name not in NO_METHODS))


def get(name: str) -> Method:
    """A method by its name.

    Raises:
        BadSetting: there is none of that name.
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
    """The preset with another method, where one is given.

    Raises:
        BadSetting: an unknown method.
    """
    return replace(preset, method=one_of("method", name or preset.method, names()))


def available(preset: Preset = LAB) -> tuple[str, ...]:
    """The names of the methods whose weights and thresholds are here, the preset's own first."""
    from kfaar_core import weights

    def present(method: Method) -> bool:
        if preset.name == "tiny":  # random weights and fixed thresholds
            return True
        here = all(weights.find(name) is not None for name in method.all_weights())
        return here and has_calibration(preset.name, method.name)

    found = [method.name for method in registered() if present(method)]
    return tuple(sorted(found, key=lambda name: name != preset.method))
