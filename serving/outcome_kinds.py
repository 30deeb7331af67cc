"""The closed list of outcomes, and what each kind says."""

from typing import Final

# They show that the message went out; what a CRM says later about not sending it counts less.
WENT_OUT: Final = (
    "sent",
    "delivered",
    "opened",
    "clicked",
    "accepted",
    "rejected",
    "unsubscribed",
    "complained",
)
NOT_SENT: Final = "not_sent"
WITHDRAW: Final = ("unsubscribed", "complained")
OUTCOMES: Final = (
    "sent",
    "not_sent",
    "delivered",
    "opened",
    "clicked",
    "accepted",
    "rejected",
    "converted",
    "unsubscribed",
    "complained",
)
# Of a decision to send nothing there is no message to report on. Who opts out is heard anyway.
OF_SILENCE: Final = ("not_sent", "converted", "unsubscribed", "complained")
