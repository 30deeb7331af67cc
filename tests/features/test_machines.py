"""Machines' opens and clicks are told from people's, the same way everywhere and at any time."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.machines import machine_word, marked
from features.signals import ABSENT, DAY, HOUR, MINUTE, SECOND, SignalColumns, code

SENT, OPEN, CLICK = "Email Sent", "Email Opened", "Email Link Clicked"
ADDRESS_OF_AN_IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15"


@pytest.mark.parametrize(
    ("properties", "machine"),
    [
        ({"sg_machine_open": True}, True),
        ({"sg_machine_open": False}, False),
        ({"isBot": "true"}, True),
        ({"bot": "0"}, False),
        ({"is_prefetched": 1}, True),
        ({"user_agent": "Mozilla/5.0"}, True),  # Apple's privacy proxy says no more
        ({"userAgent": ADDRESS_OF_AN_IPHONE}, False),
        ({"user_agent": f"{ADDRESS_OF_AN_IPHONE} (compatible; Googlebot/2.1)"}, True),
        ({"user_agent": "Barracuda Sentinel (EE)"}, True),
        ({"user_agent": "python-requests/2.31"}, True),
        # It shows a picture when a person looks at the message.
        ({"user_agent": "Mozilla/5.0 (via ggpht.com GoogleImageProxy)"}, False),
        ({"asn_type": "Hosting"}, True),
        ({"asn_type": "isp"}, False),
        ({"link": "https://shop/bot"}, False),
        ({}, False),
    ],
)
def test_what_the_sender_says_of_it(properties: dict[str, object], machine: bool) -> None:
    said = json.dumps(properties)
    for event in (OPEN, CLICK):
        assert machine_word(event, said) == ("machine" if machine else None)
    assert machine_word("Page Viewed", said) is None


def test_odd_properties_say_nothing() -> None:
    for said in (None, "", "[1]", '"bot"', "{}"):
        assert machine_word(OPEN, said) is None


def columns(*rows: tuple[str, int] | tuple[str, int, int]) -> SignalColumns:
    """Signals from (event, occurred_at) or (event, occurred_at, received_at), in order."""
    full = [(code(name), at, *(rest or (at,))) for name, at, *rest in rows]
    full.sort(key=lambda row: (row[1], row[2], row[0]))
    event, occurred_at, received_at = (
        np.array(column, dtype=np.int64) for column in zip(*full, strict=True)
    )
    nothing = np.full(len(full), ABSENT, dtype=np.int64)
    return SignalColumns(event, occurred_at, received_at, nothing, nothing, 0 * event)


def machines(signals: SignalColumns) -> list[int]:
    """When machines opened or clicked."""
    keys = (code(f"{OPEN}/machine"), code(f"{CLICK}/machine"))
    return signals.occurred_at[np.isin(signals.event, keys)].tolist()


def test_nobody_reads_within_seconds_of_the_sending() -> None:
    soon, late = 10 * SECOND - 1, 10 * SECOND
    found = marked(columns((SENT, 0), (OPEN, soon), (OPEN, late), (CLICK, soon), (CLICK, late)))
    assert machines(found) == [soon, soon]
    assert len(found) == 5
    assert machines(marked(columns(("Communication Sent/email", 0), (OPEN, 5)))) == [5]
    assert machines(marked(columns(("SMS Sent", 0), (OPEN, 5)))) == []


def test_three_links_within_a_second_are_a_scanners() -> None:
    at = HOUR
    spread = columns((CLICK, at), (CLICK, at + SECOND), (CLICK, at + 2 * SECOND))
    assert machines(marked(spread)) == []
    burst = columns(*((CLICK, at + n) for n in range(5)))
    assert machines(marked(burst)) == [at + n for n in range(5)]  # from the first one on
    double = columns((CLICK, at), (CLICK, at + 1))
    assert machines(marked(double)) == []
    opens = columns(*((OPEN, at + n) for n in range(5)))
    assert machines(marked(opens)) == []


def test_a_click_counts_when_its_second_is_over() -> None:
    found = marked(columns((CLICK, HOUR), (CLICK, 2 * HOUR, 3 * HOUR), (OPEN, 4 * HOUR)))
    assert found.received_at.tolist() == [HOUR + SECOND, 3 * HOUR, 4 * HOUR]
    assert found.occurred_at.tolist() == [HOUR, 2 * HOUR, 4 * HOUR]


def test_only_what_was_known_then_counts() -> None:
    reported_late = columns((SENT, 0, DAY), (OPEN, 5, 6))
    assert machines(marked(reported_late)) == []
    both_late = columns((SENT, 0, DAY), (OPEN, 5, DAY))
    assert machines(marked(both_late)) == [5]


def test_customers_are_kept_apart() -> None:
    one, two = columns((SENT, 0)), columns((OPEN, 5))
    both = SignalColumns(
        *(np.concatenate(pair) for pair in zip(one.columns(), two.columns(), strict=True))
    )
    assert machines(marked(both, np.array([0, 1]))) == []
    assert machines(marked(both, np.array([0, 0]))) == [5]


EVENTS = st.lists(
    st.tuples(
        st.sampled_from([SENT, OPEN, CLICK, "Page Viewed"]),
        st.integers(0, 40).map(lambda halves: halves * SECOND // 2),
        st.integers(0, 6).map(lambda halves: halves * SECOND // 2),
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=150)
@given(EVENTS, st.integers(0, 45))
def test_what_is_heard_later_changes_no_mark(rows: list[tuple[str, int, int]], halves: int) -> None:
    """What counts at a moment is the same, seen then and seen ever after."""
    full = columns(*((name, at, at + late) for name, at, late in rows))
    whole, as_of = marked(full), halves * SECOND // 2

    def known(signals: SignalColumns) -> SignalColumns:
        seen = (signals.occurred_at < as_of) & (signals.received_at < as_of)
        return SignalColumns(*(column[seen] for column in signals.columns()))

    for then, now in zip(known(marked(known(full))).columns(), known(whole).columns(), strict=True):
        np.testing.assert_array_equal(then, now)


def test_with_bots_the_cleaned_click_rate_is_within_a_twentieth_of_the_truth() -> None:
    """40,000 mails: people click 6 %, gateways scan 30 %, and a tenth of these an hour late.

    People: hours after the sending (median two), one link or two, minutes apart. Gateways:
    every one of three to eight links, within seconds of the sending; of the late ones half are
    named by the mail platform. One person in thirty clicks twice. The rates are ours; the kinds
    of machines are those that mail platforms describe.
    """
    rng = np.random.default_rng(8)
    mails, rows, human = 40_000, [], 0
    for mail in range(mails):
        sent = mail * DAY
        rows.append((code(SENT), sent))
        if rng.random() < 0.06:
            human += 1
            at = sent + int(rng.lognormal(np.log(2), 1.2) * HOUR)
            rows.append((code(CLICK), at))
            if rng.random() < 0.3:
                rows.append((code(CLICK), at + int(rng.uniform(0.2, 5) * MINUTE)))
            if rng.random() < 1 / 30:
                rows.append((code(CLICK), at + int(rng.uniform(0.1, 0.5) * SECOND)))
        if rng.random() < 0.3:
            late = rng.random() < 0.1
            named = late and rng.random() < 0.5
            at = sent + int(rng.uniform(20, 90) * MINUTE if late else rng.uniform(0.5, 8) * SECOND)
            word = machine_word(CLICK, json.dumps({"bot": bool(named)}))
            key = code(f"{CLICK}/{word}") if word else code(CLICK)
            gaps = rng.uniform(0, 0.15, rng.integers(3, 9)) * SECOND
            rows.extend((key, at + int(gap)) for gap in np.cumsum(gaps))
    rows.sort(key=lambda row: row[1])
    event, at = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    nothing = np.full(len(event), ABSENT, dtype=np.int64)
    stream = SignalColumns(event, at, at, nothing, nothing, 0 * event)

    def rate(signals: SignalColumns, *keys: str) -> float:
        clicks = np.isin(signals.event, [code(key) for key in keys])
        return len(np.unique(signals.occurred_at[clicks] // DAY)) / mails

    truth, cleaned = human / mails, rate(marked(stream), CLICK)
    raw = rate(stream, CLICK, f"{CLICK}/machine")
    assert raw > 4 * truth
    assert rate(marked(stream), CLICK, f"{CLICK}/machine") == raw  # nothing is lost
    assert abs(cleaned - truth) < 0.05 * truth, (raw, cleaned, truth)
