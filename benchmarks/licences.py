"""List the licences of all packages of an installation: those of requirements.txt and what they need. Prints JSON.

python -m benchmarks.licences

A package without a licence in its metadata is listed with null, and the exit code is 1. The licences of the weights are
listed by `python -m kfaar_core weights`.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement

from benchmarks.serving import ROOT

GENERAL = ("OSI Approved", "Other/Proprietary License")  # classifiers that name no licence


def needed() -> dict[str, Distribution]:
    """The packages of requirements.txt and theirs, as installed; not those for other systems or extras."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    waiting = [Requirement(line) for line in lines if line and not line.startswith("#")]
    found: dict[str, Distribution] = {}
    while waiting:
        wanted = waiting.pop()
        name = wanted.name.lower().replace("_", "-")
        if name in found or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:  # optional on this system
            continue
        waiting += [Requirement(line) for line in found[name].requires or ()]
    return dict(sorted(found.items()))


def licence(package: Distribution) -> str | None:
    """The licence that the metadata name: the expression, a short field, or the classifiers."""
    about = package.metadata
    named = about.get("License-Expression") or about.get("License") or ""
    if named.strip() and len(named) < 80:
        return named.strip()
    classifiers = [line.rpartition(" :: ")[2] for line in about.get_all("Classifier", []) if line.startswith("License")]
    exact = [each for each in classifiers if each not in GENERAL]
    first = (
        named.strip().splitlines()[0].strip() if named.strip() else None
    )  # the text of a licence begins with its name
    return ", ".join(exact) or first


def main() -> None:
    """Print."""
    listed = {name: {"version": each.version, "licence": licence(each)} for name, each in needed().items()}
    print(json.dumps(listed, indent=2))
    sys.exit(any(each["licence"] is None for each in listed.values()))


if __name__ == "__main__":
    main()
