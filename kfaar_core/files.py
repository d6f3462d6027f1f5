"""Atomic writing of files: a reader sees the old file or the new one, never a part of it. Hashes of files."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from kfaar_core.errors import BadOutput

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# Errors of link(2) on file systems without hard links (FAT, some network and container mounts).
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EMLINK)
_STOPS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")  # of photos in folders and zips
_DRAFT = re.compile(r"\.[0-9a-f]{16}\.part")
_FRESH = 1.0  # s, in which a temporary file need not be locked yet
_LONGEST_WAIT = 5.0  # s, for the lock of another process, which holds it for a few milliseconds


@dataclass(frozen=True)
class NewFile:
    """A file to be written."""

    path: Path
    data: bytes = field(repr=False)
    private: bool = False  # mode 0600 from its creation on; otherwise 0666 less the umask
    replace: bool = False  # an existing file, also without `force`


def write_whole(path: Path, data: bytes, *, force: bool = False, private: bool = False) -> None:
    """Write `data` to `path` atomically; see write_together."""
    write_together([NewFile(path, data, private)], force=force)


def write_together(files: Sequence[NewFile], *, force: bool = False) -> None:
    """Write several files: all of them, or none and everything as it was.

    Each file is written under a hidden temporary name and then linked to its own name, in the order given. If two
    processes write the same name, the first wins, and the second removes only its own files. A symbolic link at a path
    is never followed: without `force` it counts as an existing file, with `force` the link is replaced. Ctrl-C and
    SIGTERM are delayed until all files are written. What a killed process left under temporary names is removed.

    Args:
        files: in any folders.
        force: replace existing files.

    Raises:
        BadOutput: a file exists and `force` is false, a path is a folder, its folder is missing, or it cannot be
            written.
    """
    drafts: list[Path] = []
    placed: list[_Placed] = []
    with signals_held(), ExitStack() as held:
        try:
            for file in files:
                with _in_a_sentence(file.path):
                    _refuse(file.path, force or file.replace)
                    _sweep(file.path.parent)
                    drafts.append(_hidden(file.path, "part"))
                    held.enter_context(_draft(drafts[-1], file.data, 0o600 if file.private else 0o666))
            with _alone_in(files[0].path.parent):
                for file, draft in zip(files, drafts, strict=True):
                    with _in_a_sentence(file.path):
                        placed.append(_Placed(file.path, os.lstat(draft)))
                        placed[-1].place(draft, force or file.replace, only=len(files) == 1)
        except BaseException:
            for one in reversed(placed):
                one.undo()
            raise
        finally:
            for path in (*drafts, *(one.former for one in placed if one.former is not None)):
                _remove(path)


@dataclass
class _Placed:
    """A temporary file that got its final name, and how to undo that."""

    path: Path
    ours: os.stat_result
    former: Path | None = None  # temporary name of the file that was replaced

    def place(self, draft: Path, force: bool, only: bool) -> None:
        """Link (fails if the name exists) or, with `force`, rename (replaces)."""
        if not force:
            return _claim(draft, self.path)
        if not only and os.path.lexists(self.path):
            self.former = _hidden(self.path, "former")
            try:
                os.link(self.path, self.former, follow_symlinks=False)
            except OSError:  # no hard links here, or another owner's file
                os.rename(self.path, self.former)
        os.replace(draft, self.path)

    def undo(self) -> None:
        """Restore the former file, unless another process has written the name since."""
        with suppress(OSError):
            taken = os.path.lexists(self.path)
            if taken and not os.path.samestat(os.lstat(self.path), self.ours):
                return
            former, self.former = self.former, None
            if former is not None:
                os.replace(former, self.path)
            elif taken:
                self.path.unlink()


def _claim(draft: Path, path: Path) -> None:
    """Give the temporary file its final name; fails if that exists."""
    try:
        return os.link(draft, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # reserves the name without a hard link
    try:
        os.replace(draft, path)
    except BaseException:
        _remove(path)
        raise


@contextmanager
def signals_held() -> Iterator[None]:
    """Delay signals that end the program (Ctrl-C, SIGTERM, SIGHUP) until the block has ended."""
    came: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        came.append(number)

    before = {}
    if threading.current_thread() is threading.main_thread():  # signals interrupt only the main thread
        before = {number: signal.signal(number, remember) for number in _STOPS if signal.getsignal(number) is not None}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Lock the folder against other processes of this program, if the file system can lock folders.

    Without the lock, two runs with `force` could leave the key of one and the picture of the other.
    """
    handle = None
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
    end = time.monotonic() + _LONGEST_WAIT
    try:
        while fcntl is not None and handle is not None and time.monotonic() < end:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                break
        yield
    finally:
        if handle is not None:
            os.close(handle)


