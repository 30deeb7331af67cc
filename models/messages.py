"""Message catalogs: `.po` files of gettext, read as text; nothing in them is run.

Only the plural rule of the header is more than text; gettext reads it with a parser of its own
that knows arithmetic and nothing else.
"""

import ast
import gettext
import io
import re
import string
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.language import Language

_ENTRY: Final = re.compile(r'(msgctxt|msgid_plural|msgid|msgstr(?:\[(\d)\])?)\s+(".*")')
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\[nt"\\])*"')
_HEADER: Final = ""
_MO_MAGIC: Final = 0x950412DE  # GNU gettext manual, "The Format of GNU MO Files"


class InvalidMessages(ValueError):
    """A message catalog that cannot be used."""


@dataclass(frozen=True, slots=True)
class Message:
    """One entry: the English text, its plural if it counts something, and the translations."""

    text: str
    plural: str
    said: tuple[str, ...]


def load_languages(folders: Iterable[Path]) -> dict[str, Language]:
    """A language for each `.po` file; a later folder's messages win over an earlier one's.

    Parameters
    ----------
    folders : iterable of Path
        Those that are missing are passed over. A file is named by its locale, ``de_AT.po``.

    Raises
    ------
    InvalidMessages
        If a file is no `.po` file, or a translation's placeholders are not those of its text.
    """
    found: dict[str, Language] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.po")):
            found[path.stem] = _language(path, found.get(path.stem))
    return found


def read_messages(path: Path) -> tuple[Message, ...]:
    """Every entry of a `.po` file but the header; those not translated yet have no `said`.

    Raises
    ------
    InvalidMessages
        As `load_languages`.
    """
    return tuple(_entries(path)[1])


def _language(path: Path, earlier: Language | None) -> Language:
    header, messages = _entries(path)
    try:
        translations = gettext.GNUTranslations(io.BytesIO(_mo(header, messages)))
    except (ValueError, OverflowError) as error:
        raise InvalidMessages(
            f"{path.name}: its header cannot be read: {error}; it needs lines such as "
            '"Content-Type: text/plain; charset=UTF-8\\n" and a rule for plurals'
        ) from error
    if earlier is not None:
        translations.add_fallback(earlier.messages)
    facts = translations.info()
    return Language(
        path.stem, translations, facts.get("x-decimal-sign", "."), facts.get("x-thousands-sign", "")
    )


def _entries(path: Path) -> tuple[str, list[Message]]:
    """The header, and the entries that are translated."""
    header, messages = "", []
    seen: set[str] = set()
    for fields in _fields(path):
        text, plural = fields.get("msgid", ""), fields.get("msgid_plural", "")
        said = tuple(value for name, value in sorted(fields.items()) if name.startswith("msgstr"))
        if text == _HEADER:
            header = said[0] if said else ""
            continue
        if text in seen:
            raise InvalidMessages(f"{path.name}: '{text}' stands twice; leave one of them out")
        seen.add(text)
        if all(said):
            message = Message(text, plural, said)
            _require_placeholders(path, message)
            messages.append(message)
    if not header:
        raise InvalidMessages(
            f"{path.name}: no header; it begins with an empty msgid and its lines"
        )
    return header, messages


def _fields(path: Path) -> Iterable[dict[str, str]]:
    """Keyword and text of each entry; entries begin with `msgid`."""
    fields: dict[str, str] = {}
    current = ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        found = _ENTRY.fullmatch(text)
        if found and found[1] != "msgctxt":
            if found[1] == "msgid" and fields:
                yield fields
                fields = {}
            current = found[1]
            fields[current] = _unquoted(path, number, found[3])
        elif text.startswith('"') and current:
            fields[current] += _unquoted(path, number, text)
        else:
            raise InvalidMessages(
                f"{path.name}, line {number}: {text[:40]!r}; lines are comments, msgid, "
                "msgid_plural, msgstr and texts in quotes; correct it"
            )
    if fields:
        yield fields


def _unquoted(path: Path, number: int, text: str) -> str:
    if not _QUOTED.fullmatch(text):
        raise InvalidMessages(
            f"{path.name}, line {number}: {text[:40]}; must be one text in double quotes"
        )
    return str(ast.literal_eval(text))


def _require_placeholders(path: Path, message: Message) -> None:
    wanted = placeholders(message.plural or message.text)
    for said in message.said:
        if placeholders(said) != wanted:
            raise InvalidMessages(
                f"{path.name}: '{message.text}' has the placeholders {sorted(wanted)}, its "
                f"translation '{said}' has {sorted(placeholders(said))}; they must be the same"
            )


def placeholders(template: str) -> set[str]:
    """Names in braces of a template."""
    try:
        return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    except ValueError:
        return {template}  # a brace that opens or closes nothing agrees with nothing


def _mo(header: str, messages: Iterable[Message]) -> bytes:
    """The same as gettext's binary form, which the standard library reads."""
    table: Mapping[str, str] = {_HEADER: header} | {
        f"{each.text}\0{each.plural}" if each.plural else each.text: "\0".join(each.said)
        for each in messages
    }
    keys = sorted(key.encode() for key in table)
    texts = [table[key.decode()].encode() for key in keys]
    start = 28 + 16 * len(keys)  # seven numbers, then two tables of (length, offset)
    body = b"".join(each + b"\0" for each in (*keys, *texts))
    places, at = [], start
    for each in (*keys, *texts):
        places += [len(each), at]
        at += len(each) + 1
    head = [_MO_MAGIC, 0, len(keys), 28, 28 + 8 * len(keys), 0, start]
    return struct.pack(f"<{len(head) + len(places)}I", *head, *places) + body
