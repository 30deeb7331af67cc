"""Outcomes: what became of a decision, as the CRM reports it.

They are appended and never changed, each kind once for a decision, whenever it comes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from features.intake.checks import CLOCK_TOLERANCE
from features.signals import DAY
from serving.answer import time_text
from serving.events import Arrival, Item, read_item
from serving.outcome_kinds import NOT_SENT, OF_SILENCE, WENT_OUT, WITHDRAW
from serving.records import NO_CONTACT
from serving.storage import tables
from serving.storage.inbox import take_in

_DECISION: Final = sa.select(
    tables.decisions.c.customer_id,
    tables.decisions.c.as_of,
    tables.decisions.c.recorded_at,
    tables.decisions.c.communication,
    tables.decisions.c.channel,
).where(tables.decisions.c.id == sa.bindparam("wanted"))
_APPEND: Final = (
    insert(tables.outcomes).on_conflict_do_nothing().returning(tables.outcomes.c.sequence)
)
_OF_DECISION: Final = (
    sa.select(
        tables.outcomes.c.decision_id,
        tables.outcomes.c.outcome,
        tables.outcomes.c.occurred_at,
        tables.outcomes.c.amount,
    )
    .where(tables.outcomes.c.decision_id == sa.bindparam("wanted"))
    .order_by(tables.outcomes.c.sequence)
)


class UnknownDecision(LookupError):
    """No decision of this id is on record."""


class ImpossibleOutcome(ValueError):
    """The decision cannot have had this outcome."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One outcome of a decision.

    Attributes
    ----------
    outcome : str
        One of `outcome_kinds.OUTCOMES`.
    occurred_at : int
        Microseconds UTC.
    amount : int or None
        Minor currency units.
    """

    decision_id: str
    outcome: str
    occurred_at: int
    amount: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """When an outcome was reported and what is needed to act on it.

    Attributes
    ----------
    received_at : int
        The server's time, microseconds UTC.
    known_by : int
        The present of the home; see `inbox.take_in`.
    purposes : mapping of communication to purpose
        A withdrawal covers what the message was sent for, and marketing.
    """

    received_at: int
    known_by: int
    purposes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Kept:
    """What is on record after a report.

    Attributes
    ----------
    outcome : Outcome
        The first one of its kind.
    is_new : bool
        False: it had been reported before, and nothing changed.
    as_of : int
        When the decision was made.
    gives_cap_back : bool
        Whether the decision no longer counts against the caps.
    """

    outcome: Outcome
    is_new: bool
    as_of: int
    gives_cap_back: bool

    def is_late(self, horizon_days: int) -> bool:
        """Whether it came after the days that a decision is judged by."""
        return self.outcome.occurred_at >= self.as_of + horizon_days * DAY


@dataclass(frozen=True, slots=True)
class _Logged:
    customer_id: str
    as_of: int
    recorded_at: int
    communication: str
    channel: str


def keep_outcome(connection: sa.Connection, outcome: Outcome, report: Report, now: int) -> Kept:
    """Append an outcome, unless there is one of its kind; act on it if it withdraws consent.

    Parameters
    ----------
    now : int
        When it is written down, read under the lock; microseconds UTC.

    Raises
    ------
    UnknownDecision
        If no such decision is on record.
    ImpossibleOutcome
        If it came before the decision, lies in the future, or speaks of a message where the
        decision was to send none.
    """
    found = connection.execute(_DECISION, {"wanted": outcome.decision_id}).one_or_none()
    if found is None:
        raise UnknownDecision(
            "no decision of this id is on record; send the decision_id of a decision that was "
            "answered here and logged"
        )
    logged = _Logged(*found)
    _require_possible(outcome, logged, report)
    row = {
        "decision_id": outcome.decision_id,
        "outcome": outcome.outcome,
        "occurred_at": outcome.occurred_at,
        "received_at": report.received_at,
        "amount": outcome.amount,
    }
    is_new = connection.scalar(_APPEND, row) is not None
    if is_new and outcome.outcome in WITHDRAW:
        said = _withdrawals(outcome, logged, report)
        take_in(connection, said, now, report.known_by)
    kept = outcomes_of(connection, outcome.decision_id)
    names = {other.outcome for other in kept}
    first = next(other for other in kept if other.outcome == outcome.outcome)
    back = NOT_SENT in names and names.isdisjoint(WENT_OUT) and logged.communication != NO_CONTACT
    return Kept(first, is_new, logged.as_of, back)


def outcomes_of(connection: sa.Connection, decision_id: str) -> tuple[Outcome, ...]:
    """Outcomes of a decision, in the order in which they came."""
    return tuple(Outcome(*row) for row in connection.execute(_OF_DECISION, {"wanted": decision_id}))


def _require_possible(outcome: Outcome, logged: _Logged, report: Report) -> None:
    # In a home that looks from a day of the past, a decision is logged later than its moment;
    # one that looks from a day to come, earlier.
    earliest = min(logged.as_of, logged.recorded_at) - CLOCK_TOLERANCE
    latest = max(report.received_at, report.known_by) + CLOCK_TOLERANCE
    if not earliest <= outcome.occurred_at <= latest:
        raise ImpossibleOutcome(
            f"the outcome's moment is {time_text(outcome.occurred_at)}; must be between the "
            f"decision ({time_text(earliest + CLOCK_TOLERANCE)}) and now; correct occurred_at "
            "or leave it out"
        )
    if logged.communication == NO_CONTACT and outcome.outcome not in OF_SILENCE:
        raise ImpossibleOutcome(
            f"'{outcome.outcome}' of a decision to send nothing; such a decision can be "
            f"{', '.join(OF_SILENCE)}; report it of the decision that the message came from"
        )


def _withdrawals(outcome: Outcome, logged: _Logged, report: Report) -> Sequence[Item]:
    """The signals that say it to the history: marketing, and what the message was sent for."""
    purposes = {"marketing", report.purposes.get(logged.communication, "marketing")}
    channel = "email" if logged.channel == "none" else logged.channel
    said_at = min(outcome.occurred_at, report.received_at)
    arrival = Arrival(report.received_at, None, "")
    return [
        read_item(
            {
                "type": "track",
                "userId": logged.customer_id,
                "event": "Unsubscribed",
                "messageId": f"{outcome.decision_id}:{outcome.outcome}:{purpose}",
                "timestamp": time_text(said_at),
                "properties": {"channel": channel, "purpose": purpose},
            },
            arrival,
        )
        for purpose in sorted(purposes)
    ]
