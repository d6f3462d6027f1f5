from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kfaar_core import files
from kfaar_core.errors import BadOutput
from kfaar_core.files import NewFile, write_together, write_whole

ROOT = Path(__file__).resolve().parents[2]


def refused(path, **options) -> str:
    with pytest.raises(BadOutput) as caught:
        write_whole(path, b"new", **options)
    return str(caught.value)


def test_a_file_is_written_with_the_modes_that_the_umask_leaves(tmp_path):
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "open", b"new")
        write_whole(tmp_path / "closed", b"new", private=True)
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("open", "closed")] == [0o640, 0o600]
    assert sorted(os.listdir(tmp_path)) == ["closed", "open"]


def test_one_of_several_files_may_replace_what_exists(tmp_path):
    """A key file that grows and a new picture, in two folders: both, or everything as it was."""
    (tmp_path / "deep").mkdir()
    keys, picture = tmp_path / "keys", tmp_path / "deep" / "picture"
    keys.write_bytes(b"old")
    both = [NewFile(keys, b"new", private=True, replace=True), NewFile(picture, b"a picture")]
    write_together(both)
    assert (keys.read_bytes(), picture.read_bytes()) == (b"new", b"a picture")
    keys.write_bytes(b"old")
    with pytest.raises(BadOutput, match="'picture' exists already"):
        write_together(both)
    assert keys.read_bytes() == b"old" and sorted(os.listdir(tmp_path)) == ["deep", "keys"]


def test_a_file_that_was_replaced_comes_back_when_the_next_one_loses_a_race(tmp_path, monkeypatch):
    (tmp_path / "keys").write_bytes(b"old")
    real = os.replace

    def overtaken(source, target):
        real(source, target)
        (tmp_path / "picture").write_bytes(b"theirs")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", overtaken)
        with pytest.raises(BadOutput, match="'picture' exists already"):
            write_together([NewFile(tmp_path / "keys", b"new", replace=True), NewFile(tmp_path / "picture", b"ours")])
    assert (tmp_path / "keys").read_bytes() == b"old" and (tmp_path / "picture").read_bytes() == b"theirs"
    assert sorted(os.listdir(tmp_path)) == ["keys", "picture"]


