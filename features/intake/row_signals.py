"""From a row of a file to the signals it tells: a rule of the mapping as SQL."""

from typing import Final

from features.history import sql_text
from features.intake.checks import MINOR_DIGITS
from features.intake.mapping import ISO, PRODUCT, PROPERTY, UNIX_FORMATS, FileRule, SignalRule
from features.intake.text_files import sql_name
from features.signals import CANONICAL_COLUMNS

_DATE: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK: Final = r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?"
_LOCAL_TIME: Final = f"{_DATE}({_CLOCK})?"
_ZONED_TIME: Final = f"{_DATE}{_CLOCK} ?(Z|[+-][0-9]{{2}}(:?[0-9]{{2}})?)"
_MICROSECONDS: Final = "[0-9]{16}"  # 2001 to 2286: integer times in Parquet files of our own form
_ADDED_WORDS: Final = (f"{PROPERTY}discount", f"{PROPERTY}points")
_ADDED: Final = ("amount", *_ADDED_WORDS)
_PLAIN: Final = r"[+-]?[0-9]{1,15}(\.[0-9]{1,6})?"


def candidates_sql(table: str, rule: FileRule, signal: SignalRule) -> str:
    """SQL over a table of text rows: the signals that a rule reads from it.

    Selects `line`, the canonical columns and `ends_at` as text, whether the signal is `optional`
    (it happened only if its time is there), and the three times already read as microseconds.
    Numbers come out with a point for a decimal sign where they could be read; else as they stood,
    for the checks to name them.
    """
    texts = {name: sql_text(value) for name, value in signal.constants.items()} | {
        name: _cell(column) for name, column in signal.columns.items()
    }
    texts["event"] = _event(signal)
    if rule.currency:
        texts.setdefault("currency", sql_text(rule.currency))
    for number in ("amount", "score", "selection_probability", *_ADDED_WORDS):
        if number in signal.columns:
            texts[number] = _amount(signal.columns[number], rule)
    source = f"{table} {_where(signal)}"
    if signal.one_per:
        source = f"({_joined_sql(source, texts, signal)})"
        texts = {name: sql_name(name) for name in texts}
    if signal.negative and "amount" in texts:
        below = f"starts_with({texts['amount']}, '-')"
        texts["event"] = f"if({below}, {sql_text(signal.negative)}, {texts['event']})"
        texts["amount"] = f"ltrim({texts['amount']}, '-')"
    texts["properties"] = _properties(texts)
    ends = texts.get(f"{PROPERTY}ends_at", f"({texts['properties']}) ->> 'ends_at'")
    if "properties" in signal.columns:
        valid = f"json_valid({texts['properties']})"
        ends = f"if({valid}, ({texts['properties']}) ->> 'ends_at', null)"
    formats = signal.time_format or rule.time_format
    fields = [f"{texts.get(name, 'null')} as {name}" for name in CANONICAL_COLUMNS]
    optional = bool(signal.only_where) and signal.columns.get("occurred_at") == signal.only_where
    fields += [f"{ends} as ends_at", f"{str(optional).lower()} as optional"]
    for target, text in (
        ("occurred_us", texts.get("occurred_at")),
        ("received_us", texts.get("received_at")),
        ("ends_us", ends),
    ):
        fields.append(f"{_time(text, formats, rule.time_zone)} as {target}")
    return f"select line, {', '.join(fields)} from {source}"


def telling_sql(table: str, signal: SignalRule) -> str:
    """SQL: the lines that a rule reads a signal from, those it joins included."""
    return f"select line from {table} {_where(signal)}"


def _joined_sql(source: str, texts: dict[str, str], signal: SignalRule) -> str:
    """SQL: one row for each customer and text in the rule's `one_per` column; see `SignalRule`.

    If one of the numbers to add cannot be read, it takes the place of the sum, so that the
    checks find it.
    """
    added = [name for name in texts if name in signal.columns and name in _ADDED]
    cells = ", ".join(f"{text} as {sql_name(name)}" for name, text in texts.items())
    fields = []
    for name in map(sql_name, texts):
        if name in map(sql_name, added):
            plain = f"regexp_full_match({name}, '{_PLAIN}')"
            fields.append(
                f"coalesce(any_value({name}) filter (not {plain}), "
                f"sum(try_cast({name} as decimal(30, 6))) filter ({plain})::varchar) as {name}"
            )
        else:
            fields.append(f"arg_min({name}, line) as {name}")
    return (
        f"select min(line) as line, {', '.join(fields)} "
        f"from (select line, {_cell(signal.one_per)} as joined_by, "
        f"{texts['customer_id']} as joined_for, {cells} from {source}) "
        # A row without that text tells a signal of its own.
        "group by joined_for, joined_by, if(joined_by is null, line, null)"
    )


