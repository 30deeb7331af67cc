"""What a decision reads and writes inside its transaction."""

import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from features.consent import EVERY_CHANNEL
from features.signals import CHANNELS, DAY, MINUTE
from features.traits import HOUSEHOLD_ID
from models.expectation import Reason, Score
from serving import tables
from serving.contact_policy import CAPACITY_DAYS, PAUSED
from serving.households import others_at_home, traits_of
from serving.outcome_kinds import NOT_SENT, WENT_OUT
from serving.pauses import pauses_in_force
from serving.records import (
    NO_CONTACT,
    Candidate,
    Consent,
    Contact,
    Decision,
    Ledger,
    OptOut,
    Refusal,
)
from serving.responses import ANSWER_DAYS, REPORTED

CONTACT_DAYS: Final = 366  # no cap looks further back than a year
BUDGET_DAYS: Final = 7  # of `per_week`
KEEP_IDEMPOTENCY_DAYS: Final = 7  # a CRM repeats a failed call for up to three days
# No call waits longer between reading the clock and being settled; two servers' clocks may differ
# by as much.
CROSSING: Final = 5 * MINUTE

# Statements are built once, here: building one costs more than SQLite takes to run it.
_FORGET_KEYS: Final = sa.delete(tables.idempotency).where(
    tables.idempotency.c.recorded_at < sa.bindparam("before")
)
_CLAIM: Final = (
    insert(tables.idempotency).on_conflict_do_nothing().returning(tables.idempotency.c.key)
)
_CLAIMED: Final = (
    sa.select(tables.idempotency.c.request_hash, tables.decisions.c.answer)
    .join_from(
        tables.idempotency,
        tables.decisions,
        tables.decisions.c.id == tables.idempotency.c.decision_id,
    )
    .where(tables.idempotency.c.key == sa.bindparam("claimed"))
)
_LOCK: Final = insert(tables.customer_lock).on_conflict_do_update(
    index_elements=["customer_id"], set_={"turns": tables.customer_lock.c.turns + 1}
)
_REPORTED: Final = sa.exists().where(tables.outcomes.c.decision_id == tables.decisions.c.id)
# A message that was not sent was no contact. Reports that it went out weigh more than that one.
_GIVEN_BACK: Final = _REPORTED.where(tables.outcomes.c.outcome == NOT_SENT) & ~_REPORTED.where(
    tables.outcomes.c.outcome.in_(WENT_OUT)
)
# What was reported later than the moment looked from is not known then.
_ANSWERED: Final = _REPORTED.where(
    tables.outcomes.c.outcome.in_(REPORTED),
    tables.outcomes.c.occurred_at <= tables.decisions.c.as_of + ANSWER_DAYS * DAY,
    tables.outcomes.c.received_at < sa.bindparam("asked_at"),
)
_CONTACTS: Final = (
    sa.select(
        tables.decisions.c.as_of,
        tables.decisions.c.channel,
        tables.decisions.c.message_class,
        tables.decisions.c.communication,
        _ANSWERED.label("answered"),
    )
    .where(
        tables.decisions.c.customer_id == sa.bindparam("customer"),
        tables.decisions.c.communication != NO_CONTACT,
        tables.decisions.c.as_of > sa.bindparam("since"),
        tables.decisions.c.as_of <= sa.bindparam("until"),
        ~_GIVEN_BACK,
    )
    .order_by(tables.decisions.c.as_of, tables.decisions.c.sequence)
)
_OLD_NAMES: Final = (
    sa.select(tables.decisions.c.communication)
    .distinct()
    .where(
        tables.decisions.c.customer_id == sa.bindparam("customer"),
        tables.decisions.c.communication != NO_CONTACT,
        tables.decisions.c.as_of <= sa.bindparam("since"),
        ~_GIVEN_BACK,
    )
)
_TAKEN: Final = (
    sa.select(tables.decisions.c.communication, sa.func.count())
    .where(
        tables.decisions.c.communication.in_(sa.bindparam("limited", expanding=True)),
        tables.decisions.c.as_of > sa.bindparam("since"),
        tables.decisions.c.as_of <= sa.bindparam("until"),
        ~_GIVEN_BACK,
    )
    .group_by(tables.decisions.c.communication)
)
_CANDIDATES: Final = sa.func.json_each(tables.decisions.c.effects).table_valued("value")
# The cost of what was chosen stands among what it was chosen from. Names first: the index has them.
_SPENT: Final = (
    sa.select(sa.func.total(sa.func.json_extract(_CANDIDATES.c.value, "$.cost")))
    .select_from(tables.decisions)
    .join(_CANDIDATES, sa.true())
    .where(
        tables.decisions.c.communication.in_(
            sa.select(tables.decisions.c.communication).distinct()
        ),
        tables.decisions.c.message_class == "marketing",
        tables.decisions.c.as_of > sa.bindparam("since"),
        tables.decisions.c.as_of <= sa.bindparam("until"),
        sa.func.json_extract(_CANDIDATES.c.value, "$.communication")
        == tables.decisions.c.communication,
        ~_GIVEN_BACK,
    )
)
_CHANGES: Final = (
    sa.select(
        tables.consents.c.channel,
        tables.consents.c.purpose,
        tables.consents.c.given,
        tables.consents.c.objection,
        tables.consents.c.evidence,
        tables.consents.c.occurred_at,
    )
    .where(
        tables.consents.c.customer_id == sa.bindparam("customer"),
        tables.consents.c.occurred_at < sa.bindparam("until"),
        tables.consents.c.received_at < sa.bindparam("until"),
    )
    .order_by(
        tables.consents.c.occurred_at,
        tables.consents.c.given.desc(),
        tables.consents.c.received_at,
        tables.consents.c.id,
    )
)
_LOG: Final = insert(tables.decisions)
_CONSENT_COUNT: Final = sa.select(sa.func.count()).select_from(tables.consents)
_KEEP_CONSENT: Final = insert(tables.consents).on_conflict_do_nothing()


