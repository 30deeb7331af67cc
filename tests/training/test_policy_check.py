"""The check of a new policy, from the command line to its gates."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from math import isnan
from pathlib import Path

import numpy as np
import pytest

from features.signals import DAY
from features.stage import STAGES
from serving.policy import InvalidPolicy
from serving.storage.store import Store
from training import policy_check
from training.decision_sources import Gathered, gather
from training.everyone import Asking, answers
from training.narrator import Narrator
from training.policy_check import Change, NothingChanged, UnknownTrait, check_policy
from training.policy_replay import decided, replayed, with_names
from training.policy_words import check_lines, check_record
from training.unseen_effects import effects_of_halves, engines_of_halves, half_of

QUIET = Narrator(quiet=True)
# Before the end of the data: a check then reads some two hundred decisions, a second's work.
EARLIER = 110 * DAY


@pytest.fixture(scope="module")
def few_replays():
    """Decide about some tens of decisions again: each takes milliseconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policy_check, "MOST_REPLAYED", 60)
        yield


@pytest.fixture(scope="module")
def pilot(trained, engine):
    """Matured decisions of the pilot, with all names of the catalog."""
    home, as_of = trained
    log = gather(home, engine, as_of).log.matured()
    return with_names(log, tuple(engine.catalog.communications))


def date_of(at: int) -> str:
    return str(datetime.fromtimestamp(at / 1_000_000, tz=UTC).date())


def policy_with(home, folder: Path, old: str, new: str) -> Path:
    text = home.policy.read_text(encoding="utf-8")
    assert old in text
    file = folder / "policy.toml"
    file.write_text(text.replace(old, new), encoding="utf-8")
    return file


def test_a_change_of_epsilon_is_replayed_and_told(trained, tmp_path, few_replays) -> None:
    home, as_of = trained
    file = policy_with(home, tmp_path, "epsilon = 0.10", "epsilon = 0.50")
    found = check_policy(home, Change(policy=file, group="country"), as_of - EARLIER, QUIET)
    assert not found.released  # sixty decisions judge nothing
    assert 0.1 < found.moved < 0.5
    assert {one.group for one in found.groups} >= {"DE"}
    lines = check_lines(found)
    assert lines[-1] == "A gate says no: the present policy stays"
    assert any(
        re.match(r"replayed \d+ of them, customers chosen by the hash", one) for one in lines
    )
    assert any(one.startswith("NO   overlap, new policy: effective sample") for one in lines)
    record = json.loads(json.dumps(check_record(found)))
    assert record["released"] is False
    assert record["values"]["gain"]["low"] <= record["values"]["gain"]["high"]
    assert record["estimators"]["new"]["dr"] == record["values"]["new"]
    assert any(re.match(r"present policy, DR +[+-]\d+\.\d{3} EUR a decision", one) for one in lines)
    assert {one["name"] for one in record["gates"]} >= {
        "drawn by lot",
        "value",
        "opt-outs",
        "groups",
    }


def catalog_with(home, folder: Path, old: str, new: str) -> Path:
    text = home.catalog.read_text(encoding="utf-8")
    assert old in text
    file = folder / "catalog.toml"
    file.write_text(text.replace(old, new), encoding="utf-8")
    return file


def test_the_files_in_service_change_nothing_and_may_be_released(
    trained, tmp_path, few_replays
) -> None:
    home, as_of = trained
    remark = policy_with(home, tmp_path, "epsilon = 0.10", "epsilon = 0.10 # as it was")
    found = check_policy(home, Change(home.catalog, remark), as_of - EARLIER, QUIET)
    assert found.released
    assert check_lines(found)[-2:] == [
        "yes  nothing changes: catalog, policy and bundle say what those in service say",
        "Nothing changes: catalog, policy and bundle say what those in service say; it may be "
        "released",
    ]
    assert check_record(found)["unchanged"] == found.unchanged


def test_a_new_title_changes_no_decision_and_is_released_if_enough_were_looked_at(
    trained, engine, tmp_path, few_replays
) -> None:
    home, as_of = trained
    change = Change(catalog_with(home, tmp_path, 'title = "', 'title = "New: '))
    found = check_policy(home, change, as_of - EARLIER, QUIET)
    assert (found.released, found.moved, found.unchanged) == (False, 0.0, "")
    assert check_lines(found)[-1] == (
        "A gate says no: the present policy stays. No decision changes, but that suffices only "
        "from 500 decisions on and where no message becomes another one"
    )
    pair = policy_check._Pair(with_entry(engine, title="New"), engine)
    assert policy_check._unchanged(pair, 0.0, 499) == ""
    assert policy_check._unchanged(pair, 0.01, 500) == ""
    said = policy_check._unchanged(pair, 0.0, 500)
    assert said == "all 500 decisions of the log are made as before"
    everything = replace(found, unchanged=said, gates=())
    assert check_lines(everything)[-1] == f"Nothing changes: {said}; it may be released"