@contextmanager
def _in_a_sentence(path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise _exists(path.name) from None
    except (FileNotFoundError, NotADirectoryError):
        raise BadOutput(
            got=f"the folder for the output {path.name!r} does not exist",
            mend="make the folder first, or choose another one",
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a usable file name"
        raise BadOutput(
            got=f"the output {path.name!r} cannot be written ({reason})", mend="choose a folder that you may write to"
        ) from None


def _refuse(path: Path, force: bool) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        raise BadOutput(got="the output is a folder, not a file", mend="give the name of a file inside it")
    if not force and os.path.lexists(path):
        raise _exists(path.name)


def _exists(name: str) -> BadOutput:
    return BadOutput(
        got=f"the output {name!r} exists already",
        mend="choose another name, or write over it with --force (force=True in Python)",
    )


def _hidden(path: Path, kind: str) -> Path:
    """An unused hidden name in the same folder."""
    return path.with_name(f".{secrets.token_hex(8)}.{kind}")


@contextmanager
def _draft(draft: Path, data: bytes, mode: int) -> Iterator[None]:
    """Write a temporary file. It is locked within the block, which tells it from one whose process was killed."""
    with open(draft, "xb", opener=lambda file, flags: os.open(file, flags, mode)) as stream:
        if fcntl is not None:
            with suppress(OSError):  # no locks here: it is fresh for a while
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
        if os.name == "nt":  # renames no open file
            stream.close()
        yield


_swept: set[tuple[int, Path]] = set()  # processes, as a forked one begins with this set, and folders


def _sweep(folder: Path) -> None:
    """Remove the temporary files of killed processes from a folder, once in each process."""
    place = folder.resolve()
    if fcntl is None or (os.getpid(), place) in _swept:
        return
    _swept.add((os.getpid(), place))
    with suppress(OSError):
        for left in [entry.path for entry in os.scandir(place) if _DRAFT.fullmatch(entry.name)]:
            with suppress(OSError), open(left, "rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if abs(time.time() - os.fstat(stream.fileno()).st_mtime) > _FRESH:
                    os.unlink(left)


def _remove(path: Path) -> None:
    with suppress(OSError, ValueError):  # without access to the folder there is no temporary file
        path.unlink(missing_ok=True)


_scope = ""  # of cache_folder


def scope_cache(name: str) -> None:
    """Let cache_folder answer folders below `name` from now on, in this process; an empty name ends that.

    What is trained for one preset must not be taken for what was trained for another.
    """
    global _scope
    _scope = name


def cache_folder(name: str) -> Path:
    """The folder `<KFAAR_CACHE or .cache>/<name>`, created if missing; git-ignored, safe to delete."""
    folder = Path(os.environ.get("KFAAR_CACHE", ".cache")) / _scope / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def joined_sha256(entries: Iterable[tuple[object, str]]) -> str:
    """SHA-256 over entries (name, digest)."""
    return hashlib.sha256("".join(f"{name}\t{digest}\n" for name, digest in entries).encode()).hexdigest()
