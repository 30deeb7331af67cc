import re
from pathlib import Path

import pytest

from models.targets import (
    EVER,
    SHIPPED,
    InvalidTargets,
    Windows,
    load_targets,
    tables,
    targets_from_tables,
    targets_toml,
)

GOOD = targets_toml(Windows(28, 56, 7))


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "targets.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_windows_are_those_of_a_grocery_shop() -> None:
    targets = load_targets()
    assert [
        (each.name, each.outcome, each.window_days, each.at_risk_days) for each in targets.targets
    ] == [
        ("churn_risk", "absence", 28, 56),
        ("repurchase_likelihood", "presence", 7, 56),
        ("promoter_likelihood", "promotion", 14, EVER),
    ]
    assert targets.longest_window_days == 28
    assert SHIPPED.read_text(encoding="utf-8") == GOOD


def test_proposed_windows_are_read_back(tmp_path: Path) -> None:
    targets = load_targets(written(tmp_path, targets_toml(Windows(91, 182, 35))))
    assert targets["churn_risk"].window_days == 91
    assert targets["repurchase_likelihood"].at_risk_days == 182
    assert "in the next 35 days" in targets["repurchase_likelihood"].question


def test_targets_survive_their_tables() -> None:
    targets = load_targets()
    assert targets_from_tables(tables(targets), "x") == targets


def test_a_contract_may_look_for_cancellations(tmp_path: Path) -> None:
    text = GOOD.replace("Order Completed", "Subscription Cancelled", 1)
    text = text.replace('outcome = "absence"', 'outcome = "presence"')
    assert load_targets(written(tmp_path, text))["churn_risk"].event == "Subscription Cancelled"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[churn_risk]", "[churn_rsk]", "unknown target 'churn_rsk'; did you mean 'churn_risk'?"),
        ("window_days = 28", "windw_days = 28", "unknown key 'windw_days'; did you mean 'window_"),
        ("window_days = 28", "", "target 'churn_risk': no 'window_days'; it has no default"),
        ("window_days = 28", 'window_days = "28"', "window_days = '28'; must be a whole number"),
        ("window_days = 28", "window_days = true", "window_days = True; must be a whole number"),
        ("window_days = 28", "window_days = 0", "window_days = 0; must lie between 1 and 730"),
        ("window_days = 28", "window_days = 7", "both have window_days = 7"),
        (
            "window_days = 28",
            "window_days = 400",
            "window_days = 400 is longer than at_risk_days = 56",
        ),
        ("at_risk_days = 56", "at_risk_days = 9999", "at_risk_days = 9999; must lie between"),
        ('"absence"', '"absent"', "outcome = 'absent'; outcomes are absence, presence"),
        ('"absence"', '"presence"', "would else mean its opposite"),
        ("Order Completed", "Order Complete", "did you mean 'Order Completed'?"),
        ('question = "Will this customer place no order in the next 28 days?"',
         'question = " "', "question = ''; must say in words"),
        ("outcome", "outcome outcome", "not TOML"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in GOOD
    head, table = GOOD.split("[churn_risk]", 1)
    text = head + ("[churn_risk]" + table).replace(old, new, 1)
    with pytest.raises(InvalidTargets, match=re.escape(words)):
        load_targets(written(tmp_path, text))


def test_promoters_may_be_left_out() -> None:
    found = tables(load_targets())
    del found["promoter_likelihood"]
    assert targets_from_tables(found, "x").names == ("churn_risk", "repurchase_likelihood")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"outcome": "presence"}, "must be 'promotion' for promoter_likelihood and for no other"),
        ({"event": "Survey Answered"}, "did you mean 'Survey Answered/nps'?"),
        ({"event": "Review Written"}, "events are Survey Answered/nps"),
        ({"at_risk_days": -1}, "at_risk_days = -1; must lie between 0 and 730"),
        ({"window_days": 0}, "window_days = 0; must lie between 1 and 730"),
    ],
)
def test_a_mistake_about_promoters_is_named(changes: dict[str, str | int], words: str) -> None:
    found = tables(load_targets())
    found["promoter_likelihood"] |= changes
    with pytest.raises(InvalidTargets, match=re.escape(words)):
        targets_from_tables(found, "x")


def test_only_promoters_are_asked_by_survey() -> None:
    found = tables(load_targets())
    found["churn_risk"]["outcome"] = "promotion"
    with pytest.raises(InvalidTargets, match="target 'churn_risk': outcome = 'promotion'; must be"):
        targets_from_tables(found, "x")


def test_a_missing_target_is_named(tmp_path: Path) -> None:
    text = GOOD.split("[repurchase_likelihood]")[0]
    with pytest.raises(InvalidTargets, match=re.escape("no table [repurchase_likelihood]")):
        load_targets(written(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidTargets, match="no such file; `nextbest init` writes one"):
        load_targets(tmp_path / "none.toml")


def test_a_target_that_is_no_table_is_named() -> None:
    found = {**tables(load_targets()), "churn_risk": 28}
    with pytest.raises(InvalidTargets, match=re.escape("28; must be a table; write [churn_risk]")):
        targets_from_tables(found, "targets.toml")


def test_an_unknown_target_is_named_with_those_there_are() -> None:
    with pytest.raises(InvalidTargets, match="no target 'nps'; targets are churn_risk, repurch"):
        load_targets()["nps"]
