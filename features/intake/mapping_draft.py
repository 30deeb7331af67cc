"""A first mapping of own files, guessed from their names and values, for people to correct."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from features.intake.column_guesses import column, thousandths_too
from features.intake.look import Look
from features.intake.mapping import ISO, PRODUCT, FileRule, Mapping_, SignalRule, is_canonical
from features.intake.signal_guesses import guessed_signals
from features.intake.text_files import sample, text_file
from features.signals import CANONICAL_COLUMNS


@dataclass(frozen=True, slots=True)
class DraftMapping:
    """A guessed mapping.

    Attributes
    ----------
    mapping : Mapping_
    notes : tuple of str
        What was understood, what was guessed, and what could not be told.
    """

    mapping: Mapping_
    notes: tuple[str, ...]

    def toml(self) -> str:
        """Text of a `mapping.toml`, the notes as comments above."""
        lines = [
            "# Which file is which event, and which column is what. Drafted from the files:",
            "# read it, correct it, then run `nextbest ingest FILE...`.",
            "#",
            *(f"# {note}" for note in self.notes),
        ]
        for rule in self.mapping.files:
            lines += ["", *_file_toml(rule)]
        return "\n".join(lines) + "\n"


def draft_mapping(files: Sequence[Path]) -> DraftMapping:
    """Guess a mapping for files; asks nothing, says what it could not tell.

    Raises
    ------
    UnreadableFile
        If a file is missing, empty or of another shape.
    """
    rules: list[FileRule] = []
    notes: list[str] = []
    names = Counter(path.name for path in files)
    for path in files:
        file = text_file(path)
        if is_canonical(file.columns):
            notes.append(f"{path.name}: has our own columns; it needs no mapping.")
            continue
        cells = sample(file)
        columns = tuple(
            column(name, [text for text in texts if text]) for name, texts in cells.items()
        )
        look = Look(file, columns, cells)
        signals = guessed_signals(look)
        notes += look.notes
        if signals:
            rules.append(_file_rule(look, signals, names[path.name] > 1))
    return DraftMapping(Mapping_(tuple(rules)), tuple(notes))


def _file_rule(look: Look, signals: tuple[SignalRule, ...], namesake: bool) -> FileRule:
    """The rule of a file: its signals, and how times and numbers are written in it.

    Where another file has the same name, the folder tells them apart.
    """
    folder = f"{look.file.path.absolute().parent.name}/" if namesake else ""
    named = {name for rule in signals for name in (*rule.columns.values(), rule.only_where)}
    used = named | {part for name in named for part in name.split(PRODUCT)}
    times = [each for each in look.columns if each.name in used and each.kind == "time"]
    formats = tuple(dict.fromkeys(form for each in times for form in each.time_formats))
    decimals = {each.decimal for each in look.columns if each.name in used and each.decimal}
    return FileRule(
        pattern=escape(folder + look.name),
        signals=signals,
        delimiter=look.file.delimiter if look.file.kind == "csv" else "",
        encoding=look.file.encoding if look.file.kind == "csv" else "",
        decimal="," if "," in decimals or (not decimals and _marks_by_point(look, used)) else ".",
        time_format=formats or (ISO,),
    )


def _marks_by_point(look: Look, used: set[str]) -> bool:
    """Whether a point seems to mark thousands: 1.234 where semicolons part the columns."""
    return look.file.delimiter == ";" and any(
        thousandths_too(each) for each in look.columns if each.name in used
    )


def _file_toml(rule: FileRule) -> list[str]:
    lines = ["[[file]]", f"pattern = {_quoted(rule.pattern)}"]
    for key, value in (
        ("delimiter", rule.delimiter),
        ("encoding", rule.encoding),
        ("decimal", rule.decimal),
        ("time_zone", rule.time_zone),
        ("currency", rule.currency),
    ):
        if value:
            lines.append(f"{key} = {_quoted(value)}")
    lines.append(f"time_format = {_listed(rule.time_format)}")
    for signal in rule.signals:
        lines += ["", "  [[file.signal]]"]
        lines += [f"  {key} = {_quoted(value)}" for key, value in _named(signal) if value]
        if signal.only_values:
            lines.append(f"  only_values = {_listed(signal.only_values)}")
        for key, table in (
            ("columns", signal.columns),
            ("constants", signal.constants),
            ("events", signal.events),
        ):
            if table:
                lines.append(f"  [file.signal.{key}]")
                lines += [f"  {_key(name)} = {_quoted(value)}" for name, value in table.items()]
    return lines


def _named(signal: SignalRule) -> tuple[tuple[str, str], ...]:
    return (
        ("event", signal.event),
        ("event_column", signal.event_column),
        ("only_where", signal.only_where),
        ("one_per", signal.one_per),
        ("negative", signal.negative),
    )


def _quoted(text: str) -> str:
    # A JSON string is a TOML basic string as long as no surrogate pairs are written.
    return json.dumps(text, ensure_ascii=False)


def _key(name: str) -> str:
    return name if name in CANONICAL_COLUMNS else _quoted(name)


def _listed(values: Sequence[str]) -> str:
    return "[" + ", ".join(_quoted(value) for value in values) + "]"
