from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from features.signals import DAY, HOUR, SignalLog, code
from models.targets import load_targets
from training.surveys import SILENT, net_promoter_score, surveys

START = 18_000 * DAY
TARGET = load_targets()["promoter_likelihood"]  # answers within 14 days
SENT, TOLD = "Survey Sent/nps", "Survey Answered/nps"
LogOf = Callable[..., SignalLog]


def scored(log: SignalLog, scores: dict[int, int]) -> SignalLog:
    """The log with these scores, by the moment of the answer."""
    columns = log.columns
    value = columns.value.copy()
    told = np.flatnonzero(columns.event == code(TOLD))
    value[told] = [1000 * scores[int(at)] for at in columns.occurred_at[told]]
    return replace(log, columns=replace(columns, value=value))


def test_an_answer_belongs_to_the_last_survey_before_it(log_of: LogOf) -> None:
    log = scored(
        log_of(
            {
                "a": [
                    (SENT, START),
                    (SENT, START + 20 * DAY),
                    (TOLD, START + 21 * DAY),
                    (TOLD, START + 22 * DAY),
                    (SENT, START + 40 * DAY),
                    (TOLD, START + 54 * DAY),
                ],
                "anon:v": [(SENT, START), (TOLD, START + HOUR)],
                "b": [(TOLD, START + DAY), (SENT, START + 2 * DAY)],
            }
        ),
        {
            START + 21 * DAY: 9,
            START + 22 * DAY: 2,  # a second answer is none
            START + 54 * DAY: 3,  # exactly 14 days later: too late for the survey
            START + HOUR: 10,
            START + DAY: 7,
        },
    )
    found = surveys(log, TARGET, START + 100 * DAY)
    assert [log.customer_ids[one] for one in found.customers] == ["a", "a", "a", "a", "b", "b"]
    days = ((found.as_of - START) / DAY).tolist()
    assert days == [0, 20, 40, 54, 1, 2]
    assert found.scores.tolist() == [SILENT, 9, SILENT, 3, 7, SILENT]
    assert found.asked.tolist() == [True, True, True, False, False, True]
    assert found.answered.tolist() == [False, True, False, True, True, False]


def test_open_surveys_wait(log_of: LogOf) -> None:
    facts = [(SENT, START), (SENT, START + 15 * DAY), (TOLD, START + 16 * DAY)]
    log = scored(log_of({"a": facts}), {START + 16 * DAY: 9})
    found = surveys(log, TARGET, START + 29 * DAY)
    assert (len(found), found.open) == (2, 0)
    found = surveys(log, TARGET, START + 29 * DAY - 1)
    assert (len(found), found.open) == (1, 1)
    assert found.scores.tolist() == [SILENT]


def test_what_is_not_known_yet_is_not_there(log_of: LogOf) -> None:
    late = (TOLD, START + DAY, START + 60 * DAY)
    log = scored(log_of({"a": [(SENT, START), late]}), {START + DAY: 9})
    assert surveys(log, TARGET, START + 60 * DAY).scores.tolist() == [SILENT]
    assert surveys(log, TARGET, START + 60 * DAY + 1).scores.tolist() == [9]


def test_an_answer_without_a_score_is_none(log_of: LogOf) -> None:
    log = log_of({"a": [(SENT, START), (TOLD, START + DAY)]})
    assert surveys(log, TARGET, START + 60 * DAY).scores.tolist() == [SILENT]


def test_nobody_asked(log_of: LogOf) -> None:
    assert len(surveys(log_of({"a": [("Order Completed", START)]}), TARGET, START + DAY)) == 0


def test_the_net_promoter_score_by_hand() -> None:
    scores = np.array([10, 9, 8, 7, 6, 0.0])
    assert net_promoter_score(scores) == 0.0
    assert net_promoter_score(scores[:5]) == pytest.approx(20.0)
    assert net_promoter_score(scores, np.array([3, 1, 1, 1, 1, 1.0])) == pytest.approx(25.0)
