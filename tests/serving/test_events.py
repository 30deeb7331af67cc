"""Segment's items become the signals that the same facts in a file would become."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from features.history import History
from features.home import About, Home
from features.intake.checks import checks
from features.intake.ingest import IntakeRules, ingest
from features.signals import ABSENT, DAY, HOUR, MINUTE, SECOND, code
from serving.event_cells import moment_of, scaled
from serving.events import LONGEST_ITEM, Arrival, Item, PutAside, Received, Silent, read_item
from serving.wire import parsed

NOON = 1_793_534_400_000_000  # 2026-11-01T12:00:00Z
ARRIVAL = Arrival(NOON, None, "EUR")
STAMP = "2026-11-01T11:00:00Z"


def track(event: str | None = "Product Viewed", **fields: Any) -> dict[str, Any]:
    item = {"type": "track", "userId": "C-1", "event": event, "messageId": "m-1"}
    return item | {"timestamp": STAMP} | fields


def taken(item: dict[str, Any], arrival: Arrival = ARRIVAL) -> Received:
    found = read_item(item, arrival)
    assert isinstance(found, Received), found
    return found


def refused(item: object, arrival: Arrival = ARRIVAL) -> PutAside:
    found = read_item(item, arrival)
    assert isinstance(found, PutAside), found
    return found


def test_an_order_becomes_a_signal() -> None:
    found = taken(track("Order Completed", properties={"revenue": 39.95, "discount": "2.50"}))
    assert found.customer_id == "C-1"
    assert found.row["amount"] == "39.95"
    [event], [occurred], [received], [amount], [value], [category] = found.signal.columns()
    assert (event, occurred, received) == (code("Order Completed"), NOON - HOUR, NOON)
    assert (amount, value, category) == (3995, 250, 0)


@pytest.mark.parametrize(
    ("item", "event", "properties"),
    [
        (
            {"type": "identify", "traits": {"plan": "pro", "email": "a@b.c", "firstName": "A"}},
            "Trait Set",
            {"traits": {"plan": "pro"}},
        ),
        (
            {"type": "group", "groupId": "g1", "traits": {"size": 3}},
            "Trait Set",
            {"group_id": "g1", "traits": {"size": 3}},
        ),
        (
            {"type": "page", "name": "Home", "category": "shop", "properties": {"path": "/"}},
            "Page Viewed",
            {"path": "/", "name": "Home", "category": "shop"},
        ),
        ({"type": "screen", "name": "Cart"}, "Page Viewed", {"name": "Cart"}),
    ],
)
def test_each_type_tells_its_signal(
    item: dict[str, Any], event: str, properties: dict[str, Any]
) -> None:
    found = taken({"userId": "17", "timestamp": STAMP, **item})
    assert found.customer_id == "17"
    assert found.row["event"] == event
    assert json.loads(found.row["properties"] or "{}") == properties


def test_an_alias_tells_nothing_and_says_so() -> None:
    found = read_item({"type": "alias", "userId": "C-1", "previousId": "x"}, ARRIVAL)
    assert isinstance(found, Silent)
    assert found.words == "identities are not joined here; send later events under one userId"


@pytest.mark.parametrize(
    ("ids", "customer"),
    [
        ({"userId": "C-1", "anonymousId": "7f3a"}, "C-1"),
        ({"userId": None, "anonymousId": "7f3a"}, "anon:7f3a"),
        ({"userId": "", "anonymousId": "anon:7f3a"}, "anon:7f3a"),
    ],
)
def test_who_it_was(ids: dict[str, Any], customer: str) -> None:
    assert taken(track() | ids).customer_id == customer


@pytest.mark.parametrize(
    ("item", "note"),
    [
        (track(), ""),
        (track("Candle Lit"), "kept, but no feature sees an event of this name"),
        (
            {"type": "identify", "userId": "C-1", "anonymousId": "7f3a", "traits": {"a": 1}},
            "what the visitor did before stays under the anonymousId; identities are not joined",
        ),
        ({"type": "identify", "userId": "C-1", "traits": {"a": 1}}, ""),
        (
            track(sentAt="yesterday"),
            "its sentAt is no time and was passed over; write 2026-03-31T18:05:00Z",
        ),
        (track("Consent Given", properties={"channel": "E-Mail", "purpose": "Marketing"}), ""),
        (
            track("Consent Given", properties={"channel": "email", "purpose": "newsletter"}),
            "it allows nothing: channels are email, sms, push, inapp, chat, call, post, purposes "
            "marketing, service, research",
        ),
        (
            track(
                "Consent Given",
                properties={"channel": "sms", "purpose": "marketing", "expires_at": STAMP},
            ),
            "its end was passed over: a consent stands until 'Consent Withdrawn' is sent",
        ),
    ],
)
def test_what_an_item_says_in_vain_is_noted(item: dict[str, Any], note: str) -> None:
    assert taken(item).note == note


# ---- Time --------------------------------------------------------------------------------


def test_a_wrong_clock_of_the_sender_does_no_harm() -> None:
    """Source: Segment Spec: timestamp = receivedAt - (sentAt - originalTimestamp)."""
    three_days_fast = Arrival(NOON, NOON + 3 * DAY, "EUR")
    item = track(timestamp="2026-11-04T11:58:00Z")
    assert taken(item, three_days_fast).signal.occurred_at[0] == NOON - 2 * MINUTE
    original = track(originalTimestamp="2026-11-04T11:50:00Z")
    assert taken(original, three_days_fast).signal.occurred_at[0] == NOON - 10 * MINUTE
    own = track(timestamp="2026-11-01T11:58:00Z", sentAt="2026-11-01T11:59:00Z")
    assert taken(own, three_days_fast).signal.occurred_at[0] == NOON - MINUTE


def test_without_a_moment_of_sending_the_timestamp_stands() -> None:
    assert taken(track()).signal.occurred_at[0] == NOON - HOUR


def test_without_a_timestamp_it_occurred_when_it_came() -> None:
    found = taken(track(timestamp=None, messageId=None))
    assert found.signal.occurred_at[0] == NOON
    later = taken(track(timestamp=None, messageId=None), Arrival(NOON + 1, None, "EUR"))
    assert found.message_id != later.message_id  # nothing says that they are the same


def test_the_same_message_sent_again_has_the_same_content() -> None:
    first = taken(track(), Arrival(NOON, NOON - SECOND, "EUR"))
    again = taken(track(), Arrival(NOON + 7 * MINUTE, NOON + 6 * MINUTE, "EUR"))
    assert first.signal.occurred_at[0] != again.signal.occurred_at[0]
    assert first.content == again.content
    timeless = track(timestamp=None)
    assert taken(timeless).content == taken(timeless, Arrival(NOON + 1, None, "EUR")).content
    assert taken(track(messageId=None)).message_id == f"sha256:{first.content}"
    assert taken(track(properties={"x": 1})).content != first.content


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-01T12:00:00Z", NOON),
        ("2026-11-01T13:00:00.000001+01:00", NOON + 1),
        ("2026-11-01", NOON - 12 * HOUR),
        ("yesterday", None),
        ("", None),
        (None, None),
        ("0001-01-01T00:00:00+14:00", None),
    ],
)
def test_moments(text: str | None, moment: int | None) -> None:
    assert moment_of(text) == moment


@pytest.mark.parametrize(
    ("text", "digits", "number"),
    [
        ("39.95", 2, 3995),
        ("-2.500", 2, -250),
        ("12.", 2, None),
        ("0.001", 2, None),
        ("1e3", 2, None),
        ("4.5", 3, 4500),
        ("1234567890123456", 0, None),
        (None, 2, None),
    ],
)
def test_decimal_texts(text: str | None, digits: int, number: int | None) -> None:
    assert scaled(text, digits) == number


# ---- What is put aside -------------------------------------------------------------------

BAD: list[tuple[object, str, str]] = [
    ("hello", "item", "no JSON object"),
    ({"userId": "C-1"}, "type", "none of track, identify, group, page, screen, alias"),
    (track(userId=None), "customer_id", "missing or no id"),
    (track(userId="C 1"), "customer_id", "missing or no id"),
    (track(messageId="m 1"), "message_id", "the message_id is no id"),
    (track(event=None), "event", "the event is missing or no name"),
    (track(event={"a": 1}), "event", "event is an object; must be a text; send it in quotes"),
    (track(event=["Order Completed"]), "event", "event is a list; must be a text"),
    (track(event=True), "event", "event is true; must be a text"),
    (track(userId=True), "customer_id", "userId is true; must be a text; send it in quotes"),
    (track(userId=17), "customer_id", "userId is a number; must be a text; send it in quotes"),
    (track(userId={"id": 1}), "customer_id", "userId is an object; must be a text"),
    (track(userId=None, anonymousId=False), "customer_id", "anonymousId is false; must be a text"),
    (track(messageId=1.5), "message_id", "messageId is a number; must be a text"),
    (track(timestamp=1793534400), "occurred_at", "timestamp is a number; must be a text"),
    (track(sentAt=1793534400), "occurred_at", "sentAt is a number; must be a text"),
    (
        track("Unsubscribed", properties={"channel": ["email"]}),
        "channel",
        "properties.channel is a list; must be a text",
    ),
    (
        track("Consent Given", properties={"channel": "email", "purpose": {"a": 1}}),
        "purpose",
        "properties.purpose is an object; must be a text",
    ),
    (track("x" * 129), "event", "at most 128 characters"),
    (track(timestamp="soon"), "occurred_at", "the timestamp is no time"),
    (track(timestamp="1969-12-31T23:59:59Z"), "before_1970", "before 1970"),
    (track(timestamp="2026-11-01T12:05:01Z"), "future", "more than 5 minutes after"),
    (track(properties=[1]), "properties", "no JSON object"),
    (track(properties={"amount": "a lot"}), "amount", "the amount is no number"),
    (track(properties={"amount": 1.005}), "amount_decimals", "more than 2 decimals"),
    (track("Order Completed", properties={"total": -5}), "negative", "less than nothing"),
    (
        track("Order Completed", properties={"revenue": 5, "currency": "USD"}),
        "currency",
        "not the company's (EUR, in policy.toml)",
    ),
    (track("Order Completed", properties={"discount": "half"}), "discount", "no amount"),
    (track("Review Written", properties={"score": "good"}), "score", "the score is no number"),
    (track("Survey Answered", properties={"kind": "nps"}), "no_score", "without a score"),
    (
        track("Survey Answered", properties={"kind": "mood", "score": 3}),
        "survey_kind",
        "none of nps, csat, ces",
    ),
    (
        track("Survey Answered", properties={"kind": "nps", "score": 11}),
        "nps_range",
        "not between 0 and 10",
    ),
    (track("Points Earned", properties={"points": 1.5}), "whole", "no whole number"),
    (
        track("Subscription Started", properties={"ends_at": "never"}),
        "ends_at",
        "properties.ends_at is no time",
    ),
    (
        track(properties={"selection_probability": 1.2}),
        "selection_probability",
        "not between 0 and 1",
    ),
    (track("Decision Made", properties={"communication": "x"}), "decision", "a decision needs"),
    (track("Communication Sent"), "sent_channel", "names no channel"),
    (track("Consent Given", properties={"channel": "email"}), "consent", "no channel or no"),
    (track(properties={"a": "x\0y"}), "text", "NUL"),
    (track(properties={"a": "x" * LONGEST_ITEM}), "size", "longer than 32768 bytes"),
]


@pytest.mark.parametrize(("item", "reason", "words"), BAD, ids=[name for _, name, _ in BAD])
def test_what_makes_no_sense_is_put_aside_with_its_reason(
    item: object, reason: str, words: str
) -> None:
    found = refused(item)
    assert list(found.reasons) == [reason]
    assert words in found.reasons[reason]
    assert "\0" not in found.item
    assert len(found.item) <= LONGEST_ITEM


def test_every_check_of_files_is_one_of_events() -> None:
    # Over HTTP the server says when it was received.
    of_files = {*checks("EUR", NOON)} - {"received_at", "after_now"}
    assert of_files <= {reason for _, reason, _ in BAD}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"type": "track", "properties": {"x": NaN}}', "holds NaN"),
        (b'{"type": "track", "x": 1e999}', "beyond any range"),
        (b'{"type": "track", "x": 99999999999999999999}', "beyond 64 bits"),
        (b'{"type": "track", "type": "page"}', "the same key twice"),
    ],
)
def test_a_value_that_is_no_json_harms_its_item_alone(body: bytes, words: str) -> None:
    found = refused(parsed(body, lenient=True))
    assert words in found.reasons["json"]


def test_half_of_a_surrogate_pair_is_named() -> None:
    found = refused(parsed(b'{"type": "track", "event": "\\ud800"}', lenient=True))
    assert "surrogate" in found.reasons["text"]
    found.item.encode()


def test_several_reasons_are_all_named() -> None:
    found = refused(track(userId="", timestamp="soon", properties={"amount": "x"}))
    assert sorted(found.reasons) == ["amount", "customer_id", "occurred_at"]


def test_an_unknown_event_is_taken_and_said_to_be_unseen() -> None:
    found = taken(track("Candle Lit"))
    assert found.note == "kept, but no feature sees an event of this name"
    assert taken(track()).note == ""


# ---- The same as from a file -------------------------------------------------------------

GOOD = [
    track("Order Completed", properties={"revenue": 39.95, "currency": "eur", "discount": 1}),
    track("Order Completed", properties={"total": "7.50", "products": [{"category": "tea"}]}),
    track("Order Refunded", properties={"total": 3}),
    track("Product Viewed", properties={"category": " tea ", "total": "many", "price": 2}),
    track("Survey Answered", properties={"kind": "nps", "score": 9}),
    track("Survey Answered", properties={"kind": "csat", "score": "4.5"}),
    track("Survey Sent", properties={"kind": "nps"}),
    track("Survey Sent"),
    track("Review Written", properties={"score": 4.25}),
    track("Points Earned", properties={"points": 120}),
    track("Points Redeemed", properties={"points": "30.0"}),
    track("Feature Used", properties={"minutes": 12}),
    track("Subscription Started", properties={"ends_at": "2027-01-01T00:00:00.25+01:00"}),
    track("Subscription Renewed", properties={}),
    track("Communication Sent", properties={"channel": "sms", "communication": "newsletter"}),
    track("Decision Made", properties={"communication": "x", "selection_probability": 0.125}),
    track("Consent Given", properties={"channel": "email", "purpose": "marketing"}),
    track("Consent Withdrawn", properties={"channel": "email", "evidence": "call of 3 May"}),
    track("Consent Withdrawn"),
    track("Objection Raised"),
    track("Unsubscribed", properties={"channel": "sms"}),
    track("Kerze angezündet 🕯", properties={"text": 'said "yes"\n\ttwice', "é": ["ü"]}),
    track("Email Opened", properties={"sg_machine_open": True}),
    track("Email Link Clicked", properties={"userAgent": "Mozilla/5.0"}),
    track("Email Opened", properties={"bot": "no"}),
    track(userId=None, anonymousId="7f"),
    {"type": "identify", "userId": "C-2", "traits": {"plan": "pro", "seats": 3}},
    {"type": "page", "userId": "C-2", "name": "Home", "category": "shop"},
]


def as_file(items: list[Received], folder: Path) -> Home:
    """The rows of these items, taken in as a file."""
    home = Home(folder / "home")
    home.write_about(About("Parity"))
    file = folder / "rows.ndjson"
    rows = ({k: v for k, v in item.row.items() if v} for item in items)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    report = ingest([file], None, home, IntakeRules("EUR", None, 1.0))
    assert (report.accepted, report.quarantined) == (len(items), 0), report.lines()
    return home


def assert_the_same_as_from_a_file(items: list[Received], folder: Path) -> None:
    history = History(as_file(items, folder).signals)
    log = history.load(raw=True)
    for index, customer_id in enumerate(log.customer_ids):
        ours = [item.signal.columns() for item in items if item.customer_id == customer_id]
        columns = [np.concatenate(parts) for parts in zip(*ours, strict=True)]
        rows = sorted(zip(*columns, strict=True))
        theirs = sorted(zip(*log.customer(index).columns(), strict=True))
        assert rows == theirs, customer_id
    consents = sorted(map(repr, history.consent_changes()))
    assert sorted(repr(item.consent) for item in items if item.consent) == consents


def test_an_item_is_the_same_signal_as_a_row_of_a_file(tmp_path: Path) -> None:
    items = [taken(item | {"messageId": f"m-{place}"}) for place, item in enumerate(GOOD)]
    assert any(item.signal.value[0] != ABSENT for item in items)
    assert_the_same_as_from_a_file(items, tmp_path)


def test_a_machine_is_named_in_the_key_of_its_signal() -> None:
    opened = taken(track("Email Opened", properties={"sg_machine_open": True}))
    assert opened.signal.event[0] == code("Email Opened/machine")
    read = taken(track("Email Opened", properties={"sg_machine_open": False}))
    assert read.signal.event[0] == code("Email Opened")


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**17), 10**17),
    st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(-1000, 1000, places=3, allow_nan=False).map(str),
    st.sampled_from(["nps", "", " ", "12.", "+3", "-0.0", "1_0", "2026-11-01", "ü\n", "a,b"]),
)
WORDS = ["amount", "revenue", "total", "discount", "score", "points", "minutes", "ends_at"]
WORDS += [
    "bot",
    "user_agent",
    "kind",
    "channel",
    "category",
    "communication",
    "selection_probability",
    "purpose",
]
EVENTS = ["Order Completed", "Survey Answered", "Survey Sent", "Points Earned", "Feature Used"]
EVENTS += ["Subscription Started", "Communication Sent", "Review Written", "Decision Made", "Other"]
EVENTS += ["Email Opened", "Email Link Clicked"]


# Not shrunk: that would take minutes, since each step writes a file; the lists are short enough.
@settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    said=st.lists(
        st.tuples(st.sampled_from(EVENTS), st.dictionaries(st.sampled_from(WORDS), VALUES)),
        min_size=30,
        max_size=60,
    )
)
def test_whatever_is_taken_over_http_a_file_would_take_too(
    said: list[tuple[str, dict[str, object]]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    read: list[Item] = [
        read_item(track(event, properties=properties, messageId=f"m-{place}"), ARRIVAL)
        for place, (event, properties) in enumerate(said)
    ]
    items = [item for item in read if isinstance(item, Received)]
    if items:
        assert_the_same_as_from_a_file(items, tmp_path_factory.mktemp("parity"))
