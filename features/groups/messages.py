"""What is sent to customers, and what they do with it."""

from typing import Final

from features.algebra import Feature
from features.expressions import Signals
from features.groups.event_sets import contacts, emails, pushes, texts

EMAIL: Final = (
    *Feature(
        "emails_sent_{days}d",
        "E-mails sent in the last {days} days",
        "emails",
        "email",
        emails.count,
        actionable=True,
    ).over(28),
    *Feature(
        "email_open_rate_{days}d",
        "Opens for each e-mail sent in the last {days} days",
        "share",
        "email",
        Signals("Email Opened").count / emails.count,
    ).over(90),
    *Feature(
        "email_click_rate_{days}d",
        "Clicks for each e-mail sent in the last {days} days",
        "share",
        "email",
        Signals("Email Link Clicked").count / emails.count,
    ).over(90),
    Feature(
        "days_since_email_opened",
        "Days since an e-mail was last opened",
        "days",
        "email",
        Signals("Email Opened").recency,
    ),
    Feature(
        "days_since_email_clicked",
        "Days since a link in an e-mail was last clicked",
        "days",
        "email",
        Signals("Email Link Clicked").recency,
    ),
    Feature(
        "email_opens_half_life_21d",
        "E-mails opened, each counting half as much for every 21 days of its age",
        "opens",
        "email",
        Signals("Email Opened").decayed_count(21),
    ),
    Feature(
        "unsubscribes_ever",
        "Times unsubscribed",
        "times",
        "email",
        Signals("Unsubscribed").count.ever,
    ),
)

PRESSURE: Final = (
    *Feature(
        "texts_sent_{days}d",
        "Text messages (SMS) sent in the last {days} days",
        "messages",
        "pressure",
        texts.count,
        actionable=True,
    ).over(28),
    *Feature(
        "pushes_sent_{days}d",
        "Push notifications sent in the last {days} days",
        "messages",
        "pressure",
        pushes.count,
        actionable=True,
    ).over(28),
    Feature(
        "contacts_half_life_7d",
        "Messages sent on any channel, each counting half as much for every 7 days of its age",
        "messages",
        "pressure",
        contacts.decayed_count(7),
        actionable=True,
    ),
    *Feature(
        "contacts_{days}d",
        "Messages sent on any channel in the last {days} days",
        "messages",
        "pressure",
        contacts.count,
        actionable=True,
    ).over(7, 28),
    Feature(
        "days_since_last_contact",
        "Days since the last message on any channel",
        "days",
        "pressure",
        contacts.recency,
        actionable=True,
    ),
)
