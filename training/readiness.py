"""What a history holds, and what it suffices for, in words: `nextbest doctor`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from features.consent import ConsentChange
from features.history import History
from features.intake.report import known_like
from features.signals import (
    ABSENT,
    CONTACT_EVENTS,
    KNOWN_EVENTS,
    SignalLog,
    code,
    date_of,
)
from models.proposed_targets import SHOP
from models.targets import ORDER, PROMOTION, Target, Targets
from serving.policy import Policy
from training.dataset import NothingToLearn, Schedule, ScheduleRules, beginning, schedule
from training.labels import at_risk_then, labels
from training.proposals import Proposal, proposal
from training.surveys import promoters, surveys

_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "e-mails": tuple(key for key, channel in CONTACT_EVENTS.items() if channel == "email"),
    "visits": ("Page Viewed", "Product Viewed", "Application Opened"),
    "tickets": ("Ticket Opened",),
    "survey answers": ("Survey Answered/nps", "Survey Answered/csat", "Survey Answered/ces"),
    "subscriptions": ("Subscription Started", "Subscription Renewed"),
}


@dataclass(frozen=True, slots=True)
class Answers:
    """What the history says to one target's question, all snapshots or surveys together.

    Attributes
    ----------
    snapshots : int
        Or surveys sent, for a question that is asked by survey.
    rows, yes, no : int
        Customers at risk whose label window is over, counted once for each snapshot or survey.
    at_risk_now : int
        Customers whom the question would be asked of at the data's end.
    """

    target: Target
    snapshots: int
    rows: int
    yes: int
    no: int
    at_risk_now: int

    @property
    def enough(self) -> bool:
        """Whether a model, and not only a rule, can be fitted."""
        each = self.target.minimum_of_each
        return self.rows >= self.target.minimum_rows and min(self.yes, self.no) >= each


@dataclass(frozen=True, slots=True)
class Readiness:
    """What there is.

    Attributes
    ----------
    first, last : int
        First and last time something occurred, microseconds UTC.
    events, unknown_events : mapping
        Signals by event; those whose name no feature knows.
    shares : mapping
        Share of the customers with at least one signal of a kind.
    orders_without_amount : int
        Orders that count, but bring no money.
    assumed : tuple of str
        Consents that the company's policy assumes, as ``channel:purpose``.
    consents : mapping
        Customers who allow ``channel:purpose`` at the data's end.
    proposed : Proposal
        Targets proposed from the customers' own gaps, or why not.
    """

    signals: int
    customers: int
    visitors: int
    first: int
    last: int
    events: Mapping[str, int]
    unknown_events: Mapping[str, int]
    shares: Mapping[str, float]
    orders: int
    buyers: int
    orders_without_amount: int
    currency: str
    assumed: tuple[str, ...]
    consents: Mapping[str, int]
    objectors: int
    proposed: Proposal
    targets: Targets
    answers: tuple[Answers, ...]
    notes: tuple[str, ...]

    def lines(self) -> tuple[str, ...]:
        """The findings as sentences, the most important first."""
        told = [
            f"{self.signals:,} signals of {self.customers:,} customers and {self.visitors:,} "
            f"visitors, {date_of(self.first)} to {date_of(self.last)}.",
            *_order_lines(self),
            *(_answer_line(each) for each in self.answers),
            *self.notes,
            *self.proposed.lines(self.targets),
            *(_share_line(kind, share) for kind, share in self.shares.items()),
            *_consent_lines(self),
            "Events: "
            + ", ".join(f"{name} {count:,}" for name, count in self.events.items())
            + ".",
        ]
        for name, count in self.unknown_events.items():
            told.append(
                f"Unknown event '{name}', {count:,} times: kept, but no feature sees it"
                f"{known_like(name)}."
            )
        return tuple(told)


def readiness(history: History, targets: Targets, policy: Policy) -> Readiness:
    """Look through a history: what there is, and what it suffices for.

    Raises
    ------
    EmptyHistory
        If there are no signals.
    """
    end = history.data_end()
    log = history.load()
    events = history.events()
    columns = log.columns
    people = log.identified()
    is_order = (columns.event == code(ORDER)) & people[log.owners()]
    changes = history.consent_changes()
    plan = _plan(log, targets, end)
    return Readiness(
        signals=len(columns),
        customers=int(people.sum()),
        visitors=int((~people).sum()),
        first=int(columns.occurred_at.min()),
        last=int(columns.occurred_at.max()),
        events=events,
        unknown_events={name: n for name, n in events.items() if name not in KNOWN_EVENTS},
        shares={kind: _share_with(log, people, keys) for kind, keys in _KINDS.items()},
        orders=int(is_order.sum()),
        buyers=len(np.unique(log.owners()[is_order])),
        orders_without_amount=int((is_order & (columns.amount == ABSENT)).sum()),
        currency=policy.currency,
        assumed=tuple(sorted(":".join(pair) for pair in policy.assumed_consents)),
        consents=_consents(changes),
        objectors=len({change.customer_id for change in changes if change.objection}),
        proposed=proposal(log, end),
        targets=targets,
        answers=()
        if plan is None
        else tuple(_answers(log, each, plan, end) for each in targets.targets),
        notes=() if plan is None else plan.notes,
    )


def _plan(log: SignalLog, targets: Targets, end: int) -> Schedule | None:
    """Snapshots; None where nobody was ever at risk."""
    try:
        first = beginning(log, end, targets)
    except NothingToLearn:
        return None
    return schedule(first, end, targets.longest_window_days, ScheduleRules())


def _answers(log: SignalLog, target: Target, plan: Schedule, end: int) -> Answers:
    if target.outcome == PROMOTION:
        found = surveys(log, target, end)
        scores = found.scores[found.answered]
        asked, yes = len(found), int(promoters(scores).sum())
        no = len(scores) - yes
    else:
        asked, yes, no = len(plan.train) + len(plan.test), 0, 0
        customers = np.flatnonzero(log.identified())
        for moment in (*plan.train, *plan.test):
            as_of = np.full(len(customers), moment, dtype=np.int64)
            values = labels(log, customers, as_of, target, end).values
            yes += int((values == 1).sum())
            no += int((values == 0).sum())
    # At the end the answer is open, but whom it is asked of is known.
    everybody = np.flatnonzero(log.identified())
    now = at_risk_then(log, everybody, np.full(len(everybody), end, dtype=np.int64), target)
    return Answers(
        target=target,
        snapshots=asked,
        rows=yes + no,
        yes=yes,
        no=no,
        at_risk_now=int(now.sum()),
    )


def _share_with(
    log: SignalLog, people: np.ndarray[tuple[int], np.dtype[np.bool_]], keys: tuple[str, ...]
) -> float:
    rows = np.isin(log.columns.event, [code(key) for key in keys])
    with_some = np.zeros(len(log), dtype=np.bool_)
    with_some[log.owners()[rows]] = True
    return float((with_some & people).sum() / max(1, people.sum()))


def _consents(changes: list[ConsentChange]) -> dict[str, int]:
    """Customers who allow each ``channel:purpose`` after all changes, in order of time."""
    allowed: dict[str, set[str]] = {}
    for change in changes:
        if change.objection:
            for name, people in allowed.items():
                if name.endswith(":marketing"):
                    people.discard(change.customer_id)
            continue
        people = allowed.setdefault(f"{change.channel}:{change.purpose}", set())
        if change.given:
            people.add(change.customer_id)
        else:
            people.discard(change.customer_id)
    return {name: len(people) for name, people in sorted(allowed.items())}


def _order_lines(found: Readiness) -> list[str]:
    if not found.orders and found.proposed.kind != SHOP:
        return [
            f"No orders ('{ORDER}'): no margin is expected of anybody, so only what the catalog "
            "says of money beside it can speak for a communication. If customers pay for a "
            f"subscription, bring each payment in as '{ORDER}' too."
        ]
    if not found.orders:
        return [
            f"No orders ('{ORDER}'): churn, repurchase and margin cannot be learned, so `nextbest "
            "train` will say no and every decision will be no_contact. Ingest, `nextbest features` "
            "and this report work. Bring in the orders; if a file holds them, name it "
            f"'{ORDER}' in the mapping."
        ]
    told = [
        f"{found.orders:,} orders of {found.buyers:,} customers "
        f"({found.orders / found.buyers:.1f} each), amounts in {found.currency}."
    ]
    if found.orders_without_amount:
        told.append(
            f"{found.orders_without_amount:,} orders carry no amount: they count as orders, but "
            "bring no money. Map their amount if the file has one."
        )
    return told


def _answer_line(found: Answers) -> str:
    target = found.target
    by_survey = target.outcome == PROMOTION
    if by_survey and not found.rows:
        return (
            f"{target.name} ({target.question.rstrip()}): nobody has answered a recommendation "
            "survey (Survey Answered of the kind nps) yet, so this score stays empty; everything "
            "else works without it."
        )
    head = (
        f"{target.name} ({target.question.rstrip()}): {found.rows:,} answers known from "
        f"{found.snapshots:,} {'surveys' if by_survey else 'snapshots'}, {found.yes:,} yes and "
        f"{found.no:,} no; {found.at_risk_now:,} customers "
        f"{'have ordered' if by_survey else 'are at risk now'}"
    )
    if found.enough:
        return f"{head}. Enough to train a model."
    if not found.rows:
        return f"{head}. Nothing to learn from yet, so this score stays empty."
    if not min(found.yes, found.no):
        only = "yes" if found.yes else "no"
        return (
            f"{head}. All answers are '{only}', so there is nothing to tell apart: everybody will "
            "get the same score. Change the windows in targets.toml, or bring in more history."
        )
    return (
        f"{head}. Too few for a model (it takes {target.minimum_rows:,} answers and "
        f"{target.minimum_of_each:,} of each kind): a simple rule will serve."
    )


def _share_line(kind: str, share: float) -> str:
    if not share:
        return f"No {kind}: the features about them stay empty."
    return f"Customers with {kind}: {share:.0%}."


def _consent_lines(found: Readiness) -> list[str]:
    told = []
    if found.consents:
        given = ", ".join(f"{name} {count:,}" for name, count in found.consents.items())
        told.append(f"Customers who allow: {given}.")
    if found.assumed:
        told.append(
            f"Consent to {', '.join(found.assumed)} is assumed (policy.toml), not recorded; "
            "every answer says so."
        )
    if not found.consents and not found.assumed:
        told.append(
            "No consent on record: marketing is refused for everybody. Bring consents in as "
            "'Consent Given', or state in policy.toml what you may assume: "
            '[consent] assume = ["email:marketing"].'
        )
    if found.objectors:
        told.append(f"{found.objectors:,} objected to direct marketing: never addressed or scored.")
    return told
