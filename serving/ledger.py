"""What a decision reads and writes inside its transaction."""

import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final, Protocol

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from features.signals import DAY
from serving import tables
from serving.records import NO_CONTACT, Consent, Contact, Decision, Ledger

CONTACT_DAYS: Final = 366  # no cap looks further back than a year
KEEP_IDEMPOTENCY_DAYS: Final = 7  # a CRM repeats a failed call for up to three days
CRISIS_PAUSE: Final = "crisis_pause"


class IdempotencyConflict(ValueError):
    """An idempotency key came back with another request."""


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
    """

    features: tuple[float, ...] = ()
    scope: str = ""
    request: str = "{}"


NOTHING_MORE: Final = Circumstances()


def is_paused(connection: sa.Connection) -> bool:
    """Whether the crisis switch is on."""
    switch = tables.switches.c
    return bool(connection.scalar(sa.select(switch.is_on).where(switch.name == CRISIS_PAUSE)))


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
    kept = tables.idempotency.c
    connection.execute(
        sa.delete(tables.idempotency).where(kept.recorded_at < now - KEEP_IDEMPOTENCY_DAYS * DAY)
    )
    row = insert(tables.idempotency).values(
        key=key, request_hash=request_hash, decision_id=decision_id, recorded_at=now
    )
    if connection.scalar(row.on_conflict_do_nothing().returning(kept.key)) is not None:
        return None
    log = tables.decisions.c
    earlier_hash, answer = connection.execute(
        sa.select(kept.request_hash, log.answer)
        .join_from(tables.idempotency, tables.decisions, log.id == kept.decision_id)
        .where(kept.key == key)
    ).one()
    if not hmac.compare_digest(earlier_hash, request_hash):
        raise IdempotencyConflict(
            "this idempotency key came before with another request; a key belongs to one request; "
            "send a new key, or the first request unchanged"
        )
    return bytes(answer)


def lock_customer(connection: sa.Connection, customer_id: str) -> None:
    """Lock a customer until the commit, also one who was never seen."""
    row = insert(tables.customer_lock).values(customer_id=customer_id, turns=1)
    connection.execute(
        row.on_conflict_do_update(
            index_elements=["customer_id"], set_={"turns": tables.customer_lock.c.turns + 1}
        )
    )


def ledger_of(connection: sa.Connection, customer_id: str, as_of: int) -> Ledger:
    """Consent, objection, switch and logged contacts of a customer as of a moment.

    Contacts count up to and including `as_of`: two calls at one moment see each other.
    """
    consents, objected = consent_of(connection, customer_id, as_of)
    log = tables.decisions.c
    contacts = connection.execute(
        sa.select(log.as_of, log.channel, log.message_class, log.communication)
        .where(log.customer_id == customer_id, log.communication != NO_CONTACT)
        .where(log.as_of > as_of - CONTACT_DAYS * DAY, log.as_of <= as_of)
        .order_by(log.as_of, log.sequence)
    )
    return Ledger(
        consents=consents,
        objected=objected,
        contacts=tuple(Contact(*row) for row in contacts),
        paused=is_paused(connection),
    )


def consent_of(
    connection: sa.Connection, customer_id: str, as_of: int
) -> tuple[Mapping[tuple[str, str], Consent], bool]:
    """The last word on each channel and purpose before `as_of`, and whether there is an objection.

    Among changes of one moment a withdrawal counts as the last. An objection stands for good.
    """
    change = tables.consents.c
    rows = connection.execute(
        sa.select(change.channel, change.purpose, change.given, change.objection, change.evidence)
        .where(change.customer_id == customer_id)
        .where(change.occurred_at < as_of, change.received_at < as_of)
        .order_by(change.occurred_at, change.received_at, change.given.desc(), change.id)
    ).all()
    consents = {
        (channel, purpose): Consent(bool(given), "recorded", evidence)
        for channel, purpose, given, objection, evidence in rows
        if not objection
    }
    return consents, any(row.objection for row in rows)


def decision_row(decision: Decision, circumstances: Circumstances) -> dict[str, object]:
    """Columns of the decision log, but for id, time of recording and answer."""
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
        "effects": json.dumps([asdict(candidate) for candidate in decision.ranked]),
        "refusals": json.dumps([asdict(refusal) for refusal in decision.refusals]),
        "scores": json.dumps({name: asdict(s) for name, s in expectation.scores.items()}),
        "reasons": json.dumps([asdict(reason) for reason in expectation.reasons]),
        "stage": decision.stage,
        "flags": json.dumps(decision.flags),
        "consent": json.dumps(asdict(decision.consent)),
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