class IdempotencyConflict(ValueError):
    """An idempotency key came back with another request."""


class InvalidDecision(ValueError):
    """A decision that the log must not hold."""


class ConsentLike(Protocol):
    """One change of consent, as the history gives it. Times in microseconds UTC."""

    @property
    def customer_id(self) -> str:
        """Whose it is."""

    @property
    def channel(self) -> str:
        """Such as ``email``."""

    @property
    def purpose(self) -> str:
        """Such as ``marketing``."""

    @property
    def given(self) -> bool:
        """Given, or withdrawn."""

    @property
    def evidence(self) -> str | None:
        """What says so."""

    @property
    def occurred_at(self) -> int:
        """When the customer said it."""

    @property
    def received_at(self) -> int:
        """When it became known."""

    @property
    def objection(self) -> bool:
        """Whether it is an objection to all direct marketing."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What else is logged with a decision.

    Attributes
    ----------
    features : tuple of float
        The served vector, in the feature set's order; NaN where there was nothing to say.
    scope : str
        What the caller limited the choice to; standing decisions are kept apart by it.
    request : str
        JSON of whatever else the caller said.
    reuses_standing : bool
        Whether a decision of this scope that still holds is answered again, and none made.
    limited : tuple of str
        Communications with so many places a week; the places taken are read under the lock.
    since : int
        A decision made earlier than this does not hold any more; microseconds UTC.
    sentences : bool
        Whether refusals are logged with what would have to change.
    """

    features: tuple[float, ...] = ()
    scope: str = ""
    request: str = "{}"
    reuses_standing: bool = False
    limited: tuple[str, ...] = ()
    since: int = 0
    sentences: bool = True


NOTHING_MORE: Final = Circumstances()


@dataclass(frozen=True, slots=True)
class Entry:
    """A decision's place in the log: its id, when it was written, and what was answered."""

    decision_id: str
    recorded_at: int
    answer: bytes


def claim(
    connection: sa.Connection, idempotency: tuple[str, str], decision_id: str, now: int
) -> bytes | None:
    """Claim an idempotency key; the earlier answer if it was claimed before.

    Raises
    ------
    IdempotencyConflict
        If it was claimed by another request.
    """
    key, request_hash = idempotency
    connection.execute(_FORGET_KEYS, {"before": now - KEEP_IDEMPOTENCY_DAYS * DAY})
    row = {
        "key": key,
        "request_hash": request_hash,
        "decision_id": decision_id,
        "recorded_at": now,
    }
    if connection.scalar(_CLAIM, row) is not None:
        return None
    earlier_hash, answer = connection.execute(_CLAIMED, {"claimed": key}).one()
    if not hmac.compare_digest(earlier_hash, request_hash):
        raise IdempotencyConflict(
            "this idempotency key came before with another request; a key belongs to one request; "
            "send a new key, or the first request unchanged"
        )
    return bytes(answer)


