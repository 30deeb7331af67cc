"""Intake: files in, accepted signals in the history, bad rows in quarantine with reasons."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
from duckdb.func import SPECIAL

from features.history import (
    PART_COLUMNS,
    History,
    commit_part,
    only_writer,
    parquet_source,
    sql_text,
)
from features.home import Home
from features.intake.checks import MACHINE_WORD, NEVER, absent_sql, checks, typed_sql
from features.intake.identity import REUSED, REUSED_WORDS, give_identities, set_repeats_aside
from features.intake.mapping import (
    FileRule,
    Mapping_,
    MappingError,
    check_columns,
    known_rule,
)
from features.intake.quarantine import REASONS_SQL, ReasonCount, quarantine_sql, reason_counts
from features.intake.report import IntakeReport
from features.intake.row_signals import candidates_sql, telling_sql
from features.intake.text_files import TextFile, UnreadableFile, readable, rows_sql, text_file
from features.machines import machine_word
from features.signals import (
    COMMUNICATION_SENT,
    KNOWN_EVENTS,
    REQUIRED_COLUMNS,
    code,
    event_key,
)

_COLUMNS_WORDS: Final = (
    "the line does not have the columns of the header, or an unclosed quote swallowed it; "
    "double the quotes within a text"
)


class IntakeError(ValueError):
    """Nothing of these files was taken in."""


@dataclass(frozen=True, slots=True)
class IntakeRules:
    """What an intake needs to know of the company.

    Attributes
    ----------
    currency : str
        The one currency of the company, such as ``EUR``.
    now : int or None
        The present in microseconds UTC, whatever clock the data set has: what lies later is put
        aside. None only for files that were checked before, or are simulated.
    max_quarantine_share : float
        Above this share of bad rows nothing is taken in: then the mapping is wrong, not the rows.
    """

    currency: str
    now: int | None = None
    max_quarantine_share: float = 0.01


def ingest(
    files: Sequence[Path], mapping: Mapping_ | None, home: Home, rules: IntakeRules
) -> IntakeReport:
    """Take files into the history of a home.

    All files together are one batch: it is committed whole or not at all. Bad rows never stop
    it; they go to quarantine with their reasons. Taking the same file in twice changes nothing.

    Raises
    ------
    IntakeError
        If a file is empty or of another shape, no row is usable, or more than
        `max_quarantine_share` of the rows are bad. Then nothing is committed.
    MappingError
        If the mapping does not fit a file.
    """
    if not files:
        raise IntakeError("no files to take in; name at least one")
    try:
        batch = _batch(files, mapping, rules)
    except UnreadableFile as error:
        raise IntakeError(f"{error} (nothing was taken in)") from error
    history = History(home.signals)
    with only_writer(history), duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        spill = home.path / f".spill-{batch.digest[:16]}"
        connection.execute(f"set temp_directory = {sql_text(str(spill))}")
        try:
            return _take_in(connection, batch, history, home, rules)
        finally:
            shutil.rmtree(spill, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Files with their rules; `digest` names the batch by all that decides its outcome."""

    files: tuple[tuple[TextFile, FileRule], ...]
    unused_columns: Mapping[str, tuple[str, ...]]
    digest: str

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(file.path.name for file, _ in self.files)


def _batch(files: Sequence[Path], mapping: Mapping_ | None, rules: IntakeRules) -> _Batch:
    found: list[tuple[TextFile, FileRule]] = []
    unused: dict[str, tuple[str, ...]] = {}
    for path in files:
        rule = mapping.rule(path) if mapping else None
        file = text_file(path, (rule and rule.delimiter) or None, (rule and rule.encoding) or None)
        if rule is None:
            rule = known_rule(file.columns)
            if rule is None:
                raise _no_rule(file, mapping)
            used = {name for each in rule.signals for name in each.columns.values()}
            used |= {name for each in rule.signals for name in (each.event_column, each.only_where)}
            others = tuple(name for name in file.columns if name not in used)
            if others:
                unused[path.name] = others
        check_columns(rule, file)
        found.append((file, rule))
    known = json.dumps([[file.digest, repr(rule)] for file, rule in found] + [[rules.currency]])
    return _Batch(tuple(found), unused, hashlib.sha256(known.encode()).hexdigest())


def _no_rule(file: TextFile, mapping: Mapping_ | None) -> Exception:
    missing = ", ".join(name for name in REQUIRED_COLUMNS if name not in file.columns)
    if mapping is None or not mapping.files:
        return IntakeError(
            f"{file.path.name}: the columns {missing} are missing; the file has "
            f"{', '.join(file.columns)}; draft a mapping with `nextbest init {file.path.name}`, "
            "or name one with --mapping (nothing was taken in)"
        )
    patterns = ", ".join(f"'{rule.pattern}'" for rule in mapping.files)
    return MappingError(
        f"{file.path.name}: no [[file]] of the mapping fits this name (patterns: {patterns}), and "
        f"it lacks the columns {missing}; add a [[file]] for it or correct a pattern"
    )


