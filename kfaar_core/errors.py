"""Errors: each says what is wrong (`got`) and how to mend it (`mend`). Neither may contain a key or an embedding."""

from __future__ import annotations


class KfaarError(Exception):
    """Base class of every error that a user or a file can cause."""

    def __init__(self, *, got: str, mend: str) -> None:
        """
        Args:
            got: what is wrong, a clause without a capital and a full stop.
            mend: what the user can do, a clause in the imperative.
        """
        super().__init__(f"{got[:1].upper()}{got[1:]}. {mend[:1].upper()}{mend[1:]}.")
        self.got = got
        self.mend = mend


class BadPicture(KfaarError):
    """Not an acceptable picture: wrong format, empty, truncated or too large."""


class NoFaceFound(KfaarError):
    """No usable face: none detected, too small, cut by the border, or an index out of range."""


class BadKey(KfaarError):
    """An invalid key or passphrase: not hex, wrong length, empty, or an unreadable file."""


class BadOutput(KfaarError):
    """The output cannot be written, or exists already."""


class BadWeights(KfaarError):
    """A weight file is missing, altered or half-downloaded."""


class BadSetting(KfaarError):
    """An unknown preset, method, mode, size or table."""


class DataMissing(KfaarError):
    """Evaluation data, training data or the file of a teacher network is missing or damaged."""


class OtherPerson(KfaarError):
    """A photo of somebody else than the person who is enrolled."""


class TooManyTries(KfaarError):
    """A client asked the authentication server more often than it allows."""
