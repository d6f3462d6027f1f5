"""Cores that are shared with other programs: threads that wait without spinning, and no more of them than cores free.

Faces are drawn by torch and OpenVINO. The threads of torch's OpenMP spin while they wait, which takes the time that
others on the same cores need to get ready. benchmarks/shared_cores.py measures it.
"""

from __future__ import annotations

import os

# For os.environ.setdefault, before torch is imported: OpenMP's threads sleep while they wait.
PASSIVE = ("OMP_WAIT_POLICY", "PASSIVE")


def free_cores(load: float | None = None, cores: int | None = None) -> int:
    """How many threads this machine has room for.

    Args:
        load: processes that run or want to, averaged over a minute; None asks the system, where it can tell.
        cores: that this process may use; None asks the system.

    Returns:
        Cores that others leave free, 1 at least.
    """
    if cores is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if load is None:
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1, min(cores, round(cores - load)))
