"""What a simulated programme was truly worth, beside what its own log says it was."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.history import History
from features.signals import Int64Array, SignalLog
from features.stage import STAGES
from serving.champion import company_engine, with_champion
from serving.records import ARMS
from serving.storage.store import Store
from training.decision_log import LoggedDecisions
from training.decision_sources import gather
from training.holdout import NothingToCompare, holdout_report
from training.narrator import Narrator
from training.outcome_model import cross_fitted
from training.policy_value import Worth, difference, overlap
from training.rewards import opt_outs_after, rewards_after
from training.simulate import NAMES, Decided, Ran, Wanted, run_in

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# From here on somebody is worth writing to: about what the dearest of these messages costs.
WORTH_IT: Final = 0.25
NORMAL_95: Final = 1.959964
SLEEPING_DOGS: Final = "sleeping dogs"
SURE_THINGS: Final = "sure things"
LOST_CAUSES: Final = "lost causes"
PERSUADABLE: Final = "can be moved"


@dataclass(frozen=True, slots=True)
class Estimated:
    """The programme's value by one way of estimating, and the truth; per customer and month.

    Attributes
    ----------
    remark : str
        What the estimate leans on.
    """

    name: str
    value: float
    low: float
    high: float
    true: float
    remark: str

    @property
    def holds(self) -> bool:
        """Whether the interval holds the truth."""
        return self.low <= self.true <= self.high


@dataclass(frozen=True, slots=True)
class Way:
    """One way to choose, on the same mornings: true value and contacts per customer and month."""

    name: str
    value: float
    contacts: float


@dataclass(frozen=True, slots=True)
class Kind:
    """Customers of one kind, by what is true of them on the morning; some may change kind.

    Attributes
    ----------
    contacted : float
        Share of decisions that sent something; `explored`: the part of it that was for learning.
    value : float
        True, per decision.
    """

    name: str
    decisions: int
    contacted: float
    explored: float
    value: float


@dataclass(frozen=True, slots=True)
class ArmLine:
    """What one arm did; all per customer and month."""

    name: str
    decisions: int
    contacts: float
    reward: float
    opt_outs: float
    true: float


@dataclass(frozen=True, slots=True)
class MonthLine:
    """One month of the policy arm, per customer; `taught`: decisions learned from before it."""

    month: int
    customers: int
    taught: int
    contacts: float
    expected: float
    true: float


@dataclass(frozen=True, slots=True)
class Judged:
    """All that is told of a simulation.

    Attributes
    ----------
    mix : mapping of stage to mapping of communication to count
        What the policy takes for best, exploration left out; most frequent first.
    deaf : float
        Share of the effect that recent messages cost, over messages sent.
    drift : mapping of communication to float
        True change of its strength over the months, as a share.
    """

    ran: Ran
    currency: str
    estimates: tuple[Estimated, ...]
    ways: tuple[Way, ...]
    kinds: tuple[Kind, ...]
    arms: tuple[ArmLine, ...]
    months: tuple[MonthLine, ...]
    mix: Mapping[str, Mapping[str, int]]
    deaf: float
    drift: Mapping[str, float]
    notes: tuple[str, ...]


def simulate(wanted: Wanted, keep: Path | None, narrator: Narrator) -> Judged:
    """Run a simulation and judge it.

    Parameters
    ----------
    keep : Path or None
        Folder in which its home stays; None: it is gone afterwards.
    """
    if keep is not None:
        return judged(run_in(keep, wanted, narrator))
    with tempfile.TemporaryDirectory(prefix="nextbest-simulate-") as folder:
        return judged(run_in(Path(folder), wanted, narrator))


def judged(ran: Ran) -> Judged:
    """Compare what the log says with what is true."""
    home = ran.home
    with Store.open(home.store) as store:
        engine = with_champion(company_engine(home), home, store.champion()).engine
    log = History(home.signals).load(received_before=ran.end)
    told = gather(home, engine, ran.end).log.matured()
    estimates, notes = _estimates(ran, told)
    of_policy = ran.decided.of_arm("policy")
    sent = ran.decided.at_rows(ran.decided.chosen > 0)
    months = ran.wanted.months
    return Judged(
        ran=ran,
        currency=engine.policy.currency,
        estimates=estimates,
        ways=tuple(_ways(of_policy)),
        kinds=tuple(_kinds(of_policy)),
        arms=tuple(_arms(ran, log)),
        months=tuple(_months(ran, of_policy)),
        mix=_mix(of_policy),
        deaf=float(sent.deaf.mean()) if len(sent) else 0.0,
        drift=dict(zip(NAMES[1:], (ran.company.tilt * months).tolist(), strict=True)),
        notes=notes,
    )


# ---- Estimates, from the log alone ----------------------------------------------------------


def _estimates(ran: Ran, told: LoggedDecisions) -> tuple[tuple[Estimated, ...], tuple[str, ...]]:
    mine = ran.decided.of_arm("policy")
    found = [_expected(ran, mine)]
    notes: list[str] = []
    by_lot, said = _by_lot(ran, told, mine)
    found.append(by_lot)
    notes.extend(said)
    try:
        found.append(_by_holdout(ran))
    except NothingToCompare as error:
        notes.append(f"no estimate by the holdout: {error}")
    return tuple(found), tuple(notes)


def _expected(ran: Ran, mine: Decided) -> Estimated:
    """What the engine itself expected; its errors go together, so they are not averaged away."""
    paid = ran.cost[mine.chosen]
    value, reach = float(np.mean(mine.effect - paid)), NORMAL_95 * float(mine.error.mean())
    return Estimated(
        "as the engine expected",
        value,
        value - reach,
        value + reach,
        float(mine.got.mean()),
        "its own effects, stated and measured; errors taken as one",
    )


def _by_lot(ran: Ran, told: LoggedDecisions, mine: Decided) -> tuple[Estimated, tuple[str, ...]]:
    """Doubly robust: the policy that was logged against silence, on the rows of its arm."""
    expected = cross_fitted(told, np.random.default_rng(1))
    here = (told.arm == ARMS.index("policy")) & (told.decided_at >= int(ran.decided.at.min()))
    log, worth = told.at(here), Worth(expected[here], ran.cost)
    silence = np.zeros_like(log.probabilities)
    silence[:, 0] = 1.0
    gain = difference(log, log.probabilities, silence, worth)
    low, high = gain.interval()
    seen = overlap(log, silence)
    estimate = Estimated(
        "by lot, doubly robust",
        gain.value,
        low,
        high,
        float(np.mean(np.sum(mine.probabilities * mine.value, axis=1))),
        f"effective sample size of silence {seen.effective:,.0f} of {seen.rows:,}",
    )
    return estimate, tuple(f"by lot: {one}" for one in seen.refusals())


def _by_holdout(ran: Ran) -> Estimated:
    """Margins of those who may hear from us against the holdout's, from first decision to end."""
    report = holdout_report(ran.home, ran.end)
    months = ran.wanted.months
    all_rows = ran.decided
    first = set(all_rows.person[all_rows.month == 0].tolist())
    free = all_rows.arm != ARMS.index("holdout")
    known = np.isin(all_rows.person, list(first)) & free
    people = len(np.unique(all_rows.person[known]))
    true = float(all_rows.got[known].sum()) / people / months
    low, high = report.gain.interval()
    return Estimated(
        "by the holdout",
        report.gain.value / months,
        low / months,
        high / months,
        true,
        f"{report.counts[0]:,} customers never written to; what lasts longer than four weeks "
        "counts too",
    )


