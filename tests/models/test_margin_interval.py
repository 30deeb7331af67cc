import re

import numpy as np
import pytest

from models.margin_interval import Intervals
from models.model import DamagedModel

BANDS = Intervals(0.9, (10.0, 50.0), (0.0, 0.2, 0.5), (3.0, 2.0, 1.5), 1.0)


def test_ends_are_multiples_of_the_expected_margin_by_band() -> None:
    low, high = BANDS.around(np.array([4.0, 10.0, 49.0, 50.0]))
    assert low.tolist() == pytest.approx([0.0, 2.0, 9.8, 25.0])
    assert high.tolist() == pytest.approx([12.0, 20.0, 98.0, 75.0])


def test_a_multiple_of_nothing_is_something() -> None:
    low, high = BANDS.around(np.array([0.0, 0.2]))
    assert (low.tolist(), high.tolist()) == ([0.0, 0.0], [3.0, 3.0])


def test_the_expected_margin_is_never_outside() -> None:
    rare = Intervals(0.9, (), (0.0,), (0.0,), 0.01)
    low, high = rare.around(np.array([0.3]))
    assert (low.tolist(), high.tolist()) == ([0.0], [0.3])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"share": 1.0}, "intervals of share 1 above 1; must be a share between 0 and 1"),
        ({"least": 0.0}, "intervals of share 0.9 above 0; must be a share between 0 and 1, and"),
        ({"low": (0.0, 0.2)}, "2 edges of bands, 2 low and 3 high ends; must be one more end"),
        ({"edges": (50.0, 10.0)}, "edges of bands that do not ascend; must ascend"),
        ({"low": (0.0, 2.5, 0.5)}, "an interval that ends before it begins; must be low, then"),
    ],
)
def test_what_no_training_can_have_found_is_refused(changed: dict[str, object], words: str) -> None:
    parts = {name: getattr(BANDS, name) for name in ("share", "edges", "low", "high", "least")}
    with pytest.raises(DamagedModel, match=re.escape(words)):
        Intervals(**(parts | changed))


def test_one_margin_has_the_same_ends_as_many() -> None:
    expected = np.array([0.0, 0.3, 4.0, 10.0, np.nextafter(10.0, 0.0), 49.9, 50.0, 1e9])
    one = [BANDS.around_one(value) for value in expected.tolist()]
    low, high = BANDS.around(expected)
    assert one == list(zip(low.tolist(), high.tolist(), strict=True))
