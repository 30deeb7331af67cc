import re
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.batch import feature_row
from features.definitions import FEATURES
from features.signals import EMPTY
from features.stage import (
    BY_ACTIVITY,
    STAGE_FEATURES,
    STAGES,
    InvalidWindows,
    MissingFeature,
    StageWindows,
    stage,
)

WINDOWS = StageWindows(at_risk_days=56, churn_window_days=28)
NOBODY = {
    **dict.fromkeys(STAGE_FEATURES, nan),
    "relationship_ended": 0.0,
    "orders_ever": 0.0,
}


def stage_of(anonymous: bool = False, **known: float) -> str:
    return stage({**NOBODY, **known}, anonymous, WINDOWS)


def regular(silent_days: float, usual_gap: float = 10.0, **known: float) -> dict[str, float]:
    """Ten orders, the last one `silent_days` ago."""
    return {
        "orders_ever": 10.0,
        "days_since_first_order": 9 * usual_gap + silent_days,
        "days_since_last_order": silent_days,
        "usual_gap_days": usual_gap,
        "last_gap_days": usual_gap,
        **known,
    }


def subscribed(days_left: float, started: float = 200.0, **known: float) -> dict[str, float]:
    return {
        "subscription_days_left": days_left,
        "days_since_subscription_started": started,
        **known,
    }


@pytest.mark.parametrize(
    ("expected", "known"),
    [
        ("prospect", {}),
        ("ended", {"relationship_ended": 1.0}),
        ("ended", regular(1, relationship_ended=1.0)),
        # The first month: to the thirtieth day, and to the second order.
        ("onboarding", regular(30, orders_ever=1.0, days_since_first_order=30.0)),
        ("lapsing", regular(31, nan, orders_ever=1.0, days_since_first_order=31.0)),
        ("onboarding", regular(2, 10, orders_ever=2.0, days_since_first_order=12.0)),
        ("active", regular(2, 5, orders_ever=3.0, days_since_first_order=12.0)),
        ("onboarding", subscribed(10, started=20)),
        # Back after a silence longer than 56 days.
        ("won_back", regular(30, last_gap_days=57.0)),
        ("active", regular(12, last_gap_days=56.0)),
        ("lapsing", regular(31, last_gap_days=57.0)),
        # Twice the usual gap, at most the churn window, at least the gap itself and a week.
        ("active", regular(20, usual_gap=10)),
        ("lapsing", regular(20.1, usual_gap=10)),
        ("active", regular(28, usual_gap=20)),
        ("lapsing", regular(28.1, usual_gap=20)),
        ("active", regular(40, usual_gap=40)),
        ("lapsing", regular(40.1, usual_gap=40)),
        ("active", regular(7, usual_gap=0)),
        ("lapsing", regular(7.1, usual_gap=0)),
        ("active", regular(28, nan, orders_ever=1.0, days_since_first_order=90.0)),
        ("lapsing", regular(28.1, nan, orders_ever=1.0, days_since_first_order=90.0)),
        ("lapsing", regular(56)),
        ("lapsed", regular(56.1)),
        # A subscription that runs is never lapsed.
        ("active", regular(300) | subscribed(1)),
        ("active", subscribed(100)),
        ("active", subscribed(nan)),
        ("active", subscribed(5, started=40, days_since_subscription_cancelled=60.0)),
        ("lapsing", subscribed(5, days_since_subscription_cancelled=3.0)),
        ("lapsing", regular(300) | subscribed(5, days_since_subscription_cancelled=3.0)),
        # A subscription that has run out: silence counts from its end, or from the last order.
        # All there was is over: lapsing at once.
        ("lapsing", subscribed(-1)),
        ("lapsing", subscribed(-40)),
        ("lapsed", subscribed(-57)),
        ("lapsed", subscribed(-300)),
        ("lapsed", subscribed(nan, days_since_subscription_cancelled=57.0)),
        ("active", regular(300) | subscribed(-20) | {"usual_gap_days": 10.0}),
        ("active", regular(10) | subscribed(-300)),
        # Data that begin after the subscription did.
        ("active", {"subscription_days_left": 3.0}),
        ("lapsed", {"days_since_subscription_cancelled": 90.0}),
    ],
)
def test_stage_of_a_customer(expected: str, known: dict[str, float]) -> None:
    assert stage_of(**known) == expected


def test_an_anonymous_customer_is_a_visitor_whatever_else() -> None:
    assert stage_of(anonymous=True, relationship_ended=1.0) == "visitor"
    assert stage({}, True, WINDOWS) == "visitor"


def test_a_customer_without_signals_is_a_prospect() -> None:
    row = feature_row(FEATURES, EMPTY, 0)
    assert stage(dict(zip(FEATURES.names, row, strict=True)), False, WINDOWS) == "prospect"


days = st.none().map(lambda _: nan) | st.floats(-400, 800)
counts = st.integers(0, 12).map(float)


@given(st.fixed_dictionaries({**dict.fromkeys(STAGE_FEATURES, days), "orders_ever": counts}))
def test_every_customer_has_one_stage_of_the_closed_list(known: dict[str, float]) -> None:
    found = stage(known, False, WINDOWS)
    assert found in STAGES
    if known["subscription_days_left"] > 0:
        assert found != "lapsed"


@pytest.mark.parametrize("name", STAGE_FEATURES)
def test_a_missing_feature_is_named(name: str) -> None:
    rest = {feature: value for feature, value in NOBODY.items() if feature != name}
    with pytest.raises(MissingFeature, match=f"feature '{name}' is missing; stages read"):
        stage(rest, False, WINDOWS)


@pytest.mark.parametrize(("at_risk", "churn"), [(56, 0), (27, 28), (-1, -1)])
def test_windows_that_cannot_be_are_refused(at_risk: int, churn: int) -> None:
    words = f"churn window {churn} days, at risk {at_risk} days; both must be positive"
    with pytest.raises(InvalidWindows, match=re.escape(words)):
        StageWindows(at_risk_days=at_risk, churn_window_days=churn)


@pytest.mark.parametrize(
    ("expected", "days", "first", "last"),
    [
        ("prospect", 0.0, nan, nan),
        ("onboarding", 2.0, 20.0, 19.0),
        ("active", 3.0, 20.0, 2.0),
        # Usually every ten days: silent for twice that, and never for longer than the window.
        ("active", 11.0, 120.0, 20.0),
        ("lapsing", 11.0, 120.5, 20.5),
        ("active", 3.0, 128.0, 28.0),
        ("active", 1.0, 40.0, 28.0),
        ("lapsing", 1.0, 40.0, 28.1),
        ("lapsing", 11.0, 156.0, 56.0),
        ("lapsed", 11.0, 156.1, 56.1),
    ],
)
def test_where_nobody_buys_days_of_activity_count(
    expected: str, days: float, first: float, last: float
) -> None:
    windows = StageWindows(56, 28, BY_ACTIVITY)
    known = dict.fromkeys((*BY_ACTIVITY.features, *STAGE_FEATURES), nan) | {
        "relationship_ended": 0.0,
        "active_days_ever": days,
        "days_since_first_activity": first,
        "days_since_last_activity": last,
    }
    assert stage(known, False, windows) == expected
    with pytest.raises(MissingFeature, match="feature 'active_days_ever' is missing; stages read"):
        stage({"relationship_ended": 0.0}, False, windows)
