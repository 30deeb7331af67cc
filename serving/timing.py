"""Timing: when a message may leave, until when an answer holds, when to ask again."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from features.signals import DAY, HOUR
from serving.catalog import Communication
from serving.contact_policy import free_again_at
from serving.policy import Policy
from serving.records import Ledger

# Messages of these classes answer something the customer did, or warn: night does not hold them.
AT_ANY_HOUR: Final = ("transactional", "crisis")

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Timing:
    """Moments of a decision, microseconds UTC.

    Attributes
    ----------
    not_before : int
        The message must not leave earlier.
    valid_until : int
        The answer may be used until then.
    reconsider_at : int
        Asking earlier would hardly give another answer; never before `valid_until`.
    """

    not_before: int
    valid_until: int
    reconsider_at: int


def timing_of_message(entry: Communication, policy: Policy, as_of: int) -> Timing:
    """Timing of a message: after the quiet hours; then it is given some days to work."""
    not_before = quiet_until(entry, policy, as_of)
    valid_until = not_before + policy.valid_hours * HOUR
    return Timing(
        not_before, valid_until, max(valid_until, not_before + policy.reconsider_days * DAY)
    )


def timing_of_silence(
    held_back: Iterable[Communication], ledger: Ledger, policy: Policy, as_of: int
) -> Timing:
    """Timing of silence: ask again when a message held back by a cap or by repetition is free."""
    valid_until = as_of + policy.valid_hours * HOUR
    free = [free_again_at(entry, ledger, policy) for entry in held_back]
    soonest = min([as_of + policy.reconsider_days * DAY, *free])
    return Timing(as_of, valid_until, max(valid_until, soonest))


def quiet_until(entry: Communication, policy: Policy, as_of: int) -> int:
    """First moment from `as_of` on that is outside the quiet hours of the channel.

    The clock on the wall decides: in the night of a change to summer time the wait is an hour
    shorter. Microseconds UTC.
    """
    quiet = policy.quiet_hours
    if entry.message_class in AT_ANY_HOUR or entry.channel not in quiet.channels:
        return as_of
    zone = ZoneInfo(quiet.time_zone)
    local = (_EPOCH + as_of * _MICROSECOND).astimezone(zone)
    time = local.time()
    if quiet.start <= quiet.end:
        is_quiet, wakes_on = quiet.start <= time < quiet.end, local.date()
    else:  # over midnight: in the evening the end is tomorrow's
        evening = time >= quiet.start
        is_quiet = evening or time < quiet.end
        wakes_on = local.date() + dt.timedelta(days=int(evening))
    if not is_quiet:
        return as_of
    wakes_at = dt.datetime.combine(wakes_on, quiet.end, tzinfo=zone)
    # Where the clock is set back, the end of the quiet hours may strike twice, once before now.
    return max(as_of, (wakes_at - _EPOCH) // _MICROSECOND)
