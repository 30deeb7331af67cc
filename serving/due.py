"""What is due: for each customer the occasions whose moment has come, decided once each."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from serving.answer import Surroundings
from serving.arbitration import comes_first
from serving.catalog import Catalog
from serving.decision import propose
from serving.desk import Question, Ready, Seen, each_once, is_offered, prepared, recorded, seen_at
from serving.engine import Engine
from serving.moments import obstacles_of_past, opens_at, start_of
from serving.records import NO_CONTACT
from serving.storage.moment_index import LastSaid
from serving.storage.store import Store

ASKED: Final = json.dumps({"due": True})  # logged with a decision that was made here

Draw = Callable[[], float]


def occasions_now(seen: Seen, store: Store, engine: Engine) -> dict[str, int]:
    """Events and steps after which something that suits may be said now, and since when.

    Only those for which some communication suits the customer: a moment that suits nothing is
    none, and is not logged. Of several communications the one whose time came last counts, so
    that an occasion is decided again when a later communication joins.
    """
    as_of, last_at, catalog = seen.customer.as_of, seen.customer.last_at, engine.catalog
    # Most moments were decided before: reasons would be found for nothing.
    proposal = propose(seen.customer, replace(engine, texts=None), seen.objected)
    logged = store.ledger(seen.customer.customer_id, as_of)
    ledger = replace(logged, contacts=each_once(logged.contacts, seen.contacts))
    found: dict[str, int] = {}
    for entry in proposal.entries:
        moment, start = entry.moment, start_of(entry, catalog, last_at, ledger, as_of)
        if moment is None or start is None:
            continue
        if not obstacles_of_past(entry, catalog, last_at, ledger, as_of):
            found[start.what] = max(opens_at(moment, start), found.get(start.what, 0))
    return dict(sorted(found.items(), key=lambda pair: (pair[1], pair[0])))


def due_to(
    customer_id: str, as_of: int, draw: Draw, store: Store, engine: Engine, around: Surroundings
) -> dict[str, bytes | None]:
    """Every occasion whose moment has come, and what there is to say about it, if anything.

    A moment is decided once. A message is named again until it was reported as sent or its time
    is over; silence holds until it is worth asking again. Of several open moments the one whose
    best message is owed, or worth most, is decided first: caps have few places, and the first
    takes one. What chance then draws has no say in the turn, so that the probabilities that are
    logged stay exact.

    Parameters
    ----------
    draw : from nothing to a number in [0, 1)
        Drawn once for each occasion.
    """
    seen = seen_at(customer_id, as_of, store, engine)
    if seen is None:
        return {}
    found: dict[str, bytes | None] = {}
    asked: list[Question] = []
    for occasion, opened_at in occasions_now(seen, store, engine).items():
        question = Question(
            customer_id,
            as_of,
            draw(),
            trigger=occasion,
            reuses_standing=True,
            since=opened_at,
            request=ASKED,
        )
        last = store.last_said(customer_id, question.scope)
        if last is None or last.as_of < opened_at or _is_worth_asking(last, as_of):
            asked.append(question)
        elif last.is_silence:
            found[occasion] = None
        else:
            found[occasion] = _still_to_send(question, last.decision_id, store, engine.catalog)
    waiting = _opened(asked, seen, engine)
    while waiting:
        first = _first_of(waiting, store) if len(waiting) > 1 else waiting[0]
        waiting.remove(first)
        answer = recorded(first.question, first.ready, store, around)
        found[first.question.trigger] = None if _is_silence(answer) else answer
    return dict(sorted(found.items(), key=_best_first))


@dataclass(frozen=True, slots=True)
class _Open:
    """An occasion to be decided."""

    question: Question
    ready: Ready


def _opened(asked: Sequence[Question], seen: Seen, engine: Engine) -> list[_Open]:
    """Occasions ready to be decided; what is likely to come is the same for all of them."""
    if not asked:
        return []
    proposal = propose(seen.customer, engine, seen.objected)
    return [_Open(one, prepared(one, engine, seen, proposal)) for one in asked]


def _first_of(waiting: Sequence[_Open], store: Store) -> _Open:
    """The occasion whose best message, as things stand now, is owed or worth most."""
    asked, ready = waiting[0].question, waiting[0].ready
    ledger = store.ledger(asked.customer_id, asked.as_of, ready.limited)

    def turn(one: _Open) -> tuple[bool, float, str]:
        best = one.ready.choose(ledger).ranked[0]
        return not comes_first(best), -best.expected_net, one.question.trigger

    return min(waiting, key=turn)


def _is_worth_asking(last: LastSaid, as_of: int) -> bool:
    """Whether silence held, and holds no more."""
    return last.is_silence and last.reconsider_at <= as_of


def _is_silence(answer: bytes) -> bool:
    return str(json.loads(answer)["communication"]) == NO_CONTACT


def _best_first(said: tuple[str, bytes | None]) -> tuple[bool, bool, float, str]:
    """What is owed, then what is worth most, then silence."""
    occasion, answer = said
    if answer is None:
        return True, True, 0.0, occasion
    told = json.loads(answer)
    return False, told["class"] == "marketing", -told["expected_net"], occasion


def _still_to_send(
    question: Question, decision_id: str, store: Store, catalog: Catalog
) -> bytes | None:
    """The message that was decided, unless something was reported of it or it stands no more."""
    if store.outcomes(decision_id):
        return None
    said = store.standing(question.customer_id, question.as_of, question.scope, question.since)
    return said if said is not None and is_offered(said, catalog) else None
