"""What a history holds, and what it suffices for, in words: `nextbest doctor`."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from features.consent import MARKETING, PURPOSES, ConsentChange
from features.counting import counted
from features.history import History
from features.intake.report import known_like
from features.signals import (
    ABSENT,
    CHANNELS,
    CONTACT_EVENTS,
    KNOWN_EVENTS,
    SignalLog,
    code,
    date_of,
)
from models.proposed_targets import SHOP
from models.targets import ORDER, PROMOTION, Target, Targets
from serving.policy import Policy
from serving.storage.consents import Said, in_order, last_words
from training.dataset import NothingToLearn, Schedule, ScheduleRules, beginning, schedule
from training.labels import at_risk_then, labels
from training.outsized_orders import OutsizedOrder, outsized_order
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
    outsized : OutsizedOrder or None
        The one order that outweighs the others, if there is one.
    assumed : tuple of str
        Consents that the company's policy assumes, as ``channel:purpose``.
    consents : mapping
        Customers who allow ``channel:purpose`` at the data's end.
    objectors, returned : int
        Customers whose objection stands, and those who took theirs back.
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
    outsized: OutsizedOrder | None
    currency: str
    assumed: tuple[str, ...]
    consents: Mapping[str, int]
    objectors: int
    returned: int
    proposed: Proposal
    targets: Targets
    answers: tuple[Answers, ...]
    notes: tuple[str, ...]

    def lines(self) -> tuple[str, ...]:
        """The findings as sentences, the most important first."""
        told = [
            f"{counted(self.signals, 'signal')} of {counted(self.customers, 'customer')} and "
            f"{counted(self.visitors, 'visitor')}, {date_of(self.first)} to {date_of(self.last)}.",
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
                f"Unknown event '{name}', {counted(count, 'time')}: kept, but no feature sees it"
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
    said = _said(history.consent_changes())
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
        outsized=outsized_order(log),
        currency=policy.currency,
        assumed=tuple(sorted(":".join(pair) for pair in policy.assumed_consents)),
        consents=_consents(one for one, _ in said),
        objectors=sum(one.objected for one, _ in said),
        returned=sum(ever and not one.objected for one, ever in said),
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


def _said(changes: Iterable[ConsentChange]) -> list[tuple[Said, bool]]:
    """What each customer allows after all changes, and whether there ever was an objection."""
    of_each: dict[str, list[ConsentChange]] = {}
    for change in changes:
        of_each.setdefault(change.customer_id, []).append(change)
    return [
        (last_words(in_time), any(change.objection for change in in_time))
        for in_time in (sorted(all_of, key=in_order) for all_of in of_each.values())
    ]


def _consents(said: Iterable[Said]) -> dict[str, int]:
    """How many customers allow each ``channel:purpose``, as a decision would read it."""
    allowed = Counter(
        f"{channel}:{purpose}"
        for one in said
        for (channel, purpose), consent in one.consents.items()
        if consent.given and not (one.objected and purpose == MARKETING)
    )
    return dict(sorted(allowed.items()))


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
        f"{counted(found.orders, 'order')} of {counted(found.buyers, 'customer')} "
        f"({found.orders / found.buyers:.1f} each), amounts in {found.currency}."
    ]
    if found.orders_without_amount:
        told.append(
            f"{found.orders_without_amount:,} orders carry no amount: they count as orders, but "
            "bring no money. Map their amount if the file has one."
        )
    if found.outsized is not None:
        told.append(found.outsized.words(found.currency))
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
        f"{target.name} ({target.question.rstrip()}): {counted(found.rows, 'answer')} known "
        f"from {counted(found.snapshots, 'survey' if by_survey else 'snapshot')}, "
        f"{found.yes:,} yes and {found.no:,} no; "
        f"{counted(found.at_risk_now, 'customer')} {_risk(found, by_survey)}"
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


def _risk(found: Answers, by_survey: bool) -> str:
    one = found.at_risk_now == 1
    if by_survey:
        return "has ordered" if one else "have ordered"
    return "is at risk now" if one else "are at risk now"


def _share_line(kind: str, share: float) -> str:
    if not share:
        return f"No {kind}: the features about them stay empty."
    return f"Customers with {kind}: {share:.0%}."


def _consent_lines(found: Readiness) -> list[str]:
    told = []
    if found.consents:
        given = ", ".join(f"{name} {count:,}" for name, count in found.consents.items())
        told.append(f"Customers who allow: {given}.")
    unknown = [name for name in found.consents if not _is_known(name)]
    if unknown:
        told.append(
            f"What is consented to as {', '.join(unknown)} allows nothing: channels are "
            f"{', '.join(CHANNELS)}, purposes {', '.join(PURPOSES)}; correct the mapping."
        )
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
    if found.returned:
        told.append(
            f"{found.returned:,} took an objection back: only what they allowed afterwards counts."
        )
    return told


def _is_known(name: str) -> bool:
    channel, _, purpose = name.partition(":")
    return channel in CHANNELS and purpose in PURPOSES
