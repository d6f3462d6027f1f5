"""Training data of one configuration: photos, renders, embeddings and surrogate models, loaded or fitted on demand.

On a CPU, surrogate models take the place of rendering while P is trained; train.live renders on a GPU instead.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from kfaar_core import cast, image, weights
from kfaar_core.files import cache_folder
from kfaar_core.nets.projector_net import LEADING
from kfaar_core.nets.reader_net import ReaderNet
from kfaar_core.presets import LAB, Preset
from kfaar_core.quantised import dequantised
from kfaar_core.stages.encode import FaceEncoder, load_auxiliary_encoder, widened
from kfaar_core.stages.generate import Generator, part
from kfaar_core.stages.geometry import GeometryReader
from kfaar_core.stages.identify import IdentityMap, reader_net
from kfaar_core.stages.latent import NaturalSpace, natural_state
from kfaar_core.train import views
from kfaar_core.train.appearance import predict
from kfaar_core.train.floor import FloorFit, fit_directions
from kfaar_core.train.identity import identity_map
from kfaar_core.train.loop import Plan
from kfaar_core.train.photos import SIDE, LabelledPhotos, load_photos
from kfaar_core.train.projector import People, people_of
from kfaar_core.train.renders import Renders, load_renders
from kfaar_core.train.settings import Training
from kfaar_core.train.surrogates import (
    INPUTS,
    LatentEncoder,
    LatentRenderer,
    fit_surrogate_encoder,
    fit_surrogate_renderers,
)
from kfaar_core.train.views import Views

log = logging.getLogger(__name__)

CPU = torch.device("cpu")


@dataclass(frozen=True)
class TrainingData:
    """Data and surrogate models of one configuration."""

    training: Training
    lfw: Path  # parquet file
    preset: Preset = field(default=LAB, kw_only=True)  # whose E and G the networks are trained for

    # ---- photos, renders and their embeddings

    @cached_property
    def generator(self) -> Generator:
        return cast.generator(self.preset, CPU, threads=1)

    @cached_property
    def natural(self) -> dict[str, Tensor]:
        """State of NaturalSpace."""
        return natural_state(self.generator.map)

    @cached_property
    def space(self) -> NaturalSpace:
        return NaturalSpace(self.natural)

    @cached_property
    def photos(self) -> LabelledPhotos:
        return load_photos(self.lfw, "train")

    @cached_property
    def mixed(self) -> Renders:
        return load_renders("mixed", self.training.mixed_shards)

    def features(
        self, faces: LabelledPhotos | Renders, name: str, masked: bool = False, wide: bool = False
    ) -> np.ndarray:
        """(N, D) float32 raw embeddings of E; cached under `name`.

        Args:
            masked: of the face without its surroundings (FaceEncoder.align).
            wide: with E's penultimate activations appended.
        """
        e = cast.encoder(self.preset, CPU)
        return cached_embeddings(widened(e) if wide else e, faces, name, masked)

    @staticmethod
    def auxiliary_features(photos: LabelledPhotos, name: str) -> np.ndarray:
        """(N, D) float32 raw embeddings of the auxiliary encoder; cached under `name`."""
        return cached_embeddings(load_auxiliary_encoder(CPU), photos, f"{name}-second")

    @cached_property
    def photo_features(self) -> np.ndarray:
        return self.features(self.photos, "lfw-train")

    @cached_property
    def mixed_features(self) -> np.ndarray:
        return self.features(self.mixed, "renders-mixed")

    def held_out(self, kind: str) -> tuple[int, int]:
        """Shards of a kind of renders that F is not trained on: the first, and the one after the last."""
        training = self.training
        first, count = {
            "mixed": (training.styled_shards, training.channel_shards),
            "draft": (training.draft_shards, training.draft_unseen),
            "hashed": (training.code_shards, training.unseen_shards),
        }[kind]
        return first, first + count

    def held_out_renders(self, kind: str) -> tuple[Renders, np.ndarray]:
        """Renders that F is not trained on, and E's raw embeddings of them."""
        first, last = self.held_out(kind)
        faces = load_renders(kind, last, first)
        return faces, self.held_out_features(faces, kind)

    def held_out_features(self, faces: Renders, kind: str, masked: bool = False) -> np.ndarray:
        """`features` of the faces of held_out_renders."""
        first, last = self.held_out(kind)
        return self.features(faces, f"renders-{kind}-{first}-{last}{'-masked' if masked else ''}", masked)

    def correction_examples(self) -> tuple[list[Renders], list[np.ndarray]]:
        """Renders that the posture correction in use is fitted on, and E's raw embeddings of them."""
        parts = [(self.mixed, self.mixed_features), *map(self.held_out_renders, ("draft", "hashed"))]
        faces, embeddings = zip(*parts, strict=True)
        return list(faces), list(embeddings)

    # ---- closed forms

    @cached_property
    def identity(self) -> dict[str, Tensor]:
        """State of IdentityMap: u of E alone, with which P is trained."""
        training = self.training
        return identity_map(
            self.photo_features, self.photos.people, training.code_dimension, training.reliable_shrink, reliable=1.0
        )

    @cached_property
    def people(self) -> People:
        return people_of(self.photo_features, self.photos.people, IdentityMap(self.identity))

    @cached_property
    def floor(self) -> FloorFit:
        """Posture correction of rendered faces, and the directions of the method `floor`."""
        return fit_directions(self.training, self.mixed, self.mixed_features, self.photos, self.photo_features)

    # ---- F and its inputs

    @cached_property
    def _geometry(self) -> GeometryReader:
        return GeometryReader(weights.load("geometry"), CPU)

    @cached_property
    def mean_shape(self) -> np.ndarray:
        """(478, 2) px: the mean face, over the first eight shards of mixed renders."""
        return views.mean_shape(load_renders("mixed", 8).landmarks)

    def views(self, kind: str, first: int = 0, last: int | None = None) -> Views:
        """F's inputs for the shards [first, last) of a kind of renders."""
        return views.views(kind, self.mean_shape, self._geometry, first, last)

    def reader(self, folder: Path) -> ReaderNet:
        """F from a folder of weights."""
        return reader_net(part(dequantised(load_file(folder / "kvfa.safetensors")), "net."))

    def style_reader(self) -> ReaderNet:
        """F after its first round of training, which predicts styles alone."""
        return reader_net(load_file(cache_folder("kvfa/styles") / "net.safetensors"))

    def reader_plan(self, steps: int) -> Plan:
        """How F is trained."""
        training = self.training
        return Plan(steps=steps, rate=training.reader_rate, decay=training.reader_decay, seed=training.seed)

    # ---- surrogate models

    def renderer(self, with_bootstrap: bool) -> LatentRenderer:
        """A surrogate of R(G(w)), fitted on mixed renders.

        Args:
            with_bootstrap: and on renders of the bootstrap P. Without them the surrogate is worse on faces of P, and P
                learns to exploit its errors.
        """
        parts = [(self.mixed.w, self.mixed_features)]
        if with_bootstrap:
            faces, embeddings = self.held_out_renders("draft")
            parts.append((faces.w, embeddings))
        w, embeddings = (np.concatenate(column) for column in zip(*parts, strict=True))
        v = self.space.of_w(torch.from_numpy(w))[..., :INPUTS]
        centred = torch.from_numpy(embeddings - self.photo_features.mean(axis=0)).float()
        training = self.training
        targets = functional.normalize(centred, dim=1)
        net, cosine = fit_surrogate_renderers(v, targets, training.proxies, training.proxy_epochs, training.seed)
        log.info("surrogate renderer: mean cosine with R on unseen renders %.3f", cosine)
        return net

    def encoder(self, reader: ReaderNet | None, kind: str) -> LatentEncoder:
        """A surrogate of posture correction, rendering and feature extraction, fitted on held-out renders of a kind.

        Args:
            reader: F; None for features of E alone.
        """
        faces, found = self.held_out_renders(kind)
        if reader is not None:
            found = np.concatenate([found, predict(reader, self.views(kind, *self.held_out(kind)).clean)], axis=1)
        v = self.space.of_w(torch.from_numpy(faces.w))[..., :LEADING]
        return fit_surrogate_encoder(self.space, self.floor.step, v, torch.from_numpy(found).float())

    def keyed_encoder(self, examples: np.ndarray, w: np.ndarray, folder: Path) -> LatentEncoder:
        """The same for a keyed MLP, fitted to features of cached renders.

        Args:
            examples: (2, N, S) features of the faces as rendered and damaged. w: (N, 3, 512).
            folder: of the weights; not needed here.
        """
        v = self.space.of_w(torch.from_numpy(w))[..., :LEADING]
        both = torch.from_numpy(np.concatenate(examples)).float()
        return fit_surrogate_encoder(self.space, self.floor.step, torch.cat((v, v)), both)


@torch.inference_mode()
def cached_embeddings(
    encoder: FaceEncoder, faces: LabelledPhotos | Renders, name: str, masked: bool = False
) -> np.ndarray:
    """(N, D) float32 raw embeddings of the faces, aligned by their labelled landmarks; cached under `name`.

    Args:
        masked: of the face without its surroundings (FaceEncoder.align).
    """
    path = cache_folder("features") / f"{name}.npy"
    if path.exists():
        return np.load(path)
    batches = []
    for start in range(0, len(faces.pictures), 32):
        pairs = zip(faces.pictures[start : start + 32], faces.landmarks[start : start + 32], strict=True)
        crops = np.stack([encoder.align(picture, landmarks * SIDE, masked) for picture, landmarks in pairs])
        batches.append(encoder.embed_crops(image.to_float(crops)).numpy())
        if start % 3200 == 0:
            log.info("%s: %d of %d", name, start, len(faces.pictures))
    embeddings = np.concatenate(batches)
    partial = path.with_suffix(".part.npy")
    np.save(partial, embeddings)
    partial.rename(path)
    return embeddings
