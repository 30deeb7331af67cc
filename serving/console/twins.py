"""Every page has two twins: the same as JSON, and the same as CSV."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

Cell = str | float | int | None

# A spreadsheet takes a cell that begins with one of these for a formula.
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\0")


@dataclass(frozen=True, slots=True)
class Rows:
    """A table: names of the columns, and the rows."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def csv_text(table: Rows) -> str:
    """A table as RFC 4180 text that no spreadsheet takes for formulas; empty cells for None."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(table.columns)
    writer.writerows(_plain_row(row) for row in table.rows)
    return out.getvalue()


def _plain_row(row: Iterable[Cell]) -> list[Cell]:
    return [
        f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell
        for cell in row
    ]
