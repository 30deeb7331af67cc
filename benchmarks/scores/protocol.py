"""What the benches of scores share: moments, snapshots and paired comparisons."""

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from features.signals import SignalLog
from training.dataset import Schedule, beginning, data_end, schedule
from training.fit import Tested, TrainSettings
from training.metrics import Interval, auc_difference

FloatArray = NDArray[np.float64]


def moment(day: str) -> int:
    """Midnight of an ISO date, microseconds UTC."""
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1_000_000


def snapshots(log: SignalLog, settings: TrainSettings, as_of: int) -> Schedule:
    """The training and test snapshots that `train` would choose."""
    end = data_end(log, as_of)
    window = settings.targets.longest_window_days
    return schedule(beginning(log, end, settings.targets), end, window, settings.schedule)


def gain_in_auc(tested: Tested, mine: FloatArray, peer: FloatArray) -> Interval:
    """AUC of one less that of the other, paired, with a 95 % interval over customers."""
    rng = np.random.default_rng(1)
    return auc_difference(tested.customers, tested.answers, mine, peer, rng, tested.weights)
