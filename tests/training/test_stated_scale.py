"""How much of what is stated came true, against the same belief summed up number by number."""

import numpy as np
import pytest

from models.effects import STATE
from serving.records import ARMS, NO_CONTACT
from training.decision_log import LoggedDecisions
from training.effects import learn_effects

STATED, ROWS = 0.08, 1_500


def drawn(rng: np.random.Generator, came_true: float) -> LoggedDecisions:
    """One message or none by even lot; rewards of unit noise."""
    state = np.zeros((ROWS, len(STATE)))
    state[:, STATE.index("order_value")] = rng.uniform(0.5, 1.5, ROWS)
    chosen = rng.integers(2, size=ROWS)
    return LoggedDecisions(
        names=(NO_CONTACT, "newsletter"),
        customer_ids=tuple(f"C-{row}" for row in range(ROWS)),
        customer=np.arange(ROWS),
        decided_at=np.zeros(ROWS, dtype=np.int64),
        chosen=chosen,
        probabilities=np.full((ROWS, 2), 0.5),
        arm=np.full(ROWS, ARMS.index("uniform"), dtype=np.int8),
        stage=np.zeros(ROWS, dtype=np.int64),
        state=state,
        prior=np.tile([0.0, STATED], (ROWS, 1)),
        reward=rng.normal(size=ROWS) + came_true * STATED * chosen,
    )


def believed(log: LoggedDecisions) -> float:
    """Either nothing holds, or a factor of 1 give or take 1 does; before the rewards, as likely."""
    stated = STATED * (log.chosen - 0.5)
    seen = log.reward - log.reward.mean()
    factors = np.linspace(-6.0, 8.0, 2_801)
    fits = factors * float(stated @ seen) - 0.5 * factors**2 * float(stated @ stated)
    weights = np.exp(fits - 0.5 * (factors - 1.0) ** 2) / np.sqrt(2 * np.pi)
    something = float(np.sum(weights)) * (factors[1] - factors[0])
    return float(np.sum(weights * factors) / np.sum(weights)) * something / (something + 1.0)


@pytest.mark.parametrize("came_true", [0.0, 1.0, 2.0])
def test_so_much_is_believed_as_the_rewards_say(came_true: float) -> None:
    rng, found = np.random.default_rng(1), []
    for _ in range(4):
        log = drawn(rng, came_true)
        learned = learn_effects(log, np.full(ROWS, np.nan), rng)
        assert learned.models is not None
        found.append((learned.models.stated_scale, max(0.0, believed(log))))
    for scale, wanted in found:
        # Nothing at all is believed where messages are held to do nothing.
        assert scale == pytest.approx(wanted, abs=0.08) or (scale == 0.0 and wanted < 0.15), found
