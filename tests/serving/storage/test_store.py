"""The store: one transaction a decision, nothing acknowledged is lost, caps hold in a race."""

import json
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pysqlite3
import pytest

from features.signals import DAY, EMPTY, HOUR, MINUTE, SignalColumns
from features.traits import TraitChange
from models.expectation import Expectation, Reason, Score
from serving.records import (
    Candidate,
    Consent,
    Contact,
    Decision,
    Ledger,
    OptOut,
    Pause,
    Refusal,
    Versions,
)
from serving.storage.api_keys import InvalidKeyName
from serving.storage.log_entries import Circumstances, IdempotencyConflict, InvalidDecision
from serving.storage.pauses import InvalidPause, UnknownPause, Wanted
from serving.storage.sqlite_file import OldSqlite, require_sqlite
from serving.storage.store import Store
from serving.storage.store_file import StoreFailed
from serving.storage.store_version import UnusableStore
from serving.storage.turnstile import StoreBusy

NOON = 1_793_534_400_000_000  # 2026-11-01T12:00:00Z
SILENCE = Candidate("no_contact", "No contact", "none", "none", 0, 0, 0, 0, 0, "assumed", 0)
MAIL = Candidate("newsletter", "News", "email", "marketing", 1.5, 0.5, 0.2, 0, 1.3, "assumed", 0)
SCORE = Score("churn_risk", 0.25, 28, 0.2, "lightgbm")
REASON = Reason("RECENCY", "churn_risk", 5.0, "raises", "Last order was 40 days ago.")
FROM_MAIL = Contact(NOON, "email", "marketing", "newsletter")


@dataclass(frozen=True)
class Change:
    customer_id: str = "c"
    channel: str = "email"
    purpose: str = "marketing"
    given: bool = True
    evidence: str | None = "form"
    occurred_at: int = NOON - 10 * DAY
    received_at: int = NOON - 10 * DAY
    objection: bool = False