def lock_customer(connection: sa.Connection, customer_id: str, as_of: int) -> None:
    """Lock a customer and the household until the commit, also one who was never seen.

    Always in the order of the ids, so that two callers never wait for each other.
    """
    ids = [customer_id]
    household = traits_of(connection, customer_id, as_of).get(HOUSEHOLD_ID)
    if household is not None:
        ids.append(f"household/{household}")  # no customer's id holds a slash
    for each in sorted(ids):
        connection.execute(_LOCK, {"customer_id": each, "turns": 1})


def ledger_of(
    connection: sa.Connection, customer_id: str, as_of: int, limited: tuple[str, ...] = ()
) -> Ledger:
    """Consents, pauses, traits and logged contacts of a customer and the household at a moment.

    Contacts count up to `CROSSING` after `as_of`: of two calls at once, the one that asked
    first may be settled last, and must see the other.

    Parameters
    ----------
    limited : tuple of str
        See `Circumstances`.
    """
    said = consent_of(connection, customer_id, as_of)
    traits = traits_of(connection, customer_id, as_of)
    contacts = contacts_of(connection, customer_id, as_of)
    on, reviewed = pauses_in_force(connection, as_of)
    others = others_at_home(connection, customer_id, traits, as_of)
    older = {"customer": customer_id, "since": as_of - CONTACT_DAYS * DAY}
    long_ago = connection.scalars(_OLD_NAMES, older)
    return Ledger(
        consents=said.consents,
        objected=said.objected,
        contacts=contacts,
        pauses=on,
        reviewed=reviewed,
        household={other: contacts_of(connection, other, as_of) for other in others},
        opt_outs=said.opt_outs,
        traits=traits,
        sent_ever=frozenset((*long_ago, *(contact.communication for contact in contacts))),
        taken=taken_of(connection, as_of, limited),
    )


def contacts_of(connection: sa.Connection, customer_id: str, as_of: int) -> tuple[Contact, ...]:
    """Logged contacts of a customer, as far back as any cap looks; see `ledger_of`."""
    period = {
        "customer": customer_id,
        "since": as_of - CONTACT_DAYS * DAY,
        "until": as_of + CROSSING,
        "asked_at": as_of,
    }
    return tuple(
        Contact(at, channel, message_class, name, bool(answered))
        for at, channel, message_class, name, answered in connection.execute(_CONTACTS, period)
    )


def taken_of(connection: sa.Connection, as_of: int, limited: tuple[str, ...]) -> dict[str, int]:
    """Places taken in the days that capacity is counted in."""
    if not limited:
        return {}
    period = {"since": as_of - CAPACITY_DAYS * DAY, "until": as_of + CROSSING}
    found = connection.execute(_TAKEN, period | {"limited": limited})
    return {str(name): int(count) for name, count in found}


def spent_in_week(connection: sa.Connection, as_of: int) -> float:
    """What the marketing of the seven days before a moment cost, in currency units.

    As `prices.money_used` has it; messages reported as not sent cost nothing.
    """
    period = {"since": as_of - BUDGET_DAYS * DAY, "until": as_of + CROSSING}
    return float(connection.scalar(_SPENT, period) or 0.0)


@dataclass(frozen=True, slots=True)
class Said:
    """What a customer allows: see the fields of the same names of `records.Ledger`."""

    consents: Mapping[tuple[str, str], Consent]
    objected: bool
    opt_outs: tuple[OptOut, ...]


