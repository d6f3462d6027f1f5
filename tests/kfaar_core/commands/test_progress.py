"""Progress on standard error, where nobody watches a bar."""

from __future__ import annotations

from kfaar_core.commands import progress


def test_a_line_comes_every_few_seconds_and_says_photo_stage_and_step(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.PhotoProgress(3) as photos:
        for second, step in ((1, ("locate", 0, 1)), (6, ("refine", 3, 12)), (7, ("refine", 4, 12))):
            now[0] = second
            photos.stage(*step)
        photos.photo_done()
        now[0] = 20
        photos.stage("judge", 0, 1)
    told = capsys.readouterr()
    assert told.err.splitlines() == ["photo 1 of 3: refine, step 3 of 12", "photo 2 of 3: judge"] and not told.out
