from __future__ import annotations

import numpy as np

from kfaar_core import image
from kfaar_core.data.cache import ArrayCache
from kfaar_core.data.split import TEST
from kfaar_core.data.synthetic import posture, synthetic_people


def people(tiny, folder, seed=0, count=3):
    return synthetic_people(tiny, ArrayCache(folder), seed, count, "digest")


def test_everyone_has_two_photos_and_is_a_test_person(tiny, tmp_path):
    data = people(tiny, tmp_path)
    assert (len(data), len(data.identities)) == (6, 3)
    assert data.identities_of(TEST) == data.identities
    pictures = [image.open_photo(data.read(index)).pixels for index in range(len(data))]
    assert pictures[0].shape == (512, 512, 3)
    first, second, other = (picture.astype(float) for picture in pictures[:3])
    assert np.abs(first - second).mean() < np.abs(first - other).mean()


def test_photos_follow_from_the_seed_and_not_from_how_many_there_are(tiny, tmp_path):
    few, more = people(tiny, tmp_path / "a"), people(tiny, tmp_path / "b", count=4)
    assert few.sha256 == more.sha256
    assert few.read(3) == more.read(3) == few.read(3)
    other = people(tiny, tmp_path / "a", seed=1)
    assert other.sha256 != few.sha256 and other.read(3) != few.read(3)


def test_postures_spread_like_those_of_photos():
    drawn = np.array([posture(0, person, photo) for person in range(300) for photo in range(2)])
    assert np.all(np.abs(drawn[:, 0]) <= 18) and np.all(np.abs(drawn[:, 1]) <= 9)
    assert 9 < drawn[:, 0].std() < 13 and 0 <= drawn[:, 2].min() < drawn[:, 2].max() <= 0.8
