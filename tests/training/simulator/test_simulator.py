"""The demo company: the same bytes again, valid signals, a hidden truth, an honest lot."""

import json
import re
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from scipy.stats import chi2

from features.home import Home
from features.intake.ingest import IntakeRules, ingest
from features.signals import (
    CANONICAL_COLUMNS,
    CUSTOMER_ID_PATTERN,
    DAY,
    HOUR,
    KEYED_BY,
    KNOWN_EVENTS,
    VALUE_SOURCE,
    is_anonymous,
)
from training.simulator.company import (
    CompanySize,
    CompanySizeError,
    simulate_company,
    write_company,
)
from training.simulator.effects import COMMUNICATIONS, MARGIN_RATE, usual_orders
from training.simulator.people import Shop, draw_traits, new_lives
from training.simulator.signals import Details, SignalBook, decimal

SIZE = CompanySize(people=4000, days=365)
SMALL = CompanySize(people=200, days=240, end="2025-03-30")
WINDOW = 28 * DAY


@pytest.fixture(scope="module")
def company():
    return simulate_company(np.random.default_rng(20261101), SIZE)


@pytest.fixture(scope="module")
def small():
    return simulate_company(np.random.default_rng(5), SMALL)


@pytest.fixture(scope="module")
def signals(company):
    return pa.concat_tables(company.signals.values())


def micros(column):
    return column.cast(pa.int64()).to_numpy()


def texts(column):
    return np.array(column.to_pylist(), dtype=object)


def of(signals, event):
    return signals.filter(pc.equal(signals["event"], event))


def last_by_customer(table):
    last = defaultdict(int)
    for customer, at in zip(
        table["customer_id"].to_pylist(), micros(table["occurred_at"]).tolist(), strict=True
    ):
        last[customer] = max(last[customer], at)
    return last


# ---- the same again, and apart -------------------------------------------------------------


def test_the_same_seed_writes_the_same_bytes(tmp_path, small):
    again = simulate_company(np.random.default_rng(5), SMALL)
    written = []
    for name, one in (("one", small), ("two", again)):
        write_company(one, tmp_path / name)
        files = sorted((tmp_path / name).rglob("*.parquet"))
        written.append(
            {str(file.relative_to(tmp_path / name)): file.read_bytes() for file in files}
        )
    assert written[0] == written[1]
    assert len(written[0]) == 12


def test_another_seed_makes_other_people(small):
    other = draw_traits(np.random.default_rng(6), SMALL.people, SMALL.days)
    budgets = small.people["budget"].to_numpy()
    same = draw_traits(np.random.default_rng(5), SMALL.people, SMALL.days)
    assert (same.budget == budgets).all()
    assert (other.budget != budgets).all()


def test_the_truth_lies_in_a_folder_of_its_own(tmp_path, company):
    paths = write_company(company, tmp_path / "raw", truth=tmp_path / "hidden")
    assert {path.parent for path in paths} == {tmp_path / "raw"}
    assert not (tmp_path / "raw" / "truth").exists()
    assert {path.name for path in (tmp_path / "hidden").iterdir()} == {
        "people.parquet",
        "pilot.parquet",
        "surveys.parquet",
    }
    for table in company.signals.values():
        assert tuple(table.column_names) == CANONICAL_COLUMNS


def test_no_signal_tells_a_hidden_trait(company, signals):
    hidden = set(company.people.column_names) - {"customer_id"}
    told = set()
    for one in pc.unique(signals["properties"]).drop_null().to_pylist():
        found = json.loads(one)
        told |= set(found) | set(found.get("traits", {}))
    assert told == {
        "order_id", "discount", "points", "minutes", "ends_at", "kind",
        "channel", "purpose", "evidence", "traits", "country", "brews_with", "probabilities",
    }  # fmt: skip
    assert not told & hidden


# ---- signals that an intake can take --------------------------------------------------------


def test_intake_takes_every_signal(tmp_path, small):
    files = write_company(small, tmp_path / "raw")
    report = ingest(files, None, Home(tmp_path / "home"), IntakeRules("EUR", now=small.end))
    rows = sum(table.num_rows for table in small.signals.values())
    assert (report.rows_read, report.accepted, report.quarantined) == (rows, rows, 0)
    assert report.unknown_events == {}
    assert report.arrival_assumed == 0


