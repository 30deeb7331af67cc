"""The answer has the names of the public contract, nested and flat."""

import json
from dataclasses import replace

import pytest

from features.home import About
from models.expectation import Expectation, Reason, Score
from serving.answer import Surroundings, answer, encoded, flat, money, rendered, time_text
from serving.calls.answer_schemas import DecisionAnswer
from serving.records import Candidate, Consent, Decision, Refusal, Versions

NOON = 1_793_534_400_000_000
SHOP = Surroundings(About("Bean & Cup", clock="data_end", simulated=True), "EUR")
SILENCE = Candidate("no_contact", "No contact", "none", "none", 0, 0, 0, 0, 0, "assumed", 0)
MAIL = Candidate(
    "newsletter", "News", "email", "marketing", 1.234, 0.567, 0.2, 0.1, 0.934, "assumed", 0
)
MADE = Decision(
    customer_id="C-1",
    as_of=NOON,
    chosen=MAIL,
    arm="policy",
    arm_share=0.85,
    probabilities={"newsletter": 0.925, "no_contact": 0.075},
    ranked=(MAIL, SILENCE),
    refusals=(Refusal("welcome", "stage", "stage is onboarding"),),
    expectation=Expectation(
        {
            "churn_risk": Score("churn_risk", 0.721349, 28, 0.128, "lightgbm"),
            "repurchase_likelihood": Score("repurchase_likelihood", None, 7, 0.4, "recency", "why"),
            "expected_margin": Score(
                "expected_margin", 12.3456, 28, 10.0, "recency", low=0.0, high=30.6718
            ),
        },
        3.0,
        tuple(Reason("RECENCY", "churn_risk", 19.04, "raises", f"Sentence {i}.") for i in range(2)),
    ),
    stage="lapsing",
    flags=("cart_open", "high_value"),
    consent=Consent(True, "assumed"),
    not_before=NOON + 1,
    reconsider_at=NOON,
    valid_until=NOON,
    versions=Versions("sha256:b", "sha256:c", "sha256:p", "f"),
)


def test_the_answer_has_the_names_of_the_contract_in_their_order() -> None:
    names = (
        "decision_id customer_id as_of decided_at valid_until communication name channel class "
        "arm selection_probability not_before reconsider_at expected_effect standard_error cost "
        "fatigue novelty price weight response expected_net currency effect_basis evidence stage "
        "flags scores reasons alternatives refusals consent terms human fallback note bundle "
        "catalog policy data"
    )
    assert list(answer("dec_1", MADE, SHOP)) == names.split()


def test_the_answer_is_the_one_that_is_documented() -> None:
    content = json.loads(rendered("dec_1", MADE, SHOP))
    assert DecisionAnswer.model_validate(content).model_dump(by_alias=True) == content


def test_numbers_are_rounded_and_words_kept() -> None:
    content = json.loads(rendered("dec_1", MADE, SHOP))
    assert content["as_of"] == "2026-11-01T12:00:00Z"
    assert content["not_before"] == "2026-11-01T12:00:00.000001Z"
    assert content["class"] == "marketing"
    assert content["selection_probability"] == 0.925
    assert (content["expected_effect"], content["standard_error"]) == (1.23, 0.57)
    assert content["scores"]["churn_risk"] == {
        "value": 0.7213,
        "low": None,
        "high": None,
        "window_days": 28,
        "base_rate": 0.128,
        "served_by": "lightgbm",
        "note": "",
    }
    assert content["scores"]["repurchase_likelihood"]["value"] is None
    margin = content["scores"]["expected_margin"]
    assert (margin["low"], margin["value"], margin["high"]) == (0.0, 12.35, 30.67)
    assert content["reasons"][0]["points"] == 19.0
    assert content["alternatives"] == [{"communication": "no_contact", "expected_net": 0.0}]
    assert content["consent"] == {"basis": "assumed", "evidence": None}
    assert content["data"] == {"name": "Bean & Cup", "simulated": True, "clock": "data_end"}


def test_the_flat_form_has_no_nesting() -> None:
    fields = flat(answer("dec_1", MADE, SHOP))
    assert not [name for name, value in fields.items() if isinstance(value, dict | list)]
    assert fields["flags"] == "cart_open, high_value"
    assert fields["churn_risk"] == 0.7213
    assert fields["churn_risk_served_by"] == "lightgbm"
    assert (fields["expected_margin_low"], fields["expected_margin_high"]) == (0.0, 30.67)
    assert "churn_risk_low" not in fields
    assert fields["repurchase_likelihood"] is None
    assert [fields[f"reason_{i}"] for i in (1, 2, 3, 4)] == ["Sentence 0.", "Sentence 1.", "", ""]
    assert fields["alternatives"] == "no_contact"
    assert fields["refusals"] == "welcome: stage"
    assert fields["consent_basis"] == "assumed"
    assert fields["data_simulated"] is True


def test_money_has_no_minus_before_zero() -> None:
    assert str(money(-0.001)) == "0.0"
    assert money(-1.239) == -1.24


def test_what_is_no_number_never_leaves() -> None:
    broken = replace(MADE, chosen=replace(MAIL, expected_effect=float("nan")))
    with pytest.raises(ValueError, match="not JSON compliant"):
        encoded(answer("dec_1", broken, SHOP))


def test_times_before_the_epoch_and_at_midnight_are_written() -> None:
    assert time_text(0) == "1970-01-01T00:00:00Z"
    assert time_text(-1) == "1969-12-31T23:59:59.999999Z"
