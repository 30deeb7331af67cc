"""What customers allowed and took back: kept change by change, read as of a moment."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from features.consent import EVERY_CHANNEL
from features.signals import CHANNELS
from serving.records import Consent, OptOut
from serving.storage import tables

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
_CONSENT_COUNT: Final = sa.select(sa.func.count()).select_from(tables.consents)
_KEEP_CONSENT: Final = insert(tables.consents).on_conflict_do_nothing()


class ChangeLike(Protocol):
    """What one change of consent says. Times in microseconds UTC."""

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
    def objection(self) -> bool:
        """Whether it is an objection to all direct marketing."""


class ConsentLike(ChangeLike, Protocol):
    """One change of consent, as the history gives it. Times in microseconds UTC."""

    @property
    def customer_id(self) -> str:
        """Whose it is."""

    @property
    def received_at(self) -> int:
        """When it became known."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a customer allows: see the fields of the same names of `records.Ledger`."""

    consents: Mapping[tuple[str, str], Consent]
    objected: bool
    opt_outs: tuple[OptOut, ...]


def consent_of(connection: sa.Connection, customer_id: str, as_of: int) -> Said:
    """What a customer allows at a moment, by what was said and heard before."""
    return last_words(connection.execute(_CHANGES, {"customer": customer_id, "until": as_of}))


def in_order(change: ConsentLike) -> tuple[int, bool, int]:
    """Sorts changes by when they were said.

    Among changes of one moment a withdrawal counts as the last, in whatever order they were heard:
    a system that tells whole seconds does not tell which came first.
    """
    return change.occurred_at, not change.given, change.received_at


def last_words(changes: Iterable[ChangeLike]) -> Said:
    """What one customer's changes come to, in the order of `in_order`.

    An objection ends every consent to marketing and stands until it is taken back; what was
    allowed before must then be allowed anew.
    """
    consents: dict[tuple[str, str], Consent] = {}
    opt_outs: dict[str, OptOut] = {}
    objected = False
    for row in changes:
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
