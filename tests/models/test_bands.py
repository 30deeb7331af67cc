"""Bands: four words, each edge a doubling of everybody's odds."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.bands import BANDS, EDGES, HIGH, LOW, RAISED, USUAL, band


@pytest.mark.parametrize(
    ("value", "rate", "word"),
    [
        (0.11, 0.2, LOW),
        (1 / 9, 0.2, LOW),  # odds of 1 to 8 beside 1 to 4: exactly half
        (0.12, 0.2, USUAL),
        (0.2, 0.2, USUAL),
        (0.33, 0.2, USUAL),
        (0.34, 0.2, RAISED),
        (0.49, 0.2, RAISED),
        (0.5, 0.2, HIGH),  # odds of 1 to 1 beside 1 to 4: exactly four times
        (0.74, 0.59, USUAL),
        (0.75, 0.59, RAISED),
        (0.86, 0.59, HIGH),
    ],
)
def test_each_edge_is_a_doubling_of_the_odds(value: float, rate: float, word: str) -> None:
    assert band(value, rate) == word


def test_the_edges_are_doublings() -> None:
    assert EDGES == (0.5, 2.0, 4.0)
    assert len(BANDS) == len(EDGES) + 1


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_low_for_yes_is_above_usual_for_no(value: float, rate: float) -> None:
    odds = value / (1 - value) / (rate / (1 - rate))
    if all(abs(odds - edge) > 1e-9 for edge in (0.5, 2.0)):
        other = band(1 - value, 1 - rate)
        assert (band(value, rate) == LOW) == (other in (RAISED, HIGH))
        assert (band(value, rate) == USUAL) == (other == USUAL)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9), st.floats(0.01, 0.99))
def test_a_higher_score_is_never_in_a_lower_band(values: list[float], rate: float) -> None:
    places = [BANDS.index(band(value, rate)) for value in sorted(values)]
    assert all(one <= next_one for one, next_one in pairwise(places))
