"""The report of an intake: what became of the rows."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path

from features.counting import counted
from features.intake.quarantine import ReasonCount
from features.signals import KNOWN_EVENTS


@dataclass(frozen=True, slots=True)
class IntakeReport:
    """What became of the rows of some files.

    Attributes
    ----------
    rows_read : int
        Rows in the files, headers not counted.
    accepted, duplicates : int
        Signals new to the history, and signals it has already (or that came twice).
    quarantined : int
        Rows put aside with at least one reason.
    silent_rows : int
        Rows that tell no signal, since the columns that would tell one are empty.
    merged_rows : int
        Rows that tell a signal together with an earlier one, such as articles of one order.
    identical : int
        Rows like an earlier row of their file, from end to end: each tells a signal of its own.
    never : int
        Dates so far ahead that they mean "never": they tell no signal.
    arrival_assumed : int
        Accepted signals without `received_at`: taken as received when they occurred.
    unknown_events : mapping
        Accepted event names that no feature knows, with their counts.
    unused_columns : mapping
        Columns of files in our own form that are none of ours, by file name.
    part, quarantine_file : Path or None
        Where the accepted signals and the bad rows went.
    """

    files: tuple[str, ...]
    rows_read: int
    accepted: int
    duplicates: int
    quarantined: int
    silent_rows: int
    merged_rows: int
    identical: int
    never: int
    arrival_assumed: int
    reasons: tuple[ReasonCount, ...]
    unknown_events: Mapping[str, int]
    unused_columns: Mapping[str, tuple[str, ...]]
    part: Path | None
    quarantine_file: Path | None

    def lines(self) -> tuple[str, ...]:
        """The report in words."""
        told = [
            f"{counted(self.rows_read, 'row')} read from {', '.join(self.files)}: "
            f"{counted(self.accepted, 'signal')} accepted, {self.duplicates:,} known already, "
            f"{counted(self.quarantined, 'row')} put aside."
        ]
        for reason in self.reasons:
            told.append(f"  {reason.rows:,} x {reason.words}. Example: {reason.example}")
        if self.quarantine_file:
            told.append(f"Rows put aside, with their reasons: {self.quarantine_file}")
        if self.silent_rows:
            told.append(
                f"{self.silent_rows:,} rows tell no signal (their columns for it are empty)."
            )
        if self.merged_rows:
            told.append(
                f"{self.merged_rows:,} rows were added to another row of the same order (one_per)."
            )
        if self.identical:
            told.append(
                f"{self.identical:,} identical rows: like an earlier row of their file, without an "
                "id that tells them apart; each counts."
            )
        if self.never:
            told.append(
                f"{self.never:,} dates lie so far ahead (2099-12-31 or later) that they are read "
                "as 'never': they tell no signal."
            )
        if self.arrival_assumed:
            told.append(
                f"{counted(self.arrival_assumed, 'signal')} without a received_at: "
                "taken as received when they occurred."
            )
        for event, count in self.unknown_events.items():
            told.append(
                f"Unknown event '{event}', {counted(count, 'time')}: kept, but no feature sees it"
                f"{known_like(event)}."
            )
        for file, columns in self.unused_columns.items():
            told.append(f"{file}: columns not used: {', '.join(columns)}.")
        return tuple(told)

    def record(self) -> dict[str, object]:
        """The report as JSON: numbers and names, no paths but the two files written."""
        return {
            "files": list(self.files),
            "rows_read": self.rows_read,
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "quarantined": self.quarantined,
            "silent_rows": self.silent_rows,
            "merged_rows": self.merged_rows,
            "identical": self.identical,
            "never": self.never,
            "arrival_assumed": self.arrival_assumed,
            "reasons": [asdict(reason) for reason in self.reasons],
            "unknown_events": dict(self.unknown_events),
            "unused_columns": {name: list(some) for name, some in self.unused_columns.items()},
            "part": self.part and str(self.part),
            "quarantine_file": self.quarantine_file and str(self.quarantine_file),
        }


def known_like(event: str) -> str:
    """A question whether a known event was meant; empty if none is close."""
    lower = {name.lower(): name for name in KNOWN_EVENTS}
    close = get_close_matches(event.lower(), list(lower), n=1)
    return f"; did you mean '{lower[close[0]]}'?" if close else ""
