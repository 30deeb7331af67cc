"""What an event comes to in numbers, held against the checks that files go through."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from features.intake.checks import MINOR_DIGITS, SURVEY_KINDS
from features.machines import machine_word
from features.signals import KEYED_BY, VALUE_SOURCE
from serving.event_cells import Text, as_text, is_decimal, moment_of, scaled, told_of_files
from serving.event_rows import SCORED

SCORE_DIGITS: Final = 3
WHOLE_NUMBERS: Final = ("points", "minutes")
HIGHEST_NPS: Final = 10 * 10**SCORE_DIGITS

_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,15}(\.0+)?")
_PROBABILITY: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Numbers:
    """Amount in minor units, value in the unit of its event, and the word of the event's name."""

    amount: int | None
    value: int | None
    word: Text


@dataclass(frozen=True, slots=True)
class _Value:
    """What an event says beside its amount: where, as text, and as a number if it is one."""

    source: Text
    given: Text
    number: int | None

    def is_lost(self, *sources: str) -> bool:
        """Whether one of these sources says something that is no number."""
        return self.source in sources and self.given is not None and self.number is None


def numbers_of(row: Mapping[str, Text], currency: str) -> tuple[Numbers, dict[str, str]]:
    """Amount, value and the word that belongs to the event's name; what is wrong with them."""
    event, fields = row["event"] or "", json.loads(row["properties"] or "{}")
    word = _word(event, row, fields)
    amount = scaled(row["amount"], MINOR_DIGITS)
    value = _value(event, row, fields)
    probability = row["selection_probability"]
    bad = {
        "amount": row["amount"] is not None and not is_decimal(row["amount"]),
        "amount_decimals": is_decimal(row["amount"]) and amount is None,
        "negative": event == "Order Completed" and amount is not None and amount < 0,
        "currency": row["currency"] is not None and row["currency"].upper() != currency,
        "discount": value.is_lost("discount"),
        "score": row["score"] is not None and scaled(row["score"], SCORE_DIGITS) is None,
        "no_score": event in SCORED and row["score"] is None,
        "survey_kind": event == "Survey Answered" and word not in SURVEY_KINDS,
        "nps_range": (
            event == "Survey Answered"
            and word == "nps"
            and value.number is not None
            and not 0 <= value.number <= HIGHEST_NPS
        ),
        "whole": value.is_lost(*WHOLE_NUMBERS),
        "ends_at": value.is_lost("ends_at"),
        "selection_probability": probability is not None and not _is_probability(probability),
        "decision": (
            event == "Decision Made" and (row["communication"] is None or probability is None)
        ),
        "sent_channel": event == "Communication Sent" and word is None,
        "consent": (
            event == "Consent Given"
            and (row["channel"] is None or as_text(fields.get("purpose")) is None)
        ),
    }
    return Numbers(amount, value.number, word), {
        name: told_of_files(name, currency) for name in bad if bad[name]
    }


def _word(event: str, row: Mapping[str, Text], fields: Mapping[str, object]) -> Text:
    """The word after the slash of an event's name; None where it has none.

    It is compared as it stands: blanks around it make another event.
    """
    keyed = KEYED_BY.get(event)
    if keyed is None:
        return machine_word(event, row["properties"])
    return row[keyed] if keyed in row else as_text(fields.get(keyed))


def _value(event: str, row: Mapping[str, Text], fields: Mapping[str, object]) -> _Value:
    source = VALUE_SOURCE.get(event)
    if source == "discount":
        given = as_text(fields.get("discount"))
        return _Value(source, given, scaled(given, MINOR_DIGITS))
    if source == "ends_at":
        given = as_text(fields.get("ends_at"))
        return _Value(source, given, moment_of(given))
    if source == "score":
        return _Value(source, row["score"], scaled(row["score"], SCORE_DIGITS))
    if source is None:
        return _Value(None, None, None)
    said = (as_text(fields.get(name)) for name in WHOLE_NUMBERS)
    given = next((text for text in said if text is not None), None)
    is_whole = given is not None and _WHOLE.fullmatch(given)
    return _Value(source, given, int(Decimal(given)) if given is not None and is_whole else None)


def _is_probability(text: str) -> bool:
    return bool(_PROBABILITY.fullmatch(text)) and 0 <= float(text) <= 1
