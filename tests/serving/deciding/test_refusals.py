"""Until when a refusal holds: as long as the last of what stands in the way, or for good."""

from dataclasses import replace
from typing import Any

import pytest

from features.signals import DAY
from serving.decision import decide
from serving.engine import Engine
from serving.records import Contact, Customer, Ledger, Refusal
from serving.refusals import NEVER, Obstacle, decisive, refusal_of

SOON, LATER = Obstacle("delay", "an hour has passed", 5), Obstacle("cap", "fewer are sent", 9)
FOR_GOOD = Obstacle("consent", "consent is on record")


def refused(customer: Customer, engine: Engine, ledger: Ledger, **changes: Any) -> Refusal:
    """Of the newsletter with some changes, in a whole decision."""
    listed = engine.catalog.communications
    entry = replace(listed["newsletter"], **changes)
    catalog = replace(engine.catalog, communications={**listed, entry.name: entry})
    decision = decide(customer, replace(engine, catalog=catalog), ledger, 0.5)
    (found,) = (each for each in decision.refusals if each.communication == entry.name)
    return found


@pytest.mark.parametrize("order", [(SOON, LATER), (LATER, SOON)])
def test_waiting_takes_as_long_as_the_last_of_several(order: tuple[Obstacle, ...]) -> None:
    found = refusal_of("newsletter", order)
    assert found is not None
    assert (found.rule, found.until) == (order[0].rule, 9)
    assert found.change == f"{order[0].change} and {order[1].change}"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_waiting_does_not_help_where_anything_stands_for_good(place: int) -> None:
    all_of_them = [SOON, LATER]
    all_of_them.insert(place, FOR_GOOD)
    found = refusal_of("newsletter", tuple(all_of_them))
    assert found is not None
    assert (found.rule, found.until) == (all_of_them[0].rule, None)


def test_what_decides_ends_with_the_first_that_waiting_does_not_remove() -> None:
    assert decisive([SOON, LATER]) == (SOON, LATER)
    assert decisive([SOON, FOR_GOOD, LATER, FOR_GOOD]) == (SOON, FOR_GOOD)
    assert decisive([]) == ()
    assert refusal_of("newsletter", ()) is None
    assert FOR_GOOD.until == NEVER


@pytest.mark.parametrize(("first_day", "free"), [(3, 6), (9, 9)])
def test_a_date_to_come_and_a_full_cap_are_both_waited_for(
    regular: Customer, rule_engine: Engine, first_day: int, free: int
) -> None:
    """Two messages of yesterday leave the window of seven days in six."""
    now = regular.as_of
    ledger = Ledger(consents={}, contacts=(Contact(now - DAY, "email"),) * 2)
    found = refused(regular, rule_engine, ledger, valid_from=now + first_day * DAY)
    assert (found.rule, found.until) == ("dates", now + free * DAY)
    assert " and fewer than 2 contacts" in found.change


def test_a_date_to_come_does_not_help_whom_it_may_never_be_sent_to(
    regular: Customer, rule_engine: Engine
) -> None:
    """Refused by the date first, and all the same for good."""
    dated = {"valid_from": regular.as_of + DAY}
    open_, strict = Ledger(consents={}), replace(rule_engine.policy, assumed_consents=frozenset())
    assert refused(regular, rule_engine, open_, **dated).until == dated["valid_from"]
    not_for_them = refused(regular, rule_engine, open_, **dated, stages=("lapsed",))
    without_consent = refused(regular, replace(rule_engine, policy=strict), open_, **dated)
    for found in (not_for_them, without_consent):
        assert (found.rule, found.until) == ("dates", None)
