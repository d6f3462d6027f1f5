from __future__ import annotations

import os
import stat

import pytest

from kfaar_core.errors import BadOutput
from kfaar_core.files import write_whole


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
