"""Pictures: steps that add up, text that stays text."""

import itertools
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.console.charts import (
    drawn_calibration,
    drawn_lift,
    drawn_shares,
    drawn_waterfall,
    rounded_up,
    shortened,
    signed,
    waterfall,
)

EVIL = '"><script>alert(1)</script>'
tenths = st.integers(-300, 300).map(lambda n: n / 10)


@given(st.floats(0, 100), st.lists(st.tuples(st.text(max_size=5), tenths), max_size=4))
def test_a_waterfall_ends_at_the_sum_of_its_steps(
    start: float, points: list[tuple[str, float]]
) -> None:
    steps = waterfall("Score", start, points)
    assert steps[0].end == start
    assert steps[-1].end == pytest.approx(start + sum(step for _, step in points))
    for before, after in itertools.pairwise(steps[:-1]):
        assert after.start == before.end


def test_a_waterfall_shows_each_number() -> None:
    picture = drawn_waterfall(
        waterfall("Churn risk", 18.2, [("Recency", 40.1), ("Visits", -3.0)]), "x"
    )
    texts = [text.text for text in ElementTree.fromstring(picture).iter() if text.text]
    assert texts == [
        *("Starting point", "18.2 %", "Recency", "▲ 40.1", "Visits", "▼ 3.0"),
        *("Churn risk", "55.3 %"),
    ]


@pytest.mark.parametrize(
    "picture",
    [
        drawn_waterfall(waterfall(EVIL, 10.0, [(EVIL, 5.0)]), EVIL),
        drawn_shares([(EVIL, 3)], EVIL),
        drawn_calibration([(0.1, 0.2, 5), (0.5, 0.4, 5)], EVIL),
        drawn_lift([(1, 0.9), (2, 0.1)], 0.5, EVIL),
    ],
)
def test_text_stays_text_and_nothing_styles_itself(picture: str) -> None:
    tree = ElementTree.fromstring(picture)
    assert {element.tag.rpartition("}")[2] for element in tree.iter()} <= {
        *("svg", "text", "rect", "line", "circle", "polyline")
    }
    assert "<script" not in picture
    assert not re.search(r"\sstyle=|\son\w+=", re.sub(r'"[^"]*"', '""', picture))


def test_calibration_on_the_line_lies_on_the_line() -> None:
    tree = ElementTree.fromstring(drawn_calibration([(0.25, 0.25, 9), (0.75, 0.75, 9)], "x"))
    spots = [
        (float(c.attrib["cx"]), float(c.attrib["cy"])) for c in tree.iter() if "cx" in c.attrib
    ]
    [ideal] = [e.attrib for e in tree.iter() if e.attrib.get("class") == "ideal"]
    total = float(ideal["x1"]) + float(ideal["y1"])
    assert [x + y for x, y in spots] == pytest.approx([total, total])


@pytest.mark.parametrize(
    ("share", "end"), [(0.0, 0.2), (0.2, 0.2), (0.21, 0.4), (0.9, 1.0), (1.0, 1.0), (3.0, 1.0)]
)
def test_an_axis_ends_at_a_round_number(share: float, end: float) -> None:
    assert rounded_up(share) == end


def test_small_words() -> None:
    assert signed(-2.04) == "▼ 2.0"
    assert shortened("x" * 40) == "x" * 33 + "…"
    assert shortened("short") == "short"
