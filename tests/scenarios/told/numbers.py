"""Numbers about a whole company, each by the function of the product that tells it."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from told.company import policy_with, targets_of, toml
from told.lines import lines_of, moment_of
from told.stories import Count, Crowd

from features.batch import feature_matrix
from features.definitions import FEATURES
from features.machines import marked
from features.signals import SignalColumns, SignalLog
from models.targets import Target
from serving.events import Arrival, Received, read_item
from serving.exploration import arm_of
from serving.storage.inbox import joined
from training.dataset import beginning
from training.holdout import HoldoutReport, Programme, compared
from training.labels import labels, takings_after
from training.promoters import NetPromoters, promoter_rows


class Company:
    """The people of a count, as one history."""

    def __init__(self, count: Count) -> None:
        self.count = count
        self.now = moment_of(count.moment, 0)
        self.policy = policy_with(toml(count.policy))
        people = dict(self._people())
        names = tuple(sorted(people))
        starts = np.cumsum([0, *(len(people[name]) for name in names)])
        columns = [people[name].columns() for name in names]
        stacked = (np.concatenate(parts) for parts in zip(*columns, strict=True))
        self.log = SignalLog(names, starts.astype(np.int64), SignalColumns(*stacked))

    def at(self, key: str) -> int:
        """A moment that the count names; now where it names none."""
        return moment_of(str(self.count.with_.get(key, "now")), self.now)

    def everybody(self) -> np.ndarray:
        return np.arange(len(self.log), dtype=np.int64)

    def target(self) -> Target:
        return targets_of(self.count.company)[self.count.with_["target"]]

    def _people(self) -> Any:
        for place, crowd in enumerate(self.count.crowds):
            drawn = (f"C-{place}-{number}" for number in range(100_000))
            of_arm = (name for name in drawn if self._belongs(name, crowd))
            told = marked(_signals(crowd, self.now))
            for name, _ in zip(of_arm, range(crowd.many), strict=False):
                yield name, told

    def _belongs(self, name: str, crowd: Crowd) -> bool:
        return not crowd.arm or arm_of(name, self.policy, self.now).name == crowd.arm


def _signals(crowd: Crowd, now: int) -> SignalColumns:
    """What was heard of each of a crowd, read as the service reads it."""
    parts = []
    for text in crowd.signals:
        for line in lines_of(text, "C-anyone", now):
            item = read_item(line.item, Arrival(line.heard_at, None, "EUR"))
            assert isinstance(item, Received), item
            parts.append(item.signal)
    return joined(parts[0], parts[1:])


# ---- The numbers -------------------------------------------------------------------------


def net_promoters(company: Company) -> NetPromoters:
    targets = targets_of(company.count.company)
    first = beginning(company.log, company.now, targets)
    promoter = targets["promoter_likelihood"]
    found = promoter_rows(company.log, FEATURES, promoter, first, company.now).net
    assert found is not None
    return found


def share_of_yes(company: Company) -> float:
    """Share of those asked whose answer was yes, over a window that is over."""
    people = company.everybody()
    moments = np.full(len(people), company.at("from"))
    found = labels(company.log, people, moments, company.target(), company.now).values
    return float(np.mean(found[found >= 0]))


def mean_feature(company: Company) -> float:
    """Mean of a feature over those of whom it says something."""
    people = company.everybody()
    rows = feature_matrix(FEATURES, company.log, people, np.full(len(people), company.now))
    return float(np.nanmean(rows[:, FEATURES.names.index(company.count.with_["feature"])]))


def share_with_feature(company: Company) -> float:
    """Share of all people of whom a feature is above 0."""
    people = company.everybody()
    rows = feature_matrix(FEATURES, company.log, people, np.full(len(people), company.now))
    return float(np.mean(rows[:, FEATURES.names.index(company.count.with_["feature"])] > 0))


def takings(company: Company) -> float:
    """Orders less refunds per customer in the days after a moment, currency units."""
    people, days = company.everybody(), company.count.with_["days"]
    moments = np.full(len(people), company.at("from"))
    return float(np.mean(takings_after(company.log, people, moments, days, company.now)))


def holdout(company: Company) -> HoldoutReport:
    start = company.at("from")
    names = company.log.customer_ids
    heard = [name for name in names if arm_of(name, company.policy, start).name != "holdout"]
    programme = Programme(dict.fromkeys(heard, company.count.with_["cost"]), {})
    return compared(company.log, programme, company.policy, (start, company.now))


NUMBERS: Mapping[str, Callable[[Company], float]] = {
    "net promoter score of the answers": lambda company: net_promoters(company).naive,
    "net promoter score of all who were asked": lambda company: net_promoters(company).weighted,
    "share of yes": share_of_yes,
    "share of no": lambda company: 1.0 - share_of_yes(company),
    "mean feature": mean_feature,
    "share with feature": share_with_feature,
    "takings": takings,
    "margin added by the programme": lambda company: holdout(company).gain.value,
    "return on what contacts cost": lambda company: holdout(company).return_on_cost,
}


def complaint(count: Count) -> str:
    """What is not as the count says; empty if all is."""
    if count.number not in NUMBERS:
        return f"no number '{count.number}'; there are {', '.join(NUMBERS)}"
    found = NUMBERS[count.number](Company(count))
    if abs(found - count.equals) <= count.give_or_take:
        return ""
    return (
        f"'{count.number}' should be {count.equals} (give or take {count.give_or_take}), but is "
        f"{found:.4f}"
    )
