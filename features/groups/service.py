"""What customers ask of support, and what they answer when asked."""

from typing import Final

from features.algebra import Feature
from features.expressions import Signals
from features.groups.event_sets import answers, surveys
from features.signals import THOUSANDTHS

tickets = Signals("Ticket Opened")
tickets_resolved = Signals("Ticket Resolved")
nps = Signals("Survey Answered/nps")
csat = Signals("Survey Answered/csat")
REPLIED: Final = "Ticket Replied"
HOURS_A_DAY: Final = 24

_PLEASED: Final = {"churn_risk": -1, "promoter_likelihood": 1}

SUPPORT: Final = (
    Feature(
        "tickets_open",
        "Support tickets opened and not yet resolved",
        "tickets",
        "support",
        tickets.count.ever - tickets_resolved.count.ever,
        actionable=True,
    ),
    *Feature(
        "tickets_{days}d",
        "Support tickets opened in the last {days} days",
        "tickets",
        "support",
        tickets.count,
    ).over(90),
    Feature(
        "days_since_ticket_opened",
        "Days since a support ticket was last opened",
        "days",
        "support",
        tickets.recency,
    ),
    *Feature(
        "tickets_unanswered_{days}d",
        "Support tickets opened in the last {days} days and followed by no reply yet",
        "tickets",
        "support",
        tickets.count - tickets.answered(REPLIED),
        actionable=True,
    ).over(90),
    *Feature(
        "ticket_reply_hours_{days}d",
        "Mean hours from a support ticket to the next reply, among those of the last {days} days "
        "that have one",
        "hours",
        "support",
        tickets.mean_wait(REPLIED) * HOURS_A_DAY,
        actionable=True,
    ).over(365),
    Feature(
        "days_since_ticket_resolved",
        "Days since a support ticket was last resolved",
        "days",
        "support",
        tickets_resolved.recency,
    ),
)

FEEDBACK: Final = (
    Feature(
        "nps_last",
        "Last answer to 'how likely are you to recommend us' (0-10)",
        "points",
        "feedback",
        nps.last_value / THOUSANDTHS,
        _PLEASED,
    ),
    Feature(
        "days_since_nps",
        "Days since the last answer to 'how likely are you to recommend us'",
        "days",
        "feedback",
        nps.recency,
    ),
    Feature(
        "nps_change",
        "Last answer to 'how likely are you to recommend us' less the one before",
        "points",
        "feedback",
        (nps.last_value - nps.previous_value) / THOUSANDTHS,
        _PLEASED,
    ),
    Feature(
        "csat_last",
        "Last answer to 'how satisfied are you'",
        "points",
        "feedback",
        csat.last_value / THOUSANDTHS,
        _PLEASED,
    ),
    Feature(
        "csat_change",
        "Last answer to 'how satisfied are you' less the one before",
        "points",
        "feedback",
        (csat.last_value - csat.previous_value) / THOUSANDTHS,
        _PLEASED,
    ),
    # No direction: on some scales a high score means much effort, on others little.
    Feature(
        "ces_last",
        "Last answer to 'how easy was it'",
        "points",
        "feedback",
        Signals("Survey Answered/ces").last_value / THOUSANDTHS,
    ),
    *Feature(
        "surveys_sent_{days}d",
        "Surveys sent in the last {days} days",
        "surveys",
        "feedback",
        surveys.count,
        actionable=True,
    ).over(365),
    *Feature(
        "survey_answer_rate_{days}d",
        "Answers for each survey sent in the last {days} days",
        "share",
        "feedback",
        answers.count / surveys.count,
    ).over(365),
    Feature(
        "review_last",
        "Stars of the last review",
        "stars",
        "feedback",
        Signals("Review Written").last_value / THOUSANDTHS,
        _PLEASED,
    ),
    *Feature(
        "reviews_{days}d",
        "Reviews written in the last {days} days",
        "reviews",
        "feedback",
        Signals("Review Written").count,
    ).over(365),
)
