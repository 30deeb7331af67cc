"""Months of the whole loop: who decides knows signals alone, and the table tells the truth."""

import json
import re
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from features.definitions import FEATURES
from features.history import History
from features.signals import DAY, is_anonymous
from models.bundle_files import load_bundle
from models.effects import STATE, TERMS, EffectModels, terms_of
from serving.champion import company_engine, with_champion
from serving.records import NO_CONTACT
from serving.storage.store import Store
from training.decision_sources import gather
from training.narrator import Narrator
from training.policy_replay import decided
from training.simulate import NAMES, UnusableSimulation, Wanted, run_in
from training.simulate_truth import judged
from training.simulate_words import simulation_lines, simulation_record
from training.simulator import living

QUIET = Narrator(quiet=True)
WANTED = Wanted(months=2, people=180, seed=4)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(living, "HISTORY_DAYS", 270)
        yield run_in(tmp_path_factory.mktemp("months"), WANTED, QUIET)


@pytest.fixture(scope="module")
def found(ran):
    return judged(ran)


def test_what_was_decided_was_sent_and_heard(ran) -> None:
    """Every message of the log comes back as a signal, once, at the moment it was meant for."""
    decided = ran.decided
    first = int(decided.at.min())
    sends = History(ran.home.signals).sends(first, ran.end)
    ours = [one for one in sends if one.communication in NAMES]
    ids = ran.company.ids.to_pylist()
    sent = decided.chosen > 0
    expected = sorted(
        (ids[who], NAMES[place])
        for who, place in zip(
            decided.person[sent].tolist(), decided.chosen[sent].tolist(), strict=True
        )
    )
    assert sorted((one.customer_id, one.communication) for one in ours) == expected
    assert len(expected) > 10
    # Nothing leaves in the quiet hours of the night.
    assert all(8 <= (one.sent_at % DAY) // (DAY // 24) < 21 for one in ours)


def test_arms_are_those_of_the_policy(ran) -> None:
    held, policy = ran.decided.of_arm("holdout"), ran.decided.of_arm("policy")
    assert len(held) > 0
    assert (held.chosen == 0).all()
    np.testing.assert_allclose(policy.probabilities.sum(axis=1), 1.0)
    rows = np.arange(len(policy))
    assert (policy.probabilities[rows, policy.chosen] > 0).all()


def test_effects_are_learned_again_and_scores_are_not(ran) -> None:
    """A bundle a month; each knows more decisions, and the same models of scores."""
    assert len(ran.taught) == WANTED.months
    assert 0 < ran.taught[0] < ran.taught[1]
    with Store.open(ran.home.store) as store:
        served = [change.sha256 for change in store.champion_history()]
    assert len(served) == WANTED.months
    old, new = (load_bundle(ran.home.bundles / sha, FEATURES) for sha in served)
    rows = np.zeros((3, len(FEATURES)))
    for name, model in old.classifiers.items():
        assert model.predict(rows).tolist() == new.classifiers[name].predict(rows).tolist()
    assert new.as_of == old.as_of + living.MONTH_DAYS * DAY
    assert sum(note.startswith("Effects were learned") for note in new.notes) == 1


def test_scanners_are_told_apart(ran) -> None:
    assert ran.machine_opens > 50
    assert ran.known_opens >= 0.99 * ran.machine_opens


def test_the_truth_orders_the_ways_to_choose(found) -> None:
    value = {one.name: one.value for one in found.ways}
    assert value["silence"] == 0.0
    assert value["who knows the truth"] == max(value.values()) > 0
    contacts = {one.name: one.contacts for one in found.ways}
    assert contacts["as many contacts by churn risk, best message known"] <= (
        contacts["the same without exploration"] + 1e-12
    )


def test_kinds_and_arms_add_up(ran, found) -> None:
    policy = ran.decided.of_arm("policy")
    could = (policy.probabilities[:, 1:] > 0).any(axis=1)
    assert sum(one.decisions for one in found.kinds) == could.sum()
    assert sum(one.decisions for one in found.arms) == len(ran.decided)
    held = next(one for one in found.arms if one.name == "holdout")
    assert (held.contacts, held.true) == (0.0, 0.0)
    by_stage = sum(n for counts in found.mix.values() for n in counts.values())
    assert by_stage == len(policy)
    assert sum(one.customers for one in found.months) == len(policy)


def test_estimates_stand_beside_the_truth(ran, found) -> None:
    """The truth of the log's estimate is the mean over its own probabilities, worked out here."""
    policy = ran.decided.of_arm("policy")
    by_hand = np.mean([p @ v for p, v in zip(policy.probabilities, policy.value, strict=True)])
    by_lot = next(one for one in found.estimates if one.name.startswith("by lot"))
    assert by_lot.true == pytest.approx(by_hand)
    assert by_lot.low < by_lot.value < by_lot.high
    assert by_lot.holds  # with two months the interval is wide


def test_the_table_and_the_record_say_the_same(found) -> None:
    lines = simulation_lines(found)
    record = json.loads(json.dumps(simulation_record(found)))
    assert record["decisions"] == len(found.ran.decided)
    for one in record["estimates"]:
        line = next(line for line in lines if line.startswith(f"  {one['name']}"))
        assert f"{one['true']:+.3f}" in line
        assert re.search(rf"{'yes' if one['holds'] else 'NO'}\b", line)
    assert any(line.startswith("Fatigue: ") for line in lines)
    assert any("Scanners opened" in line for line in lines)
    assert {line.split()[0] for line in lines if line.startswith("  ")} >= set(record["mix"])


HILLSTROM: float = 0.03  # of the noise of spend: what his mails moved it by


def small_effects(ran, log) -> EffectModels:
    """The true effects as lines in the state, well known, and as small as Hillstrom's.

    The message that does most on average moves the reward by `HILLSTROM` of its noise.
    """
    rows = {
        (log.customer_ids[who], at): row
        for row, (who, at) in enumerate(zip(log.customer, log.decided_at.tolist(), strict=True))
    }
    ids = ran.company.ids.to_pylist()
    found = [
        rows.get((ids[who], at)) for who, at in zip(ran.decided.person, ran.decided.at, strict=True)
    ]
    known = np.array([row is not None for row in found])
    where = np.array([row for row in found if row is not None])
    effect = (ran.decided.value + ran.cost)[known][:, 1:]
    effect *= HILLSTROM * np.nanstd(log.reward) / effect.mean(axis=0).max()
    terms = terms_of(log.state[where], STATE, TERMS)
    ridge = 1e-3 * len(terms) * np.diag(np.mean(terms**2, axis=0) + 1e-9)
    k, d = effect.shape[1], terms.shape[1]
    return EffectModels(
        names=NAMES[1:],
        state=STATE,
        terms=TERMS,
        coefficients=np.linalg.solve(terms.T @ terms + ridge, terms.T @ effect).T,
        covariance=1e-12 * np.eye(k * d),
        evidence=np.full(k, 64_000),
        means={},
        mean=effect.mean(axis=0)[:, None],
        stated_scale=0.0,
    )


def test_the_mix_varies_by_stage_where_effects_are_as_small_as_hillstroms(ran) -> None:
    """Known well enough, effects of that size still tell customers of one stage apart."""
    home = ran.home
    with Store.open(home.store) as store:
        engine = with_champion(company_engine(home), home, store.champion()).engine
        log = gather(home, engine, ran.end).log
        bundle = replace(engine.bundle, effects=small_effects(ran, log))
        silent = replace(engine, bundle=bundle, texts=None)
        mix: dict[str, Counter[str]] = {}
        for customer in store.customer_ids():
            decision = decided(customer, ran.end, silent, store)
            if not is_anonymous(customer) and len(decision.ranked) > 1:
                best = decision.ranked[0].communication
                mix.setdefault(decision.stage, Counter())[best] += 1
    for stage, counts in mix.items():
        sys.stdout.write(f"{stage}: {dict(counts.most_common())}\n")
    large = {stage: counts for stage, counts in mix.items() if counts.total() >= 8}
    assert len(large) >= 3
    assert all(len(counts) >= 2 for counts in large.values()), mix
    favourites = {max(set(counts) - {NO_CONTACT}, key=counts.get) for counts in large.values()}
    assert len(favourites) >= 2, mix


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"months": 0}, "--months 0: must be 1 to 24"),
        ({"people": 20}, "--people 20: must be at least 150"),
        ({"seed": -1}, "--seed -1: must be 0 or more"),
        ({"strength": -0.5}, "--effects -0.5: must be 0 to 10"),
    ],
)
def test_numbers_that_make_no_simulation_are_refused(given, words) -> None:
    with pytest.raises(UnusableSimulation, match=re.escape(words)):
        Wanted(**given)


def test_a_folder_with_something_in_it_is_refused(tmp_path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(UnusableSimulation, match="is not empty"):
        run_in(tmp_path, WANTED, QUIET)
    assert [one.name for one in tmp_path.iterdir()] == ["mine.txt"]
