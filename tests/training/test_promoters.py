"""Promoters: who answers is not chance; weights mend what signals can show."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from features.definitions import FEATURES
from features.history import History
from features.home import Home
from features.intake.ingest import IntakeRules, ingest
from features.signals import DAY, SignalLog, code
from models.targets import load_targets
from training.dataset import beginning, data_end
from training.promoters import PromoterRows, promoter_rows
from training.simulator.company import CompanySize, simulate_company, write_company
from training.surveys import surveys

TARGET = load_targets()["promoter_likelihood"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """2,500 people over 500 days, and their truth."""
    home = Home(tmp_path_factory.mktemp("promoters"))
    company = simulate_company(np.random.default_rng(3), CompanySize(people=2500, days=500))
    ingest(write_company(company, home.path / "files", home.truth), None, home, IntakeRules("EUR"))
    return home


@pytest.fixture(scope="module")
def log(home: Home) -> SignalLog:
    return History(home.signals).load()


@pytest.fixture(scope="module")
def found(log: SignalLog, home: Home) -> PromoterRows:
    end = data_end(log, History(home.signals).data_end())
    return promoter_rows(log, FEATURES, TARGET, beginning(log, end, load_targets()), end)


def true_score(home: Home, since: int) -> float:
    """The net promoter score that all surveys sent since then would have had, if answered."""
    truth = pq.read_table(home.truth / "surveys.parquet")
    asked = truth["asked_at"].cast("int64").to_numpy() >= since
    glad = truth["promoter_probability"].to_numpy() - truth["detractor_probability"].to_numpy()
    return 100 * float(glad[asked].mean())


def test_weights_at_least_halve_the_error_of_the_answers(
    found: PromoterRows, home: Home, log: SignalLog
) -> None:
    assert found.net is not None
    truth = true_score(home, int(found.as_of.min()))
    naive, weighted = abs(found.net.naive - truth), abs(found.net.weighted - truth)
    assert naive > 4  # else there is nothing to mend
    assert weighted <= naive / 2


def test_rows_are_answers_and_hold_nothing_later(found: PromoterRows, log: SignalLog) -> None:
    end = int(log.columns.received_at.max()) + 1
    asked = surveys(log, TARGET, end)
    pairs = {
        (one, at): score
        for one, at, score in zip(
            asked.customers.tolist(), asked.as_of.tolist(), asked.scores.tolist(), strict=True
        )
    }
    said = [
        pairs[pair] for pair in zip(found.customers.tolist(), found.as_of.tolist(), strict=True)
    ]
    assert found.answers.tolist() == [int(score >= 9) for score in said]
    assert min(said) >= 0
    window = TARGET.window_days * DAY
    learned = ~found.test & ~found.between
    assert found.as_of[learned].max() + window <= found.as_of[found.test].min()
    assert found.weights.mean() == pytest.approx(1.0)
    assert found.weights.max() / found.weights.min() <= 20.0
    # Everybody had ordered, and the answer itself is no feature of its own row.
    assert not np.isnan(found.rows[:, FEATURES.names.index("days_since_last_order")]).any()
    assert not (found.rows[:, FEATURES.names.index("days_since_nps")] <= 0).any()


def test_earlier_answers_are_looked_at_though_they_grow_in_number(found: PromoterRows) -> None:
    stopped = {name for name, clock in zip(FEATURES.names, found.clocks, strict=True) if clock}
    assert "nps_last" not in stopped
    assert "tenure_days" in stopped


def test_both_scores_and_the_second_model_are_said(found: PromoterRows) -> None:
    assert found.net is not None
    said = "\n".join(found.notes)
    assert f"net promoter score {found.net.naive:+.1f} among the {found.net.answered:,}" in said
    assert f"{found.net.weighted:+.1f} weighted to all {found.net.asked:,} asked" in said
    assert "who answers is told by a logistic regression, AUC 0." in said
    assert "an answer counts for at most 20 customers" in said


def without(log: SignalLog, event: str) -> SignalLog:
    """The log in which an event has another name."""
    columns = log.columns
    other = np.where(columns.event == code(event), code("Page Viewed"), columns.event)
    return SignalLog(log.customer_ids, log.starts, type(columns)(other, *columns.columns()[1:]))


def test_without_sendings_all_answers_count_alike(log: SignalLog) -> None:
    end = data_end(log, int(log.columns.received_at.max()) + 1)
    found = promoter_rows(
        without(log, "Survey Sent/nps"), FEATURES, TARGET, beginning(log, end, load_targets()), end
    )
    assert set(found.weights.tolist()) == {1.0}
    assert found.net is not None
    assert found.net.naive == found.net.weighted
    assert "all answers count alike: they speak for those who answer" in found.notes[1]


def test_without_answers_the_reason_is_said(log: SignalLog) -> None:
    end = data_end(log, int(log.columns.received_at.max()) + 1)
    first = beginning(log, end, load_targets())
    silent = without(log, "Survey Answered/nps")
    found = promoter_rows(silent, FEATURES, TARGET, first, end)
    assert len(found.answers) == 0
    assert found.notes[0].startswith("none of ")
    found = promoter_rows(without(silent, "Survey Sent/nps"), FEATURES, TARGET, first, end)
    assert found.notes[0].startswith("nobody has answered a recommendation survey")
    young = promoter_rows(log, FEATURES, TARGET, end, end)
    assert "are of the first 84 days" in young.notes[0]
    assert young.net is None
