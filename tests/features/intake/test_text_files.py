"""Files as systems write them: encodings, ends of lines, floats, and what is no table at all."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.home import Home
from features.intake.ingest import IntakeError, IntakeRules, ingest
from features.intake.mapping import load_mapping
from features.intake.mapping_draft import draft_mapping
from features.intake.text_files import UnreadableFile, readable, sample, text_file

Kept = Callable[..., list[tuple[object, ...]]]
ALL = IntakeRules("EUR", max_quarantine_share=1.0)
ROWS = "customer_id,event,occurred_at,amount,category\nC0,Order Completed,2025-01-31,5,{}\n"


@pytest.mark.parametrize(
    ("content", "encoding", "category"),
    [
        (ROWS.format("Tee ü").encode("utf-8-sig"), "utf-8", "Tee ü"),
        (ROWS.format("Tee ü").encode("latin-1"), "latin-1", "Tee ü"),
        (ROWS.format("Tee 5 €").encode("cp1252"), "cp1252", "Tee 5 €"),
        (ROWS.format("Tee ü").encode("utf-16"), "utf-16", "Tee ü"),
        (b"\xfe\xff" + ROWS.format("Tee ü").encode("utf-16-be"), "utf-16", "Tee ü"),
        (ROWS.format("a\x81b").encode("latin-1"), "latin-1", "a\x81b"),
    ],
)
def test_each_encoding_is_found_and_read(
    tmp_path: Path, content: bytes, encoding: str, category: str, kept: Kept
) -> None:
    (tmp_path / "s.csv").write_bytes(content)
    file = text_file(tmp_path / "s.csv")
    assert file.encoding == encoding
    assert sample(file)["category"] == [category]
    ingest([tmp_path / "s.csv"], None, Home(tmp_path / "home"), ALL)
    assert kept(Home(tmp_path / "home"), "category") == [(category,)]


@pytest.mark.parametrize("ends", [("\r\n", "\n", "\r\n"), ("\n", "\r\n", "\n"), ("\r", "\r", "\r")])
def test_lines_may_end_in_different_ways(tmp_path: Path, ends: tuple[str, ...]) -> None:
    lines = ("customer_id,order_date,total", "C0,2025-01-31,5", "C1,2025-01-30,6")
    text = "".join(line + end for line, end in zip(lines, ends, strict=True))
    (tmp_path / "orders.csv").write_bytes(text.encode())
    found = draft_mapping([tmp_path / "orders.csv"])
    report = ingest([tmp_path / "orders.csv"], found.mapping, Home(tmp_path / "home"), ALL)
    assert (report.accepted, report.quarantined) == (2, 0)


def test_only_what_must_be_is_copied(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_bytes(ROWS.format("ü").replace("\n", "\r\n").encode())
    with readable(text_file(tmp_path / "s.csv")) as plain:
        assert plain.path == tmp_path / "s.csv"
    (tmp_path / "s.csv").write_bytes(ROWS.format("ü").encode("latin-1"))
    with readable(text_file(tmp_path / "s.csv")) as plain:
        copy = plain.path
        assert copy.read_text(encoding="utf-8") == ROWS.format("ü")
    assert not copy.exists()


def test_a_wrong_encoding_in_the_mapping_is_named(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_bytes(ROWS.format("ü").encode("latin-1"))
    (tmp_path / "mapping.toml").write_text(
        '[[file]]\npattern = "s.csv"\nencoding = "utf-16"\n[[file.signal]]\nevent = "X"\n'
        '[file.signal.columns]\ncustomer_id = "customer_id"\noccurred_at = "occurred_at"\n'
    )
    mapping = load_mapping(tmp_path / "mapping.toml")
    with pytest.raises(IntakeError, match="nothing was taken in"):
        ingest([tmp_path / "s.csv"], mapping, Home(tmp_path / "home"), ALL)


def test_a_header_below_a_title_is_named_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("Orders of 2025\n\nmade by X,\n" + ROWS.format("tea") * 2)
    with pytest.raises(UnreadableFile, match="the header seems to be in line 4: the first line"):
        text_file(tmp_path / "s.csv")


def test_a_folder_is_named_as_one(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"this is a folder; name its files, such as .*/\*"):
        text_file(tmp_path)


def test_a_file_of_twenty_thousand_columns_is_read(tmp_path: Path) -> None:
    names = ["customer_id", "event", "occurred_at", *(f"column_{n}" for n in range(20_000))]
    (tmp_path / "s.csv").write_text(",".join(names) + "\n")
    assert len(text_file(tmp_path / "s.csv").columns) == 20_003
    (tmp_path / "t.csv").write_text("x" * 200_000 + "\n")
    with pytest.raises(UnreadableFile, match="a cell of more than 128 kB; this is no table"):
        text_file(tmp_path / "t.csv")


def test_floats_are_read_as_people_would_write_them(tmp_path: Path, kept: Kept) -> None:
    home = Home(tmp_path / "home")
    (tmp_path / "s.csv").write_text("customer_id,event,occurred_at\n100,Page Viewed,2025-01-01\n")
    table = {
        "customer_id": [100.0, 101.0, 102.0],
        "event": ["Order Completed"] * 3,
        "occurred_at": ["2025-01-02"] * 3,
        "amount": [1.1 + 2.2, 0.1 + 0.7, 12.505],
    }
    pq.write_table(pa.table(table), tmp_path / "s.parquet")
    report = ingest([tmp_path / "s.csv", tmp_path / "s.parquet"], None, home, ALL)
    assert kept(home, "customer_id, amount_minor") == [
        ("100", -(2**63)),
        ("100", 330),
        ("101", 80),
    ]
    # A third decimal is no noise: it stays an error.
    assert (report.quarantined, report.reasons[0].name) == (1, "amount_decimals")


def test_a_number_too_large_for_a_time_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(
        "customer_id,created_at,total\nC0,1740000000,1\nC1,99999999999999999,1\n"
    )
    (tmp_path / "mapping.toml").write_text(
        '[[file]]\npattern = "orders.csv"\ntime_format = "unix"\n[[file.signal]]\nevent = "X"\n'
        '[file.signal.columns]\ncustomer_id = "customer_id"\noccurred_at = "created_at"\n'
    )
    mapping = load_mapping(tmp_path / "mapping.toml")
    report = ingest([tmp_path / "orders.csv"], mapping, Home(tmp_path / "home"), ALL)
    assert (report.accepted, report.quarantined) == (1, 1)


def test_segments_envelope_needs_no_mapping(tmp_path: Path, kept: Kept) -> None:
    paid = '"properties":{{"order_id":"{}","{}":10.5,"currency":"EUR"}}'
    rows = [
        f'{{"type":"track","messageId":"m{n}","userId":"u{n}","event":"Order Completed",'
        f'"timestamp":"2025-01-01T00:00:00Z","receivedAt":"2025-01-02T00:00:00Z",'
        f"{paid.format(n, word)}}}\n"
        for n, word in enumerate(("total", "revenue", "value"))
    ]
    rows.append(
        '{"type":"page","messageId":"m9","userId":"u9","timestamp":"2025-01-01T00:00:00Z",'
        '"properties":{"url":"/tea"}}\n'
    )
    (tmp_path / "seg.ndjson").write_text("".join(rows))
    home = Home(tmp_path / "home")
    report = ingest([tmp_path / "seg.ndjson"], None, home, IntakeRules("EUR"))
    assert (report.accepted, report.arrival_assumed, report.unused_columns) == (4, 1, {})
    assert kept(home, "message_id, customer_id, event, amount_minor, currency") == [
        ("m0", "u0", "Order Completed", 1050, "EUR"),
        ("m1", "u1", "Order Completed", 1050, "EUR"),
        ("m2", "u2", "Order Completed", 1050, "EUR"),
        ("m9", "u9", "Page Viewed", -(2**63), None),
    ]
    drafted = draft_mapping([tmp_path / "seg.ndjson"])
    report = ingest([tmp_path / "seg.ndjson"], drafted.mapping, home, ALL)
    assert report.accepted == 0


def test_an_amount_of_segments_in_another_currency_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "seg.ndjson").write_text(
        '{"userId":"u","event":"Order Completed","timestamp":"2025-01-01T00:00:00Z",'
        '"properties":{"total":"10.5","currency":"USD"}}\n'
        '{"userId":"u","event":"Page Viewed","timestamp":"2025-01-01T00:00:00Z"}\n'
    )
    report = ingest([tmp_path / "seg.ndjson"], None, Home(tmp_path / "home"), ALL)
    assert [reason.name for reason in report.reasons] == ["currency"]


def test_two_files_of_one_name_get_a_rule_each(tmp_path: Path) -> None:
    texts = {
        "a": "customer_id,date,total\nC0,2025-01-31,5\n",
        "b": "Kunde;Datum;Summe\nC1;1.2.2025;6\n",
    }
    for folder, text in texts.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "orders.csv").write_text(text)
    files = [tmp_path / folder / "orders.csv" for folder in texts]
    mapping = draft_mapping(files).mapping
    assert [rule.pattern for rule in mapping.files] == ["a/orders.csv", "b/orders.csv"]
    assert ingest(files, mapping, Home(tmp_path / "home"), ALL).accepted == 2
