"""Files as rows of text: CSV of any delimiter, Parquet, one JSON object a line."""

import codecs
import csv
import hashlib
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import duckdb

from features.history import sql_text

DELIMITERS: Final = (",", ";", "\t", "|")
ENCODINGS: Final = ("utf-8", "utf-16", "latin-1", "cp1252")
_HEAD_BYTES: Final = 1 << 18  # a quarter of a megabyte shows some thousand rows: enough to judge
_WINDOWS_SIGNS: Final = re.compile(rb"[\x80-\x9f]")
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
    even_lines : bool
        Whether all lines end alike. DuckDB reads no file whose lines do not.
    """

    path: Path
    kind: str
    columns: tuple[str, ...]
    digest: str
    delimiter: str = ","
    encoding: str = "utf-8"
    even_lines: bool = True


def text_file(path: Path, delimiter: str | None = None, encoding: str | None = None) -> TextFile:
    """Look at a file: what it is, how it is written, which columns it has.

    Raises
    ------
    UnreadableFile
        If it is missing, empty, or neither CSV, Parquet nor one JSON object a line.
    """
    if path.is_dir():
        raise UnreadableFile(f"{path}: this is a folder; name its files, such as {path}/*.csv")
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
    found, even_lines = _encoding(path, head)
    encoding = encoding or found
    if start.startswith(b"{"):
        return TextFile(path, "ndjson", _json_columns(path), digest)
    lines = head.decode(encoding, errors="ignore").lstrip("\ufeff").splitlines()[:200]
    if len(head) == _HEAD_BYTES and len(lines) > 1:
        lines = lines[:-1]  # the last line may be cut
    delimiter = delimiter or _delimiter(lines)
    header = _header(path, lines, delimiter)
    return TextFile(path, "csv", header, digest, delimiter, encoding, even_lines)


@contextmanager
def readable(file: TextFile) -> Iterator[TextFile]:
    """The file in the one form that DuckDB surely reads: itself, or a copy for the while.

    A CSV file in another encoding than UTF-8, or with lines that end in different ways, is
    copied; all others are read in place.

    Raises
    ------
    UnreadableFile
        If the file is not written in the encoding it should be in.
    """
    if file.kind != "csv" or (file.encoding == "utf-8" and file.even_lines):
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="nextbest-") as folder:
        copy = Path(folder) / "copy.csv"
        try:
            with (
                file.path.open(encoding=file.encoding) as source,
                copy.open("w", encoding="utf-8") as made,
            ):
                while block := source.read(1 << 20):
                    made.write(block)
        except UnicodeError as error:
            raise UnreadableFile(
                f"{file.path}: not written in {file.encoding} ({error.args[-1]}); correct encoding "
                f"in the mapping (one of {', '.join(ENCODINGS)}), or leave it out"
            ) from error
        yield replace(file, path=copy, encoding="utf-8", even_lines=True)


def rows_sql(file: TextFile, rejects: str) -> str:
    """SQL that reads a file's columns as text, in the file's order.

    Lines that do not have the header's number of columns go to the table `rejects`. The file must
    be `readable`.
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
        f"encoding='utf-8', columns={{{columns}}}, "
        f"store_rejects=true, rejects_table={sql_text(rejects)}, "
        f"rejects_scan={sql_text(rejects + '_scan')})"
    )


