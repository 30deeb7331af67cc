"""The check of a new catalog, policy or bundle against the log, before it is let loose."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.definitions import FEATURES
from features.history import History
from features.home import Home
from features.signals import Int64Array, SignalLog, code
from features.stage import STAGES
from serving.catalog import load_catalog
from serving.champion import company_engine, with_champion
from serving.decision import Engine
from serving.policy import load_policy
from serving.storage.store import Store
from training.contact_rates import GroupRate, fairness_gate, group_rates
from training.dataset import data_end
from training.decision_log import LoggedDecisions
from training.decision_sources import Gathered, drawn_from, gathered
from training.evaluate import named_bundle
from training.gates import Gate
from training.narrator import Narrator
from training.policy_judgement import Evidence, Judgement, judged, lottery_gate
from training.policy_replay import Replay, replayed, with_names
from training.policy_uplift import Sorting, sortings
from training.policy_value import FEWEST_EFFECTIVE, ROUNDING, Estimate, clustered_mean
from training.rewards import opt_outs_after
from training.unseen_effects import (
    effects_of_halves,
    engines_of_halves,
    learned_until,
    rewards_before,
)

FloatArray = NDArray[np.float64]

# A decision takes some milliseconds to decide again, and it is decided twice: a minute or two.
MOST_REPLAYED: Final = 5_000
# Decisions made after the effects were learned: so many judge the bundle as it is.
LATER_SUFFICE: Final = 2_000
FEWEST_CUSTOMERS: Final = 2  # for an interval
STAGE: Final = "stage"
NOT_STATED: Final = "(not stated)"


class NothingChanged(ValueError):
    """A policy check was asked for without anything new to check."""


class NotServing(LookupError):
    """There is no bundle in service that a new policy could be compared with."""


class UnknownTrait(LookupError):
    """Customers cannot be grouped by this."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be checked; None where the present one stays.

    Attributes
    ----------
    bundle : str or None
        First letters of its name.
    group : str
        ``stage``, or the name of a trait that customers state.
    margin : float
        See `policy_judgement.judged`.
    """

    catalog: Path | None = None
    policy: Path | None = None
    bundle: str | None = None
    group: str = STAGE
    margin: float = 0.0


@dataclass(frozen=True, slots=True)
class PolicyCheck:
    """All that a check found out.

    Attributes
    ----------
    moves : tuple of (from, to, count)
        Decisions whose most likely communication changes, most frequent first.
    moved : float
        Share of decisions, in probability, that the new policy makes otherwise.
    contacts : tuple of Estimate
        Contacts a decision under the new and the present policy; empty without decisions.
    most_contacts : (float, float)
        Expected contacts of the customer who gets most, under either.
    refused : mapping of rule to (new, present)
        How often each rule of eligibility and contact policy kept something back.
    sortings : tuple of Sorting
        How well the new policy tells apart whom a communication helps; empty where too few
        were sent and withheld by lot.
    unchanged : str
        How it is known that nothing changes, so that nothing is to be judged; else empty.
    """

    judgement: Judgement
    currency: str
    moves: tuple[tuple[str, str, int], ...]
    moved: float
    contacts: tuple[Estimate, ...]
    most_contacts: tuple[float, float]
    refused: Mapping[str, tuple[int, int]]
    group: str
    groups: tuple[GroupRate, ...]
    sortings: tuple[Sorting, ...]
    gates: tuple[Gate, ...]
    notes: tuple[str, ...]
    unchanged: str = ""

    @property
    def released(self) -> bool:
        """Whether no gate says no."""
        return all(gate.passed for gate in self.gates)


def check_policy(home: Home, change: Change, as_of: int, narrator: Narrator) -> PolicyCheck:
    """Replay a changed engine and the present one over the log, and judge the change.

    Raises
    ------
    NothingChanged
        If the change names nothing.
    NotServing
        If no bundle is in service.
    UnknownTrait
        If nobody states the trait to group by.
    UnknownBundle, InvalidCatalog, InvalidPolicy
        If what is to be checked cannot be used.
    """
    history = History(home.signals)
    stated = _stated(change.group, history, as_of)
    with Store.open(home.store) as store:
        pair = _engines(home, change, store)
        with narrator.step("Reading decisions"):
            log = history.load(received_before=as_of)
            end = data_end(log, as_of)
            past, signals = store.past_decisions(as_of), history.decisions(as_of)
            drawn, left_out = drawn_from(past, signals, pair.current)
            found = gathered(drawn, log, pair.current, end, left_out)
        before = rewards_before(found.log, log, pair.current, end)
        judges = _judges(found, pair, before)
        decisions = judges.decisions
        with narrator.step("Deciding again, by the new policy and by the present one"):
            new = replayed(decisions, judges.new, store)
            current = replayed(decisions, judges.current, store)
    evidence = Evidence(
        decisions,
        new.probabilities,
        current.probabilities,
        _costs(decisions, pair),
        _opt_outs(decisions, log, pair.current.policy.horizon_days, end),
    )
    judgement = judged(evidence, np.random.default_rng(1), change.margin)
    groups = _groups(decisions, stated)
    rates = tuple(group_rates(decisions, groups, new.contacts, current.contacts))
    fair = () if change.group == STAGE else (fairness_gate(rates),)
    moved = _moved(evidence)
    others = tuple(_become_others(decisions, pair))
    unchanged = "" if others else _unchanged(pair, moved, len(decisions))
    gates = (lottery_gate(found.log, before), *judgement.gates)
    if unchanged:
        gates = (Gate("nothing changes", True, unchanged),)
    return PolicyCheck(
        judgement=judgement,
        currency=pair.current.policy.currency,
        moves=_moves(evidence),
        moved=moved,
        contacts=_contacts(decisions, new, current),
        most_contacts=(_most(decisions, new), _most(decisions, current)),
        refused=_refused(new, current),
        group=change.group,
        groups=rates,
        sortings=sortings(decisions, new.worth, np.random.default_rng(2)),
        gates=(*gates, *fair),
        notes=(*judges.notes, *_guessed(evidence), *others),
        unchanged=unchanged,
    )


@dataclass(frozen=True, slots=True)
class _Pair:
    new: Engine
    current: Engine


def _engines(home: Home, change: Change, store: Store) -> _Pair:
    """The new engine and the present one."""
    if change.catalog is None and change.policy is None and change.bundle is None:
        raise NothingChanged(
            "policy-check: nothing to check; name a new --catalog FILE, --policy FILE or "
            "--bundle SHA; what is not named stays as it is"
        )
    serving = with_champion(company_engine(home), home, store.champion())
    if serving.engine.bundle is None:
        raise NotServing(f"{home.path}: {serving.note}")
    new = serving.engine
    if change.bundle is not None:
        new = with_champion(new, home, named_bundle(home, change.bundle)).engine
    if change.catalog is not None:
        new = replace(new, catalog=load_catalog(change.catalog, FEATURES.names))
    if change.policy is not None or change.catalog is not None:
        # The policy that stays is read again too: its weights must stand in the new catalog.
        names = new.catalog.communications
        new = replace(new, policy=load_policy(change.policy or home.policy, names))
    return _Pair(new, serving.engine)


def _unchanged(pair: _Pair, moved: float, decisions: int) -> str:
    """How it is known that the new engine decides as the present one does; empty if it is not."""
    new, current = pair.new, pair.current
    entries, present = (tuple(one.catalog.communications.values()) for one in (new, current))
    if (
        entries == present
        and replace(new.policy, sha256="") == replace(current.policy, sha256="")
        and new.versions.bundle == current.versions.bundle
    ):
        return "catalog, policy and bundle say what those in service say"
    if moved <= ROUNDING and decisions >= FEWEST_EFFECTIVE:
        return f"all {decisions:,} decisions of the log are made as before"
    return ""


def _become_others(decisions: LoggedDecisions, pair: _Pair) -> Iterator[str]:
    """Communications that keep their name and become something else: the log knows the old one."""
    present, chosen = pair.current.catalog.communications, np.unique(decisions.chosen).tolist()
    for name in (decisions.names[place] for place in chosen):
        old, new = present.get(name), pair.new.catalog.communications.get(name)
        if old is None or new is None:
            continue
        for key, then, now in (
            ("channel", old.channel, new.channel),
            ("class", old.message_class, new.message_class),
            ("discount_pct", f"{old.discount_pct:g}", f"{new.discount_pct:g}"),
        ):
            if then != now:
                yield (
                    f"{name}: {key} {now} instead of {then}; the log tells only what it brought "
                    f"with {then}; give it another name if it is another message"
                )


@dataclass(frozen=True, slots=True)
class _Judges:
    """Decisions to judge by, and the engines that decide again: see `unseen_effects`."""

    decisions: LoggedDecisions
    new: tuple[Engine, ...]
    current: tuple[Engine, ...]
    notes: tuple[str, ...]


def _judges(found: Gathered, pair: _Pair, before: FloatArray) -> _Judges:
    """What to judge by: later decisions alone if they suffice, else each half by the other."""
    notes = found.lines()
    known = ~np.isnan(found.log.reward)
    decisions, before = found.log.at(known), before[known]
    new: tuple[Engine, ...] = (pair.new,)
    current: tuple[Engine, ...] = (pair.current,)
    learned = [until for each in (pair.new, pair.current) if (until := learned_until(each))]
    if learned:
        later = decisions.decided_at > max(learned)
        if later.sum() >= LATER_SUFFICE:
            notes.append(
                f"left out: {int((~later).sum()):,} decisions that effects were learned from"
            )
            decisions = decisions.at(later)
        else:
            effects = effects_of_halves(decisions, before)
            new, current = (engines_of_halves(each, effects) for each in (pair.new, pair.current))
            notes.append(
                "effects were learned from these decisions; so each half of the customers is "
                "decided about by what the other half taught"
            )
    if len(decisions) > MOST_REPLAYED:
        decisions = _some(decisions)
        notes.append(
            f"replayed {len(decisions):,} of them, customers chosen by the hash of their ids"
        )
    names = tuple(pair.new.catalog.communications)
    return _Judges(with_names(decisions, names), new, current, tuple(notes))


def _guessed(evidence: Evidence) -> Iterator[str]:
    """What the new policy would send although no lot ever tried it."""
    log = evidence.log
    tried = log.probabilities.max(axis=0, initial=0.0) > 0
    for place in np.flatnonzero(~tried & (evidence.new.sum(axis=0) > 0)).tolist():
        share = 100 * float(evidence.new[:, place].mean())
        yield (
            f"{log.names[place]}: {share:.1f} % of decisions, though never tried by lot; what it "
            "brings is a guess"
        )


def _some(decisions: LoggedDecisions) -> LoggedDecisions:
    """All decisions of some customers: as many as are replayed."""
    rank = np.array([code(name) / 2.0**64 + 0.5 for name in decisions.customer_ids])
    return decisions.at(rank[decisions.customer] < MOST_REPLAYED / len(decisions))


def _costs(decisions: LoggedDecisions, pair: _Pair) -> FloatArray:
    """Cost of a contact, the new catalog's where it names one; for both, so that it cancels."""
    entries = {**pair.current.catalog.communications, **pair.new.catalog.communications}
    return np.array([entries[name].cost if name in entries else 0.0 for name in decisions.names])


