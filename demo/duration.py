"""How many seconds of a GPU a drawing asks for on a Space with ZeroGPU. A visitor's quota counts what is asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

# Upper bounds, not measured on such a Space: a call that takes longer than it asked for is cut off.  [design]
START = 4.0  # s, until a GPU has the networks
FACE = 2.0  # s, a face without refinement
REFINED = 10.0  # s, a face with it


def seconds(photos: int, keys: int, refine: bool, tries: int = 1) -> int:
    """Photos x keys x the work of one face.

    Args:
        refine: whether each face is refined.
        tries: how often a face may be drawn, with further keys, until it passes its checks.
    """
    work = REFINED if refine else FACE
    return math.ceil(START + photos * keys * tries * work)


def of_drawing(request: Mapping[str, Any], key: str) -> int:
    """Of one call of LocalCore's drawing: one photo under one key.

    Args:
        request: the fields of an AnonymiseRequest without the key.
        key: not looked at.
    """
    return seconds(1, 1, bool(request.get("refine", True)), 1 + int(request.get("rekey", 0)))