def test_names_ids_and_times_are_as_the_contract_says(company, signals):
    assert set(pc.unique(signals["event"]).to_pylist()) <= KNOWN_EVENTS
    assert len(pc.unique(signals["message_id"])) == signals.num_rows
    pattern = re.compile(CUSTOMER_ID_PATTERN)
    assert all(pattern.fullmatch(one) for one in pc.unique(signals["customer_id"]).to_pylist())
    occurred, received = micros(signals["occurred_at"]), micros(signals["received_at"])
    assert occurred.min() >= company.end - SIZE.days * DAY
    assert (received >= occurred).all()
    assert received.max() < company.end
    assert received.max() > company.end - HOUR  # the shop is alive to the last


def test_some_signals_arrive_late(signals):
    late = micros(signals["received_at"]) - micros(signals["occurred_at"]) > HOUR
    assert set(texts(signals["event"])[late]) == {
        "Application Opened",
        "Feature Used",
        "Order Delivered",
        "Survey Answered",
    }


def test_every_event_brings_the_word_and_the_number_that_features_read(signals):
    for event, word in KEYED_BY.items():
        rows = of(signals, event)
        if word in CANONICAL_COLUMNS:
            assert rows[word].null_count == 0
        else:
            assert all(word in json.loads(one) for one in rows["properties"].to_pylist())
    for event, source in VALUE_SOURCE.items():
        if event == "Subscription Cancelled" or source == "score":
            continue
        rows = of(signals, event)
        assert rows.num_rows > 0, event
        assert all(source in json.loads(one) for one in rows["properties"].to_pylist()), event


def test_scores_stay_on_their_scales_and_money_has_two_decimals(signals):
    answers = of(signals, "Survey Answered")
    for kind, low, high in (("nps", 0, 10), ("csat", 1, 5), ("ces", 1, 5)):
        mine = [f'"{kind}"' in one for one in answers["properties"].to_pylist()]
        scores = {int(one) for one in texts(answers["score"])[np.array(mine)]}
        assert scores <= set(range(low, high + 1)), kind
        assert len(scores) >= 4, kind
    amounts = signals["amount"].drop_null().to_pylist()
    assert all(re.fullmatch(r"\d+\.\d\d", one) for one in amounts)
    assert set(pc.unique(signals["currency"]).to_pylist()) == {None, "EUR"}
    assert signals["currency"].null_count == signals["amount"].null_count


# ---- people of every kind -------------------------------------------------------------------


def test_customers_of_every_kind_are_there_at_the_end(company, signals):
    end = company.end
    orders = last_by_customer(of(signals, "Order Completed"))
    people = set(company.people["customer_id"].to_pylist())
    silence = np.array([(end - at) / DAY for at in orders.values()])
    first = defaultdict(lambda: end)
    count = defaultdict(int)
    table = of(signals, "Order Completed")
    for customer, at in zip(
        table["customer_id"].to_pylist(), micros(table["occurred_at"]).tolist(), strict=True
    ):
        first[customer] = min(first[customer], at)
        count[customer] += 1
    assert sum(map(is_anonymous, people)) == 640
    assert sum(not is_anonymous(one) for one in people - set(orders)) > 200  # prospects
    assert sum(end - at < 30 * DAY and count[one] < 3 for one, at in first.items()) > 30
    assert (silence < 28).sum() > 500
    assert ((silence >= 28) & (silence < 56)).sum() > 150
    assert (silence >= 56).sum() > 300
    for event, least in (("Relationship Ended", 2), ("Objection Raised", 10)):
        assert of(signals, event).num_rows >= least, event