def decision(chosen: Candidate = MAIL, as_of: int = NOON, **changes: object) -> Decision:
    made = Decision(
        customer_id="c",
        as_of=as_of,
        chosen=chosen,
        arm="policy",
        arm_share=0.85,
        probabilities={"newsletter": 0.9, "no_contact": 0.1},
        ranked=(MAIL, SILENCE),
        refusals=(Refusal("welcome", "stage", "stage is onboarding"),),
        expectation=Expectation({"churn_risk": SCORE}, 3.0, (REASON,)),
        stage="active",
        flags=("high_value",),
        consent=Consent(True, "recorded", "form"),
        not_before=as_of,
        reconsider_at=as_of + 7 * DAY,
        valid_until=as_of + DAY,
        versions=Versions("sha256:b", "sha256:c", "sha256:p", "f"),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def always(made: Decision) -> Callable[[Ledger], Decision]:
    return lambda ledger: made


def one_a_day(ledger: Ledger) -> Decision:
    """A policy with a cap of one contact."""
    return decision(SILENCE if ledger.contacts else MAIL)


def as_text(decision_id: str, made: Decision) -> bytes:
    return f"{decision_id} {made.chosen.communication}".encode()


def rows(store_file: Path, query: str) -> list[tuple[object, ...]]:
    connection = pysqlite3.connect(store_file)
    try:
        return list(connection.execute(query).fetchall())
    finally:
        connection.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(file: Path) -> Iterator[Store]:
    with Store.open(file) as opened:
        yield opened


def ledger_seen(store: Store, as_of: int = NOON) -> Ledger:
    seen: list[Ledger] = []

    def look(ledger: Ledger) -> Decision:
        seen.append(ledger)
        return decision(SILENCE, as_of)

    store.record("c", as_of, None, look, as_text)
    return seen[0]


# ---- Signals, champion, keys -------------------------------------------------------------


def test_signals_come_back_as_they_went_in(store: Store) -> None:
    columns = [np.arange(3, dtype=np.int64) * factor for factor in (1, 5, 7, -9, 2**62 // 4, 11)]
    signals = SignalColumns(*columns)
    assert store.put_customers([("a", signals), ("b", EMPTY)]) == 2
    found = store.customer_signals("a")
    assert found is not None
    for before, after in zip(signals.columns(), found.columns(), strict=True):
        np.testing.assert_array_equal(before, after)
    nothing = store.customer_signals("b")
    assert nothing is not None
    assert len(nothing) == 0
    assert store.customer_signals("z") is None
    assert store.customer_ids() == ("a", "b")


def test_putting_a_customer_again_replaces_the_signals(store: Store) -> None:
    one = SignalColumns(*(np.array([1]) for _ in range(6)))
    store.put_customers([("a", one)])
    store.put_customers([("a", EMPTY)])
    found = store.customer_signals("a")
    assert found is not None
    assert len(found) == 0


def test_many_customers_take_several_turns(store: Store) -> None:
    assert store.put_customers((f"c{i}", EMPTY) for i in range(1201)) == 1201
    assert len(store.customer_ids()) == 1201


def test_the_end_of_the_data_is_remembered(store: Store) -> None:
    assert store.data_end() is None
    store.set_data_end(NOON)
    store.set_data_end(NOON + 1)
    assert store.data_end() == NOON + 1


def test_there_is_one_champion(store: Store, file: Path) -> None:
    assert store.champion() is None
    store.set_champion("aa")
    store.set_champion("bb")
    assert store.champion() == "bb"
    assert rows(file, "SELECT count(*) FROM champion") == [(1,)]


def test_a_key_works_until_it_is_revoked_and_is_not_kept(store: Store, file: Path) -> None:
    key = store.new_key("crm")
    assert re.fullmatch(r"nb_[A-Za-z0-9_-]{43}", key)
    assert store.key_is_known(key)
    assert not store.key_is_known(key[:-1])
    assert not store.key_is_known("")
    assert store.key_names() == ("crm",)
    everything = b"".join(path.read_bytes() for path in file.parent.iterdir())
    assert key.encode() not in everything
    assert store.revoke_keys("crm") == 1
    assert not store.key_is_known(key)


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("", "it has 0 characters"),
        ("  ", "it has 2 characters"),
        ("crm ", "it has 4 characters"),
        ("x" * 101, "it has 101 characters"),
        ("a\x1b[31mb", "it holds U+001B (a control character) at place 2"),
        ("crm\nother", "it holds U+000A (a control character) at place 4"),
        ("c\u202erm", "it holds U+202E (right-to-left override) at place 2"),
    ],
)
def test_a_key_whose_name_cannot_be_read_is_not_made(store: Store, name: str, seen: str) -> None:
    with pytest.raises(InvalidKeyName, match=re.escape(f"{seen}; write whose key it is, such as")):
        store.new_key(name)
    assert store.key_names() == ()


def test_only_the_owner_may_read_the_file(store: Store, file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


# ---- The ledger --------------------------------------------------------------------------


def test_without_a_record_there_is_no_consent(store: Store) -> None:
    assert ledger_seen(store) == Ledger({})


def test_the_last_change_of_consent_counts(store: Store) -> None:
    later = {"occurred_at": NOON - DAY, "received_at": NOON - DAY}
    new = store.put_consent_changes(
        [Change(), Change(given=False, evidence="link", **later), Change(channel="sms")]
    )
    assert new == 3
    assert ledger_seen(store).consents == {
        ("email", "marketing"): Consent(False, "recorded", "link"),
        ("sms", "marketing"): Consent(True, "recorded", "form"),
    }


@pytest.mark.parametrize("order", [1, -1])
def test_a_withdrawal_of_the_same_moment_wins(store: Store, order: int) -> None:
    store.put_consent_changes([Change(), Change(given=False)][::order])
    assert not ledger_seen(store).consents[("email", "marketing")].given


def test_a_withdrawal_of_the_same_second_wins_whichever_is_heard_last(store: Store) -> None:
    """Two calls of a form, a second apart, about one second."""
    said_at = NOON - HOUR
    withdrawn = Change(given=False, evidence="link", occurred_at=said_at, received_at=said_at + 1)
    given = Change(occurred_at=said_at, received_at=said_at + 2)
    store.put_consent_changes([withdrawn, given])
    assert store.ledger("c", NOON).consents == {
        ("email", "marketing"): Consent(False, "recorded", "link")
    }
    later = Change(occurred_at=said_at + 1, received_at=said_at + 3, evidence="new form")
    store.put_consent_changes([later])
    assert store.ledger("c", NOON).consents == {
        ("email", "marketing"): Consent(True, "recorded", "new form")
    }


def test_consent_is_read_as_of_the_moment(store: Store) -> None:
    store.put_consent_changes(
        [Change(occurred_at=NOON - 2, received_at=NOON - 1), Change("other", channel="sms")]
    )
    assert ledger_seen(store, NOON - 1).consents == {}
    assert ledger_seen(store, NOON).consents[("email", "marketing")].given


def test_an_objection_outlives_a_later_consent(store: Store) -> None:
    objection = Change(channel="any", given=False, objection=True, evidence="letter")
    store.put_consent_changes([objection, Change(occurred_at=NOON - DAY, received_at=NOON - DAY)])
    assert ledger_seen(store).objected
    assert not ledger_seen(store, NOON - 11 * DAY).objected
    assert not ledger_seen(store).consents["sms", "marketing"].given


def test_an_objection_taken_back_needs_consent_anew(store: Store) -> None:
    before = Change(occurred_at=NOON - 9 * DAY, received_at=NOON - 9 * DAY)
    raised = Change(
        channel="",
        given=False,
        objection=True,
        occurred_at=NOON - 5 * DAY,
        received_at=NOON - 5 * DAY,
    )
    back = replace(raised, given=True, occurred_at=NOON - DAY, received_at=NOON - DAY)
    store.put_consent_changes([before, raised, back])
    seen = ledger_seen(store)
    assert not seen.objected
    assert not seen.consents["email", "marketing"].given
    store.put_consent_changes([Change(occurred_at=NOON - HOUR, received_at=NOON - HOUR)])
    assert ledger_seen(store).consents["email", "marketing"].given


def test_a_withdrawal_that_names_no_channel_ends_all_of_them(store: Store) -> None:
    store.put_consent_changes(
        [
            Change(occurred_at=NOON - 9 * DAY, received_at=NOON - 9 * DAY),
            Change(channel="", given=False, occurred_at=NOON - DAY, received_at=NOON - DAY),
        ]
    )
    seen = ledger_seen(store)
    assert not seen.objected
    assert not seen.consents["email", "marketing"].given
    assert not seen.consents["push", "marketing"].given


def test_the_same_change_is_kept_once(store: Store) -> None:
    assert store.put_consent_changes([Change(), Change()]) == 1
    assert store.put_consent_changes([Change()]) == 0


def test_the_crisis_switch_reaches_the_ledger(store: Store) -> None:
    made = store.pause(Wanted("a product is called back", channel="sms"))
    assert made == Pause(1, "a product is called back", made.since, channel="sms")
    assert ledger_seen(store).pauses == (made,)
    (ended,) = store.end_pause(1)
    assert replace(ended, ended_at=None) == made
    assert (ended.ended_at or 0) >= made.since
    assert ledger_seen(store).pauses == store.pauses() == ()
    with pytest.raises(UnknownPause, match="no pause 1 is on; those that are: none"):
        store.end_pause(1)


def trait(customer_id: str, value: str, days_ago: float, name: str = "household_id") -> TraitChange:
    at = NOON - int(days_ago * DAY)
    return TraitChange(customer_id, name, value, at, at)


def test_a_household_is_who_lives_there_at_the_moment(store: Store) -> None:
    moved_in = trait("c", "H1", 9)
    store.put_trait_changes([moved_in, moved_in, trait("a", "H1", 9), trait("b", "H1", 5)])
    store.put_trait_changes([trait("a", "H2", 3), trait("d", "H1", 2), trait("d", "", 1)])
    assert store.others_at_home("c", NOON - 6 * DAY) == ("a",)
    assert store.others_at_home("c", NOON - 4 * DAY) == ("a", "b")
    assert store.others_at_home("c", NOON) == ("b",)  # a moved out, d took it back
    assert store.others_at_home("c", NOON - 9 * DAY) == ()  # not yet heard of at that moment
    assert store.others_at_home("z", NOON) == ()
    late = TraitChange("e", "household_id", "H1", NOON - DAY, NOON)
    store.put_trait_changes([late])
    assert store.others_at_home("c", NOON) == ("b",)
    assert store.others_at_home("c", NOON + 1) == ("b", "e")


def test_too_many_people_are_no_household(store: Store) -> None:
    store.put_trait_changes(trait(f"c{n}", "unknown", 1) for n in range(20))
    assert len(store.others_at_home("c0", NOON)) == 19
    store.put_trait_changes([trait("c20", "unknown", 1)])
    assert store.others_at_home("c0", NOON) == ()


def test_the_ledger_holds_the_household_traits_and_places(store: Store) -> None:
    store.put_trait_changes([trait("c", "H1", 2), trait("b", "H1", 2)])
    store.put_trait_changes([trait("c", "Asia/Tokyo", 2, "timezone")])
    store.record("b", NOON, None, always(decision(customer_id="b")), as_text)
    long_ago = decision(customer_id="c", as_of=NOON - 400 * DAY)
    store.record("c", NOON - 400 * DAY, None, always(long_ago), as_text)
    seen = store.ledger("c", NOON, limited=("newsletter", "call"))
    assert seen.household == {"b": (FROM_MAIL,)}
    assert seen.traits == {"household_id": "H1", "timezone": "Asia/Tokyo"}
    assert seen.taken == {"newsletter": 1}
    assert (seen.contacts, seen.sent_ever) == ((), {"newsletter"})
    assert store.ledger("c", NOON + 8 * DAY, limited=("newsletter",)).taken == {}


def test_an_opt_out_is_known_with_what_was_said_before(store: Store) -> None:
    yes, no = Change(channel="sms"), Change(channel="sms", given=False)
    days = [replace(c, occurred_at=NOON - d * DAY) for c, d in ((yes, 9), (no, 5), (no, 4))]
    store.put_consent_changes([*days, Change(channel="push", given=False)])
    seen = store.ledger("c", NOON)
    assert set(seen.opt_outs) == {
        OptOut("sms", NOON - 5 * DAY, True),  # said again, it stays the first no
        OptOut("push", NOON - 10 * DAY, False),
    }
    store.put_consent_changes([replace(yes, occurred_at=NOON - 3 * DAY)])
    assert [gone.channel for gone in store.ledger("c", NOON).opt_outs] == ["push"]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"reason": " "}, "the reason is 0 characters long; must be 1 to 200"),
        ({"reason": "x" * 201}, "the reason is 201 characters long"),
        ({"reason": "x", "channel": "fax"}, "channel 'fax' is not known; must be one of any, em"),
        ({"reason": "x", "stage": "old"}, "stage 'old' is not known; must be one of any, visit"),
        ({"reason": "x", "flag": "red"}, "flag 'red' is not known; must be one of any, cart_op"),
        ({"reason": "x", "allow": ("all",)}, "allow 'all' is not known; must be one of marketing"),
    ],
)
def test_a_pause_that_makes_no_sense_is_refused(wanted: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidPause, match=re.escape(words)):
        Wanted(**wanted)


