"""The apprentice: past messages beside ours, from what was known then and from nothing later."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from features.history import History, SentSignal
from features.signals import DAY, HOUR, SignalColumns, code
from serving.records import NO_CONTACT
from serving.storage.store import Store
from training.apprentice import (
    Apprenticeship,
    NothingSent,
    UnusableDays,
    beside,
    replay,
    with_strangers,
)
from training.apprentice_words import examples, replay_lines, replay_record
from training.narrator import Narrator
from training.policy_replay import decided

QUIET = Narrator(quiet=True)


@pytest.fixture(scope="module")
def sends(trained):
    """Messages of the last fortnight but two days, to some customers."""
    home, as_of = trained
    found = History(home.signals).sends(as_of - 14 * DAY, as_of - 2 * DAY)
    return [one for one in found if code(one.customer_id) % 8 == 0]


@pytest.fixture(scope="module")
def rows(trained, engine, sends):
    home, _ = trained
    with Store.open(home.store) as store:
        return list(beside(sends, engine, store, QUIET))


def changed_after(columns: SignalColumns, at: int, rng: np.random.Generator) -> SignalColumns:
    """The signals with all that was received at a moment or later mixed up, half of it lost."""
    later = np.flatnonzero(columns.received_at >= at)
    kept = np.sort(rng.permutation(later)[: len(later) // 2])
    where = np.concatenate([np.flatnonzero(columns.received_at < at), kept])
    where = where[np.argsort(columns.occurred_at[where], kind="stable")]
    mixed = np.isin(where, kept)
    parts = {name: getattr(columns, name)[where].copy() for name in SignalColumns.__slots__}
    shuffled = rng.permutation(np.flatnonzero(mixed))
    for name in ("event", "amount", "value", "category"):
        parts[name][mixed] = parts[name][shuffled]
    return SignalColumns(**parts)


def test_sends_are_those_of_the_time_asked_for(trained) -> None:
    home, as_of = trained
    history = History(home.signals)
    found = history.sends(as_of - 7 * DAY, as_of)
    assert found
    assert {one.event for one in found} == {"Email Sent", "Communication Sent"}
    assert all(as_of - 7 * DAY <= one.sent_at < as_of for one in found)
    assert history.sends(as_of, as_of + DAY) == []
    early = history.sends(as_of - 7 * DAY, as_of - 3 * DAY)
    assert early == [one for one in found if one.sent_at < as_of - 3 * DAY]


def test_ours_is_what_the_desk_would_have_said(trained, engine, sends, rows) -> None:
    """A message that we know by name is looked at by the very engine, exploration left out."""
    home, _ = trained
    assert len(rows) == len(sends) > 20
    with Store.open(home.store) as store:
        for one in rows[:8]:
            decision = decided(one.customer_id, one.sent_at, engine, store)
            assert one.ours == decision.ranked[0].communication
            assert one.stage == decision.stage
            refused = {refusal.communication: refusal for refusal in decision.refusals}
            if one.listed:
                assert one.rule == (refused[one.sent].rule if one.sent in refused else "")


def test_what_was_received_later_changes_nothing(trained_copy, engine, sends) -> None:
    home, _ = trained_copy
    rng = np.random.default_rng(2)
    moved = 0
    with Store.open(home.store) as store:
        for one in sends[:6]:
            before = list(beside([one], engine, store, QUIET))
            signals = store.customer_signals(one.customer_id)
            assert signals is not None
            assert (signals.received_at >= one.sent_at).any()
            after = changed_after(signals, one.sent_at, rng)
            store.put_customers([(one.customer_id, after)])
            assert list(beside([one], engine, store, QUIET)) == before
            # The same on what was known is seen: the test can fail.
            earlier = changed_after(signals, one.sent_at - 60 * DAY, rng)
            store.put_customers([(one.customer_id, earlier)])
            moved += list(beside([one], engine, store, QUIET)) != before
            store.put_customers([(one.customer_id, signals)])
    assert moved > 0


def test_nothing_is_logged(trained, rows) -> None:
    home, _ = trained
    with Store.open(home.store) as store:
        assert store.decision_count() == 0
    assert rows


def test_a_message_that_the_catalog_lacks_meets_the_contact_policy(trained, engine, sends) -> None:
    """It is never our choice, has no worth, and is refused without consent."""
    home, _ = trained
    stranger = [
        SentSignal(sends[0].customer_id, sends[0].sent_at, "SMS Sent", "", "flash_sale", ""),
        SentSignal(sends[0].customer_id, sends[0].sent_at, "Email Sent", "", "", ""),
    ]
    with Store.open(home.store) as store:
        texted, mailed = beside(stranger, engine, store, QUIET)
    assert (texted.sent, texted.channel, texted.listed) == ("flash_sale", "sms", False)
    assert texted.rule == "consent"
    assert "consent" in texted.change
    assert texted.sent_net is None
    assert mailed.sent == "(email)"
    assert texted.ours not in ("flash_sale", "(email)")
    wider = with_strangers(engine.catalog, [("flash_sale", stranger[0])])
    assert wider.communications["flash_sale"].prior.share == 0.0
    assert "flash_sale" not in engine.catalog.communications


def test_an_open_complaint_keeps_strangers_back(trained, engine) -> None:
    """Somewhere in the history a ticket is open: whatever others send then, we would not."""
    home, as_of = trained
    history = History(home.signals)
    log = history.load(received_before=as_of)
    opened = np.flatnonzero(log.columns.event == code("Ticket Opened"))
    owner = np.searchsorted(log.starts, opened, side="right") - 1
    asked = [
        SentSignal(
            log.customer_ids[who],
            int(log.columns.occurred_at[row]) + HOUR // 60,
            "Email Sent",
            "",
            "",
            "campaign",
        )
        for row, who in zip(opened[-8:].tolist(), owner[-8:].tolist(), strict=True)
    ]
    with Store.open(home.store) as store:
        found = list(beside(asked, engine, store, QUIET))
    assert any("complaint_open" in one.flags for one in found)
    for one in found:
        if "complaint_open" in one.flags:
            assert "complaint_open is down" in one.change


def test_words_add_up(rows) -> None:
    found = Apprenticeship(0, DAY, len(rows), tuple(rows), "EUR", ("A note.",))
    lines = replay_lines(found)
    record = json.loads(json.dumps(replay_record(found)))
    total = record["agreement"]
    assert total["same"] + total["other"] + total["nothing"] >= total["messages"] == len(rows)
    assert sum(one["messages"] for one in record["stages"].values()) == len(rows)
    assert sum(one["messages"] for one in record["pairs"]) == len(rows)
    assert sum(record["refused"].values()) == total["refused"]
    assert record["expected_net"]["basis"] == "assumed"
    assert any("Not in the catalog" in line and "campaign" in line for line in lines)
    assert any("(assumed)" in line for line in lines)
    assert "A note." in lines
    assert sum(one.ours == NO_CONTACT for one in rows) == total["nothing"]


def test_examples_differ_in_kind(rows) -> None:
    first = replace(rows[0], ours=rows[0].sent, rule="", change="")
    second = replace(rows[0], ours=NO_CONTACT, rule="cap", change="fewer contacts")
    third = replace(rows[0], ours="thank_you", rule="", change="")
    shown = examples([first, first, first, second, third, first])
    assert shown == [third, second, first] or set(shown) == {first, second, third}
    assert len(examples([first] * 9)) == 1


def test_nothing_sent_and_no_days_are_refused_in_words(trained) -> None:
    home, as_of = trained
    with pytest.raises(UnusableDays, match="--days 0: must be 1 to 3650"):
        replay(home, as_of, 0, QUIET)
    with pytest.raises(NothingSent, match="no message was sent in the 1 days before the end"):
        replay(home, as_of + 400 * DAY, 1, QUIET)


def test_the_command_line_writes_a_row_a_message(trained, tmp_path, run) -> None:
    """Models are fitted on what came before the first message, and told of."""
    home, _ = trained
    out = tmp_path / "beside.parquet"
    words = ("replay", "--days", "2", "--home", str(home.path), "--out", str(out), "--json")
    code, said, _ = run(*words)
    assert code == 0
    record = json.loads(said)
    table = pq.read_table(out)
    assert table.num_rows == record["looked_at"] == record["messages"] > 0
    assert record["notes"][0].startswith("Scores and effects were fitted on what was received")
    assert set(table["agrees"].to_pylist()) <= {"true", "false"}
    with Store.open(home.store) as store:
        assert store.decision_count() == 0