def test_things_are_going_on_in_the_last_hours(company, signals):
    end = company.end
    events = {
        name: last_by_customer(of(signals, name))
        for name in (
            "Order Completed", "Order Shipped", "Order Delivered", "Product Added",
            "Ticket Opened", "Ticket Resolved", "Product Viewed",
        )
    }  # fmt: skip

    def waiting(started, done, days):
        return sum(
            at > end - days * DAY and at > events[done][one] for one, at in events[started].items()
        )

    assert waiting("Product Added", "Order Completed", 2) > 15  # carts left behind
    assert waiting("Order Shipped", "Order Delivered", 5) > 30  # parcels on their way
    assert waiting("Ticket Opened", "Ticket Resolved", 30) > 3
    assert sum(at > end - 2 * DAY and is_anonymous(one) for one, at in events["Product Viewed"].items()) > 3  # fmt: skip # noqa: E501
    club = company.people["end_club_ends"].drop_null().to_numpy() - SIZE.days
    assert (club <= 30).sum() > 20  # renewals near
    answers = of(signals, "Survey Answered")
    recent = answers.filter(
        pc.and_(
            pc.match_substring(answers["properties"], '"nps"'),
            pc.greater(answers["occurred_at"].cast(pa.int64()), end - 90 * DAY),
        )
    )
    scores = [int(one) for one in recent["score"].to_pylist()]
    assert sum(one >= 9 for one in scores) > 50
    assert sum(one <= 6 for one in scores) > 30


def test_the_share_that_stops_buying_is_that_of_a_shop(company, signals):
    orders = of(signals, "Order Completed")
    at, who = micros(orders["occurred_at"]), texts(orders["customer_id"])
    for back in (28, 84, 140):
        as_of = company.end - back * DAY
        active = set(who[(at < as_of) & (at >= as_of - 2 * WINDOW)])
        bought = set(who[(at >= as_of) & (at < as_of + WINDOW)])
        assert 0.10 <= len(active - bought) / len(active) <= 0.35, back


def test_nobody_is_mailed_or_decided_for_after_leaving_the_list(signals):
    gone = last_by_customer(
        pa.concat_tables(
            [of(signals, one) for one in ("Unsubscribed", "Consent Withdrawn", "Objection Raised")]
        )
    )
    mails = pa.concat_tables([of(signals, "Email Sent"), of(signals, "Decision Made")])
    # The day on which somebody leaves the list may bring one more mail, as it does in life.
    last = {who: at for who, at in last_by_customer(mails).items() if who in gone}
    assert len(last) > 10
    assert [who for who, at in last.items() if at >= gone[who] + DAY] == []


# ---- the pilot ------------------------------------------------------------------------------


def chosen_and_eligible(company, name):
    pilot = company.pilot
    return (
        texts(pilot["communication"]) == name,
        pilot[f"eligible_{name}"].to_numpy(zero_copy_only=False),
    )


def test_decisions_carry_their_probability_and_are_sent(company):
    decided = of(company.signals["pilot"], "Decision Made")
    truth = company.pilot.select(["customer_id", "communication", "selection_probability"])
    told = list(
        zip(
            decided["customer_id"].to_pylist(),
            decided["communication"].to_pylist(),
            [float(one) for one in decided["selection_probability"].to_pylist()],
            strict=True,
        )
    )
    assert sorted(told) == sorted(tuple(row.values()) for row in truth.to_pylist())
    sent = of(company.signals["pilot"], "Communication Sent")
    assert sent.num_rows == sum(one != "no_contact" for _, one, _ in told)
    assert set(sent["channel"].to_pylist()) == {"email"}


def test_logged_probabilities_are_two_to_one_for_no_contact(company):
    names = COMMUNICATIONS
    eligible = np.stack([chosen_and_eligible(company, one)[1] for one in names]).sum(axis=0)
    silent = texts(company.pilot["communication"]) == "no_contact"
    expected = np.where(silent, 2.0, 1.0) / (eligible + 2.0)
    logged = company.pilot["selection_probability"].to_numpy()
    np.testing.assert_allclose(logged, expected, rtol=1e-12)


def test_decisions_carry_the_whole_vector_of_those_allowed(company):
    decided = of(company.signals["pilot"], "Decision Made")
    drawn = zip(
        decided["communication"].to_pylist(),
        [float(one) for one in decided["selection_probability"].to_pylist()],
        [json.loads(one)["probabilities"] for one in decided["properties"].to_pylist()],
        strict=True,
    )
    sizes = set()
    for name, probability, vector in drawn:
        assert vector[name] == probability
        assert sum(vector.values()) == pytest.approx(1.0, abs=1e-12)
        assert min(vector.values()) > 0
        assert {"no_contact", "newsletter"} <= set(vector)
        sizes.add(len(vector))
    allowed = np.stack([chosen_and_eligible(company, one)[1] for one in COMMUNICATIONS])
    assert sizes == set((allowed.sum(axis=0) + 1).tolist())