def with_entry(engine, **changes):
    """The engine with another newsletter."""
    entries = engine.catalog.communications
    other = {**entries, "newsletter": replace(entries["newsletter"], **changes)}
    return replace(engine, catalog=replace(engine.catalog, communications=other))


def test_a_communication_that_becomes_another_message_is_told(engine, pilot) -> None:
    pair = policy_check._Pair(with_entry(engine, channel="sms", discount_pct=5.0), engine)
    assert list(policy_check._become_others(pilot, pair)) == [
        f"newsletter: {key} {now} instead of {then}; the log tells only what it brought with "
        f"{then}; give it another name if it is another message"
        for key, then, now in (("channel", "email", "sms"), ("discount_pct", "0", "5"))
    ]
    never_sent = pilot.at(pilot.chosen != pilot.names.index("newsletter"))
    assert list(policy_check._become_others(never_sent, pair)) == []


def test_the_same_decisions_about_another_message_are_not_the_same(
    trained, tmp_path, few_replays
) -> None:
    """A greater discount under an old name: enough decisions, none made otherwise, no release."""
    home, as_of = trained
    change = Change(catalog_with(home, tmp_path, "discount_pct = 10\n", "discount_pct = 12\n"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policy_check, "FEWEST_EFFECTIVE", 10)
        found = check_policy(home, change, as_of - EARLIER, QUIET)
    assert found.moved == 0.0
    assert any("discount_pct 12 instead of 10" in note for note in found.notes)
    assert (found.unchanged, found.released) == ("", False)


def test_a_catalog_without_what_the_present_policy_weighs_is_refused(
    trained_copy, tmp_path
) -> None:
    home, as_of = trained_copy
    text = home.policy.read_text(encoding="utf-8")
    home.policy.write_text(text.replace("[weights]", "[weights]\nnewsletter = 1.2\n#", 1))
    file = catalog_with(home, tmp_path, "[newsletter]", "[our_newsletter]")
    with pytest.raises(InvalidPolicy, match="communication 'newsletter' is not in the catalog"):
        check_policy(home, Change(file), as_of - EARLIER, QUIET)


def test_nothing_to_check_is_wrong_use(trained) -> None:
    home, as_of = trained
    with pytest.raises(NothingChanged, match=re.escape("name a new --catalog FILE")):
        check_policy(home, Change(), as_of, QUIET)


def test_a_trait_that_nobody_states_is_refused(trained, few_replays) -> None:
    home, as_of = trained
    with pytest.raises(UnknownTrait, match="--group shoe_size: no customer states this trait"):
        check_policy(home, Change(policy=home.policy, group="shoe_size"), as_of, QUIET)


def test_a_replay_is_what_the_desk_would_have_said(trained, engine, pilot) -> None:
    """Vectors sum to 1, hold only what was allowed, and differ from moment to moment."""
    home, _ = trained
    log = pilot.at(np.arange(25))
    with Store.open(home.store) as store:
        found = replayed(log, (engine,), store)
        for row in (0, 12, 24):
            customer = log.customer_ids[log.customer[row]]
            decision = decided(customer, int(log.decided_at[row]), engine, store)
            possible = {
                name for name, p in zip(log.names, found.probabilities[row], strict=True) if p > 0
            }
            told = {one.communication: one.expected_net for one in decision.ranked}
            assert possible <= set(told)
            worth = zip(log.names, found.worth[row].tolist(), strict=True)
            assert {name: net for name, net in worth if not isnan(net)} == told
            assert decision.as_of == log.decided_at[row]
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1.0)
    np.testing.assert_allclose(found.contacts, found.probabilities[:, 1:].sum(axis=1))


def test_what_happened_later_does_not_reach_a_replay(trained_copy, engine, pilot) -> None:
    """A decision logged now leaves the decisions of last month as they were."""
    home, as_of = trained_copy
    log = pilot.at(np.flatnonzero(pilot.customer < 3))
    with Store.open(home.store) as store:
        before = replayed(log, (engine,), store).probabilities
    list(answers(Asking(home, as_of, logs=True, seed=1), log.customer_ids[:3]))
    with Store.open(home.store) as store:
        assert store.decision_count() > 0
        after = replayed(log, (engine,), store).probabilities
    np.testing.assert_array_equal(before, after)


@pytest.fixture(scope="module")
def halves(pilot):
    """Effects that each half of the customers is decided about by."""
    return effects_of_halves(pilot, np.full(len(pilot), np.nan))


def test_each_half_is_decided_about_by_what_the_other_half_taught(pilot, halves) -> None:
    """Rewards of one half, shouted, reach the effects of the other half and never its own."""
    half = half_of(pilot.customer_ids)[pilot.customer]
    assert 0.3 < half.mean() < 0.7
    loud = replace(pilot, reward=pilot.reward * np.where(half == 0, 3.0, 1.0))
    shouted = effects_of_halves(loud, np.full(len(pilot), np.nan))
    assert halves[0] == shouted[0]
    assert halves[1] != shouted[1]


