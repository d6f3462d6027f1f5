"""The CPU road: what the trained forms learn from, each part made once and only when asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable
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
from kfaar_core.losses import recogniser_total
from kfaar_core.methods.bits import bits_net
from kfaar_core.nets.keyed_net import KeyedNet
from kfaar_core.nets.projector_net import LEADING
from kfaar_core.nets.reader_net import ReaderNet
from kfaar_core.nets.sface import FEATURE, WIDE
from kfaar_core.quantised import dequantised
from kfaar_core.stages.encode import load_auxiliary_encoder, load_encoder, widened
from kfaar_core.stages.face_view import FaceView
from kfaar_core.stages.generate import OpenVinoGenerator, TorchGenerator, part
from kfaar_core.stages.geometry import GeometryReader
from kfaar_core.stages.identify import IdentityMap, reader_net
from kfaar_core.stages.latent import NaturalSpace, natural_state
from kfaar_core.train import floor, kvfa, views
from kfaar_core.train.appearance import fit_appearance
from kfaar_core.train.directions import PostureFit
from kfaar_core.train.features import features
from kfaar_core.train.identity import balanced_map, beyond_the_middle, evened, identity_map, turned_towards
from kfaar_core.train.loop import Plan
from kfaar_core.train.photos import LabelledPhotos, load_photos
from kfaar_core.train.posture import postures_of
from kfaar_core.train.projector import People, people_of
from kfaar_core.train.proxy import SEEN, Reading, fit_channel, fit_proxies
from kfaar_core.train.renders import Renders, load_renders
from kfaar_core.train.settings import Training
from kfaar_core.train.views import Views

log = logging.getLogger(__name__)

HELD = 1000  # renders at the end of a kind that no lesson sees


@dataclass(frozen=True)
class Road:
    """Data and stand-ins of one configuration."""

    training: Training
    lfw: Path  # parquet file

    @cached_property
    def generator(self) -> OpenVinoGenerator | TorchGenerator:
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

    def features(
        self, faces: LabelledPhotos | Renders, name: str, masked: bool = False, wide: bool = False
    ) -> np.ndarray:
        """(N, D) float32 raw features of E; cached under `name`.

        Args:
            masked: as in Recogniser.align. wide: what E's last layer is fed behind them.
        """
        e = load_encoder(torch.device("cpu"))
        return features(widened(e) if wide else e, faces, name, masked)

    @staticmethod
    def second_features(photos: LabelledPhotos, name: str) -> np.ndarray:
        """(N, D) float32 raw features of the auxiliary encoder; cached under `name`."""
        return features(load_auxiliary_encoder(torch.device("cpu")), photos, f"{name}-second")

    @cached_property
    def _photo_features(self) -> np.ndarray:
        return self.features(self._photos, "lfw-train")

    @cached_property
    def _mixed_features(self) -> np.ndarray:
        return self.features(self._mixed, "renders-mixed")

    @cached_property
    def identity(self) -> dict[str, Tensor]:
        """State of IdentityMap."""
        training = self.training
        return identity_map(
            self._photo_features, self._photos.people, training.code_dimension, training.reliable_shrink, reliable=1.0
        )

    def pair_features(self, photos: LabelledPhotos, name: str) -> np.ndarray:
        """(N, D) float32 what EncoderPair sees of photos: E, its penultimate activations, the auxiliary encoder."""
        wide = self.features(photos, f"{name}-wide", wide=True)
        return np.concatenate([wide, self.second_features(photos, name)], axis=1)

    def rarer_side(self, pair_features: np.ndarray, people: np.ndarray) -> np.ndarray:
        """(P,) bool: who lies beyond the middle of the generator's first axis, by what E's last layer is fed."""
        fed, axis = self._first_axis
        return beyond_the_middle(pair_features[:, FEATURE:WIDE], people, fed, axis, self.training.axis_ridge)

    @cached_property
    def _first_axis(self) -> tuple[np.ndarray, np.ndarray]:
        """Of renders: what E's last layer is fed (M, D), and where they lie along the generator's first axis (M,)."""
        renders = load_renders("mixed", self.training.axis_shards)
        fed = self.features(renders, f"renders-mixed-0-{self.training.axis_shards}-wide", wide=True)[:, FEATURE:]
        # The first natural coordinate, of the layers that draw the face's shape.
        return fed, -self.space.of_w(torch.from_numpy(renders.w))[:, :-1, 0].mean(dim=1).double().numpy()

    @cached_property
    def photo_identity(self) -> dict[str, Tensor]:
        """State of IdentityMap for `hashed` as it runs, of what EncoderPair sees.

        P learned with `identity`, and any u would serve it, since codes come from all directions. This one is turned
        towards that, so that E, as it looks at photos, sees in a virtual face the code that the refinement put there,
        and not a second one of its own.
        """
        seen, people, training = self.pair_features(self._photos, "lfw-train"), self._photos.people, self.training
        widths = FEATURE, WIDE - FEATURE, seen.shape[1] - WIDE
        importance = evened(self.rarer_side(seen, people), training.axis_evens)
        d = training.code_dimension
        found = balanced_map(seen, widths, people, d, training.wide_shrink, training.wide_power, importance)
        return turned_towards(found, seen, IdentityMap(self.identity)(self._photo_features))

    @cached_property
    def second_identity(self) -> dict[str, Tensor]:
        """State of IdentityMap of the auxiliary encoder, turned towards u: a code asks the same person of both."""
        seen, training = self.second_features(self._photos, "lfw-train"), self.training
        found = identity_map(seen, self._photos.people, training.code_dimension, training.second_shrink, reliable=1.0)
        return turned_towards(found, seen, IdentityMap(self.identity)(self._photo_features))

    @cached_property
    def people(self) -> People:
        return people_of(self._photo_features, self._photos.people, IdentityMap(self.identity))

    @cached_property
    def fitted(self) -> floor.Fitted:
        return floor.fit_all(self.training, self._mixed, self._mixed_features, self._photos, self._photo_features)

    def run_time_gain(self) -> tuple[PostureFit, np.ndarray]:
        """The gain of the correction at run time and its rows, from any face and from faces as `hashed` P makes them.

        Far from the mean face the same move turns a head further: with a gain from mixed renders alone one face of P in
        twelve ended more than six degrees away.
        """
        parts = [(self._mixed, self._mixed_features), *map(self._unseen_renders, ("draft", "hashed"))]
        faces, features = zip(*parts, strict=True)
        w = np.concatenate([each.w for each in faces])
        postures = np.concatenate([postures_of(each.rotation, each.blendshapes) for each in faces])
        found, noise = floor.fit_posture(w, postures, np.concatenate(features), self.training)
        return found, floor.priced_gain(found, noise, self.training.correction)

    def proxy(self, drafted: bool) -> Callable[[Tensor], Tensor]:
        """R(G(w)), fitted on mixed renders.

        Args:
            drafted: on those by the draft of P as well. Without them a proxy tells faces of P less well, and P learns
                what it is wrong about.
        """
        parts = [(self._mixed.w, self._mixed_features)]
        if drafted:
            faces, seen = self._unseen_renders("draft")
            parts.append((faces.w, seen))
        w, features = (np.concatenate(column) for column in zip(*parts, strict=True))
        v = self.space.of_w(torch.from_numpy(w))[..., :SEEN]
        away = functional.normalize(torch.from_numpy(features - self._photo_features.mean(axis=0)).float(), dim=1)
        training = self.training
        net, cosine = fit_proxies(v, away, training.proxies, training.proxy_epochs, training.seed)
        log.info("proxy: mean cosine with R on unseen renders %.3f", cosine)
        return net

    @cached_property
    def _geometry(self) -> GeometryReader:
        return GeometryReader(weights.load("geometry"), torch.device("cpu"))

    @cached_property
    def mean_shape(self) -> np.ndarray:
        """(478, 2) px; the first eight shards tell it."""
        return views.mean_shape(load_renders("mixed", 8).landmarks)

    def _views(self, kind: str, first: int = 0, last: int | None = None) -> Views:
        return views.views(kind, self.mean_shape, self._geometry, first, last)

    def unseen(self, kind: str) -> tuple[int, int]:
        """Shards that F did not learn from: the first and the one after the last."""
        training = self.training
        first, more = {
            "mixed": (training.styled_shards, training.channel_shards),
            "draft": (training.draft_shards, training.draft_unseen),
            "hashed": (training.code_shards, training.unseen_shards),
        }[kind]
        return first, first + more

    def _unseen_renders(self, kind: str) -> tuple[Renders, np.ndarray]:
        """Renders that F did not learn from, and E's raw features of them."""
        first, last = self.unseen(kind)
        faces = load_renders(kind, last, first)
        return faces, self._unseen_features(faces, kind)

    def _unseen_features(self, faces: Renders, kind: str, masked: bool = False) -> np.ndarray:
        """`features` of what _unseen_renders loaded."""
        first, last = self.unseen(kind)
        return self.features(faces, f"renders-{kind}-{first}-{last}{'-masked' if masked else ''}", masked)

    def channel(self, reader: ReaderNet | None, kind: str) -> Reading:
        """Posture correction, rendering and what KVFA sees; fitted on renders that F did not learn from.

        Args:
            reader: F; None leaves E alone.
        """
        faces, sights = self._unseen_renders(kind)
        if reader is not None:
            sights = np.concatenate([sights, kvfa.read(reader, self._views(kind, *self.unseen(kind)).clean)], axis=1)
        v = self.space.of_w(torch.from_numpy(faces.w))[..., :LEADING]
        return fit_channel(self.space, self.fitted.step, v, torch.from_numpy(sights).float())

    def reader(self, folder: Path) -> ReaderNet:
        """F as committed."""
        return reader_net(part(dequantised(load_file(folder / "kvfa.safetensors")), "net."))

    def styles_reader(self) -> ReaderNet:
        """F after its first lesson."""
        return reader_net(load_file(cache_folder("kvfa/styles") / "net.safetensors"))

    def _reader_plan(self, steps: int) -> Plan:
        training = self.training
        return Plan(steps=steps, rate=training.reader_rate, decay=training.reader_decay, seed=training.seed)

    def teach_styles(self, folder: Path, resume: bool) -> dict[str, float]:
        """F's first lesson: to read the styles of any face, and of faces as P makes them."""
        torch.manual_seed(self.training.seed)
        net = ReaderNet(kvfa.STYLES)
        data = joined([self._views(kind, 0, self.unseen(kind)[0]) for kind in ("mixed", "draft")])
        fit_appearance(net, data.clean, self.mean_shape)
        plan = self._reader_plan(self.training.styles_steps)
        targets = kvfa.style_targets(self.space, data.w)
        terms, objective = kvfa.styles_terms, lambda found: found["styles"]
        kvfa.learn(net, data, targets, terms, objective, plan, self.training, folder, resume)
        save_file(net.state_dict(), folder / "net.safetensors")
        unseen = self._views("draft", *self.unseen("draft"))
        return kvfa.styles_report(kvfa.read(net, unseen.clean), kvfa.style_targets(self.space, unseen.w))

    def teach_code(self, folder: Path, resume: bool) -> tuple[ReaderNet, dict[str, float]]:
        """F's second lesson: to read the code in faces of P."""
        training, lambdas = self.training, self.training.recogniser_weights()
        data = self._views("hashed", 0, self.unseen("hashed")[0])
        torch.manual_seed(training.seed)
        net = kvfa.grown(self.styles_reader(), kvfa.STYLES + training.code_dimension)
        targets = torch.cat((kvfa.style_targets(self.space, data.w), torch.from_numpy(data.payload)), dim=1)
        kvfa.learn(
            net,
            data[:-HELD],
            targets[:-HELD],
            lambda answers, aims: kvfa.code_terms(answers, aims, training.margin),
            lambda terms: recogniser_total(terms, lambdas) + training.styles_share * terms["styles"],
            self._reader_plan(training.code_steps),
            training,
            folder,
            resume,
            group=2,
        )
        found: dict[str, float] = {}
        for name, faces in (("as_it_is", data.clean), ("saved_small_or_as_jpeg", data.damaged)):
            answers = kvfa.read(net, faces[-HELD:])[:, kvfa.STYLES :]
            report = kvfa.cosine_report(answers, data.payload[-HELD:])
            found |= {f"{name}_{figure}": value for figure, value in report.items()}
        return net, found

    def fit_code(self, reader: ReaderNet) -> tuple[dict[str, Tensor], dict[str, float]]:
        """h (kvfa.fit_reading) and E's mean, on renders that F did not learn from; a fifth of them tests h."""
        data = self._views("hashed", *self.unseen("hashed"))
        faces, whole = self._unseen_renders("hashed")
        features = self._unseen_features(faces, "hashed", masked=True)
        sights = [np.concatenate([features, kvfa.read(reader, seen)], axis=1) for seen in (data.clean, data.damaged)]
        held = len(features) // 5
        mean, rows = kvfa.fit_reading(
            [sight[held:] for sight in sights],
            data.payload[held:],
            self.people.rows.numpy(),
            self.training.code_ridge,
            self.training.code_seen,
        )
        found: dict[str, float] = {}
        for name, sight in zip(("h_as_it_is", "h_saved_small_or_as_jpeg"), sights, strict=True):
            answers = (sight[:held] - mean) @ rows.T
            found |= {f"{name}_{k}": v for k, v in kvfa.cosine_report(answers, data.payload[:held]).items()}
        code = {
            "code.mean": torch.from_numpy(mean),
            "code.map": torch.from_numpy(rows.astype(np.float32)),
            "virtual.mean": torch.from_numpy(whole.mean(axis=0)),
        }
        return code, found

    def keyed_sights(self, reader: ReaderNet, bits: int) -> tuple[np.ndarray, np.ndarray]:
        """What KVFA sees of renders of `bits` P, in triplets.

        Returns:
            (2, N, S) sights of the faces as they are and saved, and (N, d + bits) what they carry (train.renders).
        """
        kind = f"bits-{bits}"
        data, faces = self._views(kind, 0, self.training.bits_shards), load_renders(kind, self.training.bits_shards)
        sights = np.concatenate([self.features(faces, f"renders-{kind}"), kvfa.read(reader, data.clean)], axis=1)
        worn = np.concatenate([sights[:, : -reader.last.out_features], kvfa.read(reader, data.damaged)], axis=1)
        return np.stack([sights, worn]), data.payload

    def keyed_draw(self, sights: np.ndarray, bits: int, folder: Path, people: People) -> kvfa.Draw:
        """Triplets without end as the keyed MLP of `bits` learns from them.

        Args:
            sights: (2, n, S) of the first n renders of `bits` P.
            folder: of P's weights.
            people: who may be in them.
        """
        state = load_file(folder / f"projector_bits_{bits}.safetensors")
        channel = self._keyed_channel(sights, bits, folder)
        return kvfa.keyed_draw(bits_net(state, bits), self.generator, float(state["truncation"]), people, channel)

    def _keyed_channel(self, sights: np.ndarray, bits: int, folder: Path) -> Reading:
        """What keyed_draw sees of a face: fitted to the sights of the cached renders."""
        w = self._views(f"bits-{bits}", 0, self.training.bits_shards).w[: sights.shape[1]]
        v = self.space.of_w(torch.from_numpy(w))[..., :LEADING]
        seen = torch.from_numpy(np.concatenate(sights)).float()
        return fit_channel(self.space, self.fitted.step, torch.cat((v, v)), seen)

    def stand_in(self, bits: int) -> dict[str, Tensor]:
        """State of the KeyedNet that stood in for KVFA while P of `bits` learned."""
        return load_file(cache_folder(f"projector/bits-{bits}") / "reader.safetensors")

    def teach_keyed(
        self, weights_folder: Path, bits: int, folder: Path, resume: bool
    ) -> tuple[KeyedNet, dict[str, float]]:
        """The keyed MLP of `bits`; it goes on from P's stand-in for it, and a fifth of the renders tests it."""
        sights, payload = self.keyed_sights(self.reader(weights_folder), bits)
        held = len(payload) // 15 * 3
        net = KeyedNet(sights.shape[2], bits, self.training.code_dimension)
        net.load_state_dict(self.stand_in(bits))
        draw = self.keyed_draw(sights[:, :-held], bits, weights_folder, self.people)
        kvfa.teach_keyed(net, draw, self.training, folder, resume)
        return net, kvfa.keyed_report(net, sights[0, -held:], payload[-held:])


def joined(parts: list[Views]) -> Views:
    """Views of several kinds of renders, without what they carry."""

    def together(faces: list[FaceView]) -> FaceView:
        return FaceView(
            np.concatenate([face.texture for face in faces]), np.concatenate([face.shape for face in faces])
        )

    w = np.concatenate([part.w for part in parts])
    clean, damaged = together([part.clean for part in parts]), together([part.damaged for part in parts])
    return Views(clean, damaged, w, np.zeros((len(w), 0), dtype=np.float32))