def consent_of(connection: sa.Connection, customer_id: str, as_of: int) -> Said:
    """The last word on each channel and purpose before `as_of`, and whether there is an objection.

    Among changes of one moment a withdrawal counts as the last, in whatever order they were heard:
    a system that tells whole seconds does not tell which came first. An objection ends every
    consent to marketing and stands until it is taken back; what was allowed before must then be
    allowed anew.
    """
    consents: dict[tuple[str, str], Consent] = {}
    opt_outs: dict[str, OptOut] = {}
    objected = False
    for row in connection.execute(_CHANGES, {"customer": customer_id, "until": as_of}):
        said = Consent(bool(row.given), "recorded", row.evidence)
        if row.objection:
            objected = not said.given
        if not said.given and (row.objection or row.channel == EVERY_CHANNEL):
            concerned = tuple(CHANNELS)
        else:
            concerned = () if row.objection else (row.channel,)
        for channel in concerned:
            before = consents.get((channel, row.purpose))
            consents[channel, row.purpose] = said
            if row.purpose == "marketing" and said.given:
                opt_outs.pop(channel, None)
            elif row.purpose == "marketing" and (before is None or before.given):
                opt_outs[channel] = OptOut(channel, int(row.occurred_at), before is not None)
    return Said(consents, objected, tuple(opt_outs.values()))


def keep_consents(connection: sa.Connection, changes: Sequence[ConsentLike], now: int) -> int:
    """Keep changes of consent; the same change twice is kept once. How many were new."""
    if not changes:
        return 0
    rows = [
        {
            "customer_id": change.customer_id,
            "channel": change.channel,
            "purpose": change.purpose,
            "given": int(change.given),
            "objection": int(change.objection),
            "evidence": change.evidence,
            "occurred_at": int(change.occurred_at),
            "received_at": int(change.received_at),
            "recorded_at": now,
        }
        for change in changes
    ]
    before = connection.scalar(_CONSENT_COUNT) or 0
    connection.execute(_KEEP_CONSENT, rows)
    return (connection.scalar(_CONSENT_COUNT) or 0) - before


def log_decision(
    connection: sa.Connection,
    decision: Decision,
    circumstances: Circumstances,
    entry: Entry,
) -> None:
    """Write one row of the decision log.

    Raises
    ------
    InvalidDecision
        If what was chosen could not have been chosen: nothing could be learned from it.
    """
    probability = decision.selection_probability
    if not 0 < probability <= 1 + 1e-9:
        raise InvalidDecision(
            f"selection probability {probability!r} of '{decision.chosen.communication}'; must be "
            "above 0 and at most 1; nothing was logged; look at the probabilities of the arms"
        )
    columns = decision_columns(decision, circumstances)
    named = {"id": entry.decision_id, "recorded_at": entry.recorded_at, "answer": entry.answer}
    connection.execute(_LOG, columns | named)


def decision_columns(decision: Decision, circumstances: Circumstances) -> dict[str, object]:
    """Columns of the decision log that follow from the decision and its circumstances."""
    chosen, versions = decision.chosen, decision.versions
    expectation = decision.expectation
    return {
        "customer_id": decision.customer_id,
        "as_of": decision.as_of,
        "not_before": decision.not_before,
        "reconsider_at": decision.reconsider_at,
        "valid_until": decision.valid_until,
        "communication": chosen.communication,
        "channel": chosen.channel,
        "message_class": chosen.message_class,
        "arm": decision.arm,
        "arm_share": decision.arm_share,
        "selection_probability": decision.selection_probability,
        "probabilities": json.dumps(dict(decision.probabilities)),
        "effects": json.dumps([fields_of(candidate) for candidate in decision.ranked]),
        "refusals": json.dumps(
            [_refused(refusal, circumstances.sentences) for refusal in decision.refusals]
        ),
        "scores": json.dumps({name: fields_of(s) for name, s in expectation.scores.items()}),
        "reasons": json.dumps([fields_of(reason) for reason in expectation.reasons]),
        "stage": decision.stage,
        "flags": json.dumps(decision.flags),
        "consent": json.dumps(fields_of(decision.consent)),
        "bundle": versions.bundle,
        "catalog": versions.catalog,
        "policy": versions.policy,
        "fingerprint": versions.fingerprint,
        "features": np.asarray(circumstances.features, dtype="<f8").tobytes(),
        "fallback": int(decision.fallback),
        "note": decision.note,
        "scope": circumstances.scope,
        "request": circumstances.request,
    }


def fields_of(record: Candidate | Score | Reason | Consent) -> dict[str, object]:
    """A flat record as a table of its fields."""
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def _refused(refusal: Refusal, sentences: bool) -> dict[str, object]:
    """A refusal as it is logged; a pause's words always, they say which pause it was."""
    is_told = sentences or refusal.rule == PAUSED
    return {
        "communication": refusal.communication,
        "rule": refusal.rule,
        "change": refusal.change if is_told else "",
        "until": refusal.until,
    }
