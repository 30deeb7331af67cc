"""Which rows are one signal: by their id, their order's number, their content and their count."""

from collections.abc import Callable
from pathlib import Path

import pytest

from features.history import History
from features.home import Home
from features.intake.ingest import IntakeError, IntakeReport, IntakeRules, ingest
from features.intake.mapping import Mapping_, load_mapping
from features.signals import DAY

Kept = Callable[..., list[tuple[object, ...]]]
ALL = IntakeRules("EUR", max_quarantine_share=1.0)
CANONICAL = "customer_id,event,occurred_at,amount,properties\n"
ORDERS = """\
[[file]]
pattern = "orders*.csv"
[[file.signal]]
event = "Order Completed"
one_per = "no"
negative = "Order Refunded"
[file.signal.columns]
customer_id = "customer"
occurred_at = "date"
amount = "amount"
"properties.order_id" = "no"
"""
NEW_YEAR = 1_767_225_600_000_000  # 2026-01-01 in UTC, microseconds


def written(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def mapped(folder: Path, text: str = ORDERS) -> Mapping_:
    return load_mapping(written(folder, "mapping.toml", text))


def counts(report: IntakeReport) -> tuple[int, int, int]:
    return report.accepted, report.duplicates, report.quarantined


def test_the_currency_of_the_company_is_no_part_of_a_signal(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    file = written(tmp_path, "s.csv", CANONICAL + "a,Page Viewed,2026-01-01,,\n")
    priced = written(tmp_path, "t.csv", CANONICAL + "a,Order Completed,2026-01-01,5,\n")
    ingest([file], None, home, ALL)
    assert counts(ingest([file], None, home, IntakeRules("USD"))) == (0, 1, 0)
    ingest([priced], None, home, ALL)
    with pytest.raises(IntakeError) as told:
        ingest([priced], None, home, IntakeRules("USD"))
    assert str(told.value) == (
        "the history holds amounts in EUR, but the company's currency is USD; a home has one "
        "currency: set it back in policy.toml, or take the files into a new home (nothing was "
        "taken in)"
    )
    # Naming the currency in the file itself makes no other signal of it either.
    named = written(
        tmp_path,
        "u.csv",
        "customer_id,event,occurred_at,amount,currency\na,Order Completed,2026-01-01,5,EUR\n",
    )
    assert counts(ingest([named], None, home, ALL)) == (0, 1, 0)


def test_orders_numbered_for_each_customer_stay_apart(tmp_path: Path, kept: Kept) -> None:
    rows = "".join(
        f"{customer};{number};2026-01-{number + 1:02d};10\n"
        for customer in "abc"
        for number in range(5)
    )
    file = written(tmp_path, "orders.csv", "customer;no;date;amount\n" + rows + rows[:15])
    home = Home(tmp_path / "home")
    report = ingest([file], mapped(tmp_path), home, ALL)
    assert [each for (each,) in kept(home, "customer_id")] == [*"aaaaabbbbbccccc"]
    assert (report.rows_read, report.silent_rows, report.merged_rows) == (16, 0, 1)
    assert "1 rows were added to another row of the same order (one_per)." in report.lines()
    assert not any("tell no signal" in line for line in report.lines())


def test_a_corrected_order_does_not_count_twice(tmp_path: Path, kept: Kept) -> None:
    home = Home(tmp_path / "home")
    first = written(tmp_path, "orders_1.csv", "customer,no,date,amount\na,7,2026-01-01,10\n")
    second = written(
        tmp_path,
        "orders_2.csv",
        "customer,no,date,amount\na,7,2026-01-01,12\na,8,2026-01-02,5\nb,7,2026-01-02,6\n",
    )
    ingest([first], mapped(tmp_path), home, ALL)
    report = ingest([second], mapped(tmp_path), home, ALL)
    assert counts(report) == (2, 0, 1)
    assert kept(home, "customer_id, amount_minor") == [("a", 500), ("a", 1000), ("b", 600)]
    assert "(or the order id) belongs to another signal already" in "\n".join(report.lines())


def test_a_negative_amount_tells_a_refund_where_the_mapping_says_so(
    tmp_path: Path, kept: Kept
) -> None:
    home = Home(tmp_path / "home")
    file = written(
        tmp_path, "orders.csv", "customer,no,date,amount\na,7,2026-01-01,10\na,8,2026-01-02,-4\n"
    )
    ingest([file], mapped(tmp_path), home, ALL)
    assert kept(home, "event, amount_minor") == [("Order Completed", 1000), ("Order Refunded", 400)]


def test_identical_rows_of_one_file_each_count_but_only_once(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    row = "a,Order Completed,2026-01-01,5,\n"
    file = written(tmp_path, "s.csv", CANONICAL + row * 3)
    report = ingest([file], None, home, ALL)
    assert (counts(report), report.identical) == ((3, 0, 0), 2)
    assert any(line.startswith("2 identical rows: ") for line in report.lines())
    assert counts(ingest([file], None, home, ALL)) == (0, 3, 0)
    more = written(tmp_path, "t.csv", CANONICAL + row * 4)
    assert counts(ingest([more], None, home, ALL)) == (1, 3, 0)


def test_identical_rows_with_an_order_number_are_one_order(tmp_path: Path) -> None:
    row = 'a,Order Completed,2026-01-01,5,"{""order_id"":""7""}"\n'
    report = ingest(
        [written(tmp_path, "s.csv", CANONICAL + row * 3)], None, Home(tmp_path / "home"), ALL
    )
    assert (counts(report), report.identical) == ((1, 2, 0), 0)


def test_one_row_of_the_future_moves_nothing(tmp_path: Path) -> None:
    rows = [f"c{n},Page Viewed,2025-12-01,,\n" for n in range(120)]
    file = written(
        tmp_path, "s.csv", CANONICAL + "".join(rows) + "a,Order Completed,2204-01-01,5,\n"
    )
    home = Home(tmp_path / "home")
    report = ingest([file], None, home, IntakeRules("EUR", NEW_YEAR))
    assert counts(report) == (120, 0, 1)
    assert "its time lies in the future" in report.reasons[0].words
    assert History(home.signals).data_end() == NEW_YEAR - 30 * DAY


def test_a_withdrawal_in_9999_never_happened(tmp_path: Path, kept: Kept) -> None:
    text = (
        ORDERS.replace('event = "Order Completed"', 'event = "Consent Withdrawn"')
        .replace('one_per = "no"', 'only_where = "until"')
        .replace('"date"', '"until"')
        .replace("[[file.signal]]", 'time_format = "%d.%m.%Y"\n[[file.signal]]')
    )
    file = written(
        tmp_path,
        "orders.csv",
        "customer,no,until,amount\na,1,31.12.9999,\nb,2,24.12.2025,\nc,3,,\n",
    )
    home = Home(tmp_path / "home")
    report = ingest([file], mapped(tmp_path, text), home, IntakeRules("EUR", NEW_YEAR))
    assert kept(home, "customer_id, event") == [("b", "Consent Withdrawn")]
    assert (report.never, report.quarantined) == (1, 0)
    assert any(
        line.startswith("1 dates lie so far ahead") and "read as 'never'" in line
        for line in report.lines()
    )


@pytest.mark.parametrize("closed", [True, False])
def test_what_an_unclosed_quote_swallows_counts_by_lines(tmp_path: Path, closed: bool) -> None:
    rows = [f'c{n},Page Viewed,2026-01-01,,"x"\n' for n in range(300)]
    rows = [row.replace('"x"', "") for row in rows]
    rows[50] = 'c50,"Page Viewed,2026-01-01,,\n'
    if closed:
        rows[150] = 'c150,"Page Viewed,2026-01-01,,\n'
    home = Home(tmp_path / "home")
    with pytest.raises(IntakeError) as told:
        ingest(
            [written(tmp_path, "s.csv", CANONICAL + "".join(rows))], None, home, IntakeRules("EUR")
        )
    swallowed = 101 if closed else 250
    assert f"{swallowed} of 300 rows" in str(told.value)
    assert "an unclosed quote swallowed it" in str(told.value)