def _cell(column: str) -> str:
    return f"nullif(trim({sql_name(column)}), '')"


def _event(signal: SignalRule) -> str:
    if signal.event:
        return sql_text(signal.event)
    cell = _cell(signal.event_column)
    if not signal.events:
        return cell
    renamed = " ".join(
        f"when {sql_text(theirs)} then {sql_text(ours)}" for theirs, ours in signal.events.items()
    )
    return f"case {cell} {renamed} else {cell} end"


def _properties(texts: dict[str, str]) -> str:
    """A whole column of JSON, or an object made of ``properties.<word>``; empty words left out."""
    words = {
        name.removeprefix(PROPERTY): text
        for name, text in texts.items()
        if name.startswith(PROPERTY)
    }
    if not words:
        return texts.get("properties", "null")
    pairs = ", ".join(f"{sql_text(word)}: {text}" for word, text in sorted(words.items()))
    made = f"json_merge_patch('{{}}', to_json({{{pairs}}}))::varchar"
    made = f"nullif({made}, '{{}}')"
    if "properties" in texts:
        whole = texts["properties"]
        return (
            f"if({whole} is null or not json_valid({whole}), coalesce({whole}, {made}), "
            f"json_merge_patch({whole}, coalesce({made}, '{{}}'))::varchar)"
        )
    return made


def _number(text: str, rule: FileRule) -> str:
    """A number as people write it: signs of money, spaces and thousands marks taken out."""
    signs = "[€$£'' \\x{00A0}\\x{2009}\\x{2019}\\x{202F}]|EUR|USD|GBP|CHF"
    bare = f"regexp_replace({text}, '{signs}', '', 'g')"
    point, mark = (",", ".") if rule.decimal == "," else (".", ",")
    grouped = f"[+-]?[0-9]{{1,3}}([{mark}][0-9]{{3}})*([{point}][0-9]+)?"
    plain = f"[+-]?[0-9]+([{point}][0-9]+)?"
    return (
        f"if(regexp_full_match({bare}, '{grouped}|{plain}'), "
        f"replace(replace({bare}, '{mark}', ''), '{point}', '.'), {text})"
    )


def _amount(column: str, rule: FileRule) -> str:
    """A number of one column, or the product of two, rounded to the cent."""
    first, *second = (_number(_cell(part), rule) for part in column.split(PRODUCT))
    if not second:
        return first
    product = " * ".join(f"try_cast({part} as decimal(18, 6))" for part in (first, *second))
    # A factor that is no number takes the place of the product, for the checks to find it.
    shown = f"concat_ws(' * ', {first}, {second[0]})"
    return f"coalesce(round({product}, {MINOR_DIGITS})::varchar, nullif({shown}, ''))"


def _time(text: str | None, formats: tuple[str, ...], time_zone: str) -> str:
    """SQL: a time as microseconds UTC; null where no format fits."""
    if text is None:
        return "null::bigint"
    patterns = [f for f in formats if f != ISO and f not in UNIX_FORMATS]
    tried = []
    if ISO in formats:
        tried.append(
            f"case when regexp_full_match({text}, '{_LOCAL_TIME}') then "
            + _in_zone(f"try_cast({text} as timestamp)", time_zone)
            + f" when regexp_full_match({text}, '{_ZONED_TIME}') "
            f"then epoch_us(try_cast({text} as timestamptz)) "
            f"when regexp_full_match({text}, '{_MICROSECONDS}') then try_cast({text} as bigint) end"
        )
    if patterns:
        listed = ", ".join(sql_text(pattern) for pattern in patterns)
        tried.append(_in_zone(f"try_strptime({text}, [{listed}])", time_zone))
    for unit, microseconds in UNIX_FORMATS.items():
        if unit in formats:
            tried.append(
                f"if(regexp_full_match({text}, '[0-9]{{1,17}}(\\.[0-9]+)?'), "
                f"try_cast(try_cast({text} as decimal(38, 6)) * {microseconds} as bigint), null)"
            )
    return f"coalesce({', '.join(tried)})"


def _in_zone(timestamp: str, time_zone: str) -> str:
    if time_zone == "UTC":
        return f"epoch_us({timestamp})"
    return f"epoch_us(timezone({sql_text(time_zone)}, {timestamp}))"


def _where(signal: SignalRule) -> str:
    if not signal.only_where:
        return ""
    cell = _cell(signal.only_where)
    if not signal.only_values:
        return f"where {cell} is not null"
    values = ", ".join(sql_text(value.lower()) for value in signal.only_values)
    return f"where lower({cell}) in ({values})"
