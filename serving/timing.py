"""Timing: when a message may leave, until when an answer holds, when to ask again."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final
from zoneinfo import ZoneInfo

from features.signals import DAY, HOUR
from features.traits import known_time_zone
from serving.catalog import Communication
from serving.policy import Policy

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

    def ended_by(self, over_at: int | None) -> "Timing":
        """The same timing, holding until the message's moment is over at most.

        A message that the night holds back beyond that still leaves when the night ends.
        """
        if over_at is None or over_at <= self.not_before:
            return self
        return replace(self, valid_until=min(self.valid_until, over_at))


def timing_of_message(
    entry: Communication, policy: Policy, as_of: int, time_zone: str = ""
) -> Timing:
    """Timing of a message: after the quiet hours; then it is given some days to work.

    Parameters
    ----------
    time_zone : str
        The customer's own; empty where it is not known.
    """
    not_before = quiet_until(entry, policy, as_of, time_zone)
    valid_until = not_before + policy.valid_hours * HOUR
    return Timing(
        not_before, valid_until, max(valid_until, not_before + policy.reconsider_days * DAY)
    )


def timing_of_silence(free_at: Iterable[int], policy: Policy, as_of: int) -> Timing:
    """Timing of silence: ask again when a message held back by time alone is free.

    Parameters
    ----------
    free_at : iterable of int
        When each of them is, microseconds UTC.
    """
    valid_until = as_of + policy.valid_hours * HOUR
    soonest = min([as_of + policy.reconsider_days * DAY, *free_at])
    # What may be sent sooner ends the silence sooner.
    return Timing(as_of, min(valid_until, soonest), soonest)


def quiet_until(entry: Communication, policy: Policy, as_of: int, time_zone: str = "") -> int:
    """First moment from `as_of` on that is outside the quiet hours of the channel.

    The clock on the customer's wall decides, the company's where the customer's is not known:
    in the night of a change to summer time the wait is an hour shorter. Microseconds UTC.
    """
    quiet = next((each for each in policy.quiet_hours if entry.channel in each.channels), None)
    if entry.message_class in AT_ANY_HOUR or quiet is None:
        return as_of
    zone = known_time_zone(time_zone) or ZoneInfo(quiet.time_zone)
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