def sql_name(name: str) -> str:
    """A column's name, quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'


def sample(file: TextFile, rows: int = 2_000) -> dict[str, list[str]]:
    """The first rows of a file, column by column; an empty text for an empty cell.

    Raises
    ------
    UnreadableFile
        If it cannot be read in the form, or the encoding, that `text_file` found.
    """
    with duckdb.connect() as connection, readable(file) as plain:
        connection.execute("set TimeZone = 'UTC'")
        try:
            found = connection.execute(
                f"select * from ({rows_sql(plain, 'rejected')}) limit {rows}"
            ).fetchall()
        except duckdb.Error as error:
            raise UnreadableFile(
                f"{file.path}: cannot be read ({str(error).splitlines()[0]}); export it again"
            ) from error
    columns = zip(*found, strict=True) if found else ([] for _ in file.columns)
    return {
        name: [(text or "").strip() for text in values]
        for name, values in zip(file.columns, columns, strict=True)
    }


def _encoding(path: Path, head: bytes) -> tuple[str, bool]:
    """The encoding of a file, and whether all its lines end alike."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", False
    if b"\0" in head:
        raise UnreadableFile(
            f"{path}: this is no text (it holds zero bytes); files are CSV, Parquet or one "
            "JSON object a line (NDJSON); export it as one of these"
        )
    # Every byte is a letter of Latin-1, so it comes last. In it, bytes 80 to 9F are signs that
    # nobody types; a file that has them is Windows-1252, where 80 is the euro sign.
    able = {name: codecs.getincrementaldecoder(name)() for name in ("utf-8", "cp1252")}
    ends: Counter[bytes] = Counter()
    high = False
    last = b""
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            for name, decoder in tuple(able.items()):
                try:
                    decoder.decode(block)
                except UnicodeDecodeError:
                    del able[name]
            high = high or _WINDOWS_SIGNS.search(block) is not None
            # A line's end may be cut in two by the block's.
            whole = last + block
            last = whole[-1:] if whole.endswith(b"\r") else b""
            ends.update({sign: whole.count(sign) for sign in (b"\r\n", b"\n", b"\r")})
            ends[b"\r"] -= len(last)
    ends[b"\r"] += len(last)
    pairs = ends[b"\r\n"]
    even = ends[b"\r"] == pairs and pairs in (0, ends[b"\n"])
    if "utf-8" in able and _ends_whole(able["utf-8"]):
        return "utf-8", even
    return ("cp1252" if high and "cp1252" in able else "latin-1"), even


def _ends_whole(decoder: codecs.IncrementalDecoder) -> bool:
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _delimiter(lines: list[str]) -> str:
    """The delimiter that cuts most lines into the same number of columns, and into most."""

    def merit(delimiter: str) -> tuple[int, int]:
        widths = Counter(_widths(lines, delimiter))
        width, rows = widths.most_common(1)[0] if widths else (1, 0)
        return (rows if width > 1 else 0, width)

    return max(DELIMITERS, key=merit)


def _widths(lines: list[str], delimiter: str) -> list[int]:
    """Number of columns of each line that is not empty; none if they cannot be cut."""
    try:
        return [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
    except csv.Error:  # a cell of more than 128 kB: this is no delimiter
        return []


def _header(path: Path, lines: list[str], delimiter: str) -> tuple[str, ...]:
    widths = _widths(lines, delimiter)
    if not widths:
        raise UnreadableFile(
            f"{path}: its first line has a cell of more than 128 kB; this is no table; "
            "export it again with one of the delimiters , ; | or tab"
        )
    width = Counter(widths).most_common(1)[0][0]
    if widths[0] < width:
        reader = csv.reader(lines, delimiter=delimiter)
        line = next(reader.line_num for row in reader if len(row) == width)
        raise UnreadableFile(
            f"{path}: the header seems to be in line {line}: the first line has "
            f"{widths[0]} columns, most have {width}; take the lines above the header out"
        )
    names = next(csv.reader(lines, delimiter=delimiter))
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
        text = f"cast({turned} as varchar)"
        if kind in ("DOUBLE", "FLOAT"):
            text = _float_text(sql_name(name), kind)
        fields.append(f"{text} as {sql_name(name)}")
    return ", ".join(fields)


def _float_text(column: str, kind: str) -> str:
    """SQL: a float as people would write it.

    A whole number has no point, so that the id 100.0 is 100. Of a number with at most three
    decimals, the noise that sums of floats leave (3.3000000000000003) is rounded away; 1e-8 is a
    millionth of a cent.
    """
    text = f"{column}::varchar"
    if kind == "DOUBLE":
        near = f"abs({column} - round({column}, 3)) < 1e-8 and abs({column}) >= 0.001"
        text = f"if({near}, round({column}, 3)::varchar, {text})"
    whole = f"isfinite({column}) and {column} = trunc({column}) and abs({column}) < 1e15"
    return f"if({whole}, try_cast({column} as bigint)::varchar, {text})"


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