def test_of_two_calls_that_cross_the_later_settled_sees_the_other(store: Store) -> None:
    store.record("c", NOON + 5, None, always(decision(as_of=NOON + 5)), as_text)
    assert len(ledger_seen(store, NOON).contacts) == 1
    assert len(ledger_seen(store, NOON - 10 * MINUTE).contacts) == 0


def test_a_standing_decision_is_made_once_by_callers_that_cross(store: Store) -> None:
    reusing = Circumstances(reuses_standing=True)
    made = [
        store.record("c", NOON - place, None, always(decision()), as_text, reusing)
        for place in range(3)
    ]
    assert len(set(made)) == 1
    assert store.decision_count() == 1
    anew = store.record("c", NOON, None, always(decision()), as_text)
    assert anew not in made


def test_a_consent_never_looks_older_than_a_decision_made_before_it(tmp_path: Path) -> None:
    ticks = iter(range(NOON, NOON + 1000))
    with Store.open(tmp_path / "ticking.db", clock=lambda: next(ticks)) as ticking:

        def late_changes() -> Iterator[Change]:
            ticking.record("c", NOON, None, always(decision()), as_text)
            assert ticking.standing("c", NOON) is not None
            yield Change(given=False, objection=True)

        ticking.put_consent_changes(late_changes())
        assert ticking.standing("c", NOON) is None


