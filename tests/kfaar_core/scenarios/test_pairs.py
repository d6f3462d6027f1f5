from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest

from kfaar_core.errors import DataMissing
from kfaar_core.scenarios import pairs


@dataclass(frozen=True)
class Sample:
    identity: str
    file: str


def many(people=30):
    """Person i has i % 5 + 1 photos."""
    return [Sample(f"person {i}", f"person {i}/{j}.jpg") for i in range(people) for j in range(i % 5 + 1)]


def test_at_most_two_different_photos_of_the_same_person():
    samples = many()
    for person in pairs.people(samples):
        assert len(set(person.photos)) == 2
        assert len({samples[i].identity for i in person.photos}) == 1


def test_people_with_too_few_photos_stay_out():
    assert len(pairs.people(many())) == 24
    alone = pairs.people(many(), at_least=1)
    assert Counter(len(person.photos) for person in alone) == {2: 24, 1: 6}


def test_people_are_numbered_in_order():
    assert [person.number for person in pairs.people(many())] == list(range(24))


def files(samples, people):
    return [tuple(samples[i].file for i in person.photos) for person in people]


def test_the_choice_does_not_depend_on_the_order_of_the_file():
    samples = many()
    turned = samples[::-1]
    assert files(samples, pairs.people(samples)) == files(turned, pairs.people(turned))


def test_a_limit_takes_the_first_people():
    assert pairs.people(many(), limit=5) == pairs.people(many())[:5]


def test_only_allowed_people_take_part():
    samples = many()
    found = pairs.people(samples, {"person 4", "person 7"})
    assert {samples[i].identity for person in found for i in person.photos} == {"person 4", "person 7"}


def test_another_seed_chooses_others():
    samples = many()
    assert files(samples, pairs.people(samples)) != files(samples, pairs.people(samples, seed=1))


def test_nobody_left_is_an_error():
    with pytest.raises(DataMissing, match="Nobody with at least 9"):
        pairs.people(many(), at_least=9)
    with pytest.raises(DataMissing):
        pairs.people(many(), limit=0)


def test_genuine_trials():
    people = pairs.people(many(), at_least=1)
    same, other = pairs.same_photo(people), pairs.other_photo(people)
    assert (len(same), len(other)) == (30, 24)
    np.testing.assert_array_equal(same.sources, same.probes)
    assert (other.sources != other.probes).all()
    for trials in (same, other):
        np.testing.assert_array_equal(trials.people, trials.probe_people)
        for number, source, probe in zip(trials.people, trials.sources, trials.probes, strict=True):
            assert {source, probe} <= set(people[number].photos)


def test_impostors_are_other_people_each_once():
    people = pairs.people(many(), at_least=1)
    found = pairs.impostors(people, 0)
    assert (found.people != found.probe_people).all()
    assert sorted(found.people) == sorted(found.probe_people) == list(range(30))
    for number, probe in zip(found.probe_people, found.probes, strict=True):
        assert people[number].photos[0] == probe


def test_every_trial_has_its_own_impostors_and_repeats():
    people = pairs.people(many())
    first, second = pairs.impostors(people, 0), pairs.impostors(people, 1)
    assert (first.probes != second.probes).any()
    np.testing.assert_array_equal(first.probes, pairs.impostors(people, 0).probes)


def test_one_person_has_no_impostor():
    with pytest.raises(DataMissing):
        pairs.impostors(pairs.people(many(), limit=1), 0)


@pytest.mark.parametrize(("count", "each"), [(2, 50), (3, 50), (4, 50), (24, 5), (24, 50)])
def test_verification_never_pairs_two_people_twice(count, each):
    people = pairs.people(many(), limit=count)
    found = pairs.verification_pairs(people, impostors_each=each)
    owner = {photo: person.number for person in people for photo in person.photos}
    met = Counter(frozenset((owner[a], owner[b])) for a, b in found.impostor.tolist())
    assert set(met.values()) == {1}
    assert all(len(both) == 2 for both in met)
    assert [owner[a] for a in found.impostor[:, 0].tolist()] == found.impostor_people.tolist()
    starts = set(Counter(found.impostor_people.tolist()).values())
    assert starts == {max(1, min(each, (count - 1) // 2))}
    assert len(found.genuine) == count
    assert [[owner[a], owner[b]] for a, b in found.genuine.tolist()] == [[p, p] for p in found.genuine_people]


def test_verification_uses_people_with_one_photo_as_impostors_only():
    found = pairs.verification_pairs(pairs.people(many(), at_least=1))
    assert len(found.genuine) == 24
    assert len(set(found.impostor_people.tolist())) == 30


def test_verification_without_two_photos_of_anybody_is_an_error():
    samples = [Sample(f"person {i}", f"{i}.jpg") for i in range(4)]
    with pytest.raises(DataMissing):
        pairs.verification_pairs(pairs.people(samples, at_least=1))


def test_trials_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        pairs.same_photo(pairs.people(many())).probes[0] = 1
