"""Entries of the decision log: how one is claimed and written."""

import hmac
import json
from dataclasses import dataclass
from typing import Final

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from features.signals import DAY
from models.expectation import Reason, Score
from serving.contact_policy import PAUSED
from serving.records import Candidate, Consent, Decision, Refusal
from serving.storage import tables

KEEP_IDEMPOTENCY_DAYS: Final = 7  # a CRM repeats a failed call for up to three days

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
_LOG: Final = insert(tables.decisions)


class IdempotencyConflict(ValueError):
    """An idempotency key came back with another request."""


class InvalidDecision(ValueError):
    """A decision that the log must not hold."""


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
