"""Run an attack on an evaluation: python -m kfaar_core attack NAME --data PATH -o DIR."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kfaar_core.assemble import Stages
from kfaar_core.attacks.base import Attack
from kfaar_core.attacks.evidence import GALLERY, SIMULATED, gather, simulated
from kfaar_core.attacks.result import AttackResult, result_of, save
from kfaar_core.data.cache import ArrayCache
from kfaar_core.data.synthetic import SYNTHETIC, synthetic_people
from kfaar_core.evaluate.context import EvaluationConfig, EvaluationContext, Progress, hashes
from kfaar_core.files import cache_folder
from kfaar_core.presets import LAB, Preset
from kfaar_core.results import safe_command
from kfaar_core.servers import AnonymisationServer


@dataclass(frozen=True, kw_only=True)
class AttackRun:
    """The settings of a run; the fields are those of evaluate.runner.Evaluation."""

    data: str | None = None
    preset: Preset = LAB  # includes method and precision
    refine: bool = True  # of methods that can; several times slower
    simulate: float | None = None  # cosine of readings that are simulated, in place of faces that are made
    limit: int | None = None
    gallery: int = GALLERY  # most other people in galleries
    seed: int = 0
    threads: int = 0
    jobs: int = 1

    def config(self) -> EvaluationConfig:
        """From which every process opens its context."""
        preset = self.preset
        if not self.refine:
            preset = replace(preset, descent=replace(preset.descent, steps=0))
        return EvaluationConfig(preset, self.data, self.limit, self.seed, self.threads, jobs=self.jobs)


def on_nobody(attack: Attack, stages: Stages, people: int, progress: Progress) -> AttackResult:
    """Run an attack on generated people, with stages that are loaded already.

    Their virtual faces are made without refinement (stages.refine), so that it takes seconds.

    Args:
        people: number of people attacked. A third as many further people are enrolled in the attack's galleries.
        progress: called with (done, of): faces first, then the steps of the attack.
    """
    config = AttackRun(data=SYNTHETIC, preset=stages.preset, refine=False, limit=people + people // 3).config()
    plain, used = replace(stages, preset=config.preset, refiner=None), hashes(config.preset)
    cache = ArrayCache(cache_folder("evaluate"))
    data = synthetic_people(plain, cache, config.seed, config.limit, used.get("mobile_stylegan", ""))
    context = EvaluationContext(config, plain, AnonymisationServer(plain), data, cache, used, progress)
    evidence = gather(context, people, attack.needs)
    return result_of(attack, evidence, attack.measure(evidence, progress), command="")


def run(attacks: Sequence[Attack], asked: AttackRun, out: Path, progress: Progress | None = None) -> list[Path]:
    """Run attacks on one evidence, and write a result file for each.

    Args:
        attacks: which.
        asked: the settings.
        out: folder of the files.
        progress: called with (done, of): faces first, then the steps of each attack.

    Returns:
        The paths of the result files. Of several attacks, those that need refinement are left out where there is none.

    Raises:
        DataMissing: the data do not exist, or have no usable face.
        BadSetting: a single attack that needs refinement, without it.
    """

    def tell(done: int, of: int) -> None:
        if progress:
            progress(done, of)

    context = asked.config().open(progress)
    if len(attacks) > 1 and context.stages.refiner is None:
        attacks = [attack for attack in attacks if not attack.refines]
    if len(attacks) > 1 and asked.simulate is not None:
        attacks = [attack for attack in attacks if set(attack.needs) <= set(SIMULATED) and not attack.looks]
    needs = list(dict.fromkeys(part for attack in attacks for part in attack.needs))
    if asked.simulate is None:
        evidence = gather(context, asked.limit, needs, asked.gallery)
    else:
        evidence = simulated(context, asked.limit, needs, asked.simulate, asked.gallery)
    command = safe_command(["python", "-m", "kfaar_core", *sys.argv[1:]])
    return [save(result_of(attack, evidence, attack.measure(evidence, tell), command), out) for attack in attacks]