def test_a_second_call_at_the_same_moment_sees_the_first(store: Store) -> None:
    store.record("c", NOON, None, always(decision()), as_text)
    store.record("other", NOON, None, always(decision(customer_id="other")), as_text)
    assert ledger_seen(store).contacts == (FROM_MAIL,)
    assert ledger_seen(store, NOON - HOUR).contacts == ()
    assert ledger_seen(store, NOON + 367 * DAY).contacts == ()


def test_silence_is_no_contact(store: Store) -> None:
    store.record("c", NOON, None, always(decision(SILENCE)), as_text)
    assert ledger_seen(store).contacts == ()


# ---- The log -----------------------------------------------------------------------------


def test_the_log_holds_what_learning_needs(store: Store, file: Path) -> None:
    circumstances = Circumstances((1.5, float("nan")), "email only", '{"trigger": "cart"}')
    answer = store.record("c", NOON, None, always(decision()), as_text, circumstances)
    columns = (
        "id, customer_id, as_of, communication, channel, message_class, arm, arm_share, "
        "selection_probability, stage, bundle, catalog, policy, fingerprint, fallback, "
        "scope, request, answer"
    )
    [row] = rows(file, f"SELECT {columns} FROM decisions")
    assert row == (
        answer.split()[0].decode(),
        *("c", NOON, "newsletter", "email", "marketing", "policy", 0.85, 0.9, "active"),
        *("sha256:b", "sha256:c", "sha256:p", "f", 0, "email only", '{"trigger": "cart"}', answer),
    )
    [texts] = rows(
        file, "SELECT probabilities, refusals, reasons, flags, scores, effects FROM decisions"
    )
    probabilities, refusals, reasons, flags, scores, effects = (json.loads(str(t)) for t in texts)
    assert probabilities == {"newsletter": 0.9, "no_contact": 0.1}
    assert refusals == [
        {
            "communication": "welcome",
            "rule": "stage",
            "change": "stage is onboarding",
            "until": None,
        }
    ]
    assert reasons[0]["text"] == REASON.text
    assert flags == ["high_value"]
    assert scores["churn_risk"]["value"] == 0.25
    assert [effect["expected_net"] for effect in effects] == [1.3, 0]
    [(features,)] = rows(file, "SELECT features FROM decisions")
    np.testing.assert_array_equal(np.frombuffer(features, "<f8"), [1.5, np.nan])  # type: ignore[call-overload]


