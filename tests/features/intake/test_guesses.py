"""What init understands of files as shops export them, and what it says where it cannot."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from features.history import History
from features.home import Home
from features.intake.column_guesses import Column, column, is_personal
from features.intake.ingest import IntakeReport, IntakeRules, ingest
from features.intake.mapping import load_mapping
from features.intake.mapping_draft import DraftMapping, draft_mapping

Kept = Callable[..., list[tuple[object, ...]]]
ALL = IntakeRules("EUR", max_quarantine_share=1.0)


def drafted(folder: Path, name: str, text: str) -> DraftMapping:
    (folder / name).write_text(text, encoding="utf-8")
    return draft_mapping([folder / name])


def taken_in(
    folder: Path, name: str, text: str, home: str = "home"
) -> tuple[IntakeReport, Home, str]:
    """Take a file in by its draft; the report, the home, and the notes in one text."""
    found = drafted(folder, name, text)
    (folder / "mapping.toml").write_text(found.toml(), encoding="utf-8")
    place = Home(folder / home)
    report = ingest([folder / name], load_mapping(folder / "mapping.toml"), place, ALL)
    return report, place, "\n".join(found.notes)


def consents(home: Home) -> list[tuple[str, str, bool]]:
    changes = History(home.signals).consent_changes()
    return sorted((each.customer_id, each.channel, each.given) for each in changes)


def micro(*moment: int) -> int:
    year, month, day, *clock = moment
    return int(datetime(year, month, day, *clock, tzinfo=UTC).timestamp()) * 1_000_000


def test_a_later_no_withdraws_what_a_yes_gave(tmp_path: Path) -> None:
    text = "customer_id,signup_date,accepts_marketing\nC0,2024-01-01,{}\nC1,2024-01-02,yes\n"
    _, home, notes = taken_in(tmp_path, "customers.csv", text.format("yes"))
    assert consents(home) == [("C0", "email", True), ("C1", "email", True)]
    taken_in(tmp_path, "customers.csv", text.format("no"))
    given, withdrawn = (
        each for each in History(home.signals).consent_changes() if each.customer_id == "C0"
    )
    # Of changes of one moment the withdrawal counts as the last.
    assert {given.given, withdrawn.given} == {True, False}
    assert given.occurred_at == withdrawn.occurred_at == micro(2024, 1, 1)
    assert "a later no withdraws, a yes after a no needs a date" in notes


def test_a_mapping_drafted_from_all_yes_knows_a_later_no_too(tmp_path: Path) -> None:
    text = "customer_id,signup_date,newsletter\nC0,2024-01-01,{}\nC1,2024-01-02,yes\n"
    found = drafted(tmp_path, "customers.csv", text.format("no"))
    withdrawn = [rule for rule in found.mapping.files[0].signals if "Withdrawn" in rule.event]
    assert withdrawn[0].only_values[:1] == ("no",)
    assert "nein" in withdrawn[0].only_values


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("sms_opt_in", "sms"),
        ("email_opt_in", "email"),
        ("Newsletter", "email"),
        ("push_opt_in", "push"),
        ("phone_opt_in", "call"),
        ("post_opt_in", "post"),
        ("opt_in", "email"),
    ],
)
def test_the_channel_of_a_consent_comes_from_its_column(
    tmp_path: Path, name: str, channel: str
) -> None:
    text = f"customer_id,signup_date,{name}\nC0,2024-01-01,yes\nC1,2024-01-02,yes\n"
    _, home, notes = taken_in(tmp_path, "customers.csv", text)
    assert consents(home) == [("C0", channel, True), ("C1", channel, True)]
    assert f"'{name}' is read as consent to marketing by {channel}: a legal" in notes
    assert ("names no channel; email is a guess" in notes) == (name == "opt_in")
    assert "not taken over" not in notes


def test_every_column_of_consent_counts(tmp_path: Path) -> None:
    text = (
        "id,country,customer_since,sms_opt_in,email_opt_in,email\n"
        "C0,DE,2024-01-16,yes,no,a@x.de\nC1,DE,2024-01-25,no,yes,b@x.de\n"
    )
    _, home, notes = taken_in(tmp_path, "customers.csv", text)
    assert consents(home) == [
        ("C0", "email", False),
        ("C0", "sms", True),
        ("C1", "email", True),
        ("C1", "sms", False),
    ]
    assert "not taken over, since no model needs to know it: email." in notes


@pytest.mark.parametrize(
    ("name", "text", "event", "columns", "expected"),
    [
        (
            "refunds.csv",
            "refund_id,customer_id,refund_date,amount\nR1,C0,2024-01-21,10.00\n",
            "Order Refunded",
            "amount_minor, occurred_at",
            (1000, micro(2024, 1, 21)),
        ),
        (
            "abandoned_carts.csv",
            "customer_id,date,cart_value\nC0,2024-05-01,33.00\n",
            "Product Added",
            "amount, occurred_at",
            (None, micro(2024, 5, 1)),
        ),
        (
            "subscriptions.csv",
            "customer_id,plan,start_date,end_date,price\nC0,gold,2024-01-16,2025-01-15,9.99\n",
            "Subscription Started",
            "occurred_at, value",
            (micro(2024, 1, 16), micro(2025, 1, 15)),
        ),
        (
            "newsletter_subscribers.csv",
            "customer_id,subscribed_at\nC0,2024-01-16\n",
            "Consent Given",
            "channel, occurred_at",
            ("email", micro(2024, 1, 16)),
        ),
        (
            "ratings.csv",
            "customer_id,product,rating,date\nC0,P1,4,2024-01-16\n",
            "Review Written",
            "value, occurred_at",
            (4000, micro(2024, 1, 16)),
        ),
    ],
)
def test_a_file_is_told_by_its_name_before_its_columns(
    tmp_path: Path,
    name: str,
    text: str,
    event: str,
    columns: str,
    expected: tuple[object, ...],
    kept: Kept,
) -> None:
    _, home, _ = taken_in(tmp_path, name, text)
    assert History(home.signals).events() == {event: 1}
    assert kept(home, columns) == [expected]


@pytest.mark.parametrize(
    ("name", "header", "customer"),
    [
        ("members.csv", "id,member since", "id"),
        ("customers.csv", "customer_since,id", "id"),
        ("orders.csv", "Customer Name,Client,Order Date", "Client"),
        ("orders.csv", "Customer Name,Customer Email,Order Date", "Customer Email"),
    ],
)
def test_neither_a_date_nor_a_name_is_the_customer(
    tmp_path: Path, name: str, header: str, customer: str
) -> None:
    cells = {"Client": "7", "id": "7", "Customer Name": "Bob", "Customer Email": "b@x.de"}
    row = ",".join(cells.get(each, "2025-01-01") for each in header.split(","))
    found = drafted(tmp_path, name, f"{header}\n{row}\n")
    assert found.mapping.files[0].signals[0].columns["customer_id"] == customer
    told = "so it is the id: that is personal" in "\n".join(found.notes)
    assert told == (customer == "Customer Email")


def test_prices_of_pieces_are_multiplied_and_added_up(tmp_path: Path, kept: Kept) -> None:
    text = (
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID\n"
        "536366,85120,A,5,1/13/2010 9:33,4.55,17055\n"
        "536366,85121,B,10,1/13/2010 9:33,1.555,17055\n"
        "C53637,85121,B,-2,1/14/2010 9:33,1.5,17055\n"
    )
    _, home, notes = taken_in(tmp_path, "online_retail_orders.csv", text)
    # 5 x 4.55 + 10 x 1.555 = 38.30; two pieces of 1.50 went back.
    assert kept(home, "event, amount_minor") == [("Order Completed", 3830), ("Order Refunded", 300)]
    assert "the amount is 'UnitPrice * Quantity'" in notes
    assert "are read as 'Order Refunded'" in notes


def test_a_factor_that_is_no_number_is_named(tmp_path: Path) -> None:
    rows = "".join(f"{n},5,2010-01-13,1.5,7\n" for n in range(20))
    text = f"InvoiceNo,Quantity,InvoiceDate,UnitPrice,CustomerID\nx,many,2010-01-13,2,7\n{rows}"
    report, _, _ = taken_in(tmp_path, "orders.csv", text)
    assert (report.accepted, report.quarantined) == (20, 1)
    assert "'2 * many'" in report.reasons[0].example


def test_a_price_of_one_piece_without_a_number_of_pieces_is_left_out(tmp_path: Path) -> None:
    found = drafted(tmp_path, "orders.csv", "Customer;Date;Unit Price\n7;2025-01-01;2.50\n")
    assert "amount" not in found.mapping.files[0].signals[0].columns
    assert "'Unit Price' is the price of one piece and no column says how" in found.notes[0]


@pytest.mark.parametrize(
    ("value", "form", "moment"),
    [
        ("2025/03/31", "%Y/%m/%d", micro(2025, 3, 31)),
        ("3/31/2025 6:05 PM", "%m/%d/%Y %I:%M %p", micro(2025, 3, 31, 18, 5)),
        ("31 Mar 2025", "%d %b %Y", micro(2025, 3, 31)),
        ("March 31, 2025", "%B %d, %Y", micro(2025, 3, 31)),
        ("31-Mar-2025 18:05", "%d-%b-%Y %H:%M", micro(2025, 3, 31, 18, 5)),
        ("2025-03-31 18:05:00+00", "iso", micro(2025, 3, 31, 18, 5)),
        ("1743444300", "unix", micro(2025, 3, 31, 18, 5)),
        ("1743444300000", "unix_ms", micro(2025, 3, 31, 18, 5)),
    ],
)
def test_times_are_known_however_they_are_written(
    tmp_path: Path, value: str, form: str, moment: int, kept: Kept
) -> None:
    assert column("order_date", [value]).time_formats == (form,)
    text = f"customer_id|order_date|total\nC0|{value}|5\nC1|{value}|6\n"
    _, home, _ = taken_in(tmp_path, "orders.csv", text)
    assert kept(home, "occurred_at") == [(moment,), (moment,)]


def test_ten_digits_are_no_time_without_a_word_for_it() -> None:
    assert column("phone number", ["1743444300"]).kind == "number"


def test_a_time_in_no_known_form_is_named(tmp_path: Path) -> None:
    found = drafted(tmp_path, "orders.csv", "customer_id;order_date;total\nC0;KW 12;5\n")
    notes = "\n".join(found.notes)
    assert "'order_date' seems to hold times, but 'KW 12' is written in no known way" in notes
    assert "time_format, such as '%d.%m.%Y %H:%M'" in notes


@pytest.mark.parametrize(
    ("name", "top", "kind"),
    [("survey.csv", 5, "csat"), ("survey.csv", 9, "nps"), ("nps.csv", 5, "nps")],
)
def test_answers_up_to_five_are_no_nps(tmp_path: Path, name: str, top: int, kind: str) -> None:
    text = f"customer_id,answered_at,rating\nC0,2024-01-24,3\nC1,2024-05-07,{top}\n"
    found = drafted(tmp_path, name, text)
    assert found.mapping.files[0].signals[0].constants == {"properties.kind": kind}
    assert ("is above 5, so they are no NPS" in "\n".join(found.notes)) == (kind == "csat")


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("Kundennr;Datum;Betrag\nK0;01.01.2025;2.001\n", 200_100),
        ("client;date;montant\nK0;31/01/2025;1\u202f000,50 €\n", 100_050),
        ("client;date;montant\nK0;31/01/2025;1\u00a0000,50 €\n", 100_050),
    ],
)
def test_marks_of_thousands_are_no_decimals(
    tmp_path: Path, text: str, minor: int, kept: Kept
) -> None:
    _, home, notes = taken_in(tmp_path, "orders.csv", text)
    assert kept(home, "amount_minor") == [(minor,)]
    assert ("have a mark of thousands or three decimals" in notes) == (minor == 200_100)


def test_words_tell_what_is_personal_not_parts_of_words() -> None:
    names = ["name", "First Name", "customer_name", "Vorname", "E-Mail", "email", "Telefonnummer"]
    assert [name for name in names if not is_personal(name)] == []
    others = ["product_name", "Campaign Name", "mailing", "filename", "nominal"]
    assert [name for name in others if is_personal(name)] == []


@pytest.mark.parametrize("name", ["order[1].csv", "orders*.csv", "orders?.csv"])
def test_a_drafted_pattern_fits_its_own_file(tmp_path: Path, name: str) -> None:
    report, _, _ = taken_in(tmp_path, name, "customer_id,date,total\nC0,2025-01-31,5\n")
    assert report.accepted == 1


def test_a_mapping_of_nothing_is_no_obstacle_for_our_own_columns(tmp_path: Path) -> None:
    file = tmp_path / "s.csv"
    file.write_text("customer_id,event,occurred_at\nC0,Page Viewed,2025-01-31\n")
    (tmp_path / "mapping.toml").write_text("# nothing\n")
    report = ingest([file], load_mapping(tmp_path / "mapping.toml"), Home(tmp_path / "h"), ALL)
    assert report.accepted == 1


def test_a_column_without_a_word_for_it_keeps_its_kind() -> None:
    assert column("x", ["1.234", "2.000"]) == Column(
        "x", "number", thousands=True, distinct=2, filled=2, values=("1.234", "2.000")
    )
