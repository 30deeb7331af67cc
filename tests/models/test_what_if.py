"""What-if: only levers, only what was seen, and the smallest change that moves a band."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from features.algebra import FeatureSet
from features.definitions import FEATURES
from models.bands import band
from models.bundle import Bundle
from models.classifier import Classifier, Logistic
from models.ranges import Ranges
from models.what_if import CannotChange, Ground, changed_row, levers, nearest_changes

FloatArray = NDArray[np.float64]
N = len(FEATURES)
ZERO = (0.0,) * N
BASE = 0.2


def place(name: str) -> int:
    return FEATURES.names.index(name)


def a_row(**values: float) -> FloatArray:
    row = np.zeros(N)
    for name, value in {"days_since_last_contact": np.nan, **values}.items():
        row[place(name)] = value
    return row


def ground(bundle: Bundle, row: FloatArray, intercept: float, **weights: float) -> Ground:
    """A bundle whose log-odds are `intercept` plus weights times ``log(1 + x)``."""
    coefficient = tuple(weights.get(name, 0.0) for name in FEATURES.names)
    model = Logistic(ZERO, (1.0,) * N, coefficient, ZERO, ZERO, intercept)
    ranges = Ranges(ZERO, (9.0,) * N, (2.0,) * N, (2.0,) * N)
    made = replace(
        bundle,
        classifiers={"churn_risk": Classifier(model, FEATURES.names)},
        base_rates={"churn_risk": BASE},
        ranges=ranges,
    )
    return Ground(row, made, FEATURES)


def test_levers_are_what_a_communication_changes(bundle: Bundle) -> None:
    found = {each.feature.name: each for each in levers(ground(bundle, a_row(), 0.0))}
    assert set(found) == {
        *("discount_share_365d", "emails_sent_28d", "texts_sent_28d", "pushes_sent_28d"),
        *("tickets_open", "tickets_unanswered_90d", "ticket_reply_hours_365d"),
        *("surveys_sent_365d", "contacts_7d", "contacts_28d"),
    }
    assert found["emails_sent_28d"].whole
    assert not found["ticket_reply_hours_365d"].whole
    # It can be no more than the tickets there are: none.
    assert found["tickets_unanswered_90d"].high == 0


def test_a_sensitive_feature_is_no_lever(bundle: Bundle) -> None:
    hidden = FeatureSet(
        tuple(replace(each, sensitive=each.name == "tickets_open") for each in FEATURES.features)
    )
    base = ground(bundle, a_row(tickets_open=2.0), -2.0, tickets_open=2.0)
    secret = replace(base, features=hidden)
    assert "tickets_open" in {each.feature.name for each in levers(base)}
    assert "tickets_open" not in {each.feature.name for each in levers(secret)}
    with pytest.raises(CannotChange, match="no communication changes it"):
        changed_row(secret, {"tickets_open": 1.0})
    assert nearest_changes(base, ["churn_risk"])["churn_risk"] is not None
    assert nearest_changes(secret, ["churn_risk"])["churn_risk"] is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"orders_7d": 1.0}, "not_actionable"),
        ({"nothing_like_it": 1.0}, "unknown"),
        ({"contacts_half_life_7d": 1.0}, "follows"),
        ({"days_since_last_contact": 3.0}, "no_value"),
        ({"emails_sent_28d": 10.0}, "out_of_range"),
        ({"emails_sent_28d": float("nan")}, "out_of_range"),
        ({"emails_sent_28d": 1.5}, "not_whole"),
        ({"emails_sent_28d": 5.0, "contacts_28d": 2.0}, "impossible"),
        ({"emails_sent_28d": 6.0, "texts_sent_28d": 6.0}, "impossible"),  # 12 messages: not seen
    ],
)
def test_what_may_not_be_asked_for_is_refused(
    bundle: Bundle, changes: dict[str, float], code: str
) -> None:
    with pytest.raises(CannotChange) as caught:
        changed_row(ground(bundle, a_row(), 0.0), changes)
    assert caught.value.code == code
    assert caught.value.feature in changes


def test_without_ranges_nothing_can_be_changed(bundle: Bundle) -> None:
    bare = ground(bundle, a_row(), 0.0)
    bare = replace(bare, bundle=replace(bare.bundle, ranges=Ranges()))
    assert levers(bare) == ()
    with pytest.raises(CannotChange, match="allowed are none for this customer"):
        changed_row(bare, {"emails_sent_28d": 1.0})


def test_the_smallest_change_of_one_whole_number_is_found(bundle: Bundle) -> None:
    """Brute force over every value of the only lever that matters."""
    row = a_row(tickets_open=7.0)
    base = ground(bundle, row, -3.0, tickets_open=1.2)
    found = nearest_changes(base, ["churn_risk"])["churn_risk"]
    model = base.bundle.classifiers["churn_risk"]
    reached = {}
    for value in range(10):
        row[place("tickets_open")] = value
        reached[value] = band(float(model.predict(row[np.newaxis])[0]), BASE)
    row[place("tickets_open")] = 7.0
    now = reached[7]
    best = min((abs(value - 7), value) for value, word in reached.items() if word != now)
    assert found is not None
    (move,) = found.moves
    assert (move.feature.name, move.before, move.after) == ("tickets_open", 7.0, best[1])
    assert found.band == reached[best[1]] != now
    assert found.steps == best[0] / 2


def test_the_smallest_change_of_a_continuous_feature_is_at_the_edge(bundle: Bundle) -> None:
    """The closed form: odds of twice the base rate's at log(1 + x) = (edge - intercept) / w."""
    row = a_row(ticket_reply_hours_365d=5.0)
    base = ground(bundle, row, -2.0, ticket_reply_hours_365d=0.9)
    found = nearest_changes(base, ["churn_risk"])["churn_risk"]
    log_odds = {edge: np.log(edge * BASE / (1 - BASE)) for edge in (0.5, 2.0, 4.0)}
    edges = [np.expm1((each + 2.0) / 0.9) for each in log_odds.values()]
    nearest = min(edges, key=lambda edge: abs(edge - 5.0))
    assert found is not None
    assert found.moves[0].after == pytest.approx(nearest, abs=1e-3)
    assert band(found.value, BASE) == found.band