def test_frequencies_of_the_pilot_match_the_logged_probabilities(company):
    statistic = 0.0
    slots = np.stack([chosen_and_eligible(company, one)[1] for one in COMMUNICATIONS]).sum(axis=0)
    for name in COMMUNICATIONS:
        chosen, eligible = chosen_and_eligible(company, name)
        assert not (chosen & ~eligible).any()
        probability = 1.0 / (slots[eligible] + 2.0)
        variance = (probability * (1.0 - probability)).sum()
        statistic += (chosen.sum() - probability.sum()) ** 2 / variance
    assert statistic < chi2.ppf(0.999, len(COMMUNICATIONS))


def rewards(company):
    """Money of each decision over 28 days, as the contract counts it; NaN: not over yet."""
    orders = company.signals["orders"]
    event, amount = texts(orders["event"]), texts(orders["amount"])
    by_customer = defaultdict(list)
    for index in np.flatnonzero((event == "Order Completed") | (event == "Order Refunded")):
        by_customer[orders["customer_id"][index].as_py()].append(index)
    at = micros(orders["occurred_at"])
    properties = texts(orders["properties"])
    gain = np.zeros(len(at))
    for index in (one for some in by_customer.values() for one in some):
        paid = float(amount[index]) * MARGIN_RATE
        if event[index] == "Order Completed":
            gain[index] = paid - json.loads(properties[index])["discount"]
        else:
            gain[index] = -paid
    decided = micros(company.pilot["decided_at"])
    totals = np.full(len(decided), np.nan)
    for row, customer in enumerate(company.pilot["customer_id"].to_pylist()):
        if decided[row] + WINDOW <= company.end:
            mine = np.array(by_customer[customer], dtype=np.int64)
            inside = (at[mine] >= decided[row]) & (at[mine] < decided[row] + WINDOW)
            totals[row] = gain[mine][inside].sum()
    return totals


def difference(reward, probability, treated, silent):
    """Hajek estimate of the effect and its squared standard error."""
    parts = []
    for rows in (treated, silent):
        weight = 1.0 / probability[rows]
        mean = (weight * reward[rows]).sum() / weight.sum()
        parts.append((mean, ((weight * (reward[rows] - mean)) ** 2).sum() / weight.sum() ** 2))
    return parts[0][0] - parts[1][0], parts[0][1] + parts[1][1]


def test_the_planted_effects_show_in_what_people_did(company):
    reward, probability = rewards(company), company.pilot["selection_probability"].to_numpy()
    silent = texts(company.pilot["communication"]) == "no_contact"
    misses, gaps = [], []
    for name in COMMUNICATIONS:
        chosen, eligible = chosen_and_eligible(company, name)
        eligible = eligible & ~np.isnan(reward)
        truth = company.pilot[f"effect_{name}"].to_numpy()
        found, variance = difference(reward, probability, chosen & eligible, silent & eligible)
        misses.append((found - truth[eligible].mean()) ** 2 / variance)
        high = eligible & (truth > np.median(truth[eligible]))
        pair = [
            difference(reward, probability, chosen & some, silent & some)
            for some in (high, eligible & ~high)
        ]
        gaps.append((pair[0][0] - pair[1][0], pair[0][1] + pair[1][1]))
    # Means: each within its error, all together by chi-squared.
    assert sum(misses) < chi2.ppf(0.999, len(misses))
    # Persons: those with the higher true effect really gain more, by more than two errors.
    weights = np.array([1.0 / variance for _, variance in gaps])
    gap = np.array([one for one, _ in gaps])
    assert (weights * gap).sum() / weights.sum() > 2.0 / np.sqrt(weights.sum())


def test_whoever_leaves_when_reminded_is_better_left_alone(company):
    people = company.people
    dog = people["sleeping_dog"].to_numpy(zero_copy_only=False)
    buying = people["end_next_order"].to_numpy() - SIZE.days < 20
    here = buying & ~people["end_left"].to_numpy(zero_copy_only=False)
    for name in ("newsletter", "referral_invitation", "review_request"):
        effect = people[f"effect_{name}"].to_numpy()
        assert effect[dog & here].mean() < -0.5 < effect[~dog & here].mean()


