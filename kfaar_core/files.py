"""Files, written whole or not at all: a reader sees the old file or the new one, never half of it."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path

from kfaar_core.errors import BadOutput

# What link(2) answers on file systems without hard links (FAT, some network and container mounts).
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EMLINK)


def write_whole(path: Path, data: bytes, *, force: bool = False, private: bool = False) -> None:
    """Put `data` at `path` in one step; nothing is left behind when that fails.

    A symbolic link at `path` is never followed: without `force` it counts as an existing file, with `force` the link
    itself is replaced.

    Args:
        force: replace what stands there.
        private: mode 0600, from the first byte on; otherwise what the process's umask allows.
    Raises:
        BadOutput: the file exists and not `force`, it is a folder, its folder is missing, or it cannot be written.
    """
    name = path.name
    draft = path.with_name(f".{secrets.token_hex(8)}.part") if name else path
    if os.path.isdir(path) and not os.path.islink(path):
        raise BadOutput(got="the output is a folder, not a file", mend="give the name of a file inside it")
    if not force and os.path.lexists(path):
        raise _exists(name)
    try:
        _write_draft(draft, data, 0o600 if private else 0o666)
        _move(draft, path, force)
    except FileExistsError:
        raise _exists(name) from None
    except (FileNotFoundError, NotADirectoryError):
        raise BadOutput(
            got=f"the folder for the output {name!r} does not exist",
            mend="make the folder first, or choose another one",
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a usable file name"
        raise BadOutput(
            got=f"the output {name!r} cannot be written ({reason})", mend="choose a folder that you may write to"
        ) from None
    finally:
        _remove(draft)


def _exists(name: str) -> BadOutput:
    return BadOutput(
        got=f"the output {name!r} exists already",
        mend="choose another name, or write over it with --force (force=True in Python)",
    )


def _write_draft(draft: Path, data: bytes, mode: int) -> None:
    with open(draft, "xb", opener=lambda file, flags: os.open(file, flags, mode)) as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _move(draft: Path, path: Path, force: bool) -> None:
    """Give the finished draft its name: a rename replaces, a hard link refuses to."""
    if not force:
        try:
            os.link(draft, path)
            return
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
        if os.path.lexists(path):  # no hard links here: look first, which leaves a moment for a race
            raise FileExistsError
    os.replace(draft, path)


def _remove(draft: Path) -> None:
    with suppress(OSError, ValueError):  # its folder is missing or closed to us: then there is no draft either
        draft.unlink(missing_ok=True)


def cache_folder(name: str) -> Path:
    """`<KFAAR_CACHE or .cache>/<name>`, made when missing; git-ignored, safe to delete."""
    folder = Path(os.environ.get("KFAAR_CACHE", ".cache")) / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
