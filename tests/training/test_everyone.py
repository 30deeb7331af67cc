"""Deciding for everyone: in small commits, and only for those who would hear something new."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from features.consent import ConsentChange
from features.home import Home
from features.signals import DAY
from serving.storage.outcomes import Outcome, Report
from serving.storage.store import Store
from training.everyone import Asking, ask_everyone
from training.narrator import Narrator

Trained = tuple[Home, int]
QUIET = Narrator(quiet=True)


def decided(asking: Asking, out: Path) -> dict[str, str]:
    counts = ask_everyone(asking, out, QUIET).communications
    with out.open(encoding="utf-8") as file:
        found = {row["customer_id"]: row["communication"] for row in csv.DictReader(file)}
    assert sum(counts.values()) == len(found)
    return found


def test_only_those_with_another_communication_are_told_again(
    trained_copy: Trained, tmp_path: Path
) -> None:
    home, as_of = trained_copy
    out = tmp_path / "out.csv"
    first = decided(Asking(home, as_of, logs=True, seed=1, changed_only=True), out)
    with Store.open(home.store) as store:
        everyone, logged = store.customer_ids(), store.decision_count()
        assert set(first) == set(everyone)  # nobody was told anything before
        assert store.last_communications() == first
    again = Asking(home, as_of, logs=True, seed=1, changed_only=True)
    assert decided(again, out) == {}  # what was told still holds
    later = replace(again, as_of=as_of + 2 * DAY)
    second = decided(later, out)
    assert 0 < len(second) < len(first)
    assert all(second[who] != first[who] for who in second)
    with Store.open(home.store) as store:
        assert store.decision_count() == logged + len(second)
        assert store.last_communications() == first | second


def test_whoever_withdrew_consent_is_told_anew(trained_copy: Trained, tmp_path: Path) -> None:
    home, as_of = trained_copy
    asking = Asking(home, as_of, logs=True, seed=1, changed_only=True)
    first = decided(asking, tmp_path / "out.csv")
    with Store.open(home.store) as store:
        objectors = [who for who, chosen in first.items() if chosen == "newsletter"]
        store.put_consent_changes(
            ConsentChange(who, "", "marketing", False, "call", as_of - 1, as_of - 1, True)
            for who in objectors
        )
    second = decided(asking, tmp_path / "out.csv")
    assert set(second) == set(objectors) != set()
    assert "newsletter" not in second.values()


def test_a_look_logs_nothing_and_says_the_same(trained_copy: Trained, tmp_path: Path) -> None:
    home, as_of = trained_copy
    looked = decided(Asking(home, as_of, logs=False, seed=3), tmp_path / "look.csv")
    with Store.open(home.store) as store:
        before = store.decision_count()
    told = decided(Asking(home, as_of, logs=True, seed=3), tmp_path / "told.csv")
    assert looked == told
    with Store.open(home.store) as store:
        assert store.decision_count() == before + len(told)


def test_a_message_that_was_not_sent_is_told_again(trained_copy: Trained, tmp_path: Path) -> None:
    home, as_of = trained_copy
    asking = Asking(home, as_of, logs=True, seed=1, changed_only=True)
    first = decided(asking, tmp_path / "out.csv")
    with Store.open(home.store) as store:
        last = store.last_communications()
        [who] = [name for name, chosen in first.items() if chosen != "no_contact"][:1]
        with store._file.reader.connect() as connection:
            query = "SELECT id FROM decisions WHERE customer_id = ? ORDER BY sequence DESC"
            decision_id = connection.exec_driver_sql(query, (who,)).scalar()
        report = Report(as_of, as_of, {})
        store.keep_outcome(Outcome(str(decision_id), "not_sent", as_of), report)
        assert store.last_communications() == {k: v for k, v in last.items() if k != who}


@pytest.mark.parametrize("arguments", [["--changed-only"], ["C-1", "--changed-only"]])
def test_changed_only_is_for_everyone(trained: Trained, arguments: list[str]) -> None:
    from typer.testing import CliRunner

    import nextbest
    from training.verbs.options import WrongUse

    result = CliRunner().invoke(nextbest.app, ["decide", *arguments, "--home", "x"])
    assert isinstance(result.exception, WrongUse)