# ---- The truth -------------------------------------------------------------------------------


def _ways(mine: Decided) -> Iterator[Way]:
    """Ours and others on the same mornings, each within what was allowed then."""
    allowed = mine.probabilities > 0
    n = np.arange(len(mine))
    best = np.argmax(mine.probabilities, axis=1)
    yield _way("silence", np.zeros(len(mine), dtype=np.int64), mine)
    yield Way(
        "as it ran, exploration included",
        float(np.mean(np.sum(mine.probabilities * mine.value, axis=1))),
        float(1.0 - mine.probabilities[:, 0].mean()),
    )
    yield _way("the same without exploration", best, mine)
    singles = [np.where(allowed[:, place], place, 0) for place in range(len(NAMES))]
    worth = [float(mine.value[n, one].mean()) for one in singles]
    top = int(np.argmax(worth))
    yield _way(f"best single for all, known beforehand ({NAMES[top]})", singles[top], mine)
    yield _way("as many contacts by churn risk, best message known", _by_risk(mine, best), mine)
    greatest = np.argmax(np.where(allowed, mine.value, -np.inf), axis=1)
    yield _way("who knows the truth", greatest, mine)


def _way(name: str, choice: Int64Array, mine: Decided) -> Way:
    gained = mine.value[np.arange(len(mine)), choice]
    return Way(name, float(gained.mean()), float(np.mean(choice > 0)))


