import pytest

from training.gates import MAY_SERVE, in_words, verdict
from training.metrics import Interval


@pytest.mark.parametrize(
    ("low", "high", "word", "serves"),
    [
        (-0.05, -0.001, "beats", True),
        (-0.02, 0.01, "equals", True),
        (0.002, 0.009, "equals", True),
        (-0.05, 0.011, "unclear", False),
        (0.002, 0.03, "loses", False),
    ],
)
def test_the_interval_decides(low: float, high: float, word: str, serves: bool) -> None:
    loss = Interval((low + high) / 2, low, high)
    assert verdict(loss) == word
    assert (word in MAY_SERVE) == serves


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (
            Interval(-0.02, -0.03, -0.01),
            "LightGBM beats logistic, log loss -2.0 % (-3.0 to -1.0 %)",
        ),
        (Interval(0.0, -0.01, 0.01), "LightGBM equals logistic"),
        (Interval(0.03, 0.01, 0.05), "LightGBM loses to logistic"),
        (Interval(0.0, -0.1, 0.1), "too few customers to tell, so logistic serves."),
    ],
)
def test_a_verdict_is_said_with_its_numbers(loss: Interval, words: str) -> None:
    assert words in in_words("churn_risk", "logistic", verdict(loss), loss)
