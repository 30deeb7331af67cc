"""The history: what was taken in comes back, in one order, at any moment."""

import re
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pytest

from features.history import DamagedHistory, EmptyHistory, History, commit_part, only_writer
from features.home import Home
from features.intake.ingest import IntakeRules, ingest
from features.signals import ABSENT, DAY, SignalLog, code

HEADER = "customer_id,event,occurred_at,received_at,amount,category,channel,properties\n"
# Two customers, ties in time, a late arrival, an absent amount.
ROWS = (
    "b,Order Completed,2026-01-02T10:00:00Z,,12.50,tea,,\n",
    "a,Order Completed,2026-01-02T10:00:00Z,,7,,,\n",
    "a,Page Viewed,2026-01-01T09:00:00Z,2026-01-05T00:00:00Z,,,,\n",
    "a,Order Completed,2026-01-02T10:00:00Z,,3,tea,,\n",
    "a,Email Sent,2026-01-02T10:00:00Z,,,,,\n",
)


def micro(text: str) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return round(moment.timestamp()) * 1_000_000


def taken_in(folder: Path, *contents: str) -> History:
    home = Home(folder / "home")
    for number, content in enumerate(contents):
        file = folder / f"signals_{number}.csv"
        file.write_text(HEADER + content)
        ingest([file], None, home, IntakeRules("EUR"))
    return History(home.signals)


def assert_same(one: SignalLog, other: SignalLog) -> None:
    assert one.customer_ids == other.customer_ids
    np.testing.assert_array_equal(one.starts, other.starts)
    for left, right in zip(one.columns.columns(), other.columns.columns(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_signals_come_back_sorted_by_customer_and_time(tmp_path: Path) -> None:
    log = taken_in(tmp_path, "".join(ROWS)).load()
    assert log.customer_ids == ("a", "b")
    assert log.starts.tolist() == [0, 4, 5]
    first = log.customer(0)
    assert (
        first.occurred_at.tolist()
        == [micro("2026-01-01T09:00:00")] + [micro("2026-01-02T10:00:00")] * 3
    )
    assert first.received_at[0] == micro("2026-01-05T00:00:00")
    assert sorted(zip(first.event[1:].tolist(), first.amount[1:].tolist(), strict=True)) == sorted(
        [
            (code("Order Completed"), 700),
            (code("Order Completed"), 300),
            (code("Email Sent"), ABSENT),
        ]
    )
    assert log.customer(1).category.tolist() == [code("tea")]
    assert first.category[0] == 0


def test_the_order_of_files_makes_no_difference(tmp_path: Path) -> None:
    for name in ("together", "one_by_one", "backwards"):
        (tmp_path / name).mkdir()
    together = taken_in(tmp_path / "together", "".join(ROWS)).load()
    assert_same(taken_in(tmp_path / "one_by_one", *ROWS).load(), together)
    assert_same(taken_in(tmp_path / "backwards", *reversed(ROWS)).load(), together)


def test_a_past_moment_sees_only_what_was_received_before_it(tmp_path: Path) -> None:
    history = taken_in(tmp_path, "".join(ROWS))
    late = micro("2026-01-05T00:00:00")
    assert len(history.load(received_before=late).columns) == 4
    assert len(history.load(received_before=late + 1).columns) == 5
    assert history.load(received_before=micro("2026-01-02T10:00:00")).customer_ids == ()


def test_the_data_end_at_the_midnight_after_the_last_arrival(tmp_path: Path) -> None:
    history = taken_in(tmp_path, "".join(ROWS))
    # The last signal arrived at midnight itself: it must still lie before the end.
    assert history.data_end() == micro("2026-01-05T00:00:00") + DAY


def test_an_empty_history_loads_nothing_and_says_so_when_asked_for_its_end(tmp_path: Path) -> None:
    history = History(tmp_path / "signals")
    log = history.load()
    assert (log.customer_ids, log.starts.tolist(), len(log.columns)) == ((), [0], 0)
    assert history.events() == {}
    assert history.consent_changes() == []
    with pytest.raises(
        EmptyHistory, match="no signals yet; bring some in with `nextbest ingest FILE"
    ):
        history.data_end()


def test_events_are_counted_most_frequent_first(tmp_path: Path) -> None:
    found = taken_in(tmp_path, "".join(ROWS)).events()
    assert list(found.items()) == [("Order Completed", 3), ("Email Sent", 1), ("Page Viewed", 1)]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            'Consent Given,2026-01-01,,,,email,"{""purpose"":""marketing"",""evidence"":""form""}"',
            ("email", "marketing", True, "form", False),
        ),
        (
            'Consent Withdrawn,2026-01-01,,,,,"{""channel"":""sms"",""purpose"":""service"",'
            '""evidence"":""call""}"',
            ("sms", "service", False, "call", False),
        ),
        (
            'Consent Withdrawn,2026-01-01,,,,,"{""evidence"":""letter""}"',
            ("", "marketing", False, "letter", False),
        ),
        (
            'Objection Raised,2026-01-01,,,,email,"{""evidence"":""letter""}"',
            ("", "marketing", False, "letter", True),
        ),
        (
            'Unsubscribed,2026-01-01,,,,,"{""evidence"":""link""}"',
            ("email", "marketing", False, "link", False),
        ),
    ],
)
def test_each_change_of_consent_is_read(
    tmp_path: Path, row: str, expected: tuple[str, str, bool, str, bool]
) -> None:
    (found,) = taken_in(tmp_path, f"c,{row}\n").consent_changes()
    assert (
        found.channel,
        found.purpose,
        found.given,
        found.evidence,
        found.objection,
    ) == expected
    assert found.customer_id == "c"
    assert found.occurred_at == found.received_at == micro("2026-01-01")


