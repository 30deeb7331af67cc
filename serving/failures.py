"""Failures of ours that a caller must not feel: logged where they arose, counted, never silent."""

import logging
import threading
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from serving.answer import Json

LOG: Final = logging.getLogger("nextbest")
MOST_CAUSES: Final = 5  # errors behind an error that are told
OURS: Final = ("features", "models", "serving")
_ROOT: Final = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Failure:
    """One kind of failure: what did not work, for which kind of error, and where that arose."""

    what: str
    error: str
    place: str


class Failures:
    """Tells and counts what failed since the start; safe for several threads.

    Whoever must answer whatever happens catches every exception, and notes it here. What has a
    name of ours is logged with a line. Anything else is a mistake in the program, or in one that
    it uses: the first of a kind is logged with its way through the program. No message of an
    error is logged: it may quote a person.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[Failure] = Counter()

    def note(self, what: str, error: BaseException) -> None:
        """Log and count one failure.

        Parameters
        ----------
        what : str
            What did not work and what was done instead, in words; one of few.
        """
        found = Failure(what, type(error).__name__, place_of(error))
        with self._lock:
            self._counts[found] += 1
            is_first = self._counts[found] == 1
        way = "\n" + way_of(error) if is_first and not is_named(error) else ""
        LOG.error("%s: %s at %s%s", found.what, found.error, found.place, way)

    def counts(self) -> dict[Failure, int]:
        """How often each kind of failure came, most frequent first."""
        with self._lock:
            return dict(self._counts.most_common())

    def record(self) -> dict[str, Json]:
        """The same, as callers read it."""
        found = self.counts()
        return {
            "total": sum(found.values()),
            "counts": [
                {"what": one.what, "error": one.error, "place": one.place, "count": count}
                for one, count in found.items()
            ],
        }


def place_of(error: BaseException) -> str:
    """File and line where an error arose."""
    places = traceback.extract_tb(error.__traceback__)
    return f"{_short(places[-1].filename)}:{places[-1].lineno}" if places else "unknown place"


def is_named(error: BaseException) -> bool:
    """Whether an error is of a class of ours: somebody thought of it."""
    return type(error).__module__.partition(".")[0] in OURS


def way_of(error: BaseException) -> str:
    """The way of an error through the program, and of those behind it; no message, no value."""
    lines = []
    for one in _chain(error):
        lines.append(f"  {type(one).__name__}, by way of")
        for step in traceback.extract_tb(one.__traceback__):
            lines.append(f"    {_short(step.filename)}:{step.lineno} in {step.name}")
    return "\n".join(lines)


def _chain(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    for _ in range(MOST_CAUSES):
        if found is None:
            return
        yield found
        found = found.__cause__ or found.__context__


def _short(path: str) -> str:
    """A path below our own folder without what stands before it."""
    found = Path(path)
    return str(found.relative_to(_ROOT)) if found.is_relative_to(_ROOT) else path
