"""Plain text: what a person enters and others read, without characters that nobody sees.

Such a character can turn the order of what follows (U+202E), hide a word, or split a line of a
log: a reader sees something else than what is there.
"""

import unicodedata
from typing import Final

# Control and format characters, halves of surrogate pairs, separators of lines and paragraphs.
UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Words of Persian and Hindi, and emoji of several parts, are spelled with these two.
JOINERS: Final = frozenset("\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}")
NAMELESS: Final = "a control character"


def unseen(text: str) -> str:
    """What is in a text that nobody sees, and where; empty if there is nothing.

    Source: general categories of the Unicode Character Database (UAX 44, table 12).
    """
    for place, character in enumerate(text, 1):
        if unicodedata.category(character) in UNSEEN and character not in JOINERS:
            name = unicodedata.name(character, NAMELESS).lower()
            return f"U+{ord(character):04X} ({name}) at place {place}"
    return ""