def _take_in(
    connection: duckdb.DuckDBPyConnection,
    batch: _Batch,
    history: History,
    home: Home,
    rules: IntakeRules,
) -> IntakeReport:
    _refuse_another_currency(connection, history, rules)
    rows_read = _read_all(connection, batch)
    telling, leading = _lines_that_tell(connection, batch)
    (never,) = _one(
        connection, f"select count(*) from typed where optional and occurred_us >= {NEVER}"
    )
    connection.execute(f"delete from typed where optional and occurred_us >= {NEVER}")
    words = _set_bad_aside(connection, rules)
    identical = give_identities(connection)
    duplicates = set_repeats_aside(connection, history)
    reasons = reason_counts(connection.execute(REASONS_SQL).fetchall(), batch.names, words)
    (quarantined,) = _one(connection, "select count(distinct (file, line)) from bad")
    quarantine_file = _write_quarantine(connection, batch, home) if quarantined else None
    accepted, assumed = _one(
        connection, "select count(*), count(*) filter (arrival_assumed) from good"
    )
    _refuse_mostly_bad(batch, rows_read, quarantined, reasons, rules, quarantine_file)
    if not accepted and not duplicates:
        names = ", ".join(batch.names)
        why = (
            f"all {quarantined:,} that tell a signal are bad, most often since {reasons[0].words}"
            if quarantined
            else "none tells a signal; check the mapping's only_where"
        )
        raise IntakeError(f"{names}: no usable row: {why} (nothing was taken in)")
    unknown = _unknown_events(connection)
    part = _write_part(connection, history) if accepted else None
    return IntakeReport(
        files=batch.names,
        rows_read=rows_read,
        accepted=accepted,
        duplicates=duplicates,
        quarantined=quarantined,
        silent_rows=rows_read - telling,
        merged_rows=telling - leading,
        identical=identical,
        never=never,
        arrival_assumed=assumed,
        reasons=reasons,
        unknown_events=unknown,
        unused_columns=batch.unused_columns,
        part=part,
        quarantine_file=quarantine_file,
    )


def _read_all(connection: duckdb.DuckDBPyConnection, batch: _Batch) -> int:
    """Read the files into `typed`, a row a signal that a row may tell; how many rows there are."""
    connection.execute("create table lost (file integer, line bigint, text varchar)")
    rows_read = sum(
        _read(connection, place, file, rule) for place, (file, rule) in enumerate(batch.files)
    )
    if not rows_read:
        names = ", ".join(batch.names)
        raise IntakeError(f"{names}: a header but no rows; export again (nothing was taken in)")
    told = " union all ".join(
        f"select {place} as file, * from ({candidates_sql(f'raw_{place}', rule, signal)})"
        for place, (_, rule) in enumerate(batch.files)
        for signal in rule.signals
    )
    text = duckdb.sqltype("VARCHAR")
    connection.create_function(
        MACHINE_WORD, machine_word, [text, text], text, null_handling=SPECIAL
    )
    connection.execute(f"create table typed as {typed_sql(f'({told})')}")
    return rows_read


def _read(connection: duckdb.DuckDBPyConnection, place: int, file: TextFile, rule: FileRule) -> int:
    """Read a file into `raw_<place>`, lines of another width into `lost`; how many there are."""
    try:
        with readable(file) as plain:
            connection.execute(
                f"create table raw_{place} as select row_number() over () as line, * "
                f"from ({rows_sql(plain, f'rejected_{place}')})"
            )
    except UnreadableFile as error:
        raise IntakeError(f"{error} (nothing was taken in)") from error
    except duckdb.Error as error:
        raise IntakeError(
            f"{file.path}: cannot be read ({str(error).splitlines()[0]}); export it again "
            "(nothing was taken in)"
        ) from error
    if file.kind == "csv":
        # Lines that could not be cut into columns are counted from the file's first line, with
        # a minus sign, so that they never meet the number of a row that could be read. What an
        # unclosed quote swallowed is many lines, and counts as many.
        connection.execute(
            f"insert into lost select {place}, -(line + nth - 1)::bigint, lines[nth] from ("
            "select line, lines, unnest(range(1, len(lines) + 1)) as nth from ("
            "select line, string_split(rtrim(any_value(csv_line), chr(10) || chr(13)), chr(10)) "
            f"as lines from rejected_{place} group by line))"
        )
    (rows,) = _one(
        connection,
        f"select (select count(*) from raw_{place}) + "
        f"(select count(*) from lost where file = {place})",
    )
    return rows


def _lines_that_tell(connection: duckdb.DuckDBPyConnection, batch: _Batch) -> tuple[int, int]:
    """How many lines tell a signal, alone or together; how many of these stand for a signal."""
    told = " union ".join(
        f"select {place} as file, line from ({telling_sql(f'raw_{place}', signal)})"
        for place, (_, rule) in enumerate(batch.files)
        for signal in rule.signals
    )
    telling, leading, lost = _one(
        connection,
        f"select (select count(*) from ({told})), "
        "(select count(distinct (file, line)) from typed), (select count(*) from lost)",
    )
    return telling + lost, leading + lost


