"""Changes that are named can be made."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from serving.catalog import Condition
from serving.communication import Communication
from serving.decision import decide
from serving.engine import Engine
from serving.flips import WEIGHTS, Flip, flips
from serving.policy import InvalidPolicy, load_policy
from serving.records import Customer, Ledger
from serving.worth import scene_of

Editor = Callable[[str, str], Path]


def test_weights_that_are_named_may_be_written_down(edited_policy: Editor) -> None:
    for weight in WEIGHTS:
        file = edited_policy("# newsletter = 1.2", f"newsletter = {weight}")
        assert load_policy(file).weight("newsletter") == weight
    for weight in (WEIGHTS[0] / 2, WEIGHTS[1] * 2):
        with pytest.raises(InvalidPolicy, match=re.escape("must be between 0.01 and 10")):
            load_policy(edited_policy("# newsletter = 1.2", f"newsletter = {weight}"))


def test_no_weight_is_named_that_the_policy_refuses(regular: Customer, rule_engine: Engine) -> None:
    """A message worth so little beside the first that only a greater weight than 10 helps it."""
    listed = rule_engine.catalog.communications
    first = replace(listed["newsletter"], prior=replace(listed["newsletter"].prior, share=5.0))
    second = replace(first, name="other", prior=replace(first.prior, share=0.3))
    both = {one.name: one for one in (first, second)}
    engine = replace(rule_engine, catalog=replace(rule_engine.catalog, communications=both))
    named = {}
    for share in (0.3, 0.7):
        of_share = replace(second, prior=replace(second.prior, share=share))
        found = {**both, "other": of_share}
        asked = replace(engine, catalog=replace(engine.catalog, communications=found))
        decision = decide(regular, asked, Ledger(consents={}), 0.5)
        assert [one.communication for one in decision.ranked] == [
            "newsletter",
            "other",
            "no_contact",
        ]
        scene = scene_of(decision, regular, asked, asked.bundle)
        named[share] = [
            flip.value for flip in flips(scene) if (flip.what, flip.of) == ("weight", "other")
        ]
    assert named[0.3] == []
    assert [WEIGHTS[0] <= value <= WEIGHTS[1] for value in named[0.7]] == [True]


def test_no_score_is_named_at_which_the_message_would_be_refused(
    regular: Customer, rule_engine: Engine
) -> None:
    """The first asks for a churn risk of at most a tenth more; beyond that the other is first."""
    listed = rule_engine.catalog.communications
    first = replace(listed["newsletter"], prior=replace(listed["newsletter"].prior, share=5.0))
    second = replace(first, name="other", prior=replace(first.prior, share=3.0))

    def flips_of(where: tuple[Condition, ...], *others: Communication) -> dict[str, Flip]:
        entries = {one.name: one for one in (replace(first, where=where), *others)}
        engine = replace(rule_engine, catalog=replace(rule_engine.catalog, communications=entries))
        decision = decide(regular, engine, Ledger(consents={}), 0.5)
        assert decision.ranked[0].communication == "newsletter"
        return {
            flip.what: flip for flip in flips(scene_of(decision, regular, engine, engine.bundle))
        }

    decision = decide(regular, rule_engine, Ledger(consents={}), 0.5)
    now = decision.expectation.value("churn_risk")
    assert now is not None
    most = round(now + 0.1, 3)
    assert "churn_risk" not in flips_of((), second)
    found = flips_of((Condition("churn_risk", "<=", most),), second)["churn_risk"]
    assert (found.instead, found.boundary) == ("other", pytest.approx(most, abs=1e-9))
    assert most < found.value <= most + 0.002
    # Where the other asks for the same, silence is all that is left.
    alike = replace(second, where=(Condition("churn_risk", "<=", most),))
    assert flips_of((Condition("churn_risk", "<=", most),), alike)["churn_risk"].instead == (
        "no_contact"
    )
