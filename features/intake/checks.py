"""Checks of signals: canonical text in, typed columns and reasons out, all as SQL."""

from dataclasses import dataclass
from typing import Final

from features.signals import (
    ABSENT,
    BY_MACHINE,
    CUSTOMER_ID_PATTERN,
    KEYED_BY,
    MINUTE,
    VALUE_SOURCE,
)

# Two decimals for every currency, since the features divide by 100. A currency without
# decimals loses nothing by it; a third decimal (such as dinars have) is refused by name.
MINOR_DIGITS: Final = 2
SURVEY_KINDS: Final = ("nps", "csat", "ces")
# Clocks of two systems differ by seconds; more than this is a wrong zone or a planned date.
CLOCK_TOLERANCE: Final = 5 * MINUTE
# Systems write "never" as a date far ahead: 2099-12-31, 2999-12-31, 9999-12-31.
NEVER: Final = 4_102_358_400_000_000  # 2099-12-31 in UTC
# 15 digits before the point leave room to add up ten thousand such amounts in 64 bits.
_DECIMAL: Final = r"[+-]?[0-9]{1,15}(\.[0-9]+)?"
_WHOLE: Final = r"[+-]?[0-9]{1,15}(\.0+)?"
_WHOLE_VALUES: Final = tuple(
    event for event, source in VALUE_SOURCE.items() if source in ("points", "minutes")
)
# Where Segment's events say what was paid; the first that is there. `revenue` leaves out
# shipping and tax, on which nobody earns.
PAID_EVENTS: Final = ("Order Completed", "Order Refunded")
AMOUNT_WORDS: Final = ("amount", "revenue", "total", "value")
MACHINE_WORD: Final = "machine_word"  # `machines.machine_word`, as SQL may call it
_END_VALUES: Final = tuple(e for e, source in VALUE_SOURCE.items() if source == "ends_at")


@dataclass(frozen=True, slots=True)
class Check:
    """A reason to put a row aside.

    Attributes
    ----------
    condition : str
        SQL over the columns of `typed_sql`: true where the row is bad.
    shown : str
        SQL: the value that is wrong.
    words : str
        What is wrong and what is allowed.
    """

    condition: str
    shown: str
    words: str


def typed_sql(source: str) -> str:
    """SQL that adds typed columns to a table of canonical text.

    `source` has the canonical columns as text (empty: null), with `occurred_us` and
    `received_us` already read as microseconds, and `ends_us` where `properties` names an end.
    The connection must know `MACHINE_WORD`.
    """
    word = " ".join(
        f"when '{event}' then "
        + (column if column in ("channel", "communication") else f"properties ->> '{column}'")
        for event, column in KEYED_BY.items()
    )
    amounts = ", ".join(f"properties ->> '{word}'" for word in AMOUNT_WORDS)
    return f"""
    select * replace (if(json_valid(properties), json(properties)::varchar, properties)
                      as properties),
      {_scaled("amount", MINOR_DIGITS)} as amount_minor,
      {_scaled("score", 3)} as score_thousandths,
      case when event in ({_texts(BY_MACHINE)}) then {MACHINE_WORD}(event, properties)
           else case event {word} end end as word,
      case when event = 'Order Completed' then {_scaled("discount", MINOR_DIGITS)}
           when event in ({_texts(_END_VALUES)}) then ends_us
           when event in ('Survey Answered', 'Review Written') then {_scaled("score", 3)}
           when event in ({_texts(_WHOLE_VALUES)}) then {_whole("whole_word")}
      end as value_found
    from (
      select * replace (
        coalesce(amount, if(event in ({_texts(PAID_EVENTS)}), coalesce({amounts}), null))
          as amount,
        coalesce(currency, if(event in ({_texts(PAID_EVENTS)}), properties ->> 'currency', null))
          as currency,
        coalesce(score, if(event in ('Survey Answered', 'Review Written'),
                                           properties ->> 'score', null)) as score),
        if(event = 'Order Completed', properties ->> 'discount', null) as discount,
        if(event in ({_texts(_WHOLE_VALUES)}),
           coalesce(properties ->> 'points', properties ->> 'minutes'), null) as whole_word
      from (select * replace (if(json_valid(properties) and json_type(properties) = 'OBJECT',
                                 properties, null) as properties),
              properties as properties_text
            from {source})
    )"""


def checks(currency: str, now: int | None) -> dict[str, Check]:
    """Every reason to put a row aside, by name; `now` in microseconds UTC."""
    identifier = f"must be 1 to 128 of the characters {CUSTOMER_ID_PATTERN.split('{')[0]}"
    found = {
        "customer_id": Check(
            f"customer_id is null or not regexp_full_match(customer_id, '{CUSTOMER_ID_PATTERN}')",
            "customer_id",
            f"the customer_id is missing or no id; it {identifier}",
        ),
        "event": Check(
            "event is null or length(event) > 128 or regexp_matches(event, '[[:cntrl:]]')",
            "event",
            "the event is missing or no name; it must be one line of at most 128 characters",
        ),
        "message_id": Check(
            f"not regexp_full_match(message_id, '{CUSTOMER_ID_PATTERN}')",
            "message_id",
            f"the message_id is no id; it {identifier}, or be absent",
        ),
        "occurred_at": Check(
            "occurred_us is null",
            "occurred_at",
            "occurred_at is missing or no time; write 2026-03-31T18:05:00Z, or name its "
            "time_format in the mapping",
        ),
        "received_at": Check(
            "received_at is not null and received_us is null",
            "received_at",
            "received_at is no time; write 2026-03-31T18:05:00Z, or leave it out",
        ),
        "before_1970": Check(
            "occurred_us < 0", "occurred_at", "it occurred before 1970; correct the date"
        ),
        "future": Check(
            f"occurred_us > received_us + {CLOCK_TOLERANCE}",
            "occurred_at",
            "it occurred more than 5 minutes after it was received; correct the time or the "
            "time_zone of the mapping",
        ),
    }
    if now is not None:
        found["after_now"] = Check(
            f"greatest(occurred_us, received_us) > {int(now) + CLOCK_TOLERANCE}",
            "occurred_at",
            "its time lies in the future; plans are no signals: leave such rows out, or correct "
            "the time_zone of the mapping",
        )
    return found | _money_checks(currency) | _word_checks() | _contact_checks()


