"""Rows and stories belong together: every row that is named exists, and the page is current."""

import runpy
import sys
from collections import Counter
from pathlib import Path

import pytest
from report import PAGE, main, missing, page, summary
from told.stories import counts, parts, rows, shown, stories

# What a part must show at least, for the stories to speak for the product.
FEWEST_STORIES, FEWEST_OF_A_PART = 40, 5


def test_every_row_that_is_named_exists() -> None:
    strange = {
        (one.title, row) for one in (*stories(), *counts()) for row in one.rows if row not in rows()
    }
    assert strange == set()
    assert all(one.rows for one in (*stories(), *counts()))


def test_titles_are_few_words_and_tell_stories_apart() -> None:
    assert all(1 <= len(title.split()) <= 4 for title in rows().values())
    titles = Counter(one.title for one in (*stories(), *counts()))
    assert [title for title, times in titles.items() if times > 1] == []


def test_rows_are_numbered_without_gaps() -> None:
    for letters, last in (("J", 14), ("CM", 57), ("CH", 13), ("M", 17), ("DS", 28), ("BP", 32)):
        wanted = [f"{letters}{number}" for number in range(1, last + 1)]
        assert wanted in [list(part) for part in parts().values()]


def test_every_part_is_told_of() -> None:
    assert len(stories()) + len(counts()) >= FEWEST_STORIES
    told = shown()
    for part, those in parts().items():
        titles = {title for row in those for _, title in told[row]}
        own = [one for one in (*stories(), *counts()) if one.file == part]
        assert len(titles) >= FEWEST_OF_A_PART, part
        assert len(own) >= FEWEST_OF_A_PART, part


def test_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "docs/rows.md is not what the stories say; run `python tests/scenarios/report.py --write`"
    )


def test_report_names_what_no_story_shows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["report.py"])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[: len(parts())] == summary()
    named = [line.split()[0] for line in lines[len(parts()) + 2 :]]
    assert named == [row for row, those in shown().items() if not those]
    assert len(named) == len(missing()) > 0


def test_report_runs_as_a_program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = Path(__file__).with_name("report.py")
    monkeypatch.setattr(sys, "argv", [str(program)])
    runpy.run_path(str(program), run_name="__main__")
    assert "Not shown yet:" in capsys.readouterr().out
