"""Progress on standard error: a bar in a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

import typer
from tqdm import tqdm

EVERY = 5.0  # s between lines where nobody watches a bar


@contextmanager
def step_bar() -> Iterator[Callable[[int, int], None]]:
    """A bar of steps in a terminal, nothing elsewhere; yields its progress callback (done, of)."""
    with tqdm(unit="step", file=sys.stderr, disable=not sys.stderr.isatty(), leave=False) as bar:

        def progress(done: int, of: int) -> None:
            bar.total = of
            bar.update(done - bar.n)

        yield progress


class PhotoProgress:
    """Context manager around work on several photos; `stage` is the progress callback of pipeline.anonymise."""

    def __init__(self, photos: int) -> None:
        self._photos, self._done, self._told = photos, 0, time.monotonic()
        self._watched = sys.stderr.isatty()
        self.bar = tqdm(total=photos, unit="photo", file=sys.stderr, disable=not self._watched, leave=False)

    def __enter__(self) -> PhotoProgress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.bar.close()

    def stage(self, stage: str, done: int, of: int) -> None:
        """A stage begins, goes on or ends."""
        said = f"{stage}, step {done} of {of}" if of > 1 else stage
        if self._watched:
            self.bar.set_postfix_str(said, refresh=done == 0 or of > 1)
        elif time.monotonic() - self._told >= EVERY:
            self._told = time.monotonic()
            typer.echo(f"photo {self._done + 1} of {self._photos}: {said}", err=True)

    def photo_done(self) -> None:
        """A photo is finished."""
        self._done += 1
        self.bar.update()