@pytest.mark.parametrize("probability", [0.0, float("nan"), 1.5])
def test_an_impossible_probability_is_refused_and_nothing_kept(
    store: Store, probability: float
) -> None:
    wrong = decision(probabilities={"newsletter": probability})
    with pytest.raises(InvalidDecision, match="must be above 0 and at most 1; nothing was logged"):
        store.record("c", NOON, ("k", "h"), always(wrong), as_text)
    assert store.decision_count() == 0
    assert store.record("c", NOON, ("k", "other"), always(decision()), as_text)


def test_a_failure_while_settling_leaves_nothing_behind(store: Store) -> None:
    def fail(ledger: Ledger) -> Decision:
        raise LookupError("no such thing")

    with pytest.raises(LookupError, match="no such thing"):
        store.record("c", NOON, ("k", "h"), fail, as_text)
    assert store.decision_count() == 0


def test_the_same_key_gets_the_same_bytes(store: Store) -> None:
    first = store.record("c", NOON, ("k", "h"), one_a_day, as_text)
    assert store.record("c", NOON + 5, ("k", "h"), one_a_day, as_text) == first
    assert store.record("c", NOON, ("k2", "h"), one_a_day, as_text) != first
    assert store.decision_count() == 2


def test_the_same_key_with_another_request_is_a_conflict(store: Store) -> None:
    store.record("c", NOON, ("k", "h"), one_a_day, as_text)
    words = "came before with another request; a key belongs to one request; send a new key"
    with pytest.raises(IdempotencyConflict, match=words):
        store.record("c", NOON, ("k", "other"), one_a_day, as_text)
    assert store.decision_count() == 1


def test_a_key_is_forgotten_after_a_week(file: Path) -> None:
    now = [NOON]
    with Store.open(file, clock=lambda: now[0]) as store:
        first = store.record("c", NOON, ("k", "h"), one_a_day, as_text)
        now[0] += 7 * DAY
        assert store.record("c", NOON, ("k", "h"), one_a_day, as_text) == first
        now[0] += 1
        assert store.record("c", NOON, ("k", "h"), one_a_day, as_text) != first


