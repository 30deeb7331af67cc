"""Files as rows of text: CSV of any delimiter, Parquet, one JSON object a line."""

import codecs
import csv
import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from features.history import sql_text

DELIMITERS: Final = (",", ";", "\t", "|")
ENCODINGS: Final = ("utf-8", "utf-16", "latin-1")
_HEAD_BYTES: Final = 1 << 18  # a quarter of a megabyte shows some thousand rows: enough to judge
_STRANGERS: Final = {
    b"%PDF": "a PDF",
    b"PK\x03\x04": "an Excel workbook or another zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x1f\x8b": "a gzip archive",
    b"<": "an HTML or XML page",
    b"[": "a JSON list",
}


class UnreadableFile(ValueError):
    """A file is missing, empty or of a shape that cannot be read."""


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file that can be read as rows of text.

    Attributes
    ----------
    kind : str
        ``csv``, ``parquet`` or ``ndjson``.
    columns : tuple of str
        Names as they stand in the file.
    digest : str
        sha256 of the bytes, in hexadecimal.
    """

    path: Path
    kind: str
    columns: tuple[str, ...]
    digest: str
    delimiter: str = ","
    encoding: str = "utf-8"


def text_file(path: Path, delimiter: str | None = None, encoding: str | None = None) -> TextFile:
    """Look at a file: what it is, how it is written, which columns it has.

    Raises
    ------
    UnreadableFile
        If it is missing, empty, or neither CSV, Parquet nor one JSON object a line.
    """
    if not path.is_file():
        raise UnreadableFile(f"{path}: there is no such file; check the name")
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not head.strip():
        raise UnreadableFile(f"{path}: the file is empty; export it again")
    if head.startswith(b"PAR1"):
        return TextFile(path, "parquet", _parquet_columns(path), digest)
    start = head.removeprefix(codecs.BOM_UTF8).lstrip()
    for magic, what in _STRANGERS.items():
        if start.startswith(magic):
            raise UnreadableFile(
                f"{path}: this is {what}; files are CSV, Parquet or one JSON object a line "
                "(NDJSON); export it as one of these"
            )
    encoding = encoding or _encoding(path, head)
    if start.startswith(b"{"):
        return TextFile(path, "ndjson", _json_columns(path), digest)
    lines = head.decode(encoding, errors="ignore").lstrip("\ufeff").splitlines()[:200]
    if len(head) == _HEAD_BYTES and len(lines) > 1:
        lines = lines[:-1]  # the last line may be cut
    delimiter = delimiter or _delimiter(lines)
    header = next(csv.reader(lines, delimiter=delimiter))
    return TextFile(path, "csv", _header(path, header), digest, delimiter, encoding)


def rows_sql(file: TextFile, rejects: str) -> str:
    """SQL that reads a file's columns as text, in the file's order.

    Lines that do not have the header's number of columns go to the table `rejects`.
    """
    place = sql_text(str(file.path))
    if file.kind == "parquet":
        return f"select {_as_text(file)} from read_parquet({place})"
    if file.kind == "ndjson":
        return f"select {_json_fields(file)} from read_ndjson_objects({place}, ignore_errors=true)"
    columns = ", ".join(f"{sql_text(name)}: 'VARCHAR'" for name in file.columns)
    return (
        f"select * from read_csv({place}, auto_detect=false, header=true, "
        f"delim={sql_text(file.delimiter)}, quote='\"', escape='\"', "
        f"encoding={sql_text(file.encoding)}, columns={{{columns}}}, "
        f"store_rejects=true, rejects_table={sql_text(rejects)}, "
        f"rejects_scan={sql_text(rejects + '_scan')})"
    )


def sql_name(name: str) -> str:
    """A column's name, quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'


def sample(file: TextFile, rows: int = 2_000) -> dict[str, list[str]]:
    """The first rows of a file, column by column; empty cells left out."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        found = connection.execute(
            f"select * from ({rows_sql(file, 'rejected')}) limit {rows}"
        ).fetchall()
    columns = zip(*found, strict=True) if found else ([] for _ in file.columns)
    return {
        name: [text.strip() for text in values if text is not None and text.strip()]
        for name, values in zip(file.columns, columns, strict=True)
    }


def _encoding(path: Path, head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in head:
        raise UnreadableFile(
            f"{path}: this is no text (it holds zero bytes); files are CSV, Parquet or one "
            "JSON object a line (NDJSON); export it as one of these"
        )
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _delimiter(lines: list[str]) -> str:
    """The delimiter that cuts most lines into the same number of columns, and into most."""

    def merit(delimiter: str) -> tuple[int, int]:
        widths = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter) if row)
        width, rows = widths.most_common(1)[0] if widths else (1, 0)
        return (rows if width > 1 else 0, width)

    return max(DELIMITERS, key=merit)


def _header(path: Path, names: list[str]) -> tuple[str, ...]:
    header = tuple(name.strip() or f"column {place}" for place, name in enumerate(names, 1))
    if len(header) < 2:
        raise UnreadableFile(
            f"{path}: only one column, {header[0][:60]!r}; a file of signals has at least a "
            "customer, a time and an event, separated by , ; | or tabs; export it again"
        )
    seen: dict[str, str] = {}
    for name in header:
        if name.lower() in seen:
            raise UnreadableFile(
                f"{path}: two columns are called {name!r}; each needs a name of its own "
                "(upper and lower case count as the same); rename one"
            )
        seen[name.lower()] = name
    return header


def _parquet_columns(path: Path) -> tuple[str, ...]:
    return tuple(name for name, _ in _parquet_types(path))


def _parquet_types(path: Path) -> list[tuple[str, str]]:
    try:
        with duckdb.connect() as connection:
            found = connection.execute(
                f"describe select * from read_parquet({sql_text(str(path))})"
            ).fetchall()
    except duckdb.Error as error:
        raise UnreadableFile(
            f"{path}: a damaged Parquet file ({str(error).splitlines()[0]}); write it again"
        ) from error
    return [(str(row[0]), str(row[1])) for row in found]


def _as_text(file: TextFile) -> str:
    fields = []
    for name, kind in _parquet_types(file.path):
        nested = kind.startswith(("STRUCT", "MAP")) or kind.endswith("]")
        turned = f"to_json({sql_name(name)})" if nested else sql_name(name)
        fields.append(f"cast({turned} as varchar) as {sql_name(name)}")
    return ", ".join(fields)


def _json_columns(path: Path) -> tuple[str, ...]:
    with duckdb.connect() as connection:
        found = connection.execute(
            "select distinct unnest(json_keys(json)) as name from read_ndjson_objects("
            f"{sql_text(str(path))}, ignore_errors=true) order by name"
        ).fetchall()
    if not found:
        raise UnreadableFile(
            f"{path}: begins like JSON, but no line is a JSON object; "
            "write one object a line (NDJSON)"
        )
    return tuple(str(row[0]) for row in found)


def _json_fields(file: TextFile) -> str:
    def field(name: str) -> str:
        place = '$."' + name.replace('"', '\\"') + '"'
        return f"json ->> {sql_text(place)} as {sql_name(name)}"

    return ", ".join(field(name) for name in file.columns)
