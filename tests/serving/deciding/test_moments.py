"""When an entry's time comes, and what the catalog may say about it."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.definitions import FEATURES
from features.signals import ABSENT, DAY, HOUR, MINUTE, SignalColumns, code
from serving.catalog import SHIPPED, Catalog, InvalidCatalog, load_catalog
from serving.communication import Communication
from serving.engine import Engine
from serving.moments import (
    last_occurrences,
    obstacles_of_moment,
    obstacles_of_past,
    over_at,
    sequence_days,
)
from serving.policy import SHIPPED as POLICY
from serving.policy import load_policy
from serving.records import Contact, Ledger, Pause

NOBODY = Ledger(consents={})
T = 1_793_534_400_000_000
Editor = Callable[[str, str], Path]


@pytest.fixture(scope="module")
def shipped() -> Catalog:
    return load_catalog(SHIPPED, FEATURES.names)


@pytest.fixture(scope="module")
def cart(shipped: Catalog) -> Communication:
    return shipped.communications["cart_reminder"]


def rule(entry: Communication, last_at: dict[str, int], as_of: int = T) -> str:
    return next((obstacle.rule for obstacle in obstacles_of_moment(entry, last_at, as_of)), "")


def test_time_comes_with_the_delay_and_goes_to_the_microsecond(cart: Communication) -> None:
    assert rule(cart, {}) == "trigger"
    assert rule(cart, {"Product Added": T - 2 * HOUR + 1}) == "delay"
    assert rule(cart, {"Product Added": T - 2 * HOUR}) == ""
    last = 2 * HOUR + 3 * DAY
    assert rule(cart, {"Product Added": T - last + 1}) == ""
    assert rule(cart, {"Product Added": T - last}) == "moment_over"
    # The last of the triggers counts.
    both = {"Product Added": T - 5 * HOUR, "Checkout Started": T - HOUR}
    assert rule(cart, both) == "delay"


def test_what_ends_a_moment_must_follow_its_trigger(cart: Communication) -> None:
    added = {"Product Added": T - 5 * HOUR}
    assert rule(cart, {**added, "Order Completed": T - 5 * HOUR - 1}) == ""
    for at in (T - 5 * HOUR, T - HOUR):
        assert rule(cart, {**added, "Order Completed": at}) == "cancelled"


def test_waiting_says_until_when(cart: Communication) -> None:
    (found,) = obstacles_of_moment(cart, {"Product Added": T - 20 * MINUTE}, T)
    assert found.until == T + 100 * MINUTE
    assert found.change == "it is 2 hours after Product Added: 2026-11-01 13:40 UTC"
    assert cart.moment is not None
    for delay, words in ((DAY, "1 day"), (90 * MINUTE, "90 minutes"), (3 * DAY, "3 days")):
        slow = replace(cart, moment=replace(cart.moment, delay=delay))
        (found,) = obstacles_of_moment(slow, {"Product Added": T - MINUTE}, T)
        assert found.change.startswith(f"it is {words} after Product Added: ")


SIGNED_UP = {"Signed Up": T - 20 * DAY}


def sequence_rule(
    shipped: Catalog, step: str, contacts: tuple[Contact, ...], as_of: int, **last_at: int
) -> str:
    entry = shipped.communications[step]
    events = SIGNED_UP | {name.replace("_", " "): at for name, at in last_at.items()}
    ledger = replace(NOBODY, contacts=contacts)
    found = obstacles_of_past(entry, shipped, events, ledger, as_of)
    return next((obstacle.rule for obstacle in found), "")


def test_step_comes_after_the_one_before(shipped: Catalog) -> None:
    first = Contact(T - 18 * DAY, "email", "marketing", "drip_1_ideas")
    assert sequence_rule(shipped, "drip_2_proof", (), T - 17 * DAY) == "sequence"
    assert sequence_rule(shipped, "drip_2_proof", (first,), T - 15 * DAY) == "delay"
    assert sequence_rule(shipped, "drip_2_proof", (first,), T - 14 * DAY) == ""
    assert sequence_rule(shipped, "drip_2_proof", (first,), T - 10 * DAY) == "moment_over"
    assert sequence_rule(shipped, "drip_3_help", (first,), T - 10 * DAY - 1) == "sequence"
    # The second was skipped at -10; the third counts from there.
    assert sequence_rule(shipped, "drip_3_help", (first,), T - 6 * DAY - 1) == "delay"
    assert sequence_rule(shipped, "drip_3_help", (first,), T - 6 * DAY) == ""
    # What ends the sequence ends all of it, whenever in it.
    ordered = sequence_rule(
        shipped, "drip_3_help", (first,), T - 6 * DAY, Order_Completed=T - 17 * DAY
    )
    assert ordered == "cancelled"


def changed(shipped: Catalog, name: str, **moment: object) -> Catalog:
    """The shipped catalog with another moment of one entry."""
    entry = shipped.communications[name]
    assert entry.moment is not None
    other = replace(entry, moment=replace(entry.moment, **moment))  # type: ignore[arg-type]
    return replace(shipped, communications={**shipped.communications, name: other})


def test_what_ends_a_step_ends_those_after_it(shipped: Catalog) -> None:
    first = Contact(T - 18 * DAY, "email", "marketing", "drip_1_ideas")
    said_once = changed(shipped, "drip_3_help", cancel_on=())
    ordered = {"Order_Completed": T - 17 * DAY}
    assert sequence_rule(said_once, "drip_3_help", (first,), T - 6 * DAY) == ""
    assert sequence_rule(said_once, "drip_3_help", (first,), T - 6 * DAY, **ordered) == "cancelled"
    of_its_own = changed(shipped, "drip_3_help", cancel_on=("Ticket Opened",))
    opened = {"Ticket_Opened": T - 17 * DAY}
    assert sequence_rule(of_its_own, "drip_3_help", (first,), T - 6 * DAY, **opened) == "cancelled"
    # What ends the third alone leaves the second be.
    assert sequence_rule(of_its_own, "drip_2_proof", (first,), T - 14 * DAY, **opened) == ""


def test_a_step_that_was_sent_tells_where_a_long_sequence_stands(shipped: Catalog) -> None:
    """The first step is forgotten: it was sent longer ago than contacts are remembered."""
    slow = changed(shipped, "drip_2_proof", delay=100 * DAY)
    second = Contact(T - 5 * DAY, "email", "marketing", "drip_2_proof")
    long_ago = {"Signed_Up": T - 108 * DAY}
    # Had both been skipped, the third would not be before 106 and 4 and 4 days after signing up.
    assert sequence_rule(slow, "drip_3_help", (second,), T, **long_ago) == ""
    assert sequence_rule(slow, "drip_3_help", (second,), T - 2 * DAY, **long_ago) == "delay"
    assert sequence_rule(slow, "drip_3_help", (), T, **long_ago) == "sequence"
    # Sent in an earlier run of the sequence, it does not count for this one.
    again = {"Signed_Up": T - 4 * DAY}
    assert sequence_rule(slow, "drip_3_help", (second,), T, **again) == "sequence"


def test_steps_are_remembered_as_long_as_those_after_them_last(shipped: Catalog) -> None:
    last = shipped.communications["drip_3_help"]
    assert sequence_days(last, shipped) == 4 + 4 + 4 + 4
    slow = changed(shipped, "drip_2_proof", delay=100 * DAY)
    assert sequence_days(last, slow) == 100 + 4 + 4 + 4
    assert sequence_days(shipped.communications["drip_1_ideas"], shipped) == 0
    assert sequence_days(shipped.communications["newsletter"], shipped) == 0
    engine = Engine(None, slow, load_policy(POLICY), None, FEATURES)
    assert engine.memory_days >= 180  # a drip is not repeated for so long
    slower = changed(shipped, "drip_2_proof", delay=300 * DAY)
    assert replace(engine, catalog=slower).memory_days == 300 + 4 + 4 + 4


def test_statement_in_a_crisis_only(shipped: Catalog) -> None:
    statement = shipped.communications["crisis_statement"]
    found = obstacles_of_past(statement, shipped, {}, NOBODY, T)
    assert [obstacle.rule for obstacle in found] == ["no_crisis"]
    paused = replace(NOBODY, pauses=(Pause(1, "storm", T - HOUR),))
    assert list(obstacles_of_past(statement, shipped, {}, paused, T)) == []


def test_answer_holds_until_the_moment_is_over(cart: Communication, shipped: Catalog) -> None:
    added = {"Product Added": T - 5 * HOUR}
    assert over_at(cart, shipped, added, NOBODY, T) == T - 3 * HOUR + 3 * DAY
    dated = replace(cart, valid_until=T + HOUR)
    assert over_at(dated, shipped, added, NOBODY, T) == T + HOUR
    assert over_at(shipped.communications["newsletter"], shipped, {}, NOBODY, T) is None


@given(
    st.lists(
        st.tuples(st.sampled_from(["A", "B", "C"]), st.integers(0, 9), st.integers(0, 9)),
        max_size=12,
    ),
    st.integers(0, 10),
)
def test_last_occurrences_against_a_plain_look(
    signals: list[tuple[str, int, int]], as_of: int
) -> None:
    signals = sorted(signals, key=lambda signal: signal[1])
    n = len(signals)
    nothing = np.full(n, ABSENT)
    columns = SignalColumns(
        np.array([code(name) for name, _, _ in signals], dtype=np.int64),
        np.array([at for _, at, _ in signals], dtype=np.int64),
        np.array([at + late for _, at, late in signals], dtype=np.int64),
        nothing,
        nothing,
        nothing,
    )
    expected: dict[str, int] = {}
    for name, at, late in signals:
        if at < as_of and at + late < as_of and name != "C":
            expected[name] = max(at, expected.get(name, at))
    assert last_occurrences(columns, as_of, ("A", "B")) == expected


CART = 'trigger = ["Product Added", "Checkout Started"]\ndelay = "2 hours"\nwithin = "3 days"\n'
CANCEL = 'cancel_on = ["Order Completed"]\ncost = 0.02\nwindow_days = 7'


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"Product Added", "Ch', '"Product Aded", "Ch', "'Product Aded' is not known; did you"),
        ('["Survey Answered/nps"]', '["Survey Answered"]', "write 'Survey Answered/...', such as"),
        (CART, 'trigger = []\nwithin = "1 day"\n', "trigger is empty; name an event"),
        ('delay = "2 hours"', 'delay = "2h"', "delay '2h'; must read like '20 minutes'"),
        ('delay = "2 hours"', "delay = 2", "delay 2; must be a text in quotation marks"),
        ('within = "3 days"\n', "", "'within' is missing; say how long the moment lasts"),
        ('within = "3 days"', 'within = "0 days"', "within '0 days'; must be from 1 minute to"),
        ('delay = "2 hours"', 'delay = "400 days"', "must be from 0 minutes to 365 days"),
        (CART, 'delay = "2 hours"\n', "delay without a trigger; add trigger"),
        (CART, CART + 'after = "welcome"\n', "has both trigger and after"),
        (CART, CART + 'valid_from = "soon"\n', "valid_from 'soon'; must be a day from 1970"),
        (
            CART,
            CART + "valid_from = 2026-12-02\nvalid_until = 2026-12-01\n",
            "valid_until 2026-12-01 is before valid_from 2026-12-02",
        ),
        (CANCEL, CANCEL.replace("Order Completed", "Product Added"), "which is its trigger"),
        ('after = "drip_1_ideas"', 'after = "drip_1_idea"', "did you mean 'drip_1_ideas'?"),
        ('after = "drip_1_ideas"', 'after = "drip_3_help"', "comes after 'drip_2_proof' itself"),
        ('stages = ["prospect"]', 'stages = ["ended"]', "to whom no marketing is sent"),
        ('rows = ["CM15"]', 'rows = ["CM99"]', "rows 'CM99' is not known"),
    ],
)
def test_a_mistake_about_moments_is_named(
    edited_catalog: Editor, old: str, new: str, words: str
) -> None:
    with pytest.raises(InvalidCatalog, match=re.escape(words)):
        load_catalog(edited_catalog(old, new), FEATURES.names)


def test_every_mistake_is_named(tmp_path: Path) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    wrong = text.replace("cost = 0.02", "cost = -2").replace('"1 day"', '"a day"')
    file = tmp_path / "catalog.toml"
    file.write_text(wrong, encoding="utf-8")
    with pytest.raises(InvalidCatalog, match=r"and \d+ more; `nextbest catalog check`") as caught:
        load_catalog(file, FEATURES.names)
    assert len(caught.value.mistakes) == text.count("cost = 0.02") + text.count('"1 day"')


def test_own_events_are_welcome(edited_catalog: Editor) -> None:
    own = load_catalog(
        edited_catalog('"Product Added", "Ch', '"Cafe Visited", "Ch'), FEATURES.names
    )
    assert "Cafe Visited" in own.events
