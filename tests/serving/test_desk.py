"""One question in, one recorded answer out."""

import json
from dataclasses import replace

import numpy as np
import pysqlite3
import pytest
import sqlalchemy as sa

from features.definitions import FEATURES
from features.home import Home
from features.signals import DAY
from serving.answer import Surroundings
from serving.champion import Champion, company_engine, with_champion
from serving.desk import SAME_MESSAGE_DAYS, Question, answer_to, each_once
from serving.engine import Engine
from serving.records import Contact
from serving.storage.store import Store

MIDNIGHT = 1_793_491_200_000_000
ASKED = Question("C-lapsing", MIDNIGHT, 0.5)


def test_each_message_counts_once() -> None:
    ours = Contact(MIDNIGHT, "email", "marketing", "newsletter")
    sent = Contact(MIDNIGHT + 5, "email")
    again = Contact(MIDNIGHT + 6, "email")
    by_sms = Contact(MIDNIGHT + 7, "sms")
    before = Contact(MIDNIGHT - 1, "email")
    much_later = Contact(MIDNIGHT + SAME_MESSAGE_DAYS * DAY + 1, "email")
    assert each_once((ours,), (again, sent, by_sms, before)) == (before, ours, again, by_sms)
    assert each_once((ours,), (much_later,)) == (ours, much_later)
    assert each_once((), (sent,)) == (sent,)


def test_the_served_features_are_logged(
    home: Home, store: Store, engine: Engine, surroundings: Surroundings
) -> None:
    answer_to(ASKED, store, engine, surroundings)
    log = pysqlite3.connect(home.store)
    [(features, fingerprint)] = log.execute("SELECT features, fingerprint FROM decisions")
    log.close()
    served = dict(zip(FEATURES.names, np.frombuffer(features, "<f8"), strict=True))
    assert fingerprint == FEATURES.fingerprint
    assert served["days_since_last_order"] == 40
    assert served["orders_ever"] == 6
    assert np.isnan(served["days_since_nps"])


def test_nothing_is_read_twice_under_the_lock(
    store: Store, engine: Engine, surroundings: Surroundings
) -> None:
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        answer_to(ASKED, store, engine, surroundings)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    under_the_lock = seen[seen.index("BEGIN IMMEDIATE") :]
    assert any("FROM traits" in one for one in under_the_lock)
    assert len(under_the_lock) == len(set(under_the_lock))


def test_an_unknown_customer_gets_a_usable_answer(
    store: Store, engine: Engine, surroundings: Surroundings
) -> None:
    question = replace(ASKED, customer_id="nobody")
    content = json.loads(answer_to(question, store, engine, surroundings))
    assert content["communication"] == "no_contact"
    assert content["fallback"] is True
    assert content["note"] == "this customer is not known here"
    assert store.decision_count() == 1


def test_without_a_bundle_the_answer_is_a_fallback(
    home: Home, store: Store, surroundings: Surroundings
) -> None:
    serving = with_champion(company_engine(home), home, None)
    content = json.loads(answer_to(ASKED, store, serving.engine, surroundings, serving.note))
    assert content["fallback"] is True
    assert content["note"] == "no bundle is in service yet; run `nextbest train`"
    assert content["scores"] == {}


def test_a_damaged_bundle_is_not_served(
    home: Home, store: Store, surroundings: Surroundings, caplog: pytest.LogCaptureFixture
) -> None:
    sha = store.champion()
    assert sha is not None
    margin = next((home.bundles / sha).glob("margin*"))
    margin.write_bytes(margin.read_bytes()[:-2])
    serving = Champion(home, store).current()
    content = json.loads(answer_to(ASKED, store, serving.engine, surroundings, serving.note))
    assert content["fallback"] is True
    assert content["note"] == "the bundle in service is damaged or missing; run `nextbest train`"
    assert "the champion bundle cannot be used: DamagedBundle" in caplog.text


def test_a_bundle_that_is_not_there_is_not_served(home: Home, store: Store) -> None:
    serving = with_champion(company_engine(home), home, "ab" * 32)
    assert serving.engine.bundle is None
    assert "damaged or missing" in serving.note


def test_an_unknown_name_among_the_excluded_is_noted_and_answered(
    store: Store, engine: Engine, surroundings: Surroundings
) -> None:
    question = replace(ASKED, exclude=("newsleter", "newsletter", "no_contact"))
    content = json.loads(answer_to(question, store, engine, surroundings))
    words = "exclude names newsleter, which is not in the catalog; did you mean 'newsletter'?"
    assert words in content["note"]
    assert content["fallback"] is False
    plain = json.loads(answer_to(ASKED, store, engine, surroundings))
    assert "exclude" not in plain["note"]


def test_limits_of_the_caller_are_refusals(
    store: Store, engine: Engine, surroundings: Surroundings
) -> None:
    freely = json.loads(answer_to(ASKED, store, engine, surroundings))
    assert freely["channel"] == "email"
    limited = replace(ASKED, customer_id="C-new", channels=("sms",))
    content = json.loads(answer_to(limited, store, engine, surroundings))
    assert content["communication"] == "no_contact"
    rules = {refusal["rule"] for refusal in content["refusals"]}
    assert "caller_channels" in rules
    excluded = replace(ASKED, customer_id="C-new", exclude=("welcome",))
    content = json.loads(answer_to(excluded, store, engine, surroundings))
    assert {
        "communication": "welcome",
        "rule": "caller_exclude",
        "change": "the caller does not exclude it",
    } in content["refusals"]
    assert content["catalog"] == freely["catalog"]


def test_limits_have_one_text_whatever_their_order() -> None:
    one = replace(ASKED, channels=("sms", "email", "sms"))
    other = replace(ASKED, channels=("email", "sms"))
    assert one.scope == other.scope
    assert ASKED.scope == ""


def test_a_contact_just_made_is_not_made_again(
    store: Store, engine: Engine, surroundings: Surroundings
) -> None:
    first = json.loads(answer_to(ASKED, store, engine, surroundings))
    second = json.loads(answer_to(ASKED, store, engine, surroundings))
    assert first["communication"] != "no_contact"
    assert second["communication"] != first["communication"]
    assert "repetition" in {
        refusal["rule"]
        for refusal in second["refusals"]
        if refusal["communication"] == first["communication"]
    }


def test_nobody_is_known_before_the_first_signal(
    store: Store, engine: Engine, surroundings: Surroundings
) -> None:
    early = replace(ASKED, as_of=ASKED.as_of - 3000 * DAY)
    content = json.loads(answer_to(early, store, engine, surroundings))
    assert (content["fallback"], content["note"]) == (True, "this customer is not known here")


def test_models_that_know_more_than_the_moment_say_so(
    store: Store, engine: Engine, surroundings: Surroundings
) -> None:
    assert json.loads(answer_to(ASKED, store, engine, surroundings))["note"] == ""
    assert engine.bundle is not None
    later = replace(engine, bundle=replace(engine.bundle, as_of=ASKED.as_of + DAY))
    content = json.loads(answer_to(ASKED, store, later, surroundings))
    assert content["fallback"] is False
    assert "later than the moment looked from" in content["note"]


def test_without_models_the_stage_is_still_told(
    store: Store, engine: Engine, surroundings: Surroundings
) -> None:
    bare = replace(engine, bundle=None)
    content = json.loads(answer_to(ASKED, store, bare, surroundings, "none yet"))
    assert (content["fallback"], content["note"]) == (True, "none yet")
    assert content["stage"] != "prospect"
