import re
from pathlib import Path

import pytest

from models.proposed_targets import ACTIVITY, CONTRACT, Windows, targets_toml
from models.targets import (
    EVER,
    RUNNING,
    SHIPPED,
    InvalidTargets,
    load_targets,
    tables,
    targets_from_tables,
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
    churn = load_targets(written(tmp_path, text))["churn_risk"]
    assert (churn.event, churn.at_risk) == (("Subscription Cancelled",), ("Order Completed",))


def test_a_contract_asks_those_whose_subscription_runs(tmp_path: Path) -> None:
    targets = load_targets(written(tmp_path, targets_toml(Windows(35, 70, 14, CONTRACT))))
    churn, again = targets["churn_risk"], targets["repurchase_likelihood"]
    assert (churn.outcome, churn.at_risk, churn.at_risk_days) == ("lapse", (RUNNING,), EVER)
    assert churn.of_subscribers
    assert churn.beginnings == ("Subscription Started", "Subscription Renewed")
    assert (again.event, again.window_days) == (("Subscription Renewed",), 14)


def test_where_nobody_buys_any_activity_counts(tmp_path: Path) -> None:
    targets = load_targets(written(tmp_path, targets_toml(Windows(14, 28, 7, ACTIVITY))))
    events = ("Application Opened", "Feature Used", "Page Viewed", "Product Viewed")
    for target in (targets["churn_risk"], targets["repurchase_likelihood"]):
        assert target.event == target.at_risk == target.beginnings == events
    assert targets["promoter_likelihood"].at_risk == events


@pytest.mark.parametrize("kind", [CONTRACT, ACTIVITY])
def test_proposals_survive_their_tables(tmp_path: Path, kind: str) -> None:
    targets = load_targets(written(tmp_path, targets_toml(Windows(35, 70, 14, kind))))
    assert targets_from_tables(tables(targets), "x") == targets


def test_other_windows_stand_beside_the_one_that_serves(tmp_path: Path) -> None:
    text = GOOD.replace("at_risk_days = 56", "at_risk_days = 56\nalso_window_days = [14, 56]", 1)
    targets = load_targets(written(tmp_path, text))
    beside = targets["churn_risk"].beside()
    assert [(one.name, one.window_days, one.score) for one in beside] == [
        ("churn_risk_14d", 14, "churn_risk"),
        ("churn_risk_56d", 56, "churn_risk"),
    ]
    assert all(one.at_risk_days == 56 and not one.beside() for one in beside)
    assert targets.longest_window_days == 28  # they move no snapshot
    assert targets["repurchase_likelihood"].beside() == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"at_risk_days": 7}, "at_risk_days = 7 of a running subscription"),
        ({"at_risk": "Order Completed"}, "no 'at_risk_days'; it has no default"),
        ({"at_risk": ["running subscription", "Order Completed"], "at_risk_days": 70},
         "at_risk = 'running subscription' beside events; it must stand alone"),
        ({"at_risk": "running subscripton", "at_risk_days": 70},
         "did you mean 'running subscription'?"),
        ({"at_risk": [], "at_risk_days": 70}, "at_risk = []; must name at least one event"),
        ({"at_risk": "Order Completed", "at_risk_days": 70}, "outcome = 'lapse'; it is for churn"),
        ({"outcome": "absence", "event": []}, "event = []; must name at least one"),
        ({"outcome": "absence", "event": [1]}, "event = [1]; must be one text in quotes, or diff"),
        ({"also_window_days": [14, 14]}, "also_window_days = [14, 14]; must be different whole"),
        ({"also_window_days": [35]}, "differ from window_days = 35"),
        ({"also_window_days": [0]}, "also_window_days has 0; each must lie between 1 and 730"),
        ({"also_window_days": [1, 2, 3, 4, 5]}, "at most 4, and none of a question that is asked"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_contract_is_named(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    found = tables(load_targets(written(tmp_path, targets_toml(Windows(35, 70, 14, CONTRACT)))))
    del found["churn_risk"]["at_risk_days"]
    with pytest.raises(InvalidTargets, match=re.escape(words)):
        targets_from_tables({**found, "churn_risk": {**found["churn_risk"], **changes}}, "x")


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ("Order Refunded", "that is nothing by which a customer comes back or leaves"),
        ("Email Sent", "that is nothing by which a customer comes back or leaves"),
        ("Communication Sent", "no signal is called that, since its channel is part of its name"),
    ],
)
@pytest.mark.parametrize("name", ["churn_risk", "repurchase_likelihood"])
def test_what_is_no_return_cannot_be_looked_for(name: str, event: str, words: str) -> None:
    found = tables(load_targets())
    said = f"x: target '{name}': event = '{event}'; {words}"
    with pytest.raises(InvalidTargets, match=re.escape(said)):
        targets_from_tables({**found, name: {**found[name], "event": event}}, "x")
    both = {**found[name], "event": ["Order Completed", event]}
    with pytest.raises(InvalidTargets, match=re.escape(said)):
        targets_from_tables({**found, name: both}, "x")


def test_nobody_is_at_risk_by_an_event_that_no_signal_is_called() -> None:
    found = tables(load_targets())
    churn = {**found["churn_risk"], "at_risk": "Survey Answered"}
    words = "at_risk = 'Survey Answered'; no signal is called that, since its kind is part of"
    with pytest.raises(InvalidTargets, match=re.escape(words)):
        targets_from_tables({**found, "churn_risk": churn}, "x")


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
        ("no order in", "no\\u0007 order in", r"question holds '\x07'; must be one line of at"),
        ("no order in", "no\\r\\n order in", r"question holds '\r'; must be one line of at most"),
        ("no order in", "x" * 300, "characters; must be one line of at most 300 printable"),
        ("outcome", "outcome outcome", "not TOML"),
        ("window_days = 28", f"x = {'[' * 9000}{']' * 9000}", "brackets stand too deep"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in GOOD
    head, table = GOOD.split("[churn_risk]", 1)
    text = head + ("[churn_risk]" + table).replace(old, new, 1)
    with pytest.raises(InvalidTargets, match=re.escape(words)):
        load_targets(written(tmp_path, text))


def test_a_mark_of_the_encoding_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "targets.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load_targets(path) == load_targets()


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
