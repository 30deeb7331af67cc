"""The one seam between our sentences and other languages: phrases, and who says them.

A `Phrase` is an English text that remembers the template and the values it was made of. It can
be logged, compared and sent like any text, and said again in another `Language`, which brings its
own messages, plurals and way to write numbers. Messages are gettext's; see `models.messages`.
"""

import gettext
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from typing import Final

ENGLISH_CODE: Final = "en"
DAYS: Final = ("{number} day", "{number} days")
# Units that are said with the number; of all others the sentence or the label tells the unit.
COUNTED: Final[Mapping[str, tuple[str, str]]] = {
    "hours": ("{number} hour", "{number} hours"),
    "whole minutes": ("{number} minute", "{number} minutes"),
    "contacts": ("{number} contact", "{number} contacts"),
    "places": ("{number} place", "{number} places"),
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit, to be written as each language does."""

    value: float
    unit: str


Value = str | int | Quantity  # what may stand in a phrase


class Phrase(str):
    """An English text, with the template and the values it was made of.

    Attributes
    ----------
    template : str
        Its placeholders are plain names in braces.
    values : mapping of name to str, int or Quantity
    """

    __slots__ = ("template", "values")

    template: str
    values: Mapping[str, Value]

    def __reduce__(self) -> tuple[object, ...]:
        """Copied as it was made."""
        return phrase_of, (self.template, dict(self.values))


@dataclass(frozen=True, slots=True)
class Language:
    """How one locale says things.

    Attributes
    ----------
    code : str
        Such as ``de`` or ``de_AT``.
    messages : gettext translations
        A text that they lack is said in English.
    decimal, thousands : str
        Signs inside numbers.
    """

    code: str
    messages: gettext.NullTranslations = field(compare=False)
    decimal: str = "."
    thousands: str = ","

    def say(self, text: str) -> str:
        """A text in this language; as it stands where no translation is known.

        Parameters
        ----------
        text : str
            A `Phrase`, or a whole message without placeholders.
        """
        if not text or self is ENGLISH:  # gettext keeps its own header under the empty message
            return text
        if isinstance(text, Phrase):
            return self.filled(self.messages.gettext(text.template), text.values)
        return self.messages.gettext(text)

    def filled(self, template: str, values: Mapping[str, Value]) -> str:
        """A template with its values said in this language.

        Raises
        ------
        KeyError
            If it names a value that is not given.
        """
        return "".join(
            [
                literal if name is None else literal + self._value(values[name])
                for literal, name in _parsed(template)
            ]
        )

    def quantity(self, value: float, unit: str) -> str:
        """A number with its unit, as a marketer reads it."""
        if unit == "days":
            return self._days(value)
        if unit in COUNTED:
            count = round(value) if value == round(value) else 2  # 1.5 takes the plural
            return self._counted(*COUNTED[unit], count, self._short(value))
        if unit == "share":
            return f"{self.number(100 * value)} %"
        if unit == "currency":
            return self.number(value, 2)
        return self._short(value)

    def number(self, value: float, digits: int = 0) -> str:
        """A number with this language's signs."""
        text = f"{value:,.{digits}f}"
        return text.translate({ord(","): self.thousands, ord("."): self.decimal})

    def _value(self, value: Value) -> str:
        if isinstance(value, str):
            return self.say(value)
        return str(value) if isinstance(value, int) else self.quantity(value.value, value.unit)

    def _days(self, value: float) -> str:
        days = round(value)
        if days == 0 and value > 0:  # none at all is a count of days, and not a time
            return self.say("less than a day")
        return self._counted(*DAYS, days, self.number(days))

    def _counted(self, one: str, several: str, count: int, number: str) -> str:
        template = self.messages.ngettext(one, several, abs(count))
        return self.filled(template, {"number": number})

    def _short(self, value: float) -> str:
        return self.number(value, 0 if value == round(value) else 1)


# As many as there are templates, a few hundred, and some that join a few texts.
@lru_cache(maxsize=1024)
def _parsed(template: str) -> tuple[tuple[str, str | None], ...]:
    """Literal texts of a template, each with the name that follows it, if one does."""
    # Not str.format: a template may be a company's text and reach for attributes.
    return tuple((literal, name) for literal, name, _, _ in string.Formatter().parse(template))


ENGLISH: Final = Language(ENGLISH_CODE, gettext.NullTranslations())


def phrase(template: str, **values: Value) -> Phrase:
    """A text to be said to people: ``phrase("at most {most} a week", most=3)``.

    Raises
    ------
    KeyError
        If the template names a value that is not given.
    """
    return phrase_of(template, values)


def phrase_of(template: str, values: Mapping[str, Value]) -> Phrase:
    """As `phrase`, with values whose names are data."""
    made = Phrase(ENGLISH.filled(template, values))
    made.template, made.values = template, values
    return made


def joined(template: str, parts: Sequence[str]) -> str:
    """Texts as one: ``joined("{these} and {that}", parts)``; one alone stays as it is.

    Raises
    ------
    TypeError
        If there are no texts.
    """
    return reduce(lambda these, that: phrase(template, these=these, that=that), parts)


def language_of(locale: str | None, languages: Mapping[str, Language]) -> Language:
    """The language of a locale: the locale's own, else its language's, else English.

    Parameters
    ----------
    locale : str or None
        As callers write it: ``de``, ``de-AT``, ``de_AT.UTF-8``.
    """
    wanted = (locale or "").partition(".")[0].replace("-", "_").lower()
    by_code = {code.lower(): language for code, language in languages.items()}
    return by_code.get(wanted) or by_code.get(wanted.partition("_")[0]) or ENGLISH
