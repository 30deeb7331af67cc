"""Rows into a `.parquet` or `.csv` file that appears when it is whole."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

# A spreadsheet takes a cell that begins with one of these for a formula.
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")

Cell = str | float | None
Row = Mapping[str, Cell]


class WrongFile(ValueError):
    """A file of rows cannot be written under this name."""


def write_rows(rows: Iterable[Row], path: Path, schema: pa.Schema) -> int:
    """Write rows to a `.parquet` or `.csv` file; how many they were.

    The file appears when it is whole: a stopped run leaves none.

    Raises
    ------
    WrongFile
        If the name ends in neither.
    """
    require_writable(path)
    beside = path.with_name(f".{path.name}.part")
    if path.suffix == ".csv":
        count = _write_csv(rows, beside, schema)
    else:
        table = pa.Table.from_pylist(list(rows), schema=schema)
        pq.write_table(table, beside)
        count = table.num_rows
    beside.replace(path)
    return count


def require_writable(path: Path) -> None:
    """Refuse a name before any work is done.

    Raises
    ------
    WrongFile
        If the name ends in neither `.parquet` nor `.csv`, or its folder is missing.
    """
    if path.suffix not in (".parquet", ".csv"):
        raise WrongFile(
            f"--out {path}: ends in '{path.suffix}'; must end in .parquet or .csv; rename it"
        )
    if not path.parent.is_dir():
        raise WrongFile(f"--out {path}: no folder {path.parent}; make it first")


def schema_of(columns: Iterable[str], numbers: Iterable[str]) -> pa.Schema:
    """Columns of text, but for those that hold numbers."""
    numeric = frozenset(numbers)
    return pa.schema([(name, pa.float64() if name in numeric else pa.string()) for name in columns])


def _write_csv(rows: Iterable[Row], path: Path, schema: pa.Schema) -> int:
    count = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=schema.names)
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _plain(value) for name, value in row.items()})
            count += 1
    return count


def _plain(value: Cell) -> Cell:
    """Text that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return value
