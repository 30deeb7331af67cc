"""Who a question is asked of, read from the same row of features at training and in service."""

from math import isnan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.algebra import FeatureSet
from features.stage import BY_ACTIVITY, BY_ORDERS, StageWindows, subscription_runs
from models.language import Quantity, phrase
from models.model import FloatArray, feature_column
from models.targets import CHURN, EVER, ORDER, InvalidTargets, Target, Targets

BoolArray = NDArray[np.bool_]

# Days left, days since it was started, days since it was cancelled.
SUBSCRIPTION_FEATURES: Final = (
    "subscription_days_left",
    "days_since_subscription_started",
    "days_since_subscription_cancelled",
)


def at_risk(target: Target, rows: FloatArray, features: FeatureSet) -> BoolArray:
    """Whom the question is asked of.

    Parameters
    ----------
    rows : ndarray of float64, shape (n, n_features)

    Returns
    -------
    ndarray of bool, shape (n,)

    Raises
    ------
    InvalidTargets
        If no feature tells how long ago the target's `at_risk` events were.
    """
    if target.of_subscribers:
        columns = [feature_column(features.names, name) for name in SUBSCRIPTION_FEATURES]
        return np.asarray(subscription_runs(*rows[:, columns].T))
    days = rows[:, feature_column(features.names, silence_feature(target, features))]
    if target.at_risk_days == EVER:
        return np.asarray(~np.isnan(days))
    return np.asarray(days <= target.at_risk_days)


def why_not(target: Target, row: FloatArray, features: FeatureSet) -> str:
    """Why the question is not asked of this customer, shape (n_features,); empty if it is."""
    if target.of_subscribers:
        runs = at_risk(target, row[np.newaxis], features)[0]
        return "" if runs else phrase("not asked: no subscription is running")
    silent = float(row[feature_column(features.names, silence_feature(target, features))])
    orders, never = target.at_risk == (ORDER,), isnan(silent)
    # As `at_risk` says it of many, without arrays of one number.
    if not never and (target.at_risk_days == EVER or silent <= target.at_risk_days):
        return ""
    if never and orders:
        return phrase("not asked: no order on record")
    if never:
        return phrase("not asked: no activity on record")
    days = Quantity(target.at_risk_days, "days")
    if orders:
        return phrase("not asked: no order in the last {time}", time=days)
    return phrase("not asked: no activity in the last {time}", time=days)


def silence_feature(target: Target, features: FeatureSet) -> str:
    """The feature that tells how many days ago the last `at_risk` event was.

    Raises
    ------
    InvalidTargets
        If there is none.
    """
    name = features.plain.get((target.at_risk, "recency"))
    if name is None:
        known = sorted(
            " or ".join(events) for events, operation in features.plain if operation == "recency"
        )
        raise InvalidTargets(
            f"{target.name}: at_risk = {', '.join(target.at_risk)}; no feature tells the days "
            f"since the last of these. There is one for: {'; '.join(known)}. Choose among them, "
            "or add a feature with their .recency to features/definitions.py"
        )
    return name


def stage_windows(targets: Targets) -> StageWindows:
    """Lengths of silence that tell the stages apart, and what is silence in this company."""
    churn = targets[CHURN]
    if churn.of_subscribers:
        # After the end of a subscription: as long again as churn was predicted, then it is over.
        return StageWindows(2 * churn.window_days, churn.window_days)
    relation = BY_ORDERS if churn.at_risk == (ORDER,) else BY_ACTIVITY
    return StageWindows(churn.at_risk_days, churn.window_days, relation)
