"""What a server grants strangers: a number of tries, and bands in place of scores (Section III-C-1).

Tries are counted for each client and face. A face is known by what KVFA reads of it without a key, so a picture that
was saved again or changed in one pixel is no new face. Nothing is forgotten early to make room: who fills the memory is
refused.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from kfaar_core.errors import TooManyTries

WINDOW = 3600.0  # s
ALIKE = (
    0.6  # cosine of two read-outs from which they count as one face; strangers' have sd 1/8 in 64 dimensions [design]
)
MOST_FACES = 64  # that one client may ask about within the window  [design]
MOST_CLIENTS = 10_000  # that are counted apart; all others share one count  [design: bounds the memory]
OTHERS = "\0others"

# What strangers are told in place of a cosine, from the lowest band to the highest (`band_of`). Scores would give the
# identity away (attacks/oracle.py).
BANDS = ("clearly not", "rather not", "rather", "clearly")
BAND = 0.2  # width of the two middle bands, from the threshold downwards and upwards  [design]


def band_of(cosine: float, threshold: float) -> int:
    """The index in BANDS of a cosine; from 2 on the faces are accepted as one person."""
    return sum(bool(cosine >= threshold + offset) for offset in (-BAND, 0.0, BAND))


@dataclass
class _Face:
    code: np.ndarray = field(repr=False)  # (d,) unit length
    at: list[float]  # times of the tries within the window


class Tries:
    """The limit on tries of one server. Safe for several threads."""

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        """
        Args:
            limit: tries for each client and face within WINDOW.
            clock: the time in seconds.
        """
        self._limit, self._clock = limit, clock
        self._clients: dict[str, list[_Face]] = {}
        self._lock = threading.Lock()

    def count(self, client: str, codes: np.ndarray) -> None:
        """Count one try about the faces of a picture; a try that is refused does not count.

        Args:
            client: who asks.
            codes: (V, d) what KVFA reads of each face without a key, unit length.

        Raises:
            TooManyTries: the client has asked about one of the faces too often, or about too many faces.
        """
        now = self._clock()
        with self._lock:
            faces = self._faces_of(client, now)
            asked = [next((face for face in faces if float(face.code @ code) >= ALIKE), None) for code in codes]
            known = list({id(face): face for face in asked if face is not None}.values())
            new = [code for code, face in zip(codes, asked, strict=True) if face is None]
            for face in known:
                if len(face.at) >= self._limit:
                    raise _refused(f"more than {self._limit} tries for this virtual face", face.at[0], now)
            if new and len(faces) + len(new) > MOST_FACES:
                oldest = min((face.at[-1] for face in faces), default=now)
                raise _refused(f"more than {MOST_FACES} faces", oldest, now)
            for face in known:
                face.at.append(now)
            faces += [_Face(code, [now]) for code in new]

    def _faces_of(self, client: str, now: float) -> list[_Face]:
        """The faces of a client within the window; of all clients, where there are too many."""
        if client not in self._clients and len(self._clients) >= MOST_CLIENTS:
            for name in list(self._clients):
                if not self._recent(name, now):
                    del self._clients[name]
            if len(self._clients) >= MOST_CLIENTS:
                client = OTHERS
        return self._recent(client, now)

    def _recent(self, client: str, now: float) -> list[_Face]:
        faces = self._clients.setdefault(client, [])
        for face in faces:
            face.at = [at for at in face.at if now - at < WINDOW]
        faces[:] = [face for face in faces if face.at]
        return faces


def _refused(what: str, since: float, now: float) -> TooManyTries:
    minutes = max(1, math.ceil((WINDOW - (now - since)) / 60))
    return TooManyTries(got=f"{what} within an hour", mend=f"wait {minutes} minutes")
