"""Which rows the stories show, and which none shows yet.

python tests/scenarios/report.py            prints what is not shown
python tests/scenarios/report.py --write    writes docs/rows.md
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from told.stories import parts, shown

PAGE = Path(__file__).parents[2] / "docs" / "rows.md"
NAMES = {
    "journey": "Stages of the journey",
    "communications": "Ways to communicate",
    "channels": "Channels",
    "metrics": "Measures of success",
    "signals": "Signals",
    "practices": "Practices",
}
NOT_YET = "not shown yet"
_HEAD = """\
# What the stories show

What is written about talking with customers along their journey, row by row, and the stories in
`tests/scenarios/` that show it working: signals in; a communication, silence, a refusal or a number
out. A row may be shown in part: the story says which. What no story shows is not claimed.
`docs/catalog.md` says why CM6 and CM35 are left out.

Made by `python tests/scenarios/report.py --write`.
"""


def page() -> str:
    """The page: a table for each part."""
    return "\n".join([_HEAD, *_tables()]) + "\n"


def missing() -> list[str]:
    """Rows that no story shows, a line each."""
    told = shown()
    return [
        f"{row:<5} {title}"
        for rows in parts().values()
        for row, title in rows.items()
        if not told[row]
    ]


def summary() -> list[str]:
    """How many rows of each part are shown, a line each."""
    told = shown()
    return [
        f"{NAMES[part]}: {sum(bool(told[row]) for row in rows)} of {len(rows)}"
        for part, rows in parts().items()
    ]


def _tables() -> Iterator[str]:
    told = shown()
    for part, rows in parts().items():
        count = sum(bool(told[row]) for row in rows)
        yield f"## {NAMES[part]}: {count} of {len(rows)}\n"
        yield "| row | | stories |\n|---|---|---|"
        for row, title in rows.items():
            stories = "; ".join(name for _, name in told[row]) or NOT_YET
            yield f"| {row} | {title} | {stories} |"
        yield ""


def main() -> None:
    if "--write" in sys.argv[1:]:
        PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write("\n".join([*summary(), "", "Not shown yet:", *missing()]) + "\n")


if __name__ == "__main__":
    main()
