"""Every place in training has draws of its own, the same each time it is come to."""

from itertools import product

from galaxalign.align.randomness import Purpose, generator_for, seed_for


def test_no_two_places_share_a_seed_and_each_keeps_its_own():
    places = [place for length in (1, 2, 3) for place in product(range(3), repeat=length)]
    seeds = [seed_for(purpose, *place) for purpose in Purpose for place in places]
    assert len(set(seeds)) == len(seeds)
    assert seeds == [seed_for(purpose, *place) for purpose in Purpose for place in places]


def test_a_generator_begins_where_its_seed_says():
    first, again, other = (generator_for("cpu", Purpose.SYMBOLS, 0, 1, step) for step in (5, 5, 6))
    assert first.initial_seed() == again.initial_seed() == seed_for(Purpose.SYMBOLS, 0, 1, 5)
    assert first.initial_seed() != other.initial_seed()
