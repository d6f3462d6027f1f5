"""One training loop for every network: seeded by step, checkpointed, resumable, logged as CSV.

A batch is a function of its step number alone, so that a run that was killed and resumed sees the same batches, and the
same seed gives the same weights on a CPU.
"""

from __future__ import annotations

import csv
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from kfaar_core.weights import load_checkpoint

log = logging.getLogger(__name__)

Losses = Callable[[int], dict[str, Tensor]]  # step -> named, weighted terms; their sum is minimised


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train."""

    steps: int
    rate: float = 2e-3  # peak of the one-cycle learning rate
    decay: float = 1e-4  # AdamW weight decay
    warm: float = 0.1  # share of the steps in which the rate rises
    checkpoint_s: float = 120.0  # seconds between checkpoints


def train(net: nn.Module, losses: Losses, plan: Plan, folder: Path, resume: bool = False) -> None:
    """Train `net` in place; writes `checkpoint.pt` and `log.csv` into `folder`.

    Args:
        net: on its device, in training mode when this returns to the caller's `losses`.
        losses: step in [0, plan.steps) -> named terms.
        resume: go on from the checkpoint when there is one.
    """
    optimiser = torch.optim.AdamW(net.parameters(), lr=plan.rate, weight_decay=plan.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=plan.rate, total_steps=plan.steps + 1, pct_start=plan.warm
    )
    path, first = folder / "checkpoint.pt", 0
    if resume and path.exists():
        saved = load_checkpoint(path)
        net.load_state_dict(saved["net"])
        optimiser.load_state_dict(saved["optimiser"])
        schedule.load_state_dict(saved["schedule"])
        first = saved["step"]
        log.info("resumed at step %d of %d", first, plan.steps)
    net.train()
    started = saved_at = time.monotonic()
    sums: dict[str, float] = {}
    logged = first
    for step in range(first, plan.steps):
        torch.manual_seed(step)
        terms = losses(step)
        optimiser.zero_grad(set_to_none=True)
        torch.stack(tuple(terms.values())).sum().backward()
        optimiser.step()
        schedule.step()
        for name, term in terms.items():
            sums[name] = sums.get(name, 0.0) + float(term.detach())
        now = time.monotonic()
        if (step + 1) % 100 == 0 or step + 1 == plan.steps:
            count = step + 1 - logged
            left = (now - started) / (step + 1 - first) * (plan.steps - step - 1)
            means = {name: value / count for name, value in sums.items()}
            shown = " ".join(f"{name}={value:.4f}" for name, value in means.items())
            log.info("step %d/%d, %.0f s left: %s", step + 1, plan.steps, left, shown)
            append(folder / "log.csv", {"step": step + 1, **means})
            sums, logged = {}, step + 1
        if now - saved_at > plan.checkpoint_s or step + 1 == plan.steps:
            state = {"net": net.state_dict(), "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict()}
            torch.save({**state, "step": step + 1, "plan": asdict(plan)}, path.with_suffix(".part"))
            path.with_suffix(".part").rename(path)
            saved_at = now
    net.eval()


def append(path: Path, row: dict[str, float]) -> None:
    """One more line of a CSV log, with a header when the file is new."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)
