"""One training loop for every network: seeded by step, checkpointed, resumable, logged as CSV.

A batch is a function of its step number and the seed alone, so that a run that was killed and resumed sees the same
batches, writes the same curve and ends with the same weights, and the same seed gives the same weights on a CPU.
"""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn

from kfaar_core.errors import BadSetting
from kfaar_core.files import write_whole
from kfaar_core.train.settings import Training
from kfaar_core.weights import load_checkpoint

log = logging.getLogger(__name__)

Losses = Callable[[int], dict[str, Tensor]]  # step -> named terms, each 0-dim

SEED_STRIDE = 1_000_003  # more than any run has steps; torch's CPU generator looks at 32 bits of a seed only


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train."""

    steps: int
    rate: float = 2e-3  # peak of the one-cycle learning rate
    decay: float = 1e-4  # AdamW weight decay
    warm: float = 0.1  # share of the steps in which the rate rises
    seed: int = 0  # of what `losses` draws from torch
    bfloat16: bool = False  # autocast inside `losses`, on `device`
    device: str = "cpu"  # where frozen networks stand; what is trained may be small enough for the CPU
    log_steps: int = 100  # steps between lines of the log
    checkpoint_s: float = 120.0  # seconds between checkpoints; the last step always makes one


@dataclass(frozen=True)
class Checkpoints:
    """Where a training run keeps `checkpoint.pt`, `log.csv` and `settings.json`, and whether it continues from them."""

    folder: Path
    resume: bool = False  # go on from the checkpoint when there is one


@dataclass
class Curve:
    """What `log.csv` shows: each term's mean over the steps since the line before; travels with the checkpoint."""

    rows: list[dict[str, float]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)  # since the last row
    steps: int = 0  # summed up in them

    def add(self, terms: Mapping[str, float]) -> None:
        """One more step."""
        self.sums = {name: self.sums.get(name, 0.0) + value for name, value in terms.items()}
        self.steps += 1

    def line(self, step: int) -> dict[str, float]:
        """Close a row at this step; its means."""
        means = {name: value / self.steps for name, value in self.sums.items()}
        self.rows.append({"step": step, **means})
        self.sums, self.steps = {}, 0
        return means

    def write(self, path: Path) -> None:
        """The whole curve as CSV; a header alone before the first row."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, fieldnames=list(self.rows[0]) if self.rows else ["step"])
        writer.writeheader()
        writer.writerows(self.rows)
        write_whole(path, text.getvalue().encode(), force=True)


def plain_sum(terms: Mapping[str, Tensor]) -> Tensor:
    """The objective of terms that carry their weights already, 0-dim."""
    return torch.stack(tuple(terms.values())).sum()


def train(
    net: nn.Module,
    losses: Losses,
    plan: Plan,
    checkpoints: Checkpoints,
    objective: Callable[[Mapping[str, Tensor]], Tensor] = plain_sum,
    training: Training | None = None,
) -> None:
    """Train `net` in place.

    Args:
        net: on its device; in training mode while `losses` is asked, in evaluation mode afterwards.
        losses: step in [0, plan.steps) -> named terms; their means are what the log shows.
        objective: the terms -> what is minimised, 0-dim; for example a weighted sum (Eq. 10).
        training: kept in `settings.json` beside the plan.

    Raises:
        BadSetting: the checkpoint that is to be resumed was made with other settings.
        BadWeights: it cannot be read.
    """
    optimiser = torch.optim.AdamW(net.parameters(), lr=plan.rate, weight_decay=plan.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=plan.rate, total_steps=plan.steps + 1, pct_start=plan.warm
    )
    parts: dict[str, Any] = {"net": net, "optimiser": optimiser, "schedule": schedule}
    folder, first, curve = checkpoints.folder, 0, Curve()
    path = folder / "checkpoint.pt"
    resumed = checkpoints.resume and path.exists()
    keep_settings(folder / "settings.json", plan, training, resumed)
    if resumed:
        saved = load_checkpoint(path)
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        first, curve = saved["step"], Curve(**saved["curve"])
        log.info("resumed at step %d of %d", first, plan.steps)
    curve.write(folder / "log.csv")  # what an earlier run wrote after its last checkpoint comes again
    net.train()
    started = saved_at = monotonic()
    for step in range(first, plan.steps):
        torch.manual_seed(SEED_STRIDE * plan.seed + step)
        with torch.autocast(plan.device, dtype=torch.bfloat16, enabled=plan.bfloat16):
            terms = losses(step)
        optimiser.zero_grad(set_to_none=True)
        objective(terms).backward()
        optimiser.step()
        schedule.step()
        curve.add({name: float(term.detach()) for name, term in terms.items()})
        done, now = step + 1, monotonic()
        if done % plan.log_steps == 0 or done == plan.steps:
            means = curve.line(done)
            curve.write(folder / "log.csv")
            left = timedelta(seconds=round((now - started) / (done - first) * (plan.steps - done)))
            shown = " ".join(f"{name}={value:.4f}" for name, value in means.items())
            log.info("step %d/%d, %s left: %s", done, plan.steps, left, shown)
        if now - saved_at >= plan.checkpoint_s or done == plan.steps:
            state = {name: part.state_dict() for name, part in parts.items()}
            torch.save({**state, "step": done, "curve": asdict(curve)}, path.with_suffix(".part"))
            path.with_suffix(".part").rename(path)
            saved_at = now
    net.eval()


def keep_settings(path: Path, plan: Plan, training: Training | None, resumed: bool) -> None:
    """Write what a run depends on beside its log; a run that is resumed must still depend on the same.

    Raises:
        BadSetting: it does not, or nothing tells what it depended on.
    """
    groups = {"plan": asdict(plan), "training": asdict(training) if training else {}}
    now = json.loads(json.dumps(groups))  # tuples as the file has them
    if resumed:
        then = json.loads(path.read_bytes()) if path.exists() else {}
        changed = [
            name
            for group, values in now.items()
            for name, value in values.items()
            if name not in ("checkpoint_s", "device") and then.get(group, {}).get(name) != value
        ]
        if changed:
            raise BadSetting(
                got=f"the checkpoint was made with other settings of {', '.join(changed)}",
                mend="set them as settings.json beside it has them, or start again without --resume",
            )
    write_whole(path, (json.dumps(now, indent=2) + "\n").encode(), force=True)
    log.info("settings: %s", json.dumps(now["plan"]))
