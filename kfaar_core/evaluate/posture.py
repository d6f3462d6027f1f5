"""Table IV: preservation of head pose and expression, by the Face Landmarker (needs KFAAR_TEACHERS) and by solvePnP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from kfaar_core import image
from kfaar_core.data.landmarker import FaceLabels, Landmarker
from kfaar_core.errors import KfaarError
from kfaar_core.evaluate.context import LABELLED, EvaluationContext
from kfaar_core.metrics.bootstrap import mean_interval, rate_interval
from kfaar_core.metrics.pose import angle_difference, expression_cosines
from kfaar_core.pipeline import AnonymiseRequest
from kfaar_core.records import Photo, Row, VirtualFace
from kfaar_core.report.paper_figures import paper_figure
from kfaar_core.report.tables import Table, row
from kfaar_core.runtime import stream
from kfaar_core.scenarios import pairs
from kfaar_core.stages.geometry import euler_degrees
from kfaar_core.stages.judge import judge_features

# Eyes, nose tip and mouth corners of a mean head, in mm: x right of the picture, y down, z away from the camera.
HEAD = np.array([[-31.5, -35.0, 25.0], [31.5, -35.0, 25.0], [0.0, 0.0, 0.0], [-25.0, 32.0, 20.0], [25.0, 32.0, 20.0]])


@dataclass(frozen=True)
class Measured:
    """Measurements of one person's photo x and virtual face x_v."""

    person: int
    teacher: tuple[FaceLabels, FaceLabels] | None  # of x and x_v; None if the Face Landmarker missed one
    independent: tuple[np.ndarray, np.ndarray] | None  # (3,) angles of x and x_v, degrees, from MTCNN's five points
    detected: bool  # MTCNN detects x_v
    own: np.ndarray  # (3,) absolute differences of the angles, degrees, by our geometry network
    kept: float  # judge cosine of the virtual face before and after posture correction


def posture_table(context: EvaluationContext, people: Sequence[pairs.Person], key_mode: str, trials: int) -> Table:
    """Table IV: one photo of each person, and a key of their own, whatever the key mode."""
    landmarker, measured, failed, rekeyed = Landmarker(), [], 0, 0
    tries = context.stages.preset.rekey_tries  # as the command line when it generates the key
    for done, person in enumerate(people, start=1):
        try:
            photo = context.photo(person.photos[0])
            key = context.key(f"own {person.number}")
            answer = context.server.anonymise(AnonymiseRequest(photo=photo, key=key, face=LABELLED, rekey=tries))
            rekeyed += answer.rekeyed > 0
            measured.append(measure(context, landmarker, person.number, photo, answer))
        except KfaarError:
            failed += 1
        if context.progress:
            context.progress(done, len(people))
    about = (
        f"{context.data.name}, {len(people)} test people, one photo each, a key a person; {failed} failed, "
        f"{rekeyed} took a later key"
    )
    return Table("IV", "Head pose and expression kept", about, tuple(posture_rows(context, measured)))


def measure(
    context: EvaluationContext, landmarker: Landmarker, person: int, photo: Photo, answer: VirtualFace
) -> Measured:
    """Measure posture and identity of x and x_v."""
    virtual = image.from_array(answer.portrait)
    labels = landmarker(photo.pixels), landmarker(virtual.pixels)
    five, detected = answer.crop.face.points, context.server.faces(virtual)
    stages = context.stages
    before = stages.judge.embed_normalised(answer.draft, answer.posture_before.landmarks * answer.draft.shape[0])
    # posture_after is measured in the level frame; the portrait may be rotated, so its landmarks are measured again.
    after = judge_features(stages.judge, stages.locator, [virtual])[0] if detected else np.zeros_like(before)
    angles = [np.array([p.yaw, p.pitch, p.roll]) for p in (answer.posture_original, answer.posture_after)]
    return Measured(
        person=person,
        teacher=labels if labels[0] is not None and labels[1] is not None else None,  # type: ignore[arg-type]
        independent=(head_angles(five, photo.pixels.shape), head_angles(detected[0].points, virtual.pixels.shape))
        if detected
        else None,
        detected=bool(detected),
        own=angle_difference(*angles),
        kept=float(before @ after),
    )