def test_together_is_one_commit(store: Store) -> None:
    def broken_off() -> None:
        with store.together():
            store.record("c", NOON, None, one_a_day, as_text)
            raise LookupError

    with pytest.raises(LookupError):
        broken_off()
    assert store.decision_count() == 0
    with store.together():
        answers = [store.record("c", NOON, None, one_a_day, as_text) for _ in range(3)]
    assert [answer.split()[1] for answer in answers] == [
        b"newsletter",
        b"no_contact",
        b"no_contact",
    ]
    assert store.decision_count() == 3


# ---- The standing decision ---------------------------------------------------------------


def test_a_decision_stands_until_its_time_is_over(store: Store) -> None:
    answer = store.record("c", NOON, None, always(decision()), as_text)
    assert store.standing("c", NOON) == answer
    assert store.standing("c", NOON + DAY - 1) == answer
    assert store.standing("c", NOON + DAY) is None
    assert store.standing("c", NOON - HOUR) is None
    assert store.standing("other", NOON) is None


def test_the_newest_decision_stands_under_its_own_limits(store: Store) -> None:
    store.record("c", NOON, None, always(decision()), as_text)
    newest = store.record("c", NOON, None, always(decision(SILENCE)), as_text)
    limited = Circumstances(scope="sms")
    by_sms = store.record("c", NOON, None, always(decision()), as_text, limited)
    assert store.standing("c", NOON) == newest
    assert store.standing("c", NOON, "sms") == by_sms


def test_a_fallback_does_not_stand(store: Store) -> None:
    store.record("c", NOON, None, always(decision(SILENCE, fallback=True)), as_text)
    assert store.standing("c", NOON) is None


def test_a_decision_falls_with_a_change_of_consent(store: Store) -> None:
    answer = store.record("c", NOON, None, always(decision()), as_text)
    store.put_consent_changes([Change("other")])
    assert store.standing("c", NOON) == answer
    store.put_consent_changes([Change(given=False, objection=True)])
    assert store.standing("c", NOON) is None


@pytest.mark.parametrize(
    ("part", "stands"),
    [
        ({}, False),
        ({"channel": "email"}, False),
        ({"stage": "active", "flag": "high_value"}, False),
        ({"allow": ("marketing",)}, True),
        ({"channel": "sms"}, True),
        ({"stage": "lapsed"}, True),
        ({"flag": "advocate"}, True),
    ],
)
def test_what_a_pause_holds_back_does_not_stand(
    store: Store, part: dict[str, Any], stands: bool
) -> None:
    answer = store.record("c", NOON, None, always(decision()), as_text)
    store.pause(Wanted("fire in the warehouse", **part))
    assert store.standing("c", NOON) == (answer if stands else None)
    store.end_pause()
    assert store.standing("c", NOON) == answer


def test_silence_stands_through_a_pause(store: Store) -> None:
    answer = store.record("c", NOON, None, always(decision(SILENCE)), as_text)
    store.pause(Wanted("fire in the warehouse"))
    assert store.standing("c", NOON) == answer


def test_silence_of_a_pause_ends_with_it(store: Store) -> None:
    asked = Circumstances(scope="cart")
    store.pause(Wanted("fire in the warehouse"))
    silence = store.record("c", NOON, None, always(decision(SILENCE)), as_text, asked)
    assert store.standing("c", NOON, "cart") == silence
    assert store.last_said("c", "cart") is not None
    store.end_pause()
    assert store.standing("c", NOON, "cart") is None
    assert store.last_said("c", "cart") is None


# ---- Files and libraries that will not do ------------------------------------------------


def test_an_old_sqlite_is_refused() -> None:
    with pytest.raises(OldSqlite, match=r"SQLite 3\.40\.1 can lose commits; 3\.51\.3 or newer"):
        require_sqlite((3, 40, 1))
    require_sqlite((3, 51, 3))


def test_another_file_is_no_store(file: Path) -> None:
    file.write_bytes(b"customer;amount\n" * 100)
    with pytest.raises(UnusableStore, match=r"store\.db: not a usable store .*; move it away"):
        Store.open(file)
    assert file.read_bytes().startswith(b"customer;amount")


def test_a_store_of_another_version_is_refused(store: Store, file: Path) -> None:
    connection = pysqlite3.connect(file)
    with connection:
        connection.execute("UPDATE meta SET value = '7' WHERE key = 'schema'")
    connection.close()
    with pytest.raises(UnusableStore, match="a store of version 7; this program reads version 3"):
        Store.open(file)


