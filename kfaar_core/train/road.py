"""The CPU road: what the trained forms learn from, each part made once and only when asked for."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from kfaar_core import weights
from kfaar_core.files import cache_folder
from kfaar_core.losses.recogniser import recogniser_total
from kfaar_core.nets.dlib_resnet import DlibResnet
from kfaar_core.nets.keyed_net import KeyedNet
from kfaar_core.nets.projector_net import LEADING
from kfaar_core.nets.reader_net import ReaderNet
from kfaar_core.stages.assemble import recogniser
from kfaar_core.stages.encode import DLIB
from kfaar_core.stages.generate import OpenVinoGenerator, part
from kfaar_core.stages.latent import NaturalSpace, natural_state
from kfaar_core.stages.project import IdentityMap
from kfaar_core.train import floor, kvfa
from kfaar_core.train.features import features
from kfaar_core.train.loop import Plan
from kfaar_core.train.photos import LabelledPhotos, load_photos
from kfaar_core.train.posture import ridge
from kfaar_core.train.projector import People, people_of
from kfaar_core.train.proxy import Channel, FeatureProxy, fit_channel, fit_proxy
from kfaar_core.train.renders import Renders, load_renders
from kfaar_core.train.settings import Training
from kfaar_core.train.views import Views, views

log = logging.getLogger(__name__)

HELD = 1000  # renders at the end of a kind that no lesson sees


@dataclass(frozen=True)
class Road:
    """Data and stand-ins of one configuration."""

    training: Training
    lfw: Path  # parquet file

    @cached_property
    def generator(self) -> OpenVinoGenerator:
        return OpenVinoGenerator(weights.load("mobile_stylegan"), precision="bf16", threads=1)

    @cached_property
    def natural(self) -> dict[str, Tensor]:
        return natural_state(self.generator.mapping)

    @cached_property
    def space(self) -> NaturalSpace:
        return NaturalSpace(self.natural)

    @cached_property
    def _photos(self) -> LabelledPhotos:
        return load_photos(self.lfw, "train")

    @cached_property
    def _mixed(self) -> Renders:
        return load_renders("mixed", self.training.mixed_shards)

    def _features(self, faces: LabelledPhotos | Renders, name: str) -> np.ndarray:
        encoder = recogniser(DlibResnet(), DLIB, weights.load("dlib_resnet"), torch.device("cpu"), flip=True)
        return features(encoder, faces, f"{name}-flip")

    @cached_property
    def _photo_features(self) -> np.ndarray:
        return self._features(self._photos, "lfw-train")

    @cached_property
    def _mixed_features(self) -> np.ndarray:
        return self._features(self._mixed, "renders-mixed")

    @cached_property
    def identity(self) -> dict[str, Tensor]:
        """State of IdentityMap."""
        training = self.training
        return floor.identity_map(
            self._photo_features, self._photos.people, training.code_dimension, training.reliable_shrink, reliable=True
        )

    @cached_property
    def people(self) -> People:
        identity = IdentityMap(self.identity)(self._photo_features)
        return people_of(self._photo_features, self._photos.people, identity)

    @cached_property
    def fitted(self) -> floor.Fitted:
        return floor.fit_all(self.training, self._mixed, self._mixed_features, self._photos, self._photo_features)

    @cached_property
    def _mixed_leading(self) -> Tensor:
        return self.space.of_w(torch.from_numpy(self._mixed.w))[..., :LEADING]

    @cached_property
    def proxy(self) -> FeatureProxy:
        away = torch.from_numpy(self._mixed_features - self._photo_features.mean(axis=0)).float()
        net, cosine = fit_proxy(self._mixed_leading, functional.normalize(away, dim=1), seed=self.training.seed)
        log.info("proxy: mean cosine with R on unseen renders %.3f", cosine)
        return net

    def unseen(self, kind: str) -> tuple[int, int]:
        """Shards that F did not learn from: the first and the one after the last."""
        training = self.training
        first, more = {
            "mixed": (training.styled_shards, training.channel_shards),
            "draft": (training.draft_shards, training.draft_unseen),
            "hashed": (training.code_shards, training.unseen_shards),
        }[kind]
        return first, first + more

    def channel(self, reader: ReaderNet, kind: str = "mixed") -> Channel:
        """Posture correction, rendering and what KVFA with this F sees; fitted on renders that F did not learn from."""
        first, last = self.unseen(kind)
        seen, faces = views(kind, first, last), load_renders(kind, last, first)
        features = self._features(faces, f"renders-{kind}-unseen")
        sights = np.concatenate([features, kvfa.read(reader, seen.clean)], axis=1)
        v = self.space.of_w(torch.from_numpy(seen.w))[..., :LEADING]
        fitted = self.fitted
        readings = torch.from_numpy(sights).float()
        return fit_channel(self.space, fitted.posture, fitted.gain, fitted.targets, v, readings)

    @cached_property
    def blind_channel(self) -> Channel:
        """The posture correction alone, for renders."""
        fitted, none = self.fitted, torch.zeros(len(self._mixed_leading), 1)
        return fit_channel(self.space, fitted.posture, fitted.gain, fitted.targets, self._mixed_leading, none)

    def earlier(self, lesson: str) -> ReaderNet:
        """F after the lesson `styles` or `draft`."""
        state = load_file(cache_folder(f"kvfa/{lesson}") / "net.safetensors")
        net = ReaderNet(len(state["last.bias"]))
        net.load_state_dict(state)
        return net.eval()

    def reader(self, folder: Path) -> ReaderNet:
        """F as committed."""
        state = part(load_file(folder / "kvfa.safetensors"), "net.")
        net = ReaderNet(len(state["last.bias"]))
        net.load_state_dict(state)
        return net.eval()

    def teach_styles(self, folder: Path, resume: bool) -> None:
        """F's first lesson: to read the styles of any face."""
        torch.manual_seed(self.training.seed)
        net, data = ReaderNet(kvfa.STYLES), views("mixed", 0, self.training.styled_shards)
        targets = kvfa.style_targets(self.space, data.w)
        plan = Plan(steps=self.training.styles_steps, rate=self.training.rate, seed=self.training.seed)
        kvfa.learn(
            net,
            cut(data),
            targets[:-HELD],
            kvfa.styles_terms,
            lambda terms: terms["styles"],
            plan,
            self.training,
            folder,
            resume,
        )
        save_file(net.state_dict(), folder / "net.safetensors")

    def teach_code(self, kind: str, folder: Path, resume: bool) -> tuple[ReaderNet, dict[str, float]]:
        """F's second and third lesson: to read the code in faces of P, as a draft and as it stays."""
        training, lambdas = self.training, self.training.recogniser_weights()
        data = views(kind, 0, self.unseen(kind)[0])
        torch.manual_seed(training.seed)
        before = self.earlier("styles" if kind == "draft" else "draft")
        net = kvfa.grown(before, kvfa.STYLES + training.code_dimension)
        targets = torch.cat((kvfa.style_targets(self.space, data.w), torch.from_numpy(data.payload)), dim=1)
        kvfa.learn(
            net,
            cut(data),
            targets[:-HELD],
            lambda answers, aims: kvfa.code_terms(answers, aims, training.margin),
            lambda terms: recogniser_total(terms, lambdas) + training.styles_share * terms["styles"],
            Plan(
                steps=training.draft_steps if kind == "draft" else training.code_steps,
                rate=training.rate,
                seed=training.seed,
            ),
            training,
            folder,
            resume,
            group=2,
        )
        found: dict[str, float] = {}
        for name, pictures in (("as_it_is", data.clean), ("saved_small_or_as_jpeg", data.damaged)):
            answers = kvfa.read(net, pictures[-HELD:])[:, kvfa.STYLES :]
            report = kvfa.cosine_report(answers, data.payload[-HELD:])
            found |= {f"{name}_{figure}": value for figure, value in report.items()}
        return net, found

    def fit_code(self, reader: ReaderNet) -> tuple[dict[str, Tensor], dict[str, float]]:
        """h: ridge from whole sights to the code, on renders that F did not learn from; a fifth of them tests it."""
        first, last = self.unseen("hashed")
        data, faces = views("hashed", first, last), load_renders("hashed", last, first)
        features = self._features(faces, "renders-hashed-unseen")
        sights = [np.concatenate([features, kvfa.read(reader, seen)], axis=1) for seen in (data.clean, data.damaged)]
        held = len(features) // 5
        mean = sights[0][held:].mean(axis=0)
        scale = sights[0][held:].std(axis=0)
        x = np.concatenate([(sight[held:] - mean) / scale for sight in sights]).astype(np.float64)
        rows = ridge(x, np.concatenate([data.payload[held:]] * 2).astype(np.float64), self.training.code_ridge)
        found: dict[str, float] = {}
        for name, sight in zip(("h_as_it_is", "h_saved_small_or_as_jpeg"), sights, strict=True):
            answers = (sight[:held] - mean) / scale @ rows.T
            found |= {f"{name}_{k}": v for k, v in kvfa.cosine_report(answers, data.payload[:held]).items()}
        code = {"code.mean": torch.from_numpy(mean), "code.map": torch.from_numpy((rows / scale).astype(np.float32))}
        return code, found

    def teach_keyed(
        self, reader: ReaderNet, bits: int, folder: Path, resume: bool
    ) -> tuple[KeyedNet, dict[str, float]]:
        """The keyed MLP of `bits`, on sights of faces of its P; it goes on from P's stand-in for it."""
        kind = f"bits-{bits}"
        data, faces = views(kind, 0, self.training.bits_shards), load_renders(kind, self.training.bits_shards)
        sights = np.concatenate([self._features(faces, f"renders-{kind}"), kvfa.read(reader, data.clean)], axis=1)
        worn = np.concatenate([sights[:, : -reader.last.out_features], kvfa.read(reader, data.damaged)], axis=1)
        first = load_file(cache_folder(f"projector/{kind}") / "reader.safetensors")
        return kvfa.teach_keyed(first, np.stack([sights, worn]), data.payload, bits, self.training, folder, resume)


def cut(data: Views) -> Views:
    """Without the last HELD."""
    return Views(**{name: getattr(data, name)[:-HELD] for name in Views.__annotations__})
