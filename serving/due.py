"""What is due: for each customer the occasions whose moment has come, decided once each."""

import json
from dataclasses import replace
from typing import Final

from features.signals import SignalColumns
from serving.answer import Surroundings
from serving.decision import contacts_in_signals, customer_at, propose
from serving.desk import Question, answer_to, each_once, is_offered
from serving.engine import Engine
from serving.moments import obstacles_of_past, opens_at, start_of
from serving.records import NO_CONTACT
from serving.store import Store

ASKED: Final = json.dumps({"due": True})  # logged with a decision that was made here


def occasions_now(
    customer_id: str, signals: SignalColumns, store: Store, engine: Engine, as_of: int
) -> dict[str, int]:
    """Events and steps after which something that suits may be said now, and since when.

    Only those for which some communication suits the customer: a moment that suits nothing is
    none, and is not logged. Of several communications the one whose time came last counts, so
    that an occasion is decided again when a later communication joins.
    """
    customer = customer_at(customer_id, signals, as_of, engine)
    proposal = propose(customer, engine, store.objected(customer_id, as_of))
    seen = contacts_in_signals(signals, as_of, engine.memory_days, engine.catalog)
    logged = store.ledger(customer_id, as_of)
    ledger = replace(logged, contacts=each_once(logged.contacts, seen))
    catalog, last_at = engine.catalog, customer.last_at
    found: dict[str, int] = {}
    for entry in proposal.entries:
        moment, start = entry.moment, start_of(entry, catalog, last_at, ledger, as_of)
        if moment is None or start is None:
            continue
        if not obstacles_of_past(entry, catalog, last_at, ledger, as_of):
            found[start.what] = max(opens_at(moment, start), found.get(start.what, 0))
    return dict(sorted(found.items(), key=lambda pair: (pair[1], pair[0])))


def said_now(
    question: Question, opened_at: int, store: Store, engine: Engine, surroundings: Surroundings
) -> bytes | None:
    """What there is to say about an occasion; None if it was said, sent, or is not to be said.

    A moment is decided once. A message is named again until it was reported as sent or its time
    is over; silence holds until it is worth asking again.

    Parameters
    ----------
    question : Question
        With the occasion as its trigger.
    opened_at : int
        Since when it may be said; what was decided earlier was about an earlier moment.
    """
    last = store.last_said(question.customer_id, question.scope)
    if last is not None and last.as_of >= opened_at:
        if not last.is_silence:
            said = _still_to_send(question, opened_at, last.decision_id, store)
            return said if said is not None and is_offered(said, engine.catalog) else None
        if last.reconsider_at > question.as_of:
            return None
    asked = replace(question, reuses_standing=True, since=opened_at, request=ASKED)
    answer = answer_to(asked, store, engine, surroundings)
    return None if json.loads(answer)["communication"] == NO_CONTACT else answer


def _still_to_send(
    question: Question, opened_at: int, decision_id: str, store: Store
) -> bytes | None:
    """The message that was decided, unless something was reported of it or it stands no more."""
    if store.outcomes(decision_id):
        return None
    return store.standing(question.customer_id, question.as_of, question.scope, opened_at)
