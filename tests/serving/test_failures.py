"""What fails is logged with its way through the program, counted, and says nothing of people."""

import pytest

from serving.failures import Failures
from serving.storage.turnstile import StoreBusy


def broken(depth: int) -> None:
    if depth:
        broken(depth - 1)
    try:
        raise KeyError("jane@example.com")
    except KeyError as error:
        raise RuntimeError("jane@example.com was asked about") from error


def noted(failures: Failures, what: str) -> None:
    try:
        broken(2)
    except RuntimeError as error:
        failures.note(what, error)


def test_the_way_is_logged_once_and_each_time_is_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failures = Failures()
    for _ in range(3):
        noted(failures, "fallback served")
    [(failure, count)] = failures.counts().items()
    assert (failure.what, failure.error, count) == ("fallback served", "RuntimeError", 3)
    assert failure.place.startswith("tests/serving/test_failures.py:")
    first, *later = [record.getMessage() for record in caplog.records]
    assert first.count(" in broken") == 4  # three calls of it, and the cause behind
    assert "  KeyError, by way of" in first
    assert later == [f"fallback served: RuntimeError at {failure.place}"] * 2
    assert "jane" not in caplog.text
    assert failures.record() == {
        "total": 3,
        "counts": [
            {
                "what": "fallback served",
                "error": "RuntimeError",
                "place": failure.place,
                "count": 3,
            }
        ],
    }


def test_what_has_a_name_of_ours_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    failures = Failures()
    failures.note("fallback served", StoreBusy("the store was busy for 0.8 s"))
    assert caplog.messages == ["fallback served: StoreBusy at unknown place"]
    assert failures.record()["total"] == 1