def test_an_engine_decides_about_each_half_by_its_effects(engine, halves) -> None:
    taught = replace(engine, bundle=replace(engine.bundle, effects=halves[0]))
    found = engines_of_halves(taught, halves)
    assert [one.bundle.effects for one in found] == list(halves)
    plain = replace(engine, bundle=replace(engine.bundle, effects=None))
    assert engines_of_halves(plain, halves) == (plain,)


def test_who_taught_is_not_the_judge(engine, pilot, halves) -> None:
    """Effects are learned anew, unless enough later decisions can judge the bundle as it is."""
    taught = replace(engine, bundle=replace(engine.bundle, effects=halves[0]))
    nothing = np.full(len(pilot), np.nan)
    judges = policy_check._judges(Gathered(pilot, {}), policy_check._Pair(taught, taught), nothing)
    assert len(judges.new) == len(judges.current) == 2
    assert any("each half of the customers is decided about" in note for note in judges.notes)
    early = replace(taught, bundle=replace(taught.bundle, as_of=int(pilot.decided_at.min())))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policy_check, "LATER_SUFFICE", 100)
        judges = policy_check._judges(
            Gathered(pilot, {}), policy_check._Pair(early, early), nothing
        )
    assert judges.new == (early,)
    assert any(note.endswith("decisions that effects were learned from") for note in judges.notes)


def test_of_two_that_learned_at_different_times_the_later_ends_what_may_judge(
    engine, pilot, halves
) -> None:
    early, late = (
        replace(engine, bundle=replace(engine.bundle, effects=halves[0], as_of=int(until)))
        for until in np.quantile(pilot.decided_at, (0.0, 0.5))
    )
    nothing = np.full(len(pilot), np.nan)
    for pair in (policy_check._Pair(early, late), policy_check._Pair(late, early)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(policy_check, "LATER_SUFFICE", 100)
            patch.setattr(policy_check, "MOST_REPLAYED", len(pilot))
            judges = policy_check._judges(Gathered(pilot, {}), pair, nothing)
        # What was decided within a horizon before it learned was not over then, and taught nothing.
        taught_by = late.bundle.as_of - engine.policy.horizon_days * DAY
        assert judges.decisions.decided_at.min() > taught_by
        assert len(judges.decisions) == (pilot.decided_at > taught_by).sum() < len(pilot)


def test_a_contact_costs_what_the_new_catalog_says_else_what_the_present_one_does(
    engine, pilot
) -> None:
    """For both policies alike; nothing for no contact, and for what neither lists."""
    listed = engine.catalog.communications
    there = {"newsletter": replace(listed["newsletter"], cost=1.5)}
    there["leaflet"] = replace(listed["newsletter"], name="leaflet", cost=0.75)
    new = replace(engine, catalog=replace(engine.catalog, communications=there))
    log = replace(pilot, names=("no_contact", "newsletter", "cross_sell", "leaflet", "of old"))
    costs = policy_check._costs(log, policy_check._Pair(new, engine))
    assert costs.tolist() == [0.0, 1.5, listed["cross_sell"].cost, 0.75, 0.0]
    assert listed["newsletter"].cost != 1.5


def test_a_cap_of_nothing_silences_marketing_and_the_verb_exits_with_one(
    trained, tmp_path, few_replays, run
) -> None:
    home, as_of = trained
    file = policy_with(home, tmp_path, "most = 2\n", "most = 0\n")
    words = ("policy-check", "--home", str(home.path), "--policy", str(file), "--json")
    code, out, _ = run(*words, "--as-of", date_of(as_of - EARLIER))
    found = json.loads(out)
    assert (code, found["released"]) == (1, False)
    contacts = found["contacts"]
    assert contacts["new"]["value"] < contacts["present"]["value"] / 2
    capped = [pair for rule, pair in found["refused"].items() if "cap" in rule]
    assert sum(one["new"] for one in capped) > sum(one["present"] for one in capped)
    assert found["group"] == "stage"
    assert {one["group"] for one in found["groups"]} <= set(STAGES)


def test_the_verb_exits_with_two_when_used_wrongly(trained, run) -> None:
    home, _ = trained
    code, _, err = run("policy-check", "--home", str(home.path))
    assert code == 2
    assert err.startswith("nextbest: policy-check: nothing to check; name a new --catalog FILE")


def test_evaluate_tells_of_the_holdout(trained, run) -> None:
    home, _ = trained
    code, _, err = run("evaluate", "--holdout", "--home", str(home.path))
    assert code == 2
    assert "no decision before the end of the data; run `nextbest decide --all`" in err
