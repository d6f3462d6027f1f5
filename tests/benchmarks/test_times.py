"""The README's times are those of the committed files."""

from __future__ import annotations

import json

import pytest

from benchmarks import times


@pytest.fixture
def written(tmp_path):
    for place, name in enumerate(times.FILES):
        found = {
            "whole_s": {"p50": 1.04 + 2 * place, "p95": 99},
            "process_start_to_first_result_s": 10.6 + place,
            "peak_memory_mb": 1000 + place,
            "threads": 2,
            "runs": 5,
            "cpu": "Some CPU",
            "method": "hashed",
            "capped": "avx2" in name,
        }
        (tmp_path / name).write_text(json.dumps(found))
    return tmp_path


def test_each_time_is_that_of_its_file(written):
    words = times.times(written)
    assert "takes 1.0 s on 2 threads of a CPU with bfloat16, and 3.0 s with AVX2 alone" in words
    assert "takes 5.0 s and 7.0 s" in words and "takes 11 s and 12 s, with 1,001 MB" in words
    assert "held to AVX2" in words
    (written / "anonymise-avx2.json").unlink()
    with pytest.raises(FileNotFoundError):
        times.times(written)
