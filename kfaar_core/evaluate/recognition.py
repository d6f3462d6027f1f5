"""Tables by face encoders: E, u and the judge on real photos, and the judge on virtual faces (Tables II and III)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from kfaar_core.evaluate.context import EvaluationContext, FaceFeatures, features, was_detected
from kfaar_core.evaluate.jobs import fill
from kfaar_core.evaluate.random_faces import ceiling_rows
from kfaar_core.evaluate.trials import Trial, photos_of, trials_of
from kfaar_core.metrics.anonymity import hit_chances
from kfaar_core.metrics.bootstrap import curve_interval, mean_interval, rate_interval
from kfaar_core.metrics.score_pair import ScorePair
from kfaar_core.metrics.verification import Roc, area, equal_error, tar_within
from kfaar_core.nets.sface import FEATURE
from kfaar_core.records import Row
from kfaar_core.report.paper_figures import paper_figure
from kfaar_core.report.tables import Table, row
from kfaar_core.runtime import stream
from kfaar_core.scenarios import pairs, populations
from kfaar_core.stages.encode import FaceEncoder


def verification(context: EvaluationContext, people: Sequence[pairs.Person]) -> dict[str, ScorePair]:
    """Cosines of verification pairs of real photos: by E's embedding (`E`), by the identity `u`, and by the `judge`.

    Pairs with a photo without a usable face are left out.
    """
    chosen = pairs.verification_pairs(tuple(people), seed=context.seed)
    fill(context, photos_of(people))
    # Each photo is in dozens of pairs, and every look into the cache reads a file.
    seen = {index: context.real(index) for person in people for index in person.photos}
    stages = context.stages  # of an encoder pair, E's embedding is the first part of the features
    mean = stages.identity.mean if isinstance(stages.encoder, FaceEncoder) else stages.identity.mean[:FEATURE]

    def centred(face: FaceFeatures) -> np.ndarray:
        embedding = face.features[: len(mean)] - mean
        return embedding / np.linalg.norm(embedding)

    def scores(feature: Callable[[FaceFeatures], np.ndarray]) -> ScorePair:
        sides = []
        for numbers in (chosen.genuine, chosen.impostor):
            faces = [(seen[int(a)], seen[int(b)]) for a, b in numbers]
            kept = [i for i, (a, b) in enumerate(faces) if a is not None and b is not None]
            cosines = [feature(faces[i][0]) @ feature(faces[i][1]) for i in kept]  # type: ignore[arg-type]
            sides.append((np.array(cosines, dtype=np.float64), kept))
        (genuine, of_genuine), (impostor, of_impostor) = sides
        owners, others = chosen.impostor_people[of_impostor], chosen.impostor_others[of_impostor]
        return ScorePair(genuine, chosen.genuine_people[of_genuine], impostor, owners, others)

    return {
        "E": scores(centred),
        "u": scores(lambda face: context.stages.identity(face.features)),
        "judge": scores(lambda face: face.judge),
    }


def encoders_table(context: EvaluationContext, people: Sequence[pairs.Person], key_mode: str, trials: int) -> Table:
    """E, u and the judge on pairs of real photos, without keys: AUC, EER, accuracy and TAR at two FARs."""
    compared = verification(context, people)
    rows: list[Row] = []
    figures: dict[str, Callable[[Roc], np.ndarray]] = {
        "AUC": area,
        "EER": equal_error,
        "TAR at FAR 1 %": lambda curve: tar_within(curve, 0.01),
        "TAR at FAR 0.1 %": lambda curve: tar_within(curve, 0.001),
        "accuracy, best threshold": best_accuracy,
    }
    for name, pair in compared.items():
        for figure, statistic in figures.items():
            rng = stream(context.seed, f"recognisers, {name}, {figure}")
            rows.append(row(f"{name}: {figure}", curve_interval(statistic, pair, rng), None, ""))
    judge = compared["judge"]
    about = (
        f"{context.data.name}, {len(people)} test people, real photos, {len(judge.genuine)} genuine and "
        f"{len(judge.impostor)} impostor pairs"
    )
    return Table("recognisers", "E, u and the judge alone", about, tuple(rows))


def best_accuracy(curve: Roc) -> np.ndarray:
    """The highest balanced accuracy of each curve, (...): the mean of TAR and 1 - FAR at the best threshold."""
    best: np.ndarray = np.max(0.5 * (curve.tar + 1 - curve.far), axis=-1)
    return best


def anonymity(context: EvaluationContext, people: Sequence[pairs.Person], key_mode: str, trials: int) -> Table:
    """Tables II and III by the judge, with lower and upper reference values. Keys are shared, whatever the key mode."""
    bits = context.stages.preset.key_bits
    listed = [
        *trials_of(people, populations.SHARED, trials, bits),
        *trials_of(people, populations.SHARED, 1, bits, photo=1),
    ]
    fill(context, [*photos_of(people), *(trial.face for trial in listed)])
    faces: dict[tuple[int, int, int], FaceFeatures] = {}  # (person, photo, repetition)
    for trial in sorted(listed, key=lambda trial: (trial.person.number, trial.photo, trial.repetition)):
        face = features(context.ask(trial.face))
        if face is not None:
            faces[trial.person.number, trial.photo, trial.repetition] = face
    detected = {trial: was_detected(context.ask(trial.face)) for trial in listed}
    missed, total = len(listed) - sum(detected.values()), len(listed)
    real = {person.number: [context.real(index) for index in person.photos] for person in people}
    return Table(
        "II and III",
        "Anonymity, diversity, differentiation and synchronism by the judge",
        f"{context.data.name}, {len(people)} test people, method {context.stages.preset.method}, "
        f"{trials} keys shared by everyone in a trial; "
        f"{missed} of {total} virtual faces not found by the detector",
        (*anonymity_rows(context, people, faces, real), detection_row(context, detected)),
    )


def detection_row(context: EvaluationContext, detected: Mapping[Trial, bool]) -> Row:
    """Row: the share of virtual faces that the detector finds."""
    owners, label = np.array([trial.person.number for trial in detected]), "virtual face detected (MTCNN)"
    share = rate_interval(np.array(list(detected.values())), owners, stream(context.seed, label))
    return row(label, share, paper_figure("III", "detection", context.data.name), "")


def anonymity_rows(
    context: EvaluationContext,
    people: Sequence[pairs.Person],
    faces: dict[tuple[int, int, int], FaceFeatures],
    real: dict[int, list[FaceFeatures | None]],
) -> list[Row]:
    """The rows of Tables II and III.

    Args:
        faces: (person, photo, repetition) -> features of the virtual face.
        real: person -> features of their photos, None without a usable face.
    """
    calibration = context.stages.calibration
    pairs_by_name: dict[str, list[tuple[float, int]]] = {
        "anonymity": [],
        "diversity": [],
        "differentiation": [],
        "floor: two photos of one person": [],
    }
    order = [person.number for person in people]
    for (number, photo, trial), face in faces.items():
        own, next_person = real[number][0], order[(order.index(number) + 1 + trial) % len(order)]
        if photo:
            continue
        if own is not None:
            pairs_by_name["anonymity"].append((float(own.judge @ face.judge), number))
        if (number, 0, trial + 1) in faces:
            pairs_by_name["diversity"].append((float(face.judge @ faces[number, 0, trial + 1].judge), number))
        if next_person != number and (next_person, 0, trial) in faces:
            pairs_by_name["differentiation"].append((float(face.judge @ faces[next_person, 0, trial].judge), number))
    for number, two in real.items():
        if len(two) > 1 and two[0] is not None and two[1] is not None:
            pairs_by_name["floor: two photos of one person"].append((float(two[0].judge @ two[1].judge), number))
    rows: list[Row] = []
    thresholds = (("FMR 1 %", calibration.judge_fmr_1), ("FMR 0.1 %", calibration.judge_fmr_01))
    for name, entries in pairs_by_name.items():
        cosines, owners = (np.array(column) for column in zip(*entries, strict=True))
        for label, threshold in thresholds:
            rng = stream(context.seed, f"anonymity, {name}, {label}")
            paper = paper_figure("II", name, context.data.name) if name in ("anonymity", "diversity") else None
            interval = rate_interval(cosines < threshold, owners.astype(int), rng)
            rows.append(row(f"{name}: called different, {label} ({threshold:.3f})", interval, paper, ""))
    if context.stages.method.readable:  # else `random_face` is a method beside it
        rows += ceiling_rows(context, dict(thresholds))
    rows += reidentified(context, people, faces, real)
    rows += synchronism(context, people, faces)
    return rows


def reidentified(
    context: EvaluationContext,
    people: Sequence[pairs.Person],
    faces: dict[tuple[int, int, int], FaceFeatures],
    real: dict[int, list[FaceFeatures | None]],
) -> list[Row]:
    """Rows: rank-1 and rank-10 re-identification of x_v in a gallery with x of all test people."""
    gallery = [person.number for person in people if real[person.number][0] is not None]
    probes = [number for number in gallery if (number, 0, 0) in faces]
    similarity = (
        np.stack([faces[number, 0, 0].judge for number in probes])
        @ np.stack(
            [real[number][0].judge for number in gallery]  # type: ignore[union-attr]
        ).T
    )
    rows = []
    for rank in (1, 10):
        chances = hit_chances(similarity, np.array(probes), np.array(gallery), rank)
        rng = stream(context.seed, f"rank {rank}")
        share = mean_interval(chances, np.array(probes), rng)
        note = f"chance {rank / len(gallery):.3f}"
        rows.append(row(f"re-identified among the first {rank} of {len(gallery)}", share, None, note))
    return rows


def synchronism(
    context: EvaluationContext, people: Sequence[pairs.Person], faces: dict[tuple[int, int, int], FaceFeatures]
) -> list[Row]:
    """Rows: AUC and EER of the virtual faces of x1 and x2 of one person against those of two people, same key."""
    numbers = [p.number for p in people if (p.number, 0, 0) in faces and (p.number, 1, 0) in faces]
    first = np.stack([faces[number, 0, 0].judge for number in numbers])
    second = np.stack([faces[number, 1, 0].judge for number in numbers])
    return figure_rows(context, "synchronism", crossed(numbers, first, second), "III")


def crossed(numbers: Sequence[int], first: np.ndarray, second: np.ndarray) -> ScorePair:
    """Cosines of two faces of one person as genuine scores, those of any two people's as impostor scores.

    Args:
        numbers: of P people.
        first, second: (P, D) embeddings of their faces, of unit length.
    """
    cosines = (first @ second.T).astype(np.float64)
    strangers, owners = ~np.eye(len(numbers), dtype=bool), np.array(numbers)
    of_first, of_second = (np.broadcast_to(side, cosines.shape)[strangers] for side in (owners[:, None], owners))
    return ScorePair(np.diag(cosines), owners, cosines[strangers], of_first, of_second)


def figure_rows(context: EvaluationContext, name: str, scores: ScorePair, table: str | None = None) -> list[Row]:
    """Rows: AUC and EER.

    Args:
        table: of the paper that has these figures.
    """
    rows = []
    for figure, statistic in (("AUC", area), ("EER", equal_error)):
        rng = stream(context.seed, f"{name} {figure}")
        paper = paper_figure(table, figure.lower(), context.data.name) if table else None
        rows.append(row(f"{name} {figure}", curve_interval(statistic, scores, rng), paper, ""))
    return rows
