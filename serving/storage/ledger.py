"""The ledger: what a decision reads of a customer's past, under the customer's lock."""

from collections.abc import Mapping
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from features.signals import DAY, MINUTE
from features.traits import HOUSEHOLD_ID
from serving.contact_policy import CAPACITY_DAYS
from serving.outcome_kinds import NOT_SENT, WENT_OUT
from serving.records import NO_CONTACT, Contact, Ledger
from serving.responses import ANSWER_DAYS, REPORTED
from serving.storage import tables
from serving.storage.consents import consent_of
from serving.storage.households import others_at_home, traits_of
from serving.storage.pauses import pauses_in_force

CONTACT_DAYS: Final = 366  # no cap looks further back than a year
BUDGET_DAYS: Final = 7  # of `per_week`
# No call waits longer between reading the clock and being settled; two servers' clocks may differ
# by as much.
CROSSING: Final = 5 * MINUTE

# Statements are built once, here: building one costs more than SQLite takes to run it.
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
_COSTS: Final = (
    sa.select(
        tables.decisions.c.customer_id,
        sa.func.total(sa.func.json_extract(_CANDIDATES.c.value, "$.cost")),
    )
    .select_from(tables.decisions)
    .join(_CANDIDATES, sa.true())
    .where(
        tables.decisions.c.communication != NO_CONTACT,
        tables.decisions.c.fallback == 0,
        tables.decisions.c.as_of < sa.bindparam("before"),
        sa.func.json_extract(_CANDIDATES.c.value, "$.communication")
        == tables.decisions.c.communication,
        ~_GIVEN_BACK,
    )
    .group_by(tables.decisions.c.customer_id)
)
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


def lock_customer(connection: sa.Connection, customer_id: str, as_of: int) -> Mapping[str, str]:
    """Lock a customer and the household until the commit, also one who was never seen.

    Always in the order of the ids, so that two callers never wait for each other. The customer's
    traits, which name the household, come back.
    """
    ids, traits = [customer_id], traits_of(connection, customer_id, as_of)
    household = traits.get(HOUSEHOLD_ID)
    if household is not None:
        ids.append(f"household/{household}")  # no customer's id holds a slash
    for each in sorted(ids):
        connection.execute(_LOCK, {"customer_id": each, "turns": 1})
    return traits


def ledger_of(
    connection: sa.Connection,
    customer_id: str,
    as_of: int,
    limited: tuple[str, ...] = (),
    traits: Mapping[str, str] | None = None,
) -> Ledger:
    """Consents, pauses, traits and logged contacts of a customer and the household at a moment.

    Contacts count up to `CROSSING` after `as_of`: of two calls at once, the one that asked
    first may be settled last, and must see the other.

    Parameters
    ----------
    limited : tuple of str
        Communications with so many places a week; only their places taken are counted.
    traits : mapping of name to text, optional
        As `lock_customer` found them; read here if they are not given.
    """
    said = consent_of(connection, customer_id, as_of)
    if traits is None:
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


def costs_of_contacts(connection: sa.Connection, before: int) -> dict[str, float]:
    """What the contacts with each customer cost as they were decided, in currency units.

    The log keeps the cost of then: an entry may have left the catalog since, or cost another sum.
    Messages reported as not sent cost nothing.
    """
    found = connection.execute(_COSTS, {"before": before})
    return {str(customer_id): float(cost) for customer_id, cost in found}


def spent_in_week(connection: sa.Connection, as_of: int) -> float:
    """What the marketing of the seven days before a moment cost, in currency units.

    As `prices.money_used` has it; messages reported as not sent cost nothing.
    """
    period = {"since": as_of - BUDGET_DAYS * DAY, "until": as_of + CROSSING}
    return float(connection.scalar(_SPENT, period) or 0.0)
