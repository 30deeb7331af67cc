"""The dictionary says of every feature what the kernel does."""

import re
from math import isnan
from pathlib import Path

import pytest

from features.algebra import Feature, FeatureSet
from features.definitions import FEATURES
from features.dictionary import dictionary_lines, dictionary_record, entries, formula
from features.expressions import MEASURES, Expression, Measure, Signals
from features.groups.event_sets import EVENT_SETS

ROOT = Path(__file__).parents[2]
A, B, C = (Signals(key).count for key in ("Order Completed", "Email Sent", "Page Viewed"))
NAMES = {("Order Completed",): "A", ("Email Sent",): "B", ("Page Viewed",): "C"}


@pytest.mark.parametrize(
    ("expression", "written"),
    [
        (A / (B - C), "A / (B - C)"),
        ((A - B) - C, "A - B - C"),
        (A - (B - C), "A - (B - C)"),
        (A - (B + C), "A - (B + C)"),
        ((A + B) * 2, "(A + B) * 2"),
        (A / (B * 100), "A / (B * 100)"),
        ((A / B) * C, "A / B * C"),
        (1 - A / 4, "1 - A / 4"),
        ((A - 0.5) * (B - 3), "(A - 0.5) * (B - 3)"),
    ],
)
def test_a_formula_keeps_the_brackets_it_needs(expression: Expression, written: str) -> None:
    assert re.sub(r"count\((\w)\)", r"\1", formula(expression, NAMES)) == written


@pytest.mark.parametrize(
    ("expression", "written"),
    [
        (A.within(28), "count(Order Completed; 28)"),
        (Signals.any().age, "age(any signal)"),
        (Signals("Email Sent", "SMS Sent").recency, "recency(Email Sent | SMS Sent)"),
        (Signals("Page Viewed").decayed_count(7), "decayed_count(Page Viewed; half life 7)"),
        (
            Signals("Ticket Opened").mean_wait("Ticket Replied").within(90),
            "mean_wait(Ticket Opened until Ticket Replied; 90)",
        ),
    ],
)
def test_a_measure_is_written_with_its_events_and_window(
    expression: Expression, written: str
) -> None:
    assert formula(expression, {}) == written


def test_different_definitions_are_written_differently() -> None:
    written = [entry.definition for entry in entries(FEATURES, EVENT_SETS)]
    assert len(set(written)) == len(FEATURES)


def test_no_set_of_many_events_is_without_a_name() -> None:
    named = {tuple(sorted(keys)) for keys in EVENT_SETS.values()}
    used = {
        step.events
        for feature in FEATURES.features
        for step in feature.expression.steps
        if isinstance(step, Measure)
    }
    assert {events for events in used if len(events) > 2} <= named <= used


def test_every_feature_stands_once_below_its_group() -> None:
    text = "\n".join(dictionary_lines(FEATURES, EVENT_SETS))
    for feature in FEATURES.features:
        section = text.split(f"## {feature.group.capitalize()}\n")[1].split("\n## ")[0]
        assert section.count(f"* **{feature.name}**: {feature.label}.\n") == 1
    for measure in MEASURES:
        assert re.search(rf"\n\* {measure}: [A-Z].*[a-z0]\.\n", text), measure


def test_the_facts_of_one_feature_by_hand() -> None:
    days = Feature(
        *("days_ago", "Days since the last order", "days", "recency"),
        Signals("Order Completed").recency,
        {"churn_risk": 1, "repurchase_likelihood": -1},
        sensitive=True,
    )
    mails = Feature("mails", "E-mails sent", "emails", "email", B, actionable=True)
    lines = dictionary_lines(FeatureSet((days, mails)), {})
    assert lines[lines.index("## Recency") + 2 :][:3] == (
        "* **days_ago**: Days since the last order.",
        "  (unit: days; without signals: unknown; churn_risk rises; repurchase_likelihood falls; "
        "sensitive)",
        "  `recency(Order Completed)`",
    )
    assert lines[lines.index("## Email") + 2 :][:3] == (
        "* **mails**: E-mails sent.",
        "  (unit: emails; without signals: 0; actionable)",
        "  `count(Email Sent)`",
    )
    record = dictionary_record(FeatureSet((days, mails)), {})
    assert [each["empty"] for each in record["features"]] == [None, 0.0]  # type: ignore[attr-defined]


def test_counts_and_sums_are_nothing_and_days_and_rates_unknown_without_signals() -> None:
    empty = {entry.feature.name: entry.empty for entry in entries(FEATURES, EVENT_SETS)}
    assert empty["orders_28d"] == empty["spend_28d"] == empty["orders_half_life_7d"] == 0
    assert isnan(empty["days_since_last_order"])
    assert isnan(empty["orders_trend_28d"])


def test_the_page_in_docs_is_what_the_command_prints() -> None:
    printed = "\n".join(dictionary_lines(FEATURES, EVENT_SETS)) + "\n"
    page = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
    assert page == printed, "run: nextbest features dictionary > docs/features.md"
