"""What is proposed to a company, told from what its customers do."""

import numpy as np
import pytest

from features.signals import ABSENT, DAY, EMPTY, SignalLog
from models.proposed_targets import ACTIVITY, CONTRACT, SHOP, Windows, targets_toml
from models.targets import Targets, load_targets
from training.proposals import Proposal, contract_windows, proposal, subscription_terms

START = 18_000 * DAY
END = START + 400 * DAY


def at(*days: float) -> list[int]:
    return [int(START + day * DAY) for day in days]


def ordering(gap: int) -> list[tuple[str, int]]:
    return [("Order Completed", moment) for moment in at(*range(0, 400, gap))]


def subscribing(days: int) -> list[tuple[str, int, int, int, int]]:
    return [
        ("Subscription Renewed" if day else "Subscription Started", moment, moment, ABSENT, ends)
        for day in range(0, 400, days)
        for moment, ends in zip(at(day), at(day + days), strict=True)
    ]


def visiting(gap: int) -> list[tuple[str, int]]:
    return [("Page Viewed", moment) for moment in at(*range(0, 400, gap))]


def several(kind, people: int = 25):  # type: ignore[no-untyped-def]
    return {f"c{number:02}": kind for number in range(people)}


def test_each_kind_of_company_is_told_apart(log_of) -> None:  # type: ignore[no-untyped-def]
    shop = proposal(log_of(several(ordering(7) + visiting(2))), END)
    assert shop == Proposal(SHOP, Windows(14, 28, 7), 25)
    contract = proposal(log_of(several(subscribing(30) + visiting(2))), END)
    assert contract == Proposal(CONTRACT, Windows(35, 70, 14, CONTRACT), 25 * 14)
    paying = proposal(log_of(several(subscribing(30) + ordering(30))), END)
    assert paying == contract  # what subscribers pay is no shop
    active = proposal(log_of(several(visiting(5))), END)
    assert active == Proposal(ACTIVITY, Windows(14, 28, 7, ACTIVITY), 25)
    assert proposal(log_of(several(visiting(5), people=19)), END) == Proposal(SHOP, None, 0)


def test_a_few_subscribers_do_not_make_a_shop_a_contract(log_of) -> None:  # type: ignore[no-untyped-def]
    people = several(ordering(7), 30)
    people |= {f"s{number}": subscribing(30) for number in range(10)}
    assert proposal(log_of(people), END).kind == SHOP


def leaving(after: float) -> list[tuple[str, int]]:
    return [("Subscription Started", at(0)[0]), ("Subscription Cancelled", at(after)[0])]


def test_subscriptions_without_a_term_are_a_contract_too(log_of) -> None:  # type: ignore[no-untyped-def]
    found = proposal(log_of(several(leaving(90) + visiting(5))), END)
    assert found == Proposal(CONTRACT, Windows(28, 56, 14, CONTRACT), 25, open_ended=True)
    (line,) = found.lines(load_targets())
    assert line.startswith("Most customers subscribe, without a term; 25 have cancelled. Windows ")
    assert "cancelled within 28 days, renewed within 14." in line
    assert "`nextbest doctor --apply` writes these in its place." in line


def test_without_any_end_the_visits_of_subscribers_are_left(log_of) -> None:  # type: ignore[no-untyped-def]
    started = [("Subscription Started", at(0)[0])]
    assert proposal(log_of(several(started + visiting(5))), END).kind == ACTIVITY
    found = proposal(log_of(several(started) | several(leaving(90), 4)), END)
    assert found == Proposal(CONTRACT, None, 4, open_ended=True)
    (line,) = found.lines(load_targets())
    assert "of fewer than 20 subscriptions an end is on record: 4 were cancelled, and none" in line
    assert "ordered" not in line


def test_terms_are_read_from_their_ends(log_of) -> None:  # type: ignore[no-untyped-def]
    log = log_of({"a": subscribing(100), "anon:b": subscribing(30), "c": ordering(10)})
    assert (subscription_terms(log) / DAY).tolist() == [100.0] * 4
    yearly = np.full(50, 365 * DAY)
    assert contract_windows(yearly, 4000) == Windows(53 * 7, 106 * 7, 26 * 7, CONTRACT)
    assert contract_windows(yearly, 400).churn_days == 77  # a fifth of the history
    assert contract_windows(np.full(50, DAY), 400) == Windows(14, 28, 7, CONTRACT)


def test_nothing_is_proposed_for_nothing() -> None:
    empty = SignalLog((), np.zeros(1, np.int64), EMPTY)
    assert proposal(empty, END) == Proposal(SHOP, None, 0)


def targets_of(windows: Windows, tmp_path) -> Targets:  # type: ignore[no-untyped-def]
    path = tmp_path / "targets.toml"
    path.write_text(targets_toml(windows), encoding="utf-8")
    return load_targets(path)


@pytest.mark.parametrize(
    ("windows", "now", "words"),
    [
        (Windows(21, 42, 7), Windows(21, 42, 7), "targets.toml says the same."),
        (Windows(21, 42, 7), Windows(), "targets.toml says 28, 56 and 7; change it there if"),
        (
            Windows(14, 28, 7, ACTIVITY),
            Windows(),
            "targets.toml asks what suits a shop: `nextbest doctor --apply` writes these in its",
        ),
        (
            Windows(35, 70, 14, CONTRACT),
            Windows(14, 28, 7, ACTIVITY),
            "asks what suits visitors who neither buy nor subscribe",
        ),
        (Windows(35, 70, 14, CONTRACT), Windows(35, 70, 14, CONTRACT), "says the same."),
        (Windows(35, 70, 14, CONTRACT), Windows(28, 70, 14, CONTRACT), "says 28 and 14; change"),
    ],
)
def test_a_proposal_stands_beside_what_is_asked_now(
    windows: Windows,
    now: Windows,
    words: str,
    tmp_path,  # type: ignore[no-untyped-def]
) -> None:
    (line,) = Proposal(windows.kind, windows, 50).lines(targets_of(now, tmp_path))
    assert words in line
    assert f"{windows.churn_days}" in line
    assert f"of 50 {'subscriptions' if windows.kind == CONTRACT else ''}" in line


def test_too_few_habits_are_said() -> None:
    (line,) = Proposal(SHOP, None, 3).lines(load_targets())
    assert line.startswith("Only 3 customers have ordered on three days or more; it takes 20")
