"""What a check of a policy says of its estimators and its uplift curves."""

import importlib
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training.policy_check import PolicyCheck
from training.policy_judgement import Evidence, judged
from training.policy_uplift import sortings
from training.policy_words import check_lines, check_record

FOLDER = Path(__file__).parents[2] / "benchmarks"
NUMBER = r"[+-]\d+\.\d{3}"
INTERVAL = rf"\({NUMBER} to {NUMBER}\)"


@pytest.fixture
def evidence(monkeypatch) -> Evidence:
    """A policy that knows everything, and its opposite, in a world whose truth is known."""
    monkeypatch.syspath_prepend(str(FOLDER))
    worlds = importlib.import_module("decisions.worlds")
    rng = np.random.default_rng(2)
    drawn = worlds.draw_log(worlds.new_world(rng), rng, 2_000, 2)
    new, current = (worlds.best_of(one, drawn.log) for one in (drawn.expected, -drawn.expected))
    return Evidence(drawn.log, new, current, np.zeros(len(worlds.NAMES)), drawn.opt_outs)


def check_of(evidence: Evidence, worth: np.ndarray | None = None) -> PolicyCheck:
    judgement = judged(evidence, np.random.default_rng(1))
    known = np.full(evidence.new.shape, np.nan) if worth is None else worth
    return PolicyCheck(
        judgement=judgement,
        currency="EUR",
        moves=(),
        moved=0.0,
        contacts=(),
        most_contacts=(0.0, 0.0),
        refused={},
        group="stage",
        groups=(),
        sortings=sortings(evidence.log, known, np.random.default_rng(2)),
        gates=judgement.gates,
        notes=(),
    )


def test_all_three_stand_beside_each_other_and_dr_decides(evidence) -> None:
    found = check_of(evidence)
    lines = check_lines(found)
    shown = [
        "new policy, DR",
        "            SNIPS",
        "            IPS",
        "present policy, DR",
        "                SNIPS",
        "                IPS",
        "gain, DR",
        "new over best single, DR",
    ]
    for line, name in zip(lines, shown, strict=False):
        assert re.fullmatch(rf"{name} +{NUMBER} EUR a decision {INTERVAL}", line), line
    assert lines[len(shown)] == (
        "DR decides; what IPS and SNIPS say differs no more from it than chance allows"
    )
    assert any("overlap, new policy: effective sample size" in line for line in lines)


def test_programs_get_all_three_with_their_intervals(evidence) -> None:
    found = check_of(evidence)
    record = json.loads(json.dumps(check_record(found)))
    new = found.judgement.new
    assert new is not None
    for name, one in (("dr", new.robust), ("snips", new.normalised), ("ips", new.inverse)):
        assert one is not None
        told = record["estimators"]["new"][name]
        assert (told["value"], told["low"], told["high"]) == (one.value, *one.interval())
    assert record["values"]["new"] == record["estimators"]["new"]["dr"]
    assert record["estimators"]["new"]["disagree"] == []
    assert record["overlap"]["new"]["effective"] == found.judgement.overlaps[0].effective


def test_a_disagreement_is_said_in_a_sentence(evidence) -> None:
    told = evidence.log.probabilities**1.5
    told /= told.sum(axis=1, keepdims=True)
    found = check_of(replace(evidence, log=replace(evidence.log, probabilities=told)))
    lines = check_lines(found)
    said = rf"IPS of the (new|present) policy is {NUMBER} from DR, more than chance allows "
    why = (
        rf"{INTERVAL}: the logged probabilities are wrong, or the policy chooses what was never "
        "tried there; DR decides, and is to be trusted less"
    )
    assert any(re.fullmatch(said + why, line) for line in lines)
    assert not any(line.startswith("DR decides") for line in lines)
    estimators = check_record(found)["estimators"]
    assert any("ips" in one["disagree"] for one in estimators.values())  # type: ignore[attr-defined]


def test_nothing_in_common_is_said_instead_of_a_number(evidence) -> None:
    """A new communication for everybody, which the log never chose."""
    n = len(evidence.log)
    log = replace(
        evidence.log,
        names=(*evidence.log.names, "brand_new"),
        probabilities=np.column_stack([evidence.log.probabilities, np.zeros(n)]),
        prior=np.column_stack([evidence.log.prior, np.zeros(n)]),
    )
    current = np.column_stack([evidence.current, np.zeros(n)])
    new = np.zeros_like(current)
    new[:, -1] = 1.0
    found = check_of(Evidence(log, new, current, np.zeros(len(log.names)), evidence.opt_outs))
    lines = check_lines(found)
    assert "the new policy has nothing in common with what was chosen: there is no SNIPS" in lines
    assert sum("SNIPS  " in line for line in lines) == 1  # the present policy's
    assert check_record(found)["estimators"]["new"]["snips"] is None  # type: ignore[index]


def test_without_decisions_there_is_no_value_and_no_sentence_about_it(evidence) -> None:
    none = np.zeros(0, dtype=np.int64)
    empty = Evidence(
        evidence.log.at(none), evidence.new[:0], evidence.current[:0], evidence.cost, np.zeros(0)
    )
    lines = check_lines(check_of(empty))
    assert not any("DR" in line for line in lines)
    assert "no uplift curve: nothing was sent 100 times by lot and withheld as often" in lines
    assert check_record(check_of(empty))["estimators"] == {"new": None, "present": None}


def test_uplift_is_told_with_its_intervals(evidence) -> None:
    """At most three communications, those of the most evidence."""
    state = evidence.log.state[:, :1]
    found = check_of(evidence, np.repeat(state, len(evidence.log.names), axis=1))
    lines = [line for line in check_lines(found) if line.startswith("uplift of ")]
    assert len(lines) == 3
    for line in lines:
        assert re.fullmatch(
            rf"uplift of \w+, sorted by the new policy's worth: Qini {NUMBER} {INTERVAL} EUR a "
            rf"decision; its first 30 % gain {NUMBER} {INTERVAL}; sent \d+ and withheld [\d,]+ "
            "times by lot",
            line,
        ), line
    record = json.loads(json.dumps(check_record(found)))["uplift"]
    assert [one["communication"] for one in record] == [one.communication for one in found.sortings]
    assert record[0]["qini"]["low"] <= record[0]["qini"]["value"] <= record[0]["qini"]["high"]
    assert record[0]["top_share"] == 0.3
