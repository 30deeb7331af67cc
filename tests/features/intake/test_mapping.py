"""The mapping: drafted from foreign files, corrected by people, applied to rows."""

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from features.history import History
from features.home import Home
from features.intake.column_guesses import Column, column, words
from features.intake.ingest import IntakeReport, IntakeRules, ingest
from features.intake.mapping import FileRule, Mapping_, MappingError, SignalRule, load_mapping
from features.intake.mapping_draft import DraftMapping, draft_mapping

Kept = Callable[..., list[tuple[object, ...]]]
SHOP = Path(__file__).parents[2] / "foreign_shop"
ALL = IntakeRules("EUR", max_quarantine_share=1.0)
BY_TIME = "occurred_at, event, amount"
ORDERS = """\
[[file]]
pattern = "orders*.csv"
[[file.signal]]
event = "Order Completed"
[file.signal.columns]
customer_id = "Customer"
occurred_at = "Date"
"""


def mapping_from(folder: Path, text: str) -> Mapping_:
    path = folder / "mapping.toml"
    path.write_text(text, encoding="utf-8")
    return load_mapping(path)


def draft(folder: Path, name: str, text: str, encoding: str = "utf-8") -> DraftMapping:
    (folder / name).write_text(text, encoding=encoding)
    return draft_mapping([folder / name])


def taken_in(folder: Path, name: str, found: DraftMapping) -> tuple[IntakeReport, Home]:
    """Take a file in by its draft, read back from the text that people would see."""
    home = Home(folder / "home")
    return ingest([folder / name], mapping_from(folder, found.toml()), home, ALL), home


