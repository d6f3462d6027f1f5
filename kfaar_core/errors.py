"""Errors that say what came and how to mend it. Neither sentence may ever hold a key, a photo or an embedding."""

from __future__ import annotations


class KfaarError(Exception):
    """Base of every error that a user or a file can cause."""

    def __init__(self, *, got: str, mend: str) -> None:
        super().__init__(f"{got[:1].upper()}{got[1:]}. {mend[:1].upper()}{mend[1:]}.")
        self.got = got
        self.mend = mend


class BadPicture(KfaarError):
    """The bytes are not a picture that we accept: wrong format, empty, truncated or too large."""


class NoFaceFound(KfaarError):
    """No usable face: none, too small, cut by the border, or an index that does not exist."""


class BadKey(KfaarError):
    """A key or passphrase that cannot be used: odd hex, wrong length, empty, unreadable."""


class BadOutput(KfaarError):
    """The output cannot be written, or exists already."""


class BadWeights(KfaarError):
    """A weight file is missing, altered or half-downloaded."""


class BadSetting(KfaarError):
    """An unknown preset, projector, mode, size or table."""


class DataMissing(KfaarError):
    """Evaluation or training data, or a teacher's file, is not where it should be."""


class TooManyTries(KfaarError):
    """A client asked the authentication server more often than it allows."""
