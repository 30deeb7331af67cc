"""Quarantine: bad rows as they stood in their files, with the reasons, never lost."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from features.history import sql_text

# Reasons in the table `bad`, most frequent first, each with one example.
REASONS_SQL: Final = """
    select reason, count(distinct (file, line)), min_by(file, (file, line)),
      min_by(line, (file, line)), arg_min_null(shown, (file, line))
    from bad group by reason order by count(*) desc, reason"""


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """One reason for putting rows aside, how often, and one example."""

    name: str
    words: str
    rows: int
    example: str


def reason_counts(
    found: Iterable[tuple[str, int, int, int, str | None]],
    names: Sequence[str],
    words: Mapping[str, str],
) -> tuple[ReasonCount, ...]:
    """What `REASONS_SQL` found, in words.

    Parameters
    ----------
    names : sequence of str
        File names, in the order of the numbers in `bad`.
    words : mapping
        What each reason means.
    """
    return tuple(
        ReasonCount(name, words[name], rows, _example(names[file], line, shown))
        for name, rows, file, line, shown in found
    )


def _example(name: str, line: int, shown: str | None) -> str:
    seen = "nothing" if shown is None else f"'{shown[:60]}'"
    place = f"row {line}" if line > 0 else f"line {-line} of the file"
    return f"{name}, {place}: {seen}"


def quarantine_sql(names: Sequence[str], place: Path) -> str:
    """SQL that writes every bad row as it stood in its file, with its reasons.

    Parameters
    ----------
    names : sequence of str
        File names; the rows of the first are in the table ``raw_0``, and so on.
    """
    rows = " union all ".join(
        f"select {number} as file, line, to_json(raw_{number})::varchar as row from raw_{number} "
        f"semi join (select line from bad where file = {number}) "
        "using (line)"
        for number in range(len(names))
    )
    return f"""copy (
          select [{", ".join(sql_text(name) for name in names)}][b.file + 1] as file,
            if(b.line > 0, b.line, null) as row_number,
            if(b.line < 0, -b.line, null) as line_number,
            string_agg(distinct b.reason, ', ' order by b.reason) as reasons,
            any_value(coalesce(r.row, l.text)) as row
          from bad b
          left join ({rows}) r on r.file = b.file and r.line = b.line
          left join lost l on l.file = b.file and l.line = b.line
          group by b.file, b.line order by b.file, b.line
        ) to {sql_text(str(place))} (format parquet)"""
