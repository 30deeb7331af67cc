"""Events that many features look at, and the names of the longer sets of them."""

from typing import Final

from features.expressions import Signals
from features.signals import CONTACT_EVENTS, SURVEYS

orders = Signals("Order Completed")
emails = Signals(*(key for key, channel in CONTACT_EVENTS.items() if channel == "email"))
texts = Signals(*(key for key, channel in CONTACT_EVENTS.items() if channel == "sms"))
pushes = Signals(*(key for key, channel in CONTACT_EVENTS.items() if channel == "push"))
contacts = Signals(*CONTACT_EVENTS)
visits = Signals("Page Viewed", "Product Viewed", "Application Opened")
activity = Signals(*visits.events, "Feature Used")
answers = Signals(*(f"Survey Answered/{kind}" for kind in SURVEYS))
surveys = Signals(*(f"Survey Sent/{kind}" for kind in SURVEYS))

# Names that the data dictionary uses for the longer ones.
EVENT_SETS: Final = {
    "e-mails": emails.events,
    "texts": texts.events,
    "pushes": pushes.events,
    "contacts": contacts.events,
    "visits": visits.events,
    "activity": activity.events,
    "survey answers": answers.events,
    "surveys sent": surveys.events,
}
