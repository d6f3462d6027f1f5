"""Start the app as a process on a free local port, for benchmarks that send requests to it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
APP = (sys.executable, "app.py", "--port")
READY_S = 180.0  # s, longest wait for the app's first answer


@dataclass(frozen=True)
class Served:
    """A running app."""

    address: str
    process: subprocess.Popen[bytes]
    ready_s: float  # s from the start of the process to its first answer

    def memory_mb(self) -> float:
        """Resident memory of the app's process in MB (Linux)."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise ProcessLookupError(self.process.pid)


@contextmanager
def serving(command: Sequence[str] = APP) -> Iterator[Served]:
    """Context manager that runs `command PORT` and waits for its first answer.

    Raises:
        SystemExit: the process ends or does not answer in time; the error has the end of its log.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}/"
    settings = {**os.environ, "GRADIO_ANALYTICS_ENABLED": "False"}
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter()
        process = subprocess.Popen([*command, str(port)], cwd=ROOT, env=settings, stdout=log, stderr=log)
        try:
            while not answers(f"{address}config"):
                if process.poll() is not None or time.perf_counter() - started > READY_S:
                    log.seek(0)
                    raise SystemExit("the app did not start:\n" + log.read().decode()[-2000:])
                time.sleep(0.05)
            yield Served(address, process, time.perf_counter() - started)
        finally:
            process.terminate()
            process.wait(30)


def answers(address: str) -> bool:
    """Whether a GET request to this address succeeds."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False