def _by_risk(mine: Decided, best: Int64Array) -> Int64Array:
    """Each month as many contacts as ours, to those of the highest churn risk.

    Each gets what does most on average, of what they may have; whoever sorts by risk is told
    these averages.
    """
    allowed = mine.probabilities > 0
    means = [
        float(mine.value[allowed[:, place], place].mean()) if allowed[:, place].any() else 0.0
        for place in range(len(NAMES))
    ]
    contactable = allowed[:, 1:].any(axis=1)
    choice = np.zeros(len(mine), dtype=np.int64)
    for month in np.unique(mine.month):
        here = np.flatnonzero((mine.month == month) & contactable)
        order = here[np.argsort(-np.nan_to_num(mine.churn_risk[here], nan=-1.0), kind="stable")]
        top = order[: int(np.sum(best[mine.month == month] > 0))]
        choice[top] = 1 + np.argmax(np.where(allowed[top, 1:], means[1:], -np.inf), axis=1)
    return choice


def _kinds(mine: Decided) -> Iterator[Kind]:
    """By what the best message would truly do, among those who may get one."""
    allowed = mine.probabilities > 0
    here = mine.at_rows(np.asarray(allowed[:, 1:].any(axis=1)))
    could = np.where(here.probabilities > 0, here.value, -np.inf).max(axis=1)
    dogs = here.sleeping_dog & ~here.left
    moved = ~dogs & (could >= WORTH_IT)
    sure = ~dogs & ~moved & (here.usual >= 1.0)
    kinds = {
        SLEEPING_DOGS: dogs,
        SURE_THINGS: sure,
        LOST_CAUSES: ~dogs & ~moved & ~sure,
        PERSUADABLE: moved,
    }
    for name, where in kinds.items():
        rows = here.at_rows(where)
        if not len(rows):
            yield Kind(name, 0, 0.0, 0.0, 0.0)
            continue
        contacted = 1.0 - float(rows.probabilities[:, 0].mean())
        meant = float(np.mean(np.argmax(rows.probabilities, axis=1) > 0))
        value = float(np.mean(np.sum(rows.probabilities * rows.value, axis=1)))
        yield Kind(name, len(rows), contacted, max(0.0, contacted - meant), value)


def _arms(ran: Ran, log: SignalLog) -> Iterator[ArmLine]:
    engine = company_engine(ran.home)
    places = {name: place for place, name in enumerate(log.customer_ids)}
    ids = ran.company.ids.to_pylist()
    for name in ARMS:
        rows = ran.decided.of_arm(name)
        if not len(rows):
            yield ArmLine(name, 0, 0.0, 0.0, 0.0, 0.0)
            continue
        who = np.array([places[ids[one]] for one in rows.person.tolist()], dtype=np.int64)
        reward = rewards_after(log, who, rows.at, engine.policy, ran.end)
        goodbyes = opt_outs_after(log, who, rows.at, engine.policy.horizon_days, ran.end)
        yield ArmLine(
            name,
            len(rows),
            float(np.mean(rows.chosen > 0)),
            float(reward.mean()),
            float(goodbyes.mean()),
            float(rows.got.mean()),
        )


def _months(ran: Ran, mine: Decided) -> Iterator[MonthLine]:
    paid = ran.cost[mine.chosen]
    for month in range(ran.wanted.months):
        here = mine.month == month
        yield MonthLine(
            month + 1,
            int(here.sum()),
            ran.taught[month],
            float(np.mean(mine.chosen[here] > 0)),
            float(np.mean((mine.effect - paid)[here])),
            float(mine.got[here].mean()),
        )


def _mix(mine: Decided) -> dict[str, dict[str, int]]:
    best = np.argmax(mine.probabilities, axis=1)
    found: dict[str, dict[str, int]] = {}
    for place, stage in enumerate(STAGES):
        counts = np.bincount(best[mine.stage == place], minlength=len(NAMES))
        order = sorted(np.flatnonzero(counts).tolist(), key=lambda one: (-counts[one], one))
        if order:
            found[stage] = {NAMES[one]: int(counts[one]) for one in order}
    return found
