"""Signals in words."""

import numpy as np

from features.signals import ABSENT, DAY, HOUR, KEYED_BY, KNOWN_EVENTS, SignalColumns, code
from serving.console.timeline import OTHER, SAID, event_names, timeline

MIDNIGHT = 1_793_491_200_000_000  # 2026-11-01T00:00:00Z


def signals(*rows: tuple[str, int, int, int]) -> SignalColumns:
    """Rows of (event key, microseconds before midnight, amount, value), received at once."""
    at = np.array([MIDNIGHT - before for _, before, _, _ in rows], dtype=np.int64)
    return SignalColumns(
        np.array([code(key) for key, _, _, _ in rows], dtype=np.int64),
        at,
        at.copy(),
        np.array([amount for _, _, amount, _ in rows], dtype=np.int64),
        np.array([value for _, _, _, value in rows], dtype=np.int64),
        np.zeros(len(rows), dtype=np.int64),
    )


def test_newest_first_with_numbers_and_equal_ones_together() -> None:
    found = timeline(
        signals(
            ("Order Completed", 30 * DAY, 4250, ABSENT),
            ("Page Viewed", 5 * HOUR, ABSENT, ABSENT),
            ("Survey Answered/nps", 4 * HOUR, ABSENT, 9000),
            ("Page Viewed", 3 * HOUR, ABSENT, ABSENT),
            ("Points Earned", 2 * HOUR, ABSENT, 1200),
            ("Communication Sent/sms", HOUR, ABSENT, ABSENT),
        ),
        MIDNIGHT,
        "EUR",
    )
    assert [(one.day, one.text, one.count, one.ours) for one in found] == [
        ("2026-10-31", "We sent a message (sms)", 1, True),
        ("2026-10-31", "Earned points: 1,200", 1, False),
        ("2026-10-31", "Visited a page", 2, False),
        ("2026-10-31", "Answered whether they would recommend us: 9", 1, False),
        ("2026-10-02", "Ordered: 42.50 EUR", 1, False),
    ]
    assert found[2].at == "2026-10-31T21:00:00Z"


def test_what_was_not_known_yet_is_left_out() -> None:
    known = signals(("Page Viewed", HOUR, ABSENT, ABSENT), ("Signed Up", 0, ABSENT, ABSENT))
    late = SignalColumns(*known.columns()[:2], known.received_at + DAY, *known.columns()[3:])
    assert [one.text for one in timeline(known, MIDNIGHT, "EUR")] == ["Visited a page"]
    assert timeline(late, MIDNIGHT, "EUR") == ()


def test_it_stops_where_a_reader_does() -> None:
    many = signals(*(("Page Viewed", day * DAY, ABSENT, ABSENT) for day in range(1, 50)))
    found = timeline(many, MIDNIGHT, "EUR", most=7)
    assert [one.day for one in found][:2] == ["2026-10-31", "2026-10-30"]
    assert len(found) == 7


def test_a_signal_without_words_is_named_or_called_another() -> None:
    found = timeline(
        signals(("Trial Started", HOUR, ABSENT, ABSENT), ("Zork", 2 * HOUR, ABSENT, ABSENT)),
        MIDNIGHT,
        "EUR",
    )
    assert [one.text for one in found] == ["Trial Started", OTHER]


def test_all_words_speak_of_events_that_there_are() -> None:
    assert {name.partition("/")[0] for name in SAID} <= KNOWN_EVENTS
    assert {"Survey Answered/nps", "Communication Sent/email", "Order Completed"} <= set(
        event_names().values()
    )
    assert set(KEYED_BY) <= KNOWN_EVENTS