def micro(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


def test_three_files_of_a_foreign_shop_are_understood(tmp_path: Path, kept: Kept) -> None:
    files = sorted(SHOP.glob("*.csv"))
    assert sum(file.stat().st_size for file in files) < 300_000
    found = draft_mapping(files)
    mapping = mapping_from(tmp_path, found.toml())
    assert mapping == found.mapping
    orders, customers, mails = mapping.files
    assert (orders.delimiter, orders.decimal, orders.time_format) == (
        ";",
        ",",
        ("%d.%m.%Y %H:%M", "%d.%m.%Y"),
    )
    assert customers.encoding == "latin-1"
    assert [rule.event for rule in orders.signals] == [
        "Order Completed",
        "Order Shipped",
        "Order Delivered",
    ]
    assert [rule.event for rule in customers.signals] == [
        "Signed Up",
        "Trait Set",
        "Consent Given",
        "Consent Withdrawn",
    ]
    assert [rule.event for rule in mails.signals] == [
        "Email Sent",
        "Email Opened",
        "Email Link Clicked",
    ]
    assert any("Vorname, Nachname, E-Mail" in note for note in found.notes)
    home = Home(tmp_path / "home")
    report = ingest(files, mapping, home, IntakeRules("EUR"))
    assert (report.quarantined, report.duplicates, report.rows_read) == (0, 0, 3683)
    counts = History(home.signals).events()
    lines = (SHOP / "bestellungen.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert counts["Order Completed"] == len(lines)
    # The shop's takings, added up from the text by hand.
    cents = sum(int(re.sub("[.,]", "", line.split(";")[4])) for line in lines)
    total = sum(float(str(amount)) for (amount,) in kept(home, "coalesce(amount, 0)", BY_TIME))
    assert round(total * 100) == cents
    assert ingest(files, mapping, home, IntakeRules("EUR")).accepted == 0


def test_letters_of_an_old_encoding_come_out_right(tmp_path: Path, kept: Kept) -> None:
    found = draft(
        tmp_path,
        "kunden.csv",
        "Kundennr;Ort;Kunde seit\n1;Köln;31.12.2025\n2;Ulm;13.1.2026\n",
        "latin-1",
    )
    _, home = taken_in(tmp_path, "kunden.csv", found)
    rows = kept(home, "event, properties", BY_TIME)
    assert [row for row in rows if row[0] == "Trait Set"] == [
        ("Trait Set", '{"Ort":"Köln"}'),
        ("Trait Set", '{"Ort":"Ulm"}'),
    ]


@pytest.mark.parametrize(
    ("values", "formats", "ambiguous"),
    [
        (["31.12.2025", "01.02.2026"], ("%d.%m.%Y",), False),
        (["12/31/2025", "01/02/2026"], ("%m/%d/%Y",), False),
        (["31/12/2025", "01/02/2026"], ("%d/%m/%Y",), False),
        (["01/02/2026"], ("%m/%d/%Y",), True),
        (["01.02.2026"], ("%d.%m.%Y",), True),
        (["31.12.25 10:11", "01.02.26 09:00"], ("%d.%m.%y %H:%M",), False),
        (["31.12.2025 10:11:12", "30.12.2025"], ("%d.%m.%Y %H:%M:%S", "%d.%m.%Y"), False),
        (["2025-12-31T10:00:00Z", "2026-01-01"], ("iso",), False),
    ],
)
def test_day_and_month_are_told_from_the_values(
    values: list[str], formats: tuple[str, ...], ambiguous: bool
) -> None:
    found = column("Datum", values)
    assert (found.kind, set(found.time_formats), found.ambiguous) == (
        "time",
        set(formats),
        ambiguous,
    )


@pytest.mark.parametrize(
    ("values", "kind", "decimal"),
    [
        (["12,50", "1.249,00"], "number", ","),
        (["12.50", "1,249.00"], "number", "."),
        (["12,50 €", "7 €"], "number", ","),
        (["12", "7"], "number", ""),
        (["ja", "nein", "ja"], "yes_no", ""),
        (["Köln", "Ulm"], "text", ""),
        ([], "empty", ""),
    ],
)
def test_what_a_column_holds_is_told_from_its_values(
    values: list[str], kind: str, decimal: str
) -> None:
    found = column("x", values)
    assert (found.kind, found.decimal) == (kind, decimal)


def test_names_are_compared_as_plain_words() -> None:
    assert words("Bestell-Nr.") == "bestell nr"
    assert words("customerID") == "customer id"
    assert words("Geöffnet am") == "geoffnet am"


def test_an_ambiguous_date_is_said(tmp_path: Path) -> None:
    text = "Customer ID,Order Date,Total\n1,01/02/2026,5.00\n2,03/04/2026,6.00\n"
    found = draft(tmp_path, "orders.csv", text)
    assert any(
        "'Order Date' could be day-first or month-first; month-first is assumed" in note
        for note in found.notes
    )


def test_rows_of_articles_become_one_order(tmp_path: Path, kept: Kept) -> None:
    text = (
        "Order ID;Customer ID;Order Date;Category;Amount;Discount\n"
        "7;a;2026-01-02;tea;10,00;1,00\n"
        "7;a;2026-01-02;pots;2,50;\n"
        "8;b;2026-01-03;tea;3;0,25\n"
        ";b;2026-01-04;tea;4;\n"
        ";b;2026-01-05;tea;5;\n"
    )
    found = draft(tmp_path, "orders.csv", text)
    assert any("one row an article, not one an order" in note for note in found.notes)
    report, home = taken_in(tmp_path, "orders.csv", found)
    assert kept(home, "customer_id, amount_minor, value, category", BY_TIME) == [
        ("a", 1250, 100, "tea"),
        ("b", 300, 25, "tea"),
        ("b", 400, -(2**63), "tea"),
        ("b", 500, -(2**63), "tea"),
    ]
    assert report.quarantined == 0


def test_an_article_without_a_price_puts_its_order_aside(tmp_path: Path) -> None:
    text = (
        "Order ID,Customer ID,Order Date,Amount\n7,a,2026-01-02,10.00\n7,a,2026-01-02,free\n"
        "8,a,2026-01-03,1\n" + "".join(f"{n},b,2026-01-04,1.50\n" for n in range(9, 30))
    )
    report, _ = taken_in(tmp_path, "orders.csv", draft(tmp_path, "orders.csv", text))
    assert (report.accepted, report.quarantined) == (22, 1)
    assert "'free'" in report.reasons[0].example


def test_a_yes_without_a_date_counts_from_the_beginning_and_is_said(tmp_path: Path) -> None:
    text = "Customer;Newsletter;Customer since\n1;ja;31.12.2025\n2;nein;13.01.2026\n"
    found = draft(tmp_path, "customers.csv", text)
    assert any(
        "says yes or no but not when; taken as at 'Customer since'" in n for n in found.notes
    )
    assert any("a legal statement; check it" in note for note in found.notes)
    _, home = taken_in(tmp_path, "customers.csv", found)
    change, other = History(home.signals).consent_changes()
    assert (change.customer_id, change.channel, change.purpose) == ("1", "email", "marketing")
    assert (change.given, other.given, other.customer_id) == (True, False, "2")
    assert change.evidence == "customers.csv: Newsletter"


def test_tickets_surveys_reviews_and_visits_are_told(tmp_path: Path) -> None:
    files = {
        "tickets.csv": "customer_id,Opened,Closed,Category\na,2026-01-01,2026-01-02,late\na,"
        "2026-01-03,,late\n",
        "nps.csv": "customer_id,Date,Score\na,2026-01-01,9\nb,2026-01-02,3\nb,2026-01-03,\n",
        "reviews.csv": "customer_id,Date,Stars\na,2026-01-01,4.5\n",
        "visits.csv": "customer_id,Time,URL\na,2026-01-01 10:00,/tea\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    paths = [tmp_path / name for name in files]
    found = draft_mapping(paths)
    home = Home(tmp_path / "home")
    ingest(paths, mapping_from(tmp_path, found.toml()), home, ALL)
    assert History(home.signals).events() == {
        "Survey Answered": 2,
        "Ticket Opened": 2,
        "Page Viewed": 1,
        "Review Written": 1,
        "Ticket Resolved": 1,
    }


def test_an_event_log_of_another_make_is_renamed(tmp_path: Path, kept: Kept) -> None:
    text = (
        '{"messageId": "1", "userId": "u1", "event": "Order Completed", '
        '"timestamp": "2026-01-01T00:00:00Z", "properties": {"order_id": "x"}}\n'
        '{"messageId": "2", "userId": "u1", "event": "bought", '
        '"timestamp": "2026-01-02T00:00:00Z"}\n'
    )
    found = draft(tmp_path, "log.ndjson", text)
    assert any("event names that no feature knows: bought" in note for note in found.notes)
    corrected = found.toml().replace('"bought" = "bought"', '"bought" = "Order Completed"')
    home = Home(tmp_path / "home")
    ingest([tmp_path / "log.ndjson"], mapping_from(tmp_path, corrected), home, ALL)
    assert kept(home, "message_id, customer_id, event, properties", BY_TIME) == [
        ("1", "u1", "Order Completed", '{"order_id":"x"}'),
        ("2", "u1", "Order Completed", None),
    ]


@pytest.mark.parametrize(
    ("name", "text", "note"),
    [
        ("stock.csv", "Article;Shelf\n1;2\n", "no column names the customer, so it is left out"),
        ("x.csv", "Kunde;Farbe\n1;rot\n", "could not tell which event its rows are"),
        ("orders.csv", "Customer;Farbe\n1;rot\n", "looks like orders, but no column tells when"),
        ("orders.csv", "Customer;Date\n", "a header but no rows; nothing can be told"),
        ("orders.csv", "Customer;Date\n1;2026-01-01\n", "no column of amounts was found"),
        (
            "orders.csv",
            "customer_id,event,occurred_at\n1,Signed Up,2026-01-01\n",
            "has our own columns; it needs no mapping",
        ),
    ],
)
def test_what_cannot_be_told_is_said(tmp_path: Path, name: str, text: str, note: str) -> None:
    found = draft(tmp_path, name, text)
    assert any(note in each and each.startswith(f"{name}: ") for each in found.notes)
    assert note in found.toml()


def test_times_follow_the_zone_of_the_mapping_through_the_year(tmp_path: Path, kept: Kept) -> None:
    text = ORDERS.replace("[[file.signal]]", 'time_zone = "Europe/Berlin"\n[[file.signal]]')
    file = tmp_path / "orders_1.csv"
    file.write_text(
        "Customer,Date\na,2026-01-15 12:00\na,2026-07-15 12:00\na,2026-07-15T12:00:00Z\n"
    )
    home = Home(tmp_path / "home")
    ingest([file], mapping_from(tmp_path, text), home, ALL)
    berlin = ZoneInfo("Europe/Berlin")
    assert kept(home, "occurred_at", BY_TIME) == [
        (micro(datetime(2026, 1, 15, 12, tzinfo=berlin)),),
        (micro(datetime(2026, 7, 15, 12, tzinfo=berlin)),),
        (micro(datetime(2026, 7, 15, 12, tzinfo=ZoneInfo("UTC"))),),
    ]


@pytest.mark.parametrize(
    ("time_format", "text"),
    [("unix", "1767225600"), ("unix_ms", "1767225600000"), ("unix_us", "1767225600000000")],
)
def test_seconds_since_1970_are_read_in_each_unit(
    tmp_path: Path, time_format: str, text: str, kept: Kept
) -> None:
    mapping = mapping_from(
        tmp_path,
        ORDERS.replace("[[file.signal]]", f'time_format = "{time_format}"\n[[file.signal]]'),
    )
    (tmp_path / "orders.csv").write_text(f"Customer,Date\na,{text}\n")
    home = Home(tmp_path / "home")
    ingest([tmp_path / "orders.csv"], mapping, home, ALL)
    # 1 767 225 600 is midnight of New Year's Day 2026 in UTC.
    assert kept(home, "occurred_at", BY_TIME) == [(1_767_225_600_000_000,)]


def test_rows_that_tell_nothing_are_counted(tmp_path: Path) -> None:
    mapping = mapping_from(
        tmp_path,
        ORDERS.replace("[file.signal.columns]", 'only_where = "Paid"\n[file.signal.columns]'),
    )
    (tmp_path / "orders.csv").write_text("Customer,Date,Paid\na,2026-01-01,yes\nb,2026-01-02,\n")
    report = ingest([tmp_path / "orders.csv"], mapping, Home(tmp_path / "home"), ALL)
    assert (report.accepted, report.silent_rows) == (1, 1)
    assert any("1 rows tell no signal" in line for line in report.lines())


def test_a_column_the_file_lacks_is_named_with_those_it_has(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("Customer,Dat\na,2026-01-01\n")
    with pytest.raises(MappingError) as told:
        ingest([tmp_path / "orders.csv"], mapping_from(tmp_path, ORDERS), Home(tmp_path), ALL)
    assert str(told.value) == (
        "orders.csv: the mapping names the column 'Date', which the file does not have; did you "
        "mean 'Dat'?; its columns are Customer, Dat; correct [[file]] pattern = 'orders*.csv' in "
        "the mapping"
    )


def test_a_file_that_no_pattern_fits_is_named(tmp_path: Path) -> None:
    (tmp_path / "mails.csv").write_text("Customer,Date\na,2026-01-01\n")
    with pytest.raises(MappingError, match=r"mails.csv: no \[\[file\]\] of the mapping fits"):
        ingest([tmp_path / "mails.csv"], mapping_from(tmp_path, ORDERS), Home(tmp_path), ALL)


def test_the_first_pattern_that_fits_counts() -> None:
    rules = tuple(
        FileRule(pattern, (SignalRule(event="Signed Up"),)) for pattern in ("a*.csv", "*.csv")
    )
    mapping = Mapping_(rules)
    assert mapping.rule(Path("/x/abc.csv")) is rules[0]
    assert mapping.rule(Path("/x/bc.csv")) is rules[1]
    assert mapping.rule(Path("/x/bc.txt")) is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[[file]]", "[[fiel]]", "mapping.toml: unknown key 'fiel'; did you mean 'file'?"),
        ('pattern = "orders*.csv"', "", "a [[file]] has no pattern; write the file's name"),
        (
            "[[file.signal]]",
            'dezimal = ","\n[[file.signal]]',
            "file 'orders*.csv': unknown key 'dezimal'; did you mean 'decimal'?",
        ),
        (
            "[[file.signal]]",
            'decimal = ";"\n[[file.signal]]',
            "decimal = ';'; must be one of '.', ','; choose one",
        ),
        (
            "[[file.signal]]",
            'encoding = "ebcdic"\n[[file.signal]]',
            "encoding = 'ebcdic'; must be one of 'utf-8', 'utf-16', 'latin-1'",
        ),
        (
            "[[file.signal]]",
            'time_zone = "Europe/Berln"\n[[file.signal]]',
            "time_zone 'Europe/Berln' is unknown; did you mean 'Europe/Berlin'?",
        ),
        (
            "[[file.signal]]",
            'currency = "Euro"\n[[file.signal]]',
            "currency 'Euro'; must be three capital letters such as 'EUR'",
        ),
        (
            "[[file.signal]]",
            'time_format = "day.month"\n[[file.signal]]',
            "time_format 'day.month'; must be iso, unix, unix_ms, unix_us or a strptime pattern",
        ),
        (
            "[[file.signal]]",
            'time_format = "%Y %z"\n[[file.signal]]',
            "or a strptime pattern without a zone such as '%d.%m.%Y %H:%M'",
        ),
        (
            'event = "Order Completed"',
            'event = "Order Completed"\nevent_column = "Type"',
            "names both an event and an event_column",
        ),
        ('event = "Order Completed"', "", "names neither an event and an event_column"),
        (
            'occurred_at = "Date"',
            "",
            "signal 'Order Completed': nothing tells occurred_at; add occurred_at = ",
        ),
        (
            'occurred_at = "Date"',
            'occured_at = "Date"',
            "unknown column 'occured_at'; did you mean 'occurred_at'?",
        ),
        (
            'event = "Order Completed"',
            'event = "Order Completed"\nonly_values = ["yes"]',
            "only_values without only_where; name the column that holds these values",
        ),
        ('event = "Order Completed"', "event = 5", "event = 5; must be a text; put it in quotes"),
        (
            '[file.signal.columns]\ncustomer_id = "Customer"',
            '[file.signal.columns]\namount = 3\ncustomer_id = "Customer"',
            "must be a table of texts such as { amount = 'Total' }",
        ),
        ("[[file]]", "[[file", "mapping.toml: not TOML: "),
        (ORDERS[ORDERS.index("[[file.signal]]") :], "", "file 'orders*.csv': tells no signal"),
        (ORDERS, "file = 5", "mapping.toml: file = 5; write one [[file]] for each kind of file"),
    ],
)
def test_a_mistake_in_the_mapping_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in ORDERS
    with pytest.raises(MappingError, match=re.escape(said)):
        mapping_from(tmp_path, ORDERS.replace(old, new, 1))


def test_a_missing_mapping_is_named(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="there is no such mapping; draft one with"):
        load_mapping(tmp_path / "mapping.toml")


def test_a_column_guess_is_a_plain_record() -> None:
    assert column("x", ["1", "2", "2"]) == Column(
        "x", "number", distinct=2, filled=3, values=("1", "2")
    )