def test_without_other_evidence_the_message_id_is_the_evidence(tmp_path: Path) -> None:
    (found,) = taken_in(tmp_path, "c,Unsubscribed,2026-01-01,,,,,\n").consent_changes()
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", found.evidence)


def test_a_part_is_named_by_its_bytes_and_left_overs_are_cleared(tmp_path: Path) -> None:
    history = History(tmp_path / "signals")
    with only_writer(history):
        left_over = history.folder / ".part-of-an-interrupted-run"
        left_over.write_bytes(b"half")
    with only_writer(history):
        assert not left_over.exists()
        beside = history.folder / ".part-new"
        beside.write_bytes(b"abc")
        place = commit_part(history, beside)
    # sha256 of "abc", as FIPS 180-2 prints it.
    assert place.name == (
        "part-ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad.parquet"
    )
    assert sorted(each.name for each in history.folder.iterdir()) == [".lock", place.name]


def test_codes_and_canonical_columns_lie_side_by_side(tmp_path: Path) -> None:
    history = taken_in(
        tmp_path, 'c,Survey Answered,2026-01-01,,,,,"{""kind"":""nps"",""score"":9}"\n'
    )
    with duckdb.connect() as connection:
        found = connection.execute(
            "select event, event_code, score::varchar, value, amount, amount_minor, "
            f"arrival_assumed from '{history.parts()[0]}'"
        ).fetchall()
    assert found == [
        ("Survey Answered", code("Survey Answered/nps"), "9.000", 9000, None, ABSENT, True)
    ]


def test_a_part_that_was_cut_off_is_named(tmp_path: Path) -> None:
    history = taken_in(tmp_path, "".join(ROWS))
    (part,) = history.parts()
    part.write_bytes(part.read_bytes()[:-20])
    for ask in (history.load, history.data_end, history.events, history.consent_changes):
        with pytest.raises(DamagedHistory, match="this part of the history is damaged") as told:
            ask()
        assert part.name in str(told.value)


def test_a_part_damaged_within_is_named_too(tmp_path: Path) -> None:
    history = taken_in(tmp_path, "".join(ROWS))
    (part,) = history.parts()
    content = part.read_bytes()
    part.write_bytes(content[:4] + bytes(len(content) - 8) + content[-4:])
    with pytest.raises(DamagedHistory, match="restore that file from a backup") as told:
        history.load()
    assert "\n" not in str(told.value)
