"""What an enrolled person is worth, on LFW's dev people; prints JSON. Readings depend little on the machine, times do.

python -m benchmarks.enrolled [--people 8] [--first 0] [--seed 0] [--plain] [--out FILE]

A person's first photo is enrolled (servers.AnonymisationServer.enrol). Two further photos are given to that person: the
latent takes their posture, and nothing is refined again. What the right key reads from each face is compared with the
enrolled photo and with the later photo itself. With --plain the first face is refined for its own picture alone, for
comparison. Needs LFW in KFAAR_DATA; LFW's test people take no part.

Every person is written to the file when done, and a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from kfaar_core import image
from kfaar_core.assemble import Stages
from kfaar_core.data.photos import Dataset, open_dataset
from kfaar_core.data.split import DEV
from kfaar_core.keys import UserKey
from kfaar_core.pipeline import AnonymiseRequest, load
from kfaar_core.presets import LAB
from kfaar_core.records import EnrolledPerson, Photo, VirtualFace
from kfaar_core.runtime import stream
from kfaar_core.servers import AnonymisationServer

PHOTOS = 3  # of a person; the first is enrolled
LARGE = 15.0  # degrees of yaw and pitch from which a head counts as turned by much


def three_photos(data: Dataset, seed: int) -> list[list[int]]:
    """Indices of three photos of each dev person who has them, people in an order that the seed fixes."""
    people: dict[str, list[int]] = {}
    dev = data.identities_of(DEV)
    for index, sample in enumerate(data.samples):
        if sample.identity in dev:
            people.setdefault(sample.identity, []).append(index)
    enough = [people[name][:PHOTOS] for name in sorted(people) if len(people[name]) >= PHOTOS]
    return [enough[i] for i in stream(seed, "enrolled: people").permutation(len(enough))]


def read(stages: Stages, face: VirtualFace, key: UserKey) -> tuple[np.ndarray, np.ndarray]:
    """What the key reads from a finished portrait (d,), and the judge's feature of it."""
    landmarks = stages.locator.locate(Photo(face.portrait)).landmarks
    identity = stages.identifier.virtual(stages.features(face.portrait, landmarks), key)
    return identity, stages.judge.embed_normalised(face.portrait, landmarks)


def measured(stages: Stages, photos: list[Photo], key: UserKey, enrol: bool) -> dict[str, object]:
    """Enrol the first photo and give the others to that person; cosines, degrees and CPU seconds.

    Raises:
        NoFaceFound: a photo or a virtual face without a usable face.
    """
    server = AnonymisationServer(stages)
    located = [stages.locator.locate(photo, "central") for photo in photos]
    u = [
        stages.identity(stages.encoder.embed(p.pixels, each.landmarks)) for p, each in zip(photos, located, strict=True)
    ]
    request = AnonymiseRequest(photo=photos[0], key=key, face=located[0].crop.face)
    started = time.process_time()
    if enrol:
        first, person = server.enrol(request)
    else:
        first = server.anonymise(request)
        person = EnrolledPerson(first.latent, u[0])
    seconds = time.process_time() - started
    reading, judged = read(stages, first, key)
    later = []
    for place in range(1, PHOTOS):
        started = time.process_time()
        # The photos are of one person by name; u of the photo itself lets every one of them pass.
        known = EnrolledPerson(person.latent, u[place])
        face = server.anonymise(
            AnonymiseRequest(photo=photos[place], key=key, face=located[place].crop.face, person=known)
        )
        cpu = time.process_time() - started
        own, by_judge = read(stages, face, key)
        turn = [np.array([each.posture.yaw, each.posture.pitch]) for each in (located[0], located[place])]
        later.append(
            {
                "enrolled photo": float(own @ u[0]),
                "own photo": float(own @ u[place]),
                "u of both photos": float(u[0] @ u[place]),
                "judge, first face": float(by_judge @ judged),
                "degrees turned": float(np.linalg.norm(turn[1] - turn[0])),
                "cpu_s": cpu,
            }
        )
    return {"first face": float(reading @ u[0]), "cpu_s": seconds, "later": later}


def summary(people: dict[str, dict]) -> dict[str, object]:  # type: ignore[type-arg]
    """Means over people, and over later faces by how far the head is turned."""
    later = [each for person in people.values() for each in person["later"]]
    groups = {
        "all": later,
        f"turned below {LARGE:.0f} degrees": [each for each in later if each["degrees turned"] < LARGE],
        f"turned {LARGE:.0f} degrees or more": [each for each in later if each["degrees turned"] >= LARGE],
    }
    means = {
        name: {"n": len(some), **{key: round(float(np.mean([each[key] for each in some])), 3) for key in some[0]}}
        for name, some in groups.items()
        if some
    }
    first = {
        key: round(float(np.mean([person[key] for person in people.values()])), 3) for key in ("first face", "cpu_s")
    }
    return {"people": len(people), **first, "later faces": means}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.enrolled", description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--first", type=int, default=2, help="people passed over; the first two were tuned on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="refine the first face for its own picture alone")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    data, stages = open_dataset("lfw"), load(LAB, threads=asked.threads)
    settings = {"seed": asked.seed, "plain": asked.plain, "enrolment": asdict(LAB.enrolment)}
    kept = json.loads(asked.out.read_text()) if asked.out and asked.out.exists() else {"settings": settings, "each": {}}
    if kept["settings"] != settings:
        parser.error("the file is of a run with other settings: give another one")
    done = kept["each"]
    for number, indices in list(enumerate(three_photos(data, asked.seed)))[asked.first :][: asked.people]:
        if str(number) not in done:
            photos = [image.open_photo(data.read(index)) for index in indices]
            key = UserKey(stream(asked.seed, f"key: enrolled: {number}").bytes(32))
            done[str(number)] = measured(stages, photos, key, not asked.plain)
        if asked.out:
            asked.out.write_text(json.dumps({"settings": settings, "mean": summary(done), "each": done}, indent=1))
    print(json.dumps({"settings": settings, "mean": summary(done)}, indent=2))


if __name__ == "__main__":
    main()
