"""One file while it is being looked at: its columns, its rows, and what was noted of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from features.intake.column_guesses import Column, is_personal, looks_like_a_time, with_role, words
from features.intake.text_files import TextFile

TIMES: Final = ("time",)
TIMES_OR_YES: Final = ("time", "yes_no")
# What may name the customer; a time never does. A lone customer "1" looks like a yes.
_NAMES: Final = ("text", "number", "yes_no")


@dataclass(slots=True)
class Look:
    """One file while it is being looked at; `notes` fills as it goes.

    Attributes
    ----------
    cells : mapping
        The file's first rows, column by column; an empty text where a cell is empty.
    """

    file: TextFile
    columns: tuple[Column, ...]
    cells: Mapping[str, Sequence[str]]
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The file's name, without its folder."""
        return self.file.path.name

    @property
    def rows(self) -> int:
        """How many rows were looked at."""
        return max((each.filled for each in self.columns), default=0)

    def find(self, role: str, kinds: tuple[str, ...] = ()) -> Column | None:
        """The file's column that fits a role best."""
        return with_role(role, self.columns, kinds)

    def moment(self) -> Column | None:
        """The column that tells when: by its name, else the only one that holds times.

        A birthday is none: what describes the person tells no event.
        """
        times = [c for c in self.columns if c.kind == "time" and not is_personal(c.name)]
        return with_role("occurred_at", times) or (times[0] if len(times) == 1 else None)

    def customer(self, kind: str) -> Column | None:
        """The column that says whose row it is; an e-mail address only if nothing else does."""
        able = [c for c in self.columns if c.kind in _NAMES and not is_personal(c.name)]
        found = with_role("customer_id", able)
        if found is None and kind == "customers":
            found = next((c for c in able if words(c.name) in ("id", "nr", "nummer", "no")), None)
        if found is None:
            found = with_role("email_address", [c for c in self.columns if c.kind == "text"])
            if found and any("@" in value for value in self.cells[found.name]):
                self.note(
                    f"nothing but '{found.name}' says who the customer is, so it is the id: that "
                    "is personal, and stands in every file and answer; better export an id."
                )
            else:
                found = None
        return found

    def repeats(self, *names: str) -> bool:
        """Whether two rows have the same texts in these columns, where all are filled."""
        rows = [row for row in zip(*(self.cells[name] for name in names), strict=True) if all(row)]
        return len(set(rows)) < len(rows)

    def note(self, text: str) -> None:
        """Keep what a person should know of this file."""
        self.notes.append(f"{self.name}: {text}")

    def note_unknown_times(self) -> None:
        """Name columns that should hold times but are written in an unknown way."""
        for each in self.columns:
            if each.kind in ("text", "number") and looks_like_a_time(each):
                shown = next((text for text in self.cells[each.name] if text), "")
                self.note(
                    f"'{each.name}' seems to hold times, but '{shown}' is written in no known way; "
                    "write how as time_format, such as '%d.%m.%Y %H:%M' (31.12.2025 18:05)."
                )
