"""The words of the pages: complete, symmetric, and without causes."""

import re
from pathlib import Path

import pytest

from features.definitions import FEATURES
from models.reason_texts import FORBIDDEN
from serving import contact_policy, desk, eligibility, moments, records
from serving.console import words
from serving.console.customer import plain_change

TEMPLATES = Path(words.__file__).with_name("templates")


def test_every_stage_flag_and_arm_has_words() -> None:
    assert set(words.STAGES) == set(records.STAGES)
    assert set(words.FLAGS) == set(records.FLAGS)
    assert set(words.ARMS) == set(records.ARMS)


def test_every_rule_has_words() -> None:
    modules = (contact_policy, desk, eligibility, moments)
    sources = [Path(module.__file__ or "").read_text() for module in modules]
    named = set(re.findall(r'Obstacle\(\s*"([a-z_]+)"', "\n".join(sources)))
    named |= {*contact_policy.FOREMOST, *contact_policy.WAITING_HELPS}
    assert {"stage", "consent", "objection", "cap", "caller_channels"} <= named
    assert named <= set(words.RULES)
    assert set(words.SILENCES) <= set(words.RULES)


def test_no_page_claims_a_cause() -> None:
    tables = (words.STAGES, words.FLAGS, words.ARMS, words.RULES, words.BASES, words.SILENCES)
    said = [text for table in tables for text in table.values()]
    said += [path.read_text(encoding="utf-8") for path in TEMPLATES.glob("*.html")]
    for text in said:
        assert not FORBIDDEN.search(text), text


@pytest.mark.parametrize(
    ("value", "text"), [(0.7213, "72 %"), (0.001, "< 1 %"), (0.999, "> 99 %"), (0.0, "0 %")]
)
def test_no_probability_is_shown_as_certain(value: float, text: str) -> None:
    assert words.percent(value) == text


def test_money_and_days() -> None:
    assert words.money(1234.5, "EUR") == "1,234.50 EUR"
    assert words.money(-0.3, "EUR") == "\N{MINUS SIGN}0.30 EUR"
    assert words.money(-0.001, "EUR") == "0.00 EUR"
    assert words.between(0.0, 8.5, "EUR") == (
        "; for nine in ten such customers 0.00 EUR to 8.50 EUR"
    )
    assert words.between(None, None, "EUR") == ""
    assert words.day("2026-11-01T00:00:00Z") == "1 Nov 2026"
    assert words.day("2026-11-01T08:30:00Z") == "1 Nov 2026, 08:30 UTC"
    assert words.day("2026-02-09") == "9 Feb 2026"


def test_a_change_is_said_in_words() -> None:
    change = "stage is won_back; days_since_last_order <= 30 (now 52.3288); churn_risk >= 0.5"
    assert plain_change(change, FEATURES) == (
        "stage is won back; days since the last order ≤ 30 (now 52.3); churn risk ≥ 0.5"
    )