def test_what_exists_stays_unless_forced(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    assert "--force" in refused(path) and path.read_bytes() == b"old"
    write_whole(path, b"new", force=True)
    assert path.read_bytes() == b"new" and os.listdir(tmp_path) == ["a"]


def test_a_dangling_link_counts_as_a_file(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert "exists already" in refused(tmp_path / "link")
    assert os.listdir(tmp_path) == ["link"]


@pytest.mark.parametrize("force", [False, True])
def test_places_that_take_no_file_have_their_own_sentence(tmp_path, force):
    (tmp_path / "file").touch()
    assert "is a folder" in refused(tmp_path, force=force)
    assert "does not exist" in refused(tmp_path / "no" / "a", force=force)
    assert "does not exist" in refused(tmp_path / "file" / "a", force=force)
    assert "cannot be written" in refused(tmp_path / ("a" * 300), force=force)
    assert "cannot be written" in refused(tmp_path / "a\0b", force=force)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("step", ["fsync", "link"])
def test_nothing_half_done_stays_behind(tmp_path, monkeypatch, step):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full)
    assert "No space left on device" in refused(tmp_path / "a")
    assert os.listdir(tmp_path) == []


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    """A real process that is killed between writing its draft and naming it; another one still works on its own."""
    words = "import os, sys; from kfaar_core import files; files._claim = lambda *_: os.kill(os.getpid(), 9)"
    killed = subprocess.run(
        [sys.executable, "-c", f"{words}; files.write_whole(files.Path('a'), b'x')"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    (left,) = os.listdir(tmp_path)
    assert killed.returncode == -9 and left.endswith(".part")
    for name in ("1" * 16, "2" * 16):
        (tmp_path / f".{name}.part").write_bytes(b"at work")
    (tmp_path / f".{'3' * 16}.former").write_bytes(b"the only copy of a key, it may be")
    (tmp_path / "my.part").write_bytes(b"of another program")
    for path in tmp_path.iterdir():
        if "1111" not in path.name:  # this one is fresh
            os.utime(path, (1, 1))
    with open(tmp_path / f".{'2' * 16}.part", "rb") as at_work:
        fcntl.flock(at_work, fcntl.LOCK_EX)
        write_whole(tmp_path / "b", b"new")
    kept = {f".{'1' * 16}.part", f".{'2' * 16}.part", f".{'3' * 16}.former", "my.part", "b"}
    assert set(os.listdir(tmp_path)) == kept


def test_file_systems_without_hard_links_work_too(tmp_path, monkeypatch):
    def unable(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", unable)
    write_whole(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new" and "exists" in refused(tmp_path / "a")
    assert os.listdir(tmp_path) == ["a"]


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path, monkeypatch):
    path, link = tmp_path / "a", os.link

    def later(source, target):
        path.write_bytes(b"other")
        link(source, target)

    monkeypatch.setattr(os, "link", later)
    assert "exists already" in refused(path) and path.read_bytes() == b"other"


# ---- several files at once


def pair(folder, words: bytes = b"new") -> list[NewFile]:
    return [NewFile(folder / "a.key", words, private=True), NewFile(folder / "a", words)]


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["a", "a.key"])
def test_all_files_or_none(tmp_path, name):
    (tmp_path / name).write_bytes(b"old")
    with pytest.raises(BadOutput, match=f"'{name}' exists already"):
        write_together(pair(tmp_path))
    assert contents(tmp_path) == {name: b"old"}
    write_together(pair(tmp_path), force=True)
    assert contents(tmp_path) == {"a": b"new", "a.key": b"new"}
    assert stat.S_IMODE((tmp_path / "a.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("old", [{}, {"a.key": b"old"}, {"a": b"old", "a.key": b"old"}])
def test_a_failure_at_the_second_file_takes_the_first_one_back(tmp_path, monkeypatch, old, links):
    for name, words in old.items():
        (tmp_path / name).write_bytes(words)
    replace = os.replace

    def closed(source, target):
        if Path(target).name == "a" and Path(source).read_bytes() == b"new":
            raise PermissionError(1, "Operation not permitted")
        replace(source, target)

    def unable(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "replace", closed)
    if not links:
        monkeypatch.setattr(os, "link", unable)
    with pytest.raises(BadOutput, match="cannot be written"):
        write_together(pair(tmp_path), force=True)
    assert contents(tmp_path) == old


def test_what_another_process_put_there_meanwhile_is_not_removed(tmp_path, monkeypatch):
    """It takes the second name, and even replaces the first file, before we come to the second."""
    link = os.link

    def later(source, target, **options):
        link(source, target, **options)
        (tmp_path / "theirs").write_bytes(b"other")
        os.replace(tmp_path / "theirs", tmp_path / "a.key")
        (tmp_path / "a").write_bytes(b"other")

    monkeypatch.setattr(os, "link", later)
    with pytest.raises(BadOutput, match="exists already"):
        write_together(pair(tmp_path))
    assert contents(tmp_path) == {"a": b"other", "a.key": b"other"}


def test_two_that_replace_never_leave_a_key_of_one_beside_a_picture_of_the_other(tmp_path, monkeypatch):
    write_together(pair(tmp_path, b"old"))
    replace = os.replace
    second = threading.Thread(target=lambda: write_together(pair(tmp_path, b"second"), force=True))

    def between(source, target):
        replace(source, target)
        if Path(target).name == "a.key" and not second.ident:
            second.start()
            second.join(0.3)  # time enough to do it all, if it could

    monkeypatch.setattr(os, "replace", between)
    write_together(pair(tmp_path, b"first"), force=True)
    second.join()
    assert contents(tmp_path) == {"a": b"second", "a.key": b"second"}


MANY = """
import sys
from pathlib import Path
from kfaar_core.errors import BadOutput
from kfaar_core.files import NewFile, write_together
folder, name = Path(sys.argv[1]), sys.argv[2].encode()
sys.stdin.read()  # until all have started
for number in range(40):
    pair = [NewFile(folder / f"{number}.key", name, private=True), NewFile(folder / f"{number}", name)]
    try:
        write_together(pair)
        print(number)
    except BadOutput:
        pass
"""


def test_of_several_processes_one_has_both_names(tmp_path):
    start = [
        subprocess.Popen(
            [sys.executable, "-c", MANY, str(tmp_path), str(number)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for process in start:
        process.stdin.close()
    done = {}
    for name, process in enumerate(start):
        with process.stdout:
            done[str(name).encode()] = process.stdout.read().split()
        assert process.wait(60) == 0
    found = contents(tmp_path)
    assert len(found) == 80
    for number in map(str, range(40)):
        winners = [name for name, wrote in done.items() if number in wrote]
        assert [found[number], found[f"{number}.key"]] == 2 * winners


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_between_two_files_waits_for_the_second(tmp_path, monkeypatch, stop):
    link = os.link

    def stopped(source, target, **options):
        link(source, target, **options)
        signal.raise_signal(stop)

    before = signal.signal(stop, signal.default_int_handler)
    try:
        monkeypatch.setattr(os, "link", stopped)
        with pytest.raises(KeyboardInterrupt):
            write_together(pair(tmp_path))
    finally:
        signal.signal(stop, before)
    assert contents(tmp_path) == {"a": b"new", "a.key": b"new"}


def test_a_folder_that_cannot_be_locked_is_written_all_the_same(tmp_path, monkeypatch):
    def unable(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(files.fcntl, "flock", unable)
    write_together(pair(tmp_path))
    assert len(contents(tmp_path)) == 2