def _opt_outs(decisions: LoggedDecisions, log: SignalLog, days: int, end: int) -> FloatArray:
    places = {name: place for place, name in enumerate(log.customer_ids)}
    who: Int64Array = np.array([places[name] for name in decisions.customer_ids], dtype=np.int64)
    return opt_outs_after(log, who[decisions.customer], decisions.decided_at, days, end)


def _stated(group: str, history: History, as_of: int) -> Mapping[str, str] | None:
    """What customers state of the trait to group by; None to group by stage."""
    if group == STAGE:
        return None
    stated = history.trait(group, as_of)
    if not stated:
        raise UnknownTrait(
            f"--group {group}: no customer states this trait; group by 'stage', or by a trait of "
            "your `Trait Set` signals"
        )
    return stated


def _groups(decisions: LoggedDecisions, stated: Mapping[str, str] | None) -> NDArray[np.str_]:
    """Group of each decision's customer, shape (n,)."""
    if stated is None:
        return np.array(STAGES)[decisions.stage]
    of_each = np.array([stated.get(name, NOT_STATED) for name in decisions.customer_ids])
    return of_each[decisions.customer]


def _moves(evidence: Evidence) -> tuple[tuple[str, str, int], ...]:
    names = evidence.log.names
    before, after = (np.argmax(one, axis=1) for one in (evidence.current, evidence.new))
    counts = Counter(
        (names[old], names[new])
        for old, new in zip(before.tolist(), after.tolist(), strict=True)
        if old != new
    )
    return tuple((old, new, count) for (old, new), count in counts.most_common())


def _moved(evidence: Evidence) -> float:
    """Total variation distance of the two policies, averaged over decisions."""
    if not len(evidence.log):
        return 0.0
    return float(np.abs(evidence.new - evidence.current).sum(axis=1).mean() / 2)


def _contacts(decisions: LoggedDecisions, new: Replay, current: Replay) -> tuple[Estimate, ...]:
    if len(np.unique(decisions.customer)) < FEWEST_CUSTOMERS:
        return ()
    return tuple(clustered_mean(one.contacts, decisions.customer) for one in (new, current))


def _most(decisions: LoggedDecisions, replay: Replay) -> float:
    """Expected contacts of the customer who gets most of them."""
    totals = np.bincount(decisions.customer, weights=replay.contacts)
    return float(totals.max(initial=0.0))


def _refused(new: Replay, current: Replay) -> dict[str, tuple[int, int]]:
    rules = sorted({*new.refused, *current.refused})
    return {rule: (new.refused.get(rule, 0), current.refused.get(rule, 0)) for rule in rules}