def head_angles(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Head angles by solvePnP with a mean head.

    Args:
        points: (5, 2) px of a picture of this shape (H, W, ...).

    Returns:
        (3,) yaw, pitch, roll in degrees, with the signs of records.Posture.
    """
    import cv2

    height, width = shape[:2]
    focal = float(1.2 * max(height, width))
    camera = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    _, turn, _ = cv2.solvePnP(HEAD, points.astype(np.float64), camera, None, flags=cv2.SOLVEPNP_SQPNP)
    matrix, _ = cv2.Rodrigues(turn)
    flip = np.diag([1.0, -1.0, -1.0])  # y down, z away -> y up, z towards the camera
    rotation = torch.from_numpy(flip @ matrix @ flip)[None]
    angles: np.ndarray = euler_degrees(rotation)[0].numpy()
    return angles


def posture_rows(context: EvaluationContext, measured: Sequence[Measured]) -> list[Row]:
    """The rows of Table IV."""
    name, seed = context.data.name, context.seed
    rows: list[Row] = []

    def mean(label: str, values: np.ndarray, owners: np.ndarray, paper: float | None = None, note: str = "") -> None:
        rows.append(row(label, mean_interval(values, owners, stream(seed, label)), paper, note))

    labelled = [entry for entry in measured if entry.teacher is not None]
    owners = np.array([entry.person for entry in labelled])
    rotations = [np.stack([entry.teacher[i].rotation for entry in labelled]) for i in (0, 1)]  # type: ignore[index]
    shapes = [np.stack([entry.teacher[i].blendshapes for entry in labelled]) for i in (0, 1)]  # type: ignore[index]
    angles = [euler_degrees(torch.from_numpy(rotation)).numpy() for rotation in rotations]
    gaps = angle_difference(angles[0], angles[1])
    for axis, label in enumerate(("yaw", "pitch", "roll")):
        mean(f"{label}, degrees (Face Landmarker)", gaps[:, axis], owners, paper_figure("IV", label, name))
    mean(
        "expression cosine, raw", expression_cosines(shapes[0], shapes[1]), owners, paper_figure("IV", "emotion", name)
    )
    strangers = expression_cosines(shapes[0], np.roll(shapes[1], 1, axis=0))
    mean("expression cosine, raw, random pairs", strangers, owners)
    centre = shapes[0].mean(axis=0)
    mean(
        "expression cosine, centred",
        expression_cosines(shapes[0], shapes[1], centre),
        owners,
        note="centre: these originals",
    )
    solved = [entry for entry in measured if entry.independent is not None]
    others = np.array([entry.person for entry in solved])
    errors = np.stack([angle_difference(*entry.independent) for entry in solved])  # type: ignore[misc]
    for axis, label in enumerate(("yaw", "pitch", "roll")):
        mean(f"{label}, degrees (solvePnP on MTCNN's five points)", errors[:, axis], others)
    everyone = np.array([entry.person for entry in measured])
    for axis, label in enumerate(("yaw", "pitch", "roll")):
        mean(f"{label}, degrees (our geometry network)", np.array([entry.own[axis] for entry in measured]), everyone)
    shares = {
        "virtual face detected (MTCNN)": np.array([entry.detected for entry in measured]),
        "virtual face found by the Face Landmarker": np.array([entry.teacher is not None for entry in measured]),
        "judge, FMR 1 %: corrected face is the uncorrected one": np.array([entry.kept for entry in measured])
        >= context.stages.calibration.judge_fmr_1,
    }
    for label, hits in shares.items():
        rows.append(row(label, rate_interval(hits, everyone, stream(seed, label)), None, ""))
    mean("judge cosine of uncorrected and corrected face", np.array([entry.kept for entry in measured]), everyone)
    return rows
