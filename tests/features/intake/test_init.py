"""The verbs init and ingest: from own files to a home, and back out of a dead end."""

from collections.abc import Callable
from pathlib import Path

import pytest

from features.home import Home, HomeError

OWN = "customer_id,event,occurred_at\nK1,Page Viewed,2025-01-01\n"
FOREIGN = "Kundennr;Bestelldatum;Betrag\nK1;31.01.2025;5,00\n"
Run = Callable[..., tuple[int, str, str]]


def test_files_of_our_own_form_get_no_mapping(run: Run, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(OWN)
    code, said, _ = run("init", "s.csv")
    assert code == 0
    assert "nothing was mapped, so no mapping was written" in said
    assert not Home(tmp_path / ".nextbest").mapping.exists()
    assert run("ingest", "s.csv")[0] == 0


def test_an_empty_mapping_is_no_obstacle(run: Run, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(OWN)
    assert run("init")[0] == 0
    Home(tmp_path / ".nextbest").mapping.write_text("# nothing\n")
    assert run("ingest", "s.csv")[0] == 0


def test_a_second_draft_is_named_in_what_to_do_next(run: Run, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(FOREIGN)
    assert "mapping.toml, correct it, then: nextbest ingest ..." in run("init", "orders.csv")[1]
    (tmp_path / "orders.csv").write_text(FOREIGN.replace("Betrag", "Summe"))
    code, said, _ = run("init", "orders.csv")
    assert code == 0
    assert "then: nextbest ingest --mapping .nextbest/mapping.draft.toml ..." in said
    assert run("ingest", "--mapping", ".nextbest/mapping.draft.toml", "orders.csv")[0] == 0


def test_an_unknown_clock_is_refused_before_anything_is_made(run: Run, tmp_path: Path) -> None:
    code, _, said = run("init", "--clock", "foo")
    assert code == 2
    assert "--clock foo: clocks are live, data_end; choose one of them" in said
    assert not (tmp_path / ".nextbest").exists()


def test_the_future_is_put_aside_whatever_the_clock(run: Run, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(OWN * 1 + "K1,Page Viewed,2204-01-01\n")
    assert run("init", "--clock", "data_end")[0] == 0
    code, _, said = run("ingest", "s.csv")
    assert code == 2
    assert "its time lies in the future" in said


def test_a_home_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "home.toml").write_bytes('name = "Müller"\n'.encode("latin-1"))
    with pytest.raises(HomeError, match="not TOML: 'utf-8' codec can't decode"):
        Home(tmp_path).about()