def test_a_pair_is_tried_where_no_single_lever_suffices(bundle: Bundle) -> None:
    """Brute force over both: neither alone leaves the band, the two together do."""
    row = a_row(tickets_open=2.0)
    base = ground(bundle, row, -1.2, tickets_open=-0.1, surveys_sent_365d=-0.3)
    model = base.bundle.classifiers["churn_risk"]

    def reached(**changes: float) -> str:
        changed, _ = changed_row(base, changes)
        return band(float(model.predict(changed[np.newaxis])[0]), BASE)

    start, values = reached(), [float(value) for value in range(10)]
    assert {reached(tickets_open=value) for value in values} == {start}
    assert {reached(surveys_sent_365d=value) for value in values} == {start}
    best = min(
        (abs(t - 2.0) + s) / 2.0
        for t, s in product(values, values)
        if reached(tickets_open=t, surveys_sent_365d=s) != start
    )
    found = nearest_changes(base, ["churn_risk"])["churn_risk"]
    assert found is not None
    asked = {move.feature.name for move in found.moves if move.asked}
    assert asked == {"tickets_open", "surveys_sent_365d"}
    assert best <= found.steps <= best + 0.5  # a grid of pairs skips a value here and there
    assert found.band != start


def test_it_is_the_same_every_time(bundle: Bundle, forest: Classifier, rows: FloatArray) -> None:
    made = replace(bundle, classifiers={"churn_risk": forest}, base_rates={"churn_risk": 0.3})
    first, again = (
        [nearest_changes(Ground(row, made, FEATURES), ["churn_risk"]) for row in rows[:3]]
        for _ in range(2)
    )
    assert repr(first) == repr(again)


def test_a_score_that_nothing_moves_has_no_nearest_change(bundle: Bundle) -> None:
    assert nearest_changes(ground(bundle, a_row(), 0.0), ["churn_risk"]) == {"churn_risk": None}
