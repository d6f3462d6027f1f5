"""What blur, pixelate and mask share: a filter of the face in the photo. No key, and nothing to read back."""

from __future__ import annotations

from kfaar_core.methods.base import Method, MethodNetworks, SharedStages
from kfaar_core.stages.obscure import Filter, HullEditor


def obscured(name: str, label: str, about: str, order: int, change: Filter) -> Method:
    """The method that pastes a filtered picture into the hull of the face.

    Args:
        name, label, about, order: see Method.
        change: the filter.
    """

    def build(shared: SharedStages) -> MethodNetworks:
        return MethodNetworks(encoder=shared.encoder, editor=HullEditor(change))

    return Method(
        name=name,
        label=label,
        about=f"{about}; no key",
        order=order,
        build=build,
        keyed=False,
        readable=False,
        corrects_posture=False,
        in_place=True,
    )
