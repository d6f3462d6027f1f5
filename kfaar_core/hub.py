"""Files of the Hugging Face Hub, by huggingface_hub alone: its cache, progress bar, offline mode and HF_ENDPOINT.

A connection that breaks is resumed by huggingface_hub where it stopped. Of a process that was killed nothing is kept.
What a file must contain is checked by kfaar_core.weights.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from kfaar_core.errors import BadSetting, BadWeights

REPOSITORY_VARIABLE = "KFAAR_HUB_REPO"  # environment variable: owner/name or owner/name@revision of a published run
PUBLISHED = ("weights", "thresholds", "scores")  # folders of a published run; the same as in assets/
OFFLINE = "unset HF_HUB_OFFLINE, or copy the file into the folder that KFAAR_WEIGHTS names"


@dataclass(frozen=True)
class HubFile:
    """One file of a model repository."""

    repository: str  # owner/name
    file: str  # path in the repository
    revision: str = "main"  # commit hash, tag or branch

    def __str__(self) -> str:
        return f"{self.repository}/{self.file}@{self.revision[:12]}"

    def cached(self) -> Path | None:
        """The file in the Hub's cache; None if it is not there. Nothing is downloaded."""
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(self.repository, self.file, revision=self.revision)
        return Path(found) if isinstance(found, str) else None

    def download(self, again: bool = False) -> Path:
        """Download the file into the Hub's cache, unless it is there.

        Args:
            again: replace the file in the cache.

        Raises:
            BadWeights: no network, no such file, repository or revision, no access, or a cache that cannot be written.
        """
        from huggingface_hub import hf_hub_download

        with _in_a_sentence(str(self)):
            return Path(hf_hub_download(self.repository, self.file, revision=self.revision, force_download=again))


@contextmanager
def _in_a_sentence(what: str) -> Iterator[None]:
    """Turns what huggingface_hub raises into one sentence."""
    try:
        yield
    except Exception as error:  # of its own, of HTTP, of the file system
        reason, mend = _reason(error)
        raise BadWeights(got=f"{what} did not arrive: {reason}", mend=mend) from error


def _reason(error: Exception) -> tuple[str, str]:
    """Why the Hub did not answer with a file, and what helps."""
    from huggingface_hub import constants, errors

    server = re.sub(r"//[^/@]*@", "//", constants.ENDPOINT)  # without a password that the address may carry
    again = "when the network is back, run the command again"
    if isinstance(error, errors.GatedRepoError):
        return "its owner asks for an agreement first", f"agree on {server}, log in with hf auth login, then try again"
    if isinstance(error, errors.RevisionNotFoundError):
        return "the repository has no such revision", "name another revision, or wait for another version of kfaar"
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return "the repository has no such file at that revision", "take another mirror, or KFAAR_WEIGHTS"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"{server} has no such repository, or shows it to its members only", "log in with hf auth login"
    if constants.HF_HUB_OFFLINE and isinstance(error, errors.LocalEntryNotFoundError | ValueError):
        return "the offline mode of the Hub is on (HF_HUB_OFFLINE)", OFFLINE
    if isinstance(error, errors.LocalEntryNotFoundError):
        return f"{server} did not answer", again
    if isinstance(error, OSError) and error.errno is not None:
        cached = f"the Hub cache {constants.HF_HUB_CACHE} cannot be written ({error.strerror})"
        return cached, "let HF_HUB_CACHE name a folder that you may write to"
    return f"the connection to {server} broke ({type(error).__name__})", again


# ---- a published run


def split_repository(name: str) -> tuple[str, str]:
    """owner/name[@revision] -> owner/name and the revision, by default main.

    Raises:
        BadSetting: not of that form.
    """
    repository, _, revision = name.partition("@")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise BadSetting(got=f"the Hub repository {name!r}", mend="write it as owner/name or owner/name@revision")
    return repository, revision or "main"


def published() -> Path | None:
    """The folder of the run that KFAAR_HUB_REPO names, downloaded once a process; None if it is not set.

    The folder has the subfolders PUBLISHED of kfaar_core.publish, and preset.json.

    Raises:
        BadSetting: not of the form owner/name[@revision]. BadWeights: it cannot be downloaded and is not in the cache.
    """
    name = os.environ.get(REPOSITORY_VARIABLE, "")
    return _snapshot(name) if name else None


@cache
def _snapshot(name: str) -> Path:
    from huggingface_hub import snapshot_download

    repository, revision = split_repository(name)
    patterns = ["preset.json", *(f"{folder}/*" for folder in PUBLISHED)]
    with _in_a_sentence(f"the published run {name}"):
        return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))


def folder(kind: str, ours: Path) -> Path:
    """Where files of a kind are read: in the published run if it has that folder, else in ours.

    Args:
        kind: one of PUBLISHED. ours: the folder in assets/.
    """
    run = published()
    return run / kind if run is not None and (run / kind).is_dir() else ours
