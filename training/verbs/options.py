"""What several verbs take and how all of them answer."""

import json
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from features.home import Home
from features.signals import SECOND

DEFAULT_HOME: Final = Path(".nextbest")
# Time is counted from 1970 on, and a window of days must still fit behind the last moment.
FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2199

HomeOption = Annotated[
    Path,
    typer.Option("--home", envvar="NEXTBEST_HOME", help="Folder that holds one data set."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")]
AsOfOption = Annotated[
    str | None,
    typer.Option("--as-of", help="Moment to look from, UTC: 2026-10-31 or 2026-10-31T12:00."),
]
BundleArgument = Annotated[
    str | None,
    typer.Argument(help="First letters of a bundle's name; the challenger if not given."),
]


class WrongUse(ValueError):
    """The command cannot be carried out as it was given."""


def show(lines: Iterable[str], record: object, as_json: bool) -> None:
    """Print what was found: words for people, or one JSON object for programs."""
    text = json.dumps(record, ensure_ascii=False) if as_json else "\n".join(lines)
    sys.stdout.write(text + "\n")


def moment(text: str | None) -> int | None:
    """Microseconds UTC of an ISO date or time; None stays None.

    Raises
    ------
    WrongUse
        If the text is no ISO 8601 date or time, or of a year that nothing can be decided in.
    """
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise WrongUse(
            f"--as-of {text}: not a date or time; write it like 2026-10-31 or 2026-10-31T12:00"
        ) from error
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise WrongUse(
            f"--as-of {text}: must be of the years {FIRST_YEAR} to {LAST_YEAR}; choose another"
        )
    at = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    return int(at.timestamp()) * SECOND + at.microsecond


def looked_from(home: Home, as_of: str | None) -> int:
    """The moment asked for, else the data set's own present. The one clock of the commands."""
    from serving.storage.store import Store

    asked = moment(as_of)
    if asked is not None:
        home.about()
        return asked
    if home.about().clock == "live":
        return time.time_ns() // 1000
    with Store.open(home.store) as store:
        end = store.data_end()
    if end is None:
        raise WrongUse(f"{home.path}: no signals yet; take some in with `nextbest ingest FILE...`")
    return end
