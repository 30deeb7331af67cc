"""The channel on which a customer answers: what it makes of the effects that a catalog states.

A message is answered if a person opens it or follows a link in it, taps on it or takes up the
chat, or if the sender reports that it was clicked, accepted or led to a purchase, within
`ANSWER_DAYS`. Visits and orders alone are no answers: who comes every day would answer whatever
channel it was, and nothing would be known of channels. An open that is only reported is none
either, since nobody can tell then whether it was a machine's.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np

from features.signals import DAY, SignalColumns, code
from serving.policy import Responses
from serving.records import Contact

ANSWER_DAYS: Final = 3  # of those who open a mail at all, nearly all do within three days
REPORTED: Final = ("clicked", "accepted", "converted")  # outcomes that are answers
# A guess is never doubled or halved by more than this: few contacts, and a habit may be of old.
LEAST: Final = 0.5
MOST: Final = 2.0

_ANSWERS: Final = {
    "email": np.array([code("Email Opened"), code("Email Link Clicked")]),
    "push": np.array([code("Push Notification Tapped")]),
    "chat": np.array([code("Chat Opened")]),
}


def answer_times(signals: SignalColumns, as_of: int) -> Mapping[str, list[int]]:
    """When answers came that are known at a moment, ascending, by channel; machines' are none.

    Parameters
    ----------
    signals : SignalColumns
        Of one customer by time; machines' opens and clicks have their own key.
    """
    known = (signals.occurred_at < as_of) & (signals.received_at < as_of)
    found = {
        channel: signals.occurred_at[known & np.isin(signals.event, events)].tolist()
        for channel, events in _ANSWERS.items()
    }
    return {channel: times for channel, times in found.items() if times}


def is_answered(at: int, times: list[int]) -> bool:
    """Whether an answer came after a message of this moment, within `ANSWER_DAYS`."""
    place = bisect_right(times, at)
    return place < len(times) and times[place] <= at + ANSWER_DAYS * DAY


def factors(
    contacts: Iterable[Contact], responses: Responses | None, as_of: int
) -> Mapping[str, float]:
    """By how much stated effects are greater on each channel; 1 where it is not named.

    ``(own answers + weight * rate) / (own contacts + weight) / rate``, within `LEAST` and `MOST`,
    with the rate at which everybody answers on the channel. Contacts count once their time to be
    answered is over. This is the mean of a Beta distribution that everybody's answers began.
    """
    if responses is None:
        return {}
    over = as_of - ANSWER_DAYS * DAY
    sent: dict[str, int] = {}
    answered: dict[str, int] = {}
    for contact in contacts:
        channel = contact.channel
        if contact.at <= over and channel in responses.rates:
            sent[channel] = sent.get(channel, 0) + 1
            answered[channel] = answered.get(channel, 0) + contact.answered
    found = {}
    for channel, count in sent.items():
        rate, weight = responses.rates[channel], responses.weight
        own = (answered[channel] + weight * rate) / (count + weight)
        found[channel] = min(MOST, max(LEAST, own / rate))
    return found
