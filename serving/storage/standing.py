"""The standing decision: the last one about a customer, while it still holds."""

import json
from typing import Final

import sqlalchemy as sa

from serving.outcome_kinds import NOT_SENT
from serving.records import NO_CONTACT, Situation
from serving.storage import tables
from serving.storage.ledger import CROSSING
from serving.storage.pauses import HELD_SILENCE, pauses_in_force

_CONSENT_CHANGED: Final = sa.exists().where(
    tables.consents.c.customer_id == tables.decisions.c.customer_id,
    tables.consents.c.recorded_at >= tables.decisions.c.recorded_at,
)
_NOT_SENT: Final = sa.exists().where(
    tables.outcomes.c.decision_id == tables.decisions.c.id,
    tables.outcomes.c.outcome == NOT_SENT,
)
_STANDING: Final = (
    sa.select(
        tables.decisions.c.answer,
        tables.decisions.c.communication,
        tables.decisions.c.channel,
        tables.decisions.c.message_class,
        tables.decisions.c.stage,
        tables.decisions.c.flags,
        tables.decisions.c.recorded_at,
    )
    .where(
        tables.decisions.c.customer_id == sa.bindparam("customer"),
        tables.decisions.c.scope == sa.bindparam("asked"),
        tables.decisions.c.fallback == 0,
        tables.decisions.c.as_of <= sa.bindparam("latest"),
        tables.decisions.c.as_of >= sa.bindparam("since"),
        tables.decisions.c.valid_until > sa.bindparam("now"),
        ~_CONSENT_CHANGED,
        ~_NOT_SENT,
        ~HELD_SILENCE,
    )
    .order_by(tables.decisions.c.as_of.desc(), tables.decisions.c.sequence.desc())
    .limit(1)
)


def standing_of(
    connection: sa.Connection, customer_id: str, now: int, scope: str, since: int = 0
) -> bytes | None:
    """Answer of the last decision that still holds at `now`; None if there is none.

    What was decided before `since` does not count.
    A decision stops standing when its time is over, when any consent of the customer was
    recorded since, when its message was not sent, or while a pause holds its message back. A
    silence that was decided under a pause ends with the pause.
    """
    period = {"now": now, "latest": now + CROSSING, "since": since}
    asked = {"customer": customer_id, "asked": scope, **period}
    found = connection.execute(_STANDING, asked).one_or_none()
    if found is None:
        return None
    situation = Situation(found.stage, tuple(json.loads(found.flags)))
    on, reviewed = pauses_in_force(connection, now)
    # What was said before a pause under review began is not said again after it.
    waiting = [each for each in reviewed if found.recorded_at < (each.ended_at or 0)]
    held_back = found.communication != NO_CONTACT and any(
        pause.holds_back(found.channel, found.message_class, situation) for pause in (*on, *waiting)
    )
    return None if held_back else bytes(found.answer)
