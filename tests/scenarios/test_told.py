"""The telling itself: a story that is not true is contradicted, in words."""

import tomllib
from pathlib import Path

import pytest
from told.lines import UnreadableLine, length_of, lines_of, moment_of
from told.numbers import complaint
from told.stories import Count, Crowd, Story, Then, UnreadableStory, made
from told.telling import complaints

from features.signals import DAY, HOUR, MINUTE

NOW = 1_793_491_200_000_000
REGULAR = ("every 20 days from 200 days ago until 20 days ago: Order Completed 40.00",)


def told(text: str) -> Story:
    """A story with one look, from TOML."""
    table = tomllib.loads(text)
    base = {"title": "A story", "rows": ("J9",), "signals": REGULAR, "allows": ("email",)}
    return Story(**base, then=(made(Then, table, "a story"),))


# One lie each, and the words that contradict it.
LIES = (
    ('hears = "winback_offer"', "should hear winback_offer, but hears newsletter; winback_offer is "
     "refused by 'stage: stage is lapsed, not active'"),
    ('hears = "cross_sell"', "should hear cross_sell, but hears newsletter; newsletter is worth"),
    ('hears = "newsletter"\nstage = "lapsed"', "'stage' should be 'lapsed', but is 'active'"),
    ('stage = "lapsed"', "the stage should be lapsed, but is active"),
    ('hears = "newsletter"\nflags = ["cart_open"]', "flags should be ['cart_open'], but are []"),
    ('hears = "newsletter"\nprobability = 0.9', "'selection_probability' should be 0.9, but is 1"),
    ('hears = "newsletter"\nnet = 0.25', "'expected_net' should be 0.25, but is 0.22"),
    ('hears = "newsletter"\nbasis = "measured"', "'effect_basis' should be 'measured'"),
    ('hears = "newsletter"\nevidence = 5', "'evidence' should be 5, but is 0"),
    ('hears = "newsletter"\nconsent = "assumed"', "consent should be assumed, but is"),
    ('hears = "newsletter"\nhuman = true', "'human' should be True, but is False"),
    ('hears = "newsletter"\nterms = "10 %"', "'terms' should be '10 %', but is ''"),
    ('hears = "newsletter"\nnote = "night"', "the note should say 'night', but says ''"),
    ('hears = "newsletter"\nnot_before = "in 1 hour"', "'not_before' should be in 1 hour "),
    ('hears = "newsletter"\nreconsider = "in 1 day"', "'reconsider_at' should be in 1 day "),
    ('hears = "newsletter"\nscores = {}', "nothing should be predicted, but there is"),
    ('hears = "newsletter"\nscores = { churn_risk = 0.9 }', "'churn_risk' should be 0.9, but is 0"),
    ('hears = "newsletter"\nscores = { churn_risk = "why" }', "'churn_risk' should be why"),
    ('hears = "newsletter"\nallowed = ["welcome"]', "welcome should be allowed, but is refused by"),
    ('hears = "newsletter"\nrefused = { cross_sell = "cap" }',
     "cross_sell should be refused by 'cap', but is by 'none: it may be sent: '"),
    ('hears = "newsletter"\nrefused = { welcome = "stage: winter" }',
     "welcome should be refused by 'stage: winter', but is by 'stage: stage is prospect or"),
    ('due = ["welcome"]', "due to C-1 should be ['welcome'], but is []"),
    ("features = { orders_ever = 11 }", "'orders_ever' should be 11, but is 10"),
    ('features = { orders_ever = "unknown" }', "'orders_ever' should be unknown, but is 10"),
    ("features = { nps_last = 7 }", "'nps_last' should be 7, but is nan"),
)  # fmt: skip


@pytest.mark.parametrize(("lie", "words"), LIES)
def test_a_lie_is_contradicted_in_words(lie: str, words: str, tmp_path: Path) -> None:
    (wrong,) = complaints(told(lie), tmp_path)
    assert words in wrong
    assert wrong.startswith("now: ")


def test_the_truth_is_not_contradicted(tmp_path: Path) -> None:
    true = 'hears = "newsletter"\nstage = "active"\nnet = 0.22\nfeatures = { orders_ever = 10 }'
    assert complaints(told(true), tmp_path) == []


def test_a_wrong_number_is_said() -> None:
    crowd = Crowd(4, ("3 days ago: Order Completed 40.00",))
    asked = {"feature": "orders_7d"}
    count = Count("A count", ("DS15",), (crowd,), "mean feature", 2.0, with_=asked)
    assert complaint(count) == "'mean feature' should be 2.0 (give or take 0.0005), but is 1.0000"
    other = Count("A count", ("DS15",), (crowd,), "happiness", 2.0)
    assert complaint(other).startswith("no number 'happiness'; there are net promoter score of")


def test_lines_read_as_they_sound() -> None:
    assert length_of("1 day 2 hours") == DAY + 2 * HOUR
    assert moment_of("in 5 minutes", NOW) == NOW + 5 * MINUTE
    assert moment_of("2026-11-01 00:00", 0) == NOW
    (late,) = lines_of("3 hours ago, heard 1 hour ago: Survey Answered nps 9", "C-1", NOW)
    assert late.heard_at == NOW - HOUR
    assert late.item["timestamp"] == "2026-10-31T21:00:00Z"
    assert late.item["properties"] == {"kind": "nps", "score": "9"}
    often = list(lines_of("every 10 days from 30 days ago until 5 days ago: Page Viewed", "C", NOW))
    assert [(NOW - line.heard_at) // DAY for line in often] == [30, 20, 10]
    (ends,) = lines_of("now: Subscription Started, ends in 2 days", "anon:1", NOW)
    assert ends.item["properties"] == {"ends_at": "2026-11-03T00:00:00Z"}
    assert ends.item["anonymousId"] == "anon:1"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Product Added", "has no ': '; write '2 hours ago: Product Added'"),
        ("yesterday: Product Added", "'yesterday' is no moment"),
        ("2 fortnights ago: Product Added", "'2 fortnights' is no length of time"),
        ("2 hours ago: Product Aded", "'Product Aded' begins with no event that is known"),
        ("2 hours ago: Order Completed 4.00 gladly", "what is 'gladly'? Write name=value"),
    ],
)
def test_a_line_that_says_nothing_is_named(line: str, words: str) -> None:
    with pytest.raises(UnreadableLine) as said:
        list(lines_of(line, "C-1", NOW))
    assert words in str(said.value)


def test_a_key_that_is_not_known_is_named() -> None:
    with pytest.raises(UnreadableStory, match="a story: unknown key 'heers'; did you mean 'hears'"):
        told('heers = "newsletter"')
    with pytest.raises(UnreadableStory, match="a story: 'rows' is missing"):
        made(Story, {"title": "A", "then": []}, "a story")