def _money_checks(currency: str) -> dict[str, Check]:
    return {
        "amount": Check(
            f"amount is not null and not regexp_full_match(amount, '{_DECIMAL}')",
            "amount",
            "the amount is no number; write it as 1234.50, or name the decimal sign in the mapping",
        ),
        "amount_decimals": Check(
            f"regexp_full_match(amount, '{_DECIMAL}') and amount_minor is null",
            "amount",
            f"the amount has more than {MINOR_DIGITS} decimals; round it to the cent, or "
            "write decimal = ',' in the mapping if the point marks thousands",
        ),
        "negative": Check(
            "event = 'Order Completed' and amount_minor < 0",
            "amount",
            "an order of less than nothing is no purchase; if it is a return, write "
            "negative = 'Order Refunded' in the mapping",
        ),
        "currency": Check(
            f"upper(currency) <> '{currency}'",
            "currency",
            f"the currency is not the company's ({currency}, in policy.toml); convert the amount, "
            "or leave the row out",
        ),
        "discount": Check(
            "discount is not null and value_found is null",
            "discount",
            f"properties.discount is no amount with at most {MINOR_DIGITS} decimals; write it "
            "as 2.50",
        ),
    }


def _word_checks() -> dict[str, Check]:
    return {
        "properties": Check(
            "properties is null and properties_text is not null",
            "properties_text",
            'properties are no JSON object; write {"word": "value"}',
        ),
        "score": Check(
            "score is not null and score_thousandths is null",
            "score",
            "the score is no number with at most 3 decimals",
        ),
        "no_score": Check(
            "event in ('Survey Answered', 'Review Written') and score is null",
            "score",
            "an answer or review without a score; leave out those who did not answer",
        ),
        "survey_kind": Check(
            f"event = 'Survey Answered' and coalesce(word, '') not in ({_texts(SURVEY_KINDS)})",
            "word",
            f"the survey's properties.kind is none of {', '.join(SURVEY_KINDS)}",
        ),
        "nps_range": Check(
            "event = 'Survey Answered' and word = 'nps' "
            "and score_thousandths not between 0 and 10000",
            "score",
            "the NPS answer is not between 0 and 10",
        ),
        "whole": Check(
            f"event in ({_texts(_WHOLE_VALUES)}) and whole_word is not null "
            "and value_found is null",
            "whole_word",
            "points or minutes are no whole number; round them",
        ),
        "ends_at": Check(
            f"event in ({_texts(_END_VALUES)}) and ends_at is not null and ends_us is null",
            "ends_at",
            "properties.ends_at is no time; write 2026-03-31T18:05:00Z",
        ),
    }


def _contact_checks() -> dict[str, Check]:
    return {
        "selection_probability": Check(
            "selection_probability is not null "
            "and coalesce(try_cast(selection_probability as double) between 0 and 1, false) "
            "is false",
            "selection_probability",
            "the selection_probability is not between 0 and 1",
        ),
        "decision": Check(
            "event = 'Decision Made' and (communication is null or selection_probability is null)",
            "communication",
            "a decision needs a communication (or no_contact) and its selection_probability",
        ),
        "sent_channel": Check(
            "event = 'Communication Sent' and word is null",
            "channel",
            "a sent communication names no channel, so it cannot count as a contact",
        ),
        "consent": Check(
            "event = 'Consent Given' and (coalesce(channel, properties ->> 'channel') is null "
            "or (properties ->> 'purpose') is null)",
            "properties",
            "a consent names no channel or no purpose; write channel = 'email' and "
            "properties.purpose = 'marketing'",
        ),
    }


def absent_sql(expression: str) -> str:
    """SQL: an integer, or the integer that stands for none."""
    # The smallest int64 cannot be written as a literal: its digits without the sign overflow.
    return f"coalesce({expression}, {ABSENT + 1} - 1)"


def _scaled(column: str, digits: int) -> str:
    """SQL: decimal text as an integer of 10^-digits; null where it has more decimals."""
    shortest = f"regexp_replace({column}, '(\\.[0-9]*?)0+$', '\\1')"
    fits = f"[+-]?[0-9]{{1,15}}(\\.[0-9]{{0,{digits}}})?"
    return (
        f"if(regexp_full_match({column}, '{_DECIMAL}') "
        f"and regexp_full_match({shortest}, '{fits}'), "
        f"(try_cast({shortest} as decimal(38, {digits})) * {10**digits})::bigint, null)"
    )


def _whole(column: str) -> str:
    return f"if(regexp_full_match({column}, '{_WHOLE}'), try_cast({column} as bigint), null)"


def _texts(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names)
