"""What the recipes share: the command that is run, and how its result is saved.

A recipe is a function that trains or fits one artefact for a Run, saves the weights, and returns its metrics.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kfaar_core import methods, weights
from kfaar_core.files import write_whole
from kfaar_core.presets import LAB, Preset
from kfaar_core.quantised import quantised
from kfaar_core.results import safe_command
from kfaar_core.train.artefacts import save_state
from kfaar_core.train.data import CPU, TrainingData
from kfaar_core.train.live import LiveTrainingData
from kfaar_core.train.renders import Sampler, mixed_styles
from kfaar_core.train.settings import Training

LARGE = 4096  # numbers in a tensor from which it is saved in half precision
Metrics = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One training command."""

    training: Training
    lfw: Path  # parquet file
    out: Path  # folder of the weights
    resume: bool = False  # continue from the checkpoint
    device: torch.device = CPU  # on any other one, faces are rendered during training (train.live)
    command: tuple[str, ...] = ()  # its words, for the model card
    preset: Preset = LAB  # whose E and G are trained for

    @cached_property
    def data(self) -> TrainingData:
        """The training data, with surrogate models in place of rendering on a CPU."""
        if self.device.type == "cpu":
            return TrainingData(self.training, self.lfw, preset=self.preset)
        return LiveTrainingData(self.training, self.lfw, self.device, preset=self.preset)

    def save(self, name: str, state: Mapping[str, Tensor], metrics: Metrics, as_bytes: Collection[str] = ()) -> Metrics:
        """Write a registered weight and its model card; `convert manifest` pins them afterwards.

        Args:
            name: of the weight. state: large tensors are saved as float16.
            metrics: for the card.
            as_bytes: names of tensors that are saved as 8-bit levels.

        Returns:
            The metrics.
        """
        methods.registered()  # each registers its weights
        small: dict[str, Tensor] = {}
        for key, tensor in state.items():
            if key in as_bytes:
                small |= quantised(key, tensor)
            else:
                small[key] = tensor.half() if tensor.numel() > LARGE else tensor
        self.out.mkdir(parents=True, exist_ok=True)
        save_state(self.out / f"{name}.safetensors", small)
        card = {
            "command": safe_command(["python", "-m", "kfaar_core.train", *self.command]),
            "preset": self.preset.name,
            "data": f"{weights.entry(weights.trained_for(self.preset.name, name)).licence_data}; see NOTICE",
            "training": asdict(self.training),
            "metrics": metrics,
            "limits": weights.entry(weights.trained_for(self.preset.name, name)).limits,
        }
        write_whole(self.out / f"{name}.card.json", (json.dumps(card, indent=2) + "\n").encode(), force=True)
        return metrics


Recipe = Callable[[Run], Metrics]


@dataclass(frozen=True)
class RenderKind:
    """One kind of rendered faces: how their latents are drawn, and how many shards are needed."""

    sampler: Callable[[Run], Sampler]
    shards: Callable[[Run], int]


def mixed_sampler(run: Run) -> Sampler:
    """Draws random faces of the generator."""
    return partial(mixed_styles, run.data.generator)
