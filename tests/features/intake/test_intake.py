"""Intake: what is good is kept exactly once, what is bad is put aside with its reason."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.history import PART_COLUMNS, History
from features.home import Home
from features.intake import ingest as intake
from features.intake.checks import checks
from features.intake.ingest import IntakeError, IntakeReport, IntakeRules, ingest
from features.signals import ABSENT, CANONICAL_COLUMNS, code

Kept = Callable[..., list[tuple[object, ...]]]
ALL = IntakeRules("EUR", max_quarantine_share=1.0)
GOOD = {"customer_id": "C-1", "event": "Order Completed", "occurred_at": "2026-03-01T10:00:00Z"}
NOW = "2026-06-01T00:00:00+00:00"


def micro(text: str) -> int:
    moment = datetime.fromisoformat(text)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return int(Decimal(repr(moment.timestamp())) * 1_000_000)


def ndjson(path: Path, *rows: Mapping[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def put_aside(report: IntakeReport) -> list[tuple[object, ...]]:
    with duckdb.connect() as connection:
        return connection.execute(
            "select file, row_number, line_number, reasons, row "
            f"from read_parquet('{report.quarantine_file}')"
        ).fetchall()


# One bad row for each check: what is changed in a good row, and the words of the reason.
BAD: dict[str, tuple[dict[str, object], str]] = {
    "customer_id": ({"customer_id": "Müller, Uwe"}, "the customer_id is missing or no id"),
    "event": ({"event": ""}, "the event is missing or no name"),
    "message_id": ({"message_id": "a b"}, "the message_id is no id"),
    "occurred_at": ({"occurred_at": "31.12.2025"}, "occurred_at is missing or no time"),
    "received_at": ({"received_at": "soon"}, "received_at is no time"),
    "before_1970": ({"occurred_at": "1969-12-31T23:59:59Z"}, "it occurred before 1970"),
    "future": (
        {"received_at": "2026-03-01T09:54:59Z"},
        "it occurred more than 5 minutes after it was received",
    ),
    "after_now": ({"occurred_at": "2026-06-01T00:05:01Z"}, "its time lies in the future"),
    "amount": ({"amount": "12,50"}, "the amount is no number; write it as 1234.50"),
    "amount_decimals": ({"amount": "12.505"}, "the amount has more than 2 decimals"),
    "negative": ({"amount": "-0.01"}, "an order of less than nothing is no purchase; if it is a"),
    "currency": ({"amount": "1", "currency": "USD"}, "the currency is not the company's (EUR"),
    "discount": ({"properties": {"discount": "ten"}}, "properties.discount is no amount"),
    "properties": ({"properties": "[1, 2]"}, "properties are no JSON object"),
    "score": (
        {"event": "Survey Answered", "score": "high", "properties": {"kind": "csat"}},
        "the score is no number",
    ),
    "no_score": ({"event": "Review Written"}, "an answer or review without a score"),
    "survey_kind": (
        {"event": "Survey Answered", "score": "9", "properties": {"kind": "mood"}},
        "the survey's properties.kind is none of nps, csat, ces",
    ),
    "nps_range": (
        {"event": "Survey Answered", "score": "11", "properties": {"kind": "nps"}},
        "the NPS answer is not between 0 and 10",
    ),
    "whole": (
        {"event": "Points Earned", "properties": {"points": "2.5"}},
        "points or minutes are no whole number",
    ),
    "ends_at": (
        {"event": "Subscription Started", "properties": {"ends_at": "never"}},
        "properties.ends_at is no time",
    ),
    "selection_probability": (
        {"selection_probability": "1.2"},
        "the selection_probability is not between 0 and 1",
    ),
    "decision": (
        {"event": "Decision Made", "communication": "welcome"},
        "a decision needs a communication (or no_contact) and its selection_probability",
    ),
    "sent_channel": ({"event": "Communication Sent"}, "a sent communication names no channel"),
    "consent": (
        {"event": "Consent Given", "channel": "email"},
        "a consent names no channel or no purpose",
    ),
}


@pytest.fixture(scope="module")
def bad_report(tmp_path_factory: pytest.TempPathFactory) -> tuple[IntakeReport, list[object]]:
    folder = tmp_path_factory.mktemp("bad")
    rows = [GOOD | changes for changes, _ in BAD.values()]
    file = ndjson(folder / "bad.json", GOOD, *rows)
    report = ingest([file], None, Home(folder), IntakeRules("EUR", micro(NOW), 1.0))
    return report, [row[3] for row in put_aside(report)]


@pytest.mark.parametrize("name", BAD)
def test_each_check_puts_its_row_aside_with_its_words(
    bad_report: tuple[IntakeReport, list[object]], name: str
) -> None:
    report, reasons = bad_report
    place = list(BAD).index(name)
    assert reasons[place] == name
    words = BAD[name][1]
    (line,) = [each for each in report.lines() if words in each]
    assert f"Example: bad.json, row {place + 2}:" in line


def test_every_check_has_a_bad_row_and_the_good_row_stays(
    bad_report: tuple[IntakeReport, list[object]],
) -> None:
    report, _ = bad_report
    assert set(checks("EUR", 0)) == set(BAD)
    assert (report.accepted, report.quarantined, report.rows_read) == (1, len(BAD), len(BAD) + 1)


@pytest.mark.parametrize("bad", [{"customer_id": None}, {"event": None}, {"occurred_at": None}])
def test_what_is_required_must_be_there(tmp_path: Path, bad: dict[str, None]) -> None:
    file = ndjson(tmp_path / "s.json", GOOD, GOOD | bad)
    report = ingest([file], None, Home(tmp_path), ALL)
    assert [reason.name for reason in report.reasons] == list(bad)


def test_the_edges_of_the_clock_tolerance_are_good(tmp_path: Path) -> None:
    rows = (
        GOOD | {"received_at": "2026-03-01T09:55:00Z"},
        GOOD | {"occurred_at": "2026-06-01T00:05:00Z"},
    )
    file = ndjson(tmp_path / "s.json", *rows)
    report = ingest([file], None, Home(tmp_path), IntakeRules("EUR", micro(NOW)))
    assert (report.accepted, report.quarantined) == (2, 0)


def test_money_is_read_to_the_cent_from_its_shortest_form(tmp_path: Path, kept: Kept) -> None:
    texts = ["0", "7", "-3.5", "12.50", "12.5000", "+0.01", "999999999999999.99", "0.10"]
    rows = [
        GOOD
        | {"customer_id": f"C{place}", "amount": text.lstrip("-"), "properties": {"discount": text}}
        for place, text in enumerate(texts)
    ]
    home = Home(tmp_path)
    ingest([ndjson(tmp_path / "s.json", *rows)], None, home, ALL)
    expected = [int(Decimal(text) * 100) for text in texts]
    assert kept(home, "amount_minor, value, amount", "customer_id") == [
        (abs(minor), minor, abs(Decimal(minor)) / 100) for minor in expected
    ]


def test_times_are_read_to_the_microsecond(tmp_path: Path, kept: Kept) -> None:
    texts = [
        "2026-03-01",
        "2026-03-01 10:00",
        "2026-03-01T10:00:00.123456Z",
        "2026-03-01T10:00:00+02:00",
        "2026-03-01 23:59:59-0530",
        "2024-02-29T00:00:00",
    ]
    rows = [
        GOOD | {"customer_id": f"C{place}", "occurred_at": text} for place, text in enumerate(texts)
    ]
    home = Home(tmp_path)
    ingest([ndjson(tmp_path / "s.json", *rows)], None, home, ALL)
    assert kept(home, "occurred_at", "customer_id") == [(micro(text),) for text in texts]


def test_values_come_from_where_the_contract_says(tmp_path: Path, kept: Kept) -> None:
    rows = [
        GOOD,
        GOOD | {"event": "Review Written", "score": 4.5},
        GOOD | {"event": "Survey Answered", "properties": {"kind": "nps", "score": 0}},
        GOOD | {"event": "Points Redeemed", "properties": {"points": 120}},
        GOOD | {"event": "Feature Used", "properties": {"minutes": "12.0"}},
        GOOD | {"event": "Subscription Renewed", "properties": {"ends_at": "2026-12-31"}},
        GOOD | {"event": "Communication Sent", "channel": "sms"},
        GOOD | {"event": "Points Earned"},
    ]
    rows = [row | {"customer_id": f"C{place}"} for place, row in enumerate(rows)]
    home = Home(tmp_path)
    ingest([ndjson(tmp_path / "s.json", *rows)], None, home, ALL)
    assert kept(home, "event_code, value", "customer_id") == [
        (code("Order Completed"), ABSENT),
        (code("Review Written"), 4500),
        (code("Survey Answered/nps"), 0),
        (code("Points Redeemed"), 120),
        (code("Feature Used"), 12),
        (code("Subscription Renewed"), micro("2026-12-31")),
        (code("Communication Sent/sms"), ABSENT),
        (code("Points Earned"), ABSENT),
    ]


def test_taking_a_file_in_twice_changes_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path)
    again = GOOD | {"received_at": "2026-03-02T00:00:00Z"}
    file = ndjson(tmp_path / "s.json", GOOD, GOOD | {"amount": "x"}, again)
    first = ingest([file], None, home, ALL)
    before = {path: path.read_bytes() for path in sorted(home.path.rglob("*.parquet"))}
    second = ingest([file], None, home, ALL)
    assert (first.accepted, first.duplicates, first.arrival_assumed) == (1, 1, 1)
    assert (second.accepted, second.duplicates, second.part) == (0, 2, None)
    assert second.quarantine_file == first.quarantine_file
    assert [p for p in before if "signals" in str(p)] == list(History(home.signals).parts())
    assert sorted(home.path.rglob("*.parquet")) == sorted(before)


def test_the_same_signal_from_another_kind_of_file_is_known(tmp_path: Path) -> None:
    home = Home(tmp_path)
    row = GOOD | {"amount": "12.50", "properties": {"order_id": "7"}}
    ingest([ndjson(tmp_path / "s.json", row)], None, home, ALL)
    moment = datetime.fromisoformat(str(GOOD["occurred_at"]))
    typed = {
        "customer_id": ["C-1"],
        "event": ["Order Completed"],
        "occurred_at": pa.array([moment], pa.timestamp("us", tz="UTC")),
        "amount": [12.5],
        "properties": [{"order_id": "7"}],
    }
    pq.write_table(pa.table(typed), tmp_path / "s.parquet")
    report = ingest([tmp_path / "s.parquet"], None, home, ALL)
    assert (report.accepted, report.duplicates) == (0, 1)


def test_of_one_id_the_first_received_stays_and_the_other_is_put_aside(
    tmp_path: Path, kept: Kept
) -> None:
    home = Home(tmp_path)
    rows = [
        GOOD | {"message_id": "m1", "amount": amount, "received_at": received}
        for amount, received in (("2", "2026-03-03T00:00:00Z"), ("1", "2026-03-02T00:00:00Z"))
    ]
    report = ingest([ndjson(tmp_path / "s.json", *rows)], None, home, ALL)
    assert kept(home, "amount_minor", "customer_id") == [(100,)]
    assert (report.accepted, report.duplicates, report.quarantined) == (1, 0, 1)
    assert "the message_id (or the order id) belongs to another signal already" in "\n".join(
        report.lines()
    )
    assert [row[3] for row in put_aside(report)] == ["message_id_reused"]
    # What the history holds was received before, whatever a later file says.
    early = rows[0] | {"received_at": "2026-03-01T12:00:00Z"}
    other = GOOD | {"message_id": "m2", "amount": "5"}
    later = ingest([ndjson(tmp_path / "t.json", early, other)], None, home, ALL)
    assert (later.accepted, later.quarantined) == (1, 1)
    assert kept(home, "amount_minor", "message_id") == [(100,), (500,)]


def test_a_second_delivery_of_one_signal_is_a_duplicate(tmp_path: Path, kept: Kept) -> None:
    home = Home(tmp_path)
    rows = [
        GOOD | {"received_at": received}
        for received in ("2026-03-04T00:00:00Z", "2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z")
    ]
    report = ingest([ndjson(tmp_path / "s.json", *rows)], None, home, ALL)
    assert (report.accepted, report.duplicates, report.quarantined) == (1, 2, 0)
    assert kept(home, "received_at", "customer_id") == [(micro("2026-03-02T00:00:00"),)]


def test_an_interrupted_run_leaves_nothing_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    file = ndjson(tmp_path / "s.json", GOOD)

    def power_cut(*_: object) -> Path:
        raise OSError("power cut")

    with monkeypatch.context() as patched:
        patched.setattr(intake, "commit_part", power_cut)
        with pytest.raises(OSError, match="power cut"):
            ingest([file], None, home, ALL)
    assert History(home.signals).parts() == ()
    assert ingest([file], None, home, ALL).accepted == 1
    assert sorted(p.name for p in home.signals.iterdir() if p.name.startswith(".part")) == []


def test_bad_rows_are_kept_as_they_stood(tmp_path: Path) -> None:
    file = tmp_path / "s.csv"
    file.write_text(
        "customer_id;event;occurred_at;amount\n"
        "C1;Order Completed;2026-01-01;5.00\n"
        "C1;Order Completed\n"
        'C2;"Order; Completed";;abc\n'
    )
    report = ingest([file], None, Home(tmp_path), ALL)
    assert (report.rows_read, report.accepted, report.quarantined) == (3, 1, 2)
    lost, bad = put_aside(report)
    assert lost == ("s.csv", None, 3, "columns", "C1;Order Completed")
    assert bad[:4] == ("s.csv", 2, None, "amount, occurred_at")
    assert json.loads(str(bad[4])) == {
        "line": 2,
        "customer_id": "C2",
        "event": "Order; Completed",
        "occurred_at": None,
        "amount": "abc",
    }
    assert "the line does not have the columns of the header" in "\n".join(report.lines())
    assert "line 3 of the file: 'C1;Order Completed'" in "\n".join(report.lines())


def test_too_many_bad_rows_stop_the_batch_and_commit_nothing(tmp_path: Path) -> None:
    rows = [GOOD | {"customer_id": f"C{place}"} for place in range(98)]
    bad = [GOOD | {"amount": "abc"}, GOOD | {"amount": "abd"}]
    home = Home(tmp_path)
    with pytest.raises(IntakeError) as told:
        ingest([ndjson(tmp_path / "s.json", *rows, *bad)], None, home, IntakeRules("EUR"))
    assert "2 of 100 rows (2.0%) are bad; at most 1.0% may be" in str(told.value)
    assert "the amount is no number" in str(told.value)
    assert "(nothing was taken in)" in str(told.value)
    assert "row 99: 'abc'" in str(told.value)
    assert History(home.signals).parts() == ()
    fine = ingest(
        [ndjson(tmp_path / "t.json", *rows, GOOD | {"event": "Page Viewed"}, bad[0])],
        None,
        home,
        IntakeRules("EUR"),
    )
    assert (fine.accepted, fine.quarantined) == (99, 1)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", "the file is empty; export it again"),
        ("a.csv", b" \n\n", "the file is empty; export it again"),
        ("a.csv", b"%PDF-1.7 ...", "this is a PDF; files are CSV, Parquet or one JSON object"),
        ("a.csv", b"PK\x03\x04 ...", "this is an Excel workbook or another zip archive"),
        ("a.csv", b'[{"customer_id": 1}]', "this is a JSON list; files are"),
        ("a.csv", b"<html>", "this is an HTML or XML page"),
        ("a.csv", b"ab\0\0cd", "this is no text (it holds zero bytes)"),
        ("a.csv", b"customer_id\nC1\n", "only one column, 'customer_id'"),
        ("a.csv", b"a,A\n1,2\n", "two columns are called 'A'"),
        ("a.parquet", b"PAR1 and then nothing", "a damaged Parquet file"),
        ("a.json", b"{nonsense\n", "begins like JSON, but no line is a JSON object"),
        (
            "a.csv",
            b"customer_id,event,occurred_at\n",
            "a header but no rows; export again",
        ),
        (
            "a.csv",
            b"kunde,event,betrag\n1,2,3\n",
            "a.csv: the columns customer_id, occurred_at are missing; the file has kunde, event, "
            "betrag; draft a mapping with `nextbest init a.csv`",
        ),
    ],
)
def test_a_file_of_another_shape_is_named(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(IntakeError, match=re.escape(words)) as told:
        ingest([tmp_path / name], None, Home(tmp_path), ALL)
    assert "(nothing was taken in)" in str(told.value)
    assert "\n" not in str(told.value)


def test_a_file_without_one_usable_row_is_named(tmp_path: Path) -> None:
    file = ndjson(tmp_path / "s.json", GOOD | {"amount": "x"})
    with pytest.raises(
        IntakeError,
        match=r"s\.json: no usable row: all 1 that tell a signal are bad, most often since the am",
    ):
        ingest([file], None, Home(tmp_path), ALL)


def test_a_missing_file_and_no_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(IntakeError, match=r"nowhere.csv: there is no such file; check the name"):
        ingest([tmp_path / "nowhere.csv"], None, Home(tmp_path), ALL)
    with pytest.raises(IntakeError, match="no files to take in; name at least one"):
        ingest([], None, Home(tmp_path), ALL)


def test_one_bad_file_keeps_the_good_ones_out_too(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (tmp_path / "empty.csv").write_bytes(b"")
    good = ndjson(tmp_path / "s.json", GOOD)
    with pytest.raises(IntakeError, match="the file is empty"):
        ingest([good, tmp_path / "empty.csv"], None, home, ALL)
    assert History(home.signals).parts() == ()


def test_unknown_events_and_columns_are_kept_counted_and_named(tmp_path: Path) -> None:
    file = ndjson(
        tmp_path / "s.json",
        GOOD,
        GOOD | {"event": "Order Complete", "colour": "red"},
        GOOD | {"event": "Zzz"},
    )
    report = ingest([file], None, Home(tmp_path), ALL)
    assert report.unknown_events == {"Order Complete": 1, "Zzz": 1}
    lines = "\n".join(report.lines())
    assert "'Order Complete', 1 time: kept, but no feature sees it; did you mean 'Order" in lines
    assert "Unknown event 'Zzz', 1 time: kept, but no feature sees it." in lines
    assert "s.json: columns not used: colour." in lines
    assert report.record()["unknown_events"] == {"Order Complete": 1, "Zzz": 1}
    json.dumps(report.record(), allow_nan=False)


def test_a_part_has_the_canonical_columns_first() -> None:
    assert tuple(PART_COLUMNS)[: len(CANONICAL_COLUMNS)] == CANONICAL_COLUMNS


def test_names_with_quotes_cannot_break_out(tmp_path: Path, kept: Kept) -> None:
    home = Home(tmp_path)
    odd = GOOD | {"event": "it's '); drop table good; --", "category": "o'clock"}
    file = ndjson(tmp_path / "it's.json", odd)
    assert ingest([file], None, home, ALL).accepted == 1
    assert kept(home, "event, category, category_code", "customer_id") == [
        (odd["event"], "o'clock", code("o'clock"))
    ]