def _refuse_another_currency(
    connection: duckdb.DuckDBPyConnection, history: History, rules: IntakeRules
) -> None:
    if not history.parts():
        return
    found = connection.execute(
        f"select distinct currency from {parquet_source(history)} "
        "where currency is not null and currency <> ? order by currency",
        [rules.currency],
    ).fetchall()
    if found:
        raise IntakeError(
            f"the history holds amounts in {', '.join(row[0] for row in found)}, but the company's "
            f"currency is {rules.currency}; a home has one currency: set it back in policy.toml, "
            "or take the files into a new home (nothing was taken in)"
        )


def _set_bad_aside(connection: duckdb.DuckDBPyConnection, rules: IntakeRules) -> dict[str, str]:
    """Fill `bad` (one line a row and reason) and `good`; the words of each reason."""
    found = checks(rules.currency, rules.now)
    connection.execute(
        "create table bad (file integer, line bigint, reason varchar, shown varchar)"
    )
    broken = " union all ".join(
        f"select file, line, '{name}', {check.shown} from typed where {check.condition}"
        for name, check in found.items()
    )
    connection.execute(f"insert into bad {broken}")
    connection.execute("insert into bad select file, line, 'columns', text from lost")
    connection.execute(
        f"""create table good as
          select file, line, message_id as given_id, customer_id, event,
            occurred_us as occurred_at, coalesce(received_us, occurred_us) as received_at,
            received_us is null as arrival_assumed,
            (amount_minor::decimal(20, 0) * 0.01)::decimal(18, 2) as amount,
            if(amount_minor is null, null, coalesce(upper(currency), '{rules.currency}'))
              as currency,
            category, channel, (score_thousandths::decimal(20, 0) * 0.001)::decimal(18, 3) as score,
            communication, try_cast(selection_probability as double) as selection_probability,
            properties, amount_minor, value_found, word
          from typed anti join bad using (file, line)"""
    )
    return {name: check.words for name, check in found.items()} | {
        REUSED: REUSED_WORDS,
        "columns": _COLUMNS_WORDS,
    }


def _write_quarantine(connection: duckdb.DuckDBPyConnection, batch: _Batch, home: Home) -> Path:
    home.quarantine.mkdir(parents=True, exist_ok=True)
    place = home.quarantine / f"{batch.digest[:32]}.parquet"
    beside = place.with_name(f".{place.name}.part")
    connection.execute(quarantine_sql(batch.names, beside))
    beside.replace(place)
    return place


def _refuse_mostly_bad(
    batch: _Batch,
    rows_read: int,
    quarantined: int,
    reasons: tuple[ReasonCount, ...],
    rules: IntakeRules,
    quarantine_file: Path | None,
) -> None:
    share = quarantined / rows_read
    if share <= rules.max_quarantine_share:
        return
    names = ", ".join(batch.names)
    worst = reasons[0]
    raise IntakeError(
        f"{names}: {quarantined:,} of {rows_read:,} rows ({share:.1%}) are bad; at most "
        f"{rules.max_quarantine_share:.1%} may be. Most often ({worst.rows:,} x): {worst.words}. "
        f"Example: {worst.example}. All are in {quarantine_file}; correct the mapping or the "
        "file (nothing was taken in)"
    )


def _unknown_events(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    found = connection.execute(
        "select event, count(*) from good group by event order by count(*) desc, event"
    ).fetchall()
    return {event: count for event, count in found if event not in KNOWN_EVENTS}


def _write_part(connection: duckdb.DuckDBPyConnection, history: History) -> Path:
    """Code the names of the new signals and commit them as a part."""
    keys = connection.execute("select distinct event, word from good").fetchall()
    _code_table(connection, "event_codes", [event_key(event, word) for event, word in keys])
    sent = f"if(event = {sql_text(COMMUNICATION_SENT)}, communication, category)"
    categories = connection.execute(
        f"select distinct {sent} from good where {sent} is not null"
    ).fetchall()
    _code_table(connection, "category_codes", [row[0] for row in categories])
    keyed = " ".join(
        f"when {sql_text(event)} then {sql_text(event)} || '/' || word"
        for event in sorted({event for event, word in keys if word})
    )
    name = f"if(word is null, event, case event {keyed} else event end)" if keyed else "event"
    beside = history.folder / ".part-being-written"
    kinds = ", ".join(f"{column}::{kind} as {column}" for column, kind in PART_COLUMNS.items())
    connection.execute(
        f"""copy (select {kinds} from (
          select good.* replace ({absent_sql("good.amount_minor")} as amount_minor),
            e.code as event_code, coalesce(c.code, 0) as category_code,
            {absent_sql("value_found")} as value
          from good
          join event_codes e on e.name = {name}
          left join category_codes c on c.name = {sent})
          order by customer_id, occurred_at, received_at, message_id
        ) to {sql_text(str(beside))} (format parquet, compression zstd)"""
    )
    return commit_part(history, beside)


def _code_table(connection: duckdb.DuckDBPyConnection, table: str, names: list[str]) -> None:
    connection.execute(
        f"create table {table} as select unnest(?::varchar[]) as name, unnest(?::bigint[]) as code",
        [names, [code(name) for name in names]],
    )


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[int, ...]:
    return tuple(int(value) for value in connection.execute(query).fetchall()[0])
