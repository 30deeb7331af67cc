from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from features.definitions import FEATURES
from features.stage import BY_ACTIVITY, BY_ORDERS
from models.at_risk import at_risk, silence_feature, stage_windows, why_not
from models.proposed_targets import ACTIVITY, CONTRACT, SHOP, Windows, targets_toml
from models.targets import EVER, InvalidTargets, Targets, load_targets

FloatArray = NDArray[np.float64]


def targets_of(kind: str, tmp_path) -> Targets:  # type: ignore[no-untyped-def]
    path = tmp_path / "targets.toml"
    path.write_text(targets_toml(Windows(28, 56, 7, kind)), encoding="utf-8")
    return load_targets(path)


def row(**known: float) -> FloatArray:
    found = np.full(len(FEATURES), np.nan)
    for name, value in known.items():
        found[FEATURES.names.index(name)] = value
    return found


@pytest.mark.parametrize(
    ("kind", "known", "note"),
    [
        (SHOP, {"days_since_last_order": 56.0}, ""),
        (SHOP, {"days_since_last_order": 56.1}, "not asked: no order in the last 56 days"),
        (SHOP, {"days_since_last_activity": 1.0}, "not asked: no order on record"),
        (ACTIVITY, {"days_since_last_activity": 56.0}, ""),
        (
            ACTIVITY,
            {"days_since_last_activity": 56.1},
            "not asked: no activity in the last 56 days",
        ),
        (ACTIVITY, {"days_since_last_order": 1.0}, "not asked: no activity on record"),
        (CONTRACT, {"subscription_days_left": 0.5, "days_since_subscription_started": 9.0}, ""),
        (CONTRACT, {"subscription_days_left": 0.5}, ""),
        (CONTRACT, {"days_since_subscription_started": 9.0}, ""),
        (CONTRACT, {"subscription_days_left": -0.5}, "not asked: no subscription is running"),
        (CONTRACT, {"subscription_days_left": 0.0}, "not asked: no subscription is running"),
        (CONTRACT, {}, "not asked: no subscription is running"),
        (
            CONTRACT,
            {"subscription_days_left": 5.0, "days_since_subscription_cancelled": 2.0,
             "days_since_subscription_started": 25.0},
            "not asked: no subscription is running",
        ),
        (
            CONTRACT,
            {"subscription_days_left": 5.0, "days_since_subscription_cancelled": 40.0,
             "days_since_subscription_started": 25.0},
            "",
        ),
    ],
)  # fmt: skip
def test_who_is_asked(kind: str, known: dict[str, float], note: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    churn = targets_of(kind, tmp_path)["churn_risk"]
    assert why_not(churn, row(**known), FEATURES) == note
    rows = np.stack([row(**known), row()])
    assert at_risk(churn, rows, FEATURES).tolist() == [not note, False]


def test_ever_is_whoever_did_it_once() -> None:
    target = replace(load_targets()["promoter_likelihood"], at_risk=("Application Opened",))
    assert target.at_risk_days == EVER
    assert silence_feature(target, FEATURES) == "days_since_app_opened"
    rows = np.stack([row(days_since_app_opened=900.0), row(days_since_last_order=1.0)])
    assert at_risk(target, rows, FEATURES).tolist() == [True, False]


def test_events_that_no_feature_watches_are_named_with_those_watched() -> None:
    target = replace(load_targets()["churn_risk"], at_risk=("Content Shared", "Page Viewed"))
    words = "churn_risk: at_risk = Content Shared, Page Viewed; no feature tells the days since"
    with pytest.raises(InvalidTargets, match=words) as error:
        at_risk(target, row()[np.newaxis], FEATURES)
    assert "Application Opened or Feature Used or Page Viewed or Product Viewed" in str(error.value)


def test_stages_follow_what_is_missed(tmp_path) -> None:  # type: ignore[no-untyped-def]
    found = [stage_windows(targets_of(kind, tmp_path)) for kind in (SHOP, ACTIVITY, CONTRACT)]
    assert [each.relation for each in found] == [BY_ORDERS, BY_ACTIVITY, BY_ORDERS]
    assert {(each.at_risk_days, each.churn_window_days) for each in found} == {(56, 28)}