def test_each_commit_reaches_the_disk(store: Store) -> None:
    with store._file.writer.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}


# ---- Several at once ---------------------------------------------------------------------


def test_a_held_store_is_said_to_be_busy(store: Store, file: Path) -> None:
    words = r"busy for 0\.05 s; .* then try again"
    with (
        Store.open(file, patience=0.05) as other,
        store.together(),
        pytest.raises(StoreBusy, match=words),
    ):
        other.record("c", NOON, None, one_a_day, as_text)
    assert store.decision_count() == 0


def test_a_cap_holds_among_threads_with_stores_of_their_own(file: Path) -> None:
    rounds, callers = 15, 4
    start = threading.Barrier(callers)
    with Store.open(file):  # makes the file
        pass

    def ask() -> None:
        with Store.open(file, patience=20) as mine:
            for turn in range(rounds):
                start.wait()
                mine.record(f"c{turn}", NOON, None, capped(f"c{turn}"), as_text)

    threads = [threading.Thread(target=ask) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert contacts_by_customer(file) == [1] * rounds


def capped(customer_id: str) -> Callable[[Ledger], Decision]:
    return lambda ledger: replace(one_a_day(ledger), customer_id=customer_id)


def contacts_by_customer(file: Path) -> list[object]:
    query = (
        "SELECT sum(communication = 'newsletter') FROM decisions "
        "GROUP BY customer_id ORDER BY customer_id"
    )
    return [count for (count,) in rows(file, query)]


ASKER = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
import test_store as t
from serving.storage.store import Store
with Store.open(Path(sys.argv[1]), patience=20) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    print("\\n".join(t.answers_to_keys(store)))
"""

WRITER = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
import test_store as t
from serving.storage.store import Store
with Store.open(Path(sys.argv[1])) as store:
    while True:
        print(store.record("c", t.NOON, None, t.one_a_day, t.as_text).decode(), flush=True)
"""


def process(program: str, file: Path) -> "subprocess.Popen[str]":
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    command = [sys.executable, "-c", program, str(file), *paths]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )


def answers_to_keys(store: Store) -> list[str]:
    """Answers to 25 questions, each under a key of its own."""
    return [
        store.record(f"c{i}", NOON, (f"k{i}", "h"), capped(f"c{i}"), as_text).decode()
        for i in range(25)
    ]


def test_the_same_keys_from_two_processes_get_the_same_bytes(store: Store, file: Path) -> None:
    other = process(ASKER, file)
    assert other.stdin is not None
    assert other.stdout is not None
    assert other.stdout.readline() == "ready\n"
    other.stdin.write("go\n")
    mine = answers_to_keys(store)
    theirs = other.communicate(timeout=120)[0].splitlines()
    assert theirs == mine
    assert store.decision_count() == 25
    assert contacts_by_customer(file) == [1] * 25


def test_what_was_answered_survives_a_kill(file: Path) -> None:
    writer = process(WRITER, file)
    assert writer.stdout is not None
    answered = [writer.stdout.readline().split()[0] for _ in range(40)]
    writer.kill()
    answered += [line.split()[0] for line in writer.stdout if line.endswith("\n")]
    writer.communicate()
    kept = {identity for (identity,) in rows(file, "SELECT id FROM decisions")}
    assert set(answered) <= kept
    assert len(kept) - len(answered) <= 1  # one may have been kept and not yet answered
    with Store.open(file) as again:
        assert again.decision_count() == len(kept)


def test_a_full_disk_is_said_and_nothing_is_kept(store: Store) -> None:
    with store._file.writer.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 1}")
    big = SignalColumns(*(np.zeros(2_000, dtype=np.int64) for _ in range(6)))
    with pytest.raises(StoreFailed, match=r"database or disk is full.*; nothing was kept"):
        store.put_customers([("a", big)])
    assert store.customer_ids() == ()


def test_a_store_that_cannot_take_a_decision_says_why(store: Store) -> None:
    assert store.why_unwritable() == ""
    with store._file.writer.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
    assert re.search(
        r"the store could not be written \(attempt to write a readonly database\)",
        store.why_unwritable(),
    )


def test_a_disk_without_room_for_a_decision_is_said(store: Store) -> None:
    with store._file.writer.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 1}")
    assert "database or disk is full" in store.why_unwritable()