def test_the_formula_of_usual_orders_agrees_with_drawn_gaps():
    """Brute force: 60,000 futures of one person whose next order comes in six days."""
    rng = np.random.default_rng(3)
    traits = draw_traits(rng, 50, 300)
    lives = new_lives(traits)
    shop = Shop(traits, lives, SignalBook(), rng, 0, 300, day=100)
    lives.orders[:] = 1
    lives.next_order[:] = 106.0
    mean, shape = shop.usual_gap()[:42], traits.regularity[:42]
    gaps = rng.gamma(shape[:, None, None], (mean / shape)[:, None, None], (42, 4000, 12))
    inside = 106.0 + np.cumsum(gaps, axis=2) < 140.0
    drawn = 1.0 + inside.sum(axis=2).mean(axis=1)
    formula = usual_orders(shop, 40)[:42]
    # The second term is an asymptote: for slow buyers it may be off by a few hundredths.
    assert formula.mean() == pytest.approx(drawn.mean(), rel=0.03)
    assert np.abs(formula - drawn).max() < 0.2


# ---- the book, and sizes that cannot be --------------------------------------------------------


def test_a_signal_that_has_not_arrived_is_not_in_the_book():
    book = SignalBook()
    who, at = np.array([1, 0, 1]), np.array([30, 10, 20])
    book.write_late("orders", "Order Shipped", who, (at, np.array([31, 40, 21])))
    book.write("orders", "Order Completed", who[:1], at[:1] - 5, Details(amount=np.array([1205])))
    table = book.table("orders", pa.array(["C-0", "C-1"]), 40).to_pydict()
    assert table["customer_id"] == ["C-1", "C-1"]
    assert table["event"] == ["Order Shipped", "Order Shipped"]
    assert table["message_id"] == ["orders-0000000", "orders-0000001"]
    assert table["amount"] == [None, None]
    later = book.table("orders", pa.array(["C-0", "C-1"]), 10**9).to_pydict()
    assert later["event"] == ["Order Shipped"] * 2 + ["Order Completed", "Order Shipped"]
    assert later["amount"] == [None, None, "12.05", None]
    assert later["currency"] == [None, None, "EUR", None]


@pytest.mark.parametrize(
    ("cents", "text"), [(0, "0.00"), (5, "0.05"), (1250, "12.50"), (-5, "-0.05"), (-1999, "-19.99")]
)
def test_cents_become_decimal_text(cents, text):
    assert decimal(cents) == text


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"people": 49}, "people = 49; a company needs at least 50"),
        ({"days": 239}, "days = 239; a company needs at least 240: a pilot of 168 days"),
        ({"end": "1.11.2026"}, "end = '1.11.2026'; must be a date such as 2026-11-01; correct it"),
    ],
)
def test_a_size_that_cannot_be_is_named(wrong, words):
    with pytest.raises(CompanySizeError, match=re.escape(words)):
        CompanySize(**wrong)


# ---- the recommendation survey --------------------------------------------------------------


def test_the_truth_of_surveys_is_what_people_answered(company, signals):
    surveys = company.surveys
    asked = of(signals, "Survey Sent").filter(
        pc.match_substring(of(signals, "Survey Sent")["properties"], "nps")
    )
    assert surveys.num_rows >= asked.num_rows > 0.98 * surveys.num_rows  # some arrive too late
    told = of(signals, "Survey Answered")
    told = told.filter(pc.match_substring(told["properties"], "nps"))
    chance = surveys["answer_probability"].to_numpy()
    expected, spread = chance.sum(), np.sqrt((chance * (1 - chance)).sum())
    assert abs(told.num_rows - expected) < 4 * spread + 20  # the last answers are on their way
    score = np.array(told["score"].to_pylist(), dtype=float)
    for column, seen in (
        ("promoter_probability", score >= 9),
        ("detractor_probability", score < 7),
    ):
        truth = surveys[column].to_numpy()
        assert seen.mean() == pytest.approx(np.average(truth, weights=chance), abs=0.04)


def test_the_pleased_answer_surveys_more_than_the_others(company):
    chance = company.surveys["answer_probability"].to_numpy()
    gladness = (
        company.surveys["promoter_probability"].to_numpy()
        - company.surveys["detractor_probability"].to_numpy()
    )
    assert np.average(gladness, weights=chance) > gladness.mean() + 0.04
