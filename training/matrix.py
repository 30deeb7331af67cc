"""The training matrix as a pandas DataFrame: the rows that `train` learns from and tests on."""

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from features.algebra import FeatureSet
from features.definitions import FEATURES
from features.history import History
from features.home import Home, write_whole
from models.targets import Targets, load_targets
from training.asked import asked, laid_out
from training.contest import Rows
from training.dataset import NothingToLearn, ScheduleRules
from training.row_file import require_writable

CUSTOMER: Final = "customer_id"
AS_OF: Final = "as_of"
SPLIT: Final = "split"
ANSWER: Final = "answer"
WEIGHT: Final = "weight"
FACTS: Final = (CUSTOMER, AS_OF, SPLIT, ANSWER, WEIGHT)  # before the features
TRAIN: Final = "train"
TEST: Final = "test"
CLOCKS: Final = "clocks"


def training_matrix(
    home: Home, target: str, as_of: int, targets: Targets | None = None
) -> pd.DataFrame:
    """Features and answers of one question, a row for each customer and moment it is asked.

    Rows follow `train`: those to learn from first, then those of later snapshots to test on,
    with a gap of at least the label window between them. Split again by customer, never by row.

    Parameters
    ----------
    target : str
        Name of a score, such as ``churn_risk``.
    as_of : int
        Microseconds UTC; nothing received later is looked at.
    targets : Targets or None
        None: the home's own.

    Returns
    -------
    DataFrame
        ``customer_id`` (str), ``as_of`` (datetime64[us, UTC]), ``split`` (``train`` or ``test``),
        ``answer`` (int8, 1: yes), ``weight`` (float64, about 1 on average), and a float64 column
        for each feature, in their order, NaN where there is no value. ``attrs["clocks"]`` names
        the features that only tell how old the history is: `train` looks at none of them.

    Raises
    ------
    NothingToLearn
        If there are no signals, or no row of this question.
    InvalidTargets
        If there is no such target.
    """
    questions = targets or load_targets(home.targets)
    log = History(home.signals).load(received_before=as_of)
    history = laid_out(log, FEATURES, questions, ScheduleRules(), as_of)
    found = asked(history, questions[target])
    if not len(found.learned) and not len(found.tested):
        raise NothingToLearn(
            f"{target}: nobody was asked yet ({' '.join((*history.plan.notes, *found.notes))}); "
            "see with `nextbest doctor` what the data suffices for"
        )
    parts = [_frame(found.learned, TRAIN, log.customer_ids, FEATURES)]
    parts += [_frame(found.tested, TEST, log.customer_ids, FEATURES)]
    frame = pd.concat([part for part in parts if len(part)], ignore_index=True)
    frame.attrs[CLOCKS] = [
        name for name, clock in zip(FEATURES.names, found.learned.clocks, strict=True) if clock
    ]
    return frame


def write_matrix(home: Home, target: str, as_of: int, out: Path) -> tuple[int, int]:
    """Write the matrix as Parquet or CSV; how many rows and features.

    Raises
    ------
    WrongFile
        If `out` ends in neither `.parquet` nor `.csv`.
    NothingToLearn
        As `training_matrix`.
    """
    require_writable(out)
    frame = training_matrix(home, target, as_of)
    if out.suffix == ".csv":
        content = frame.to_csv(index=False).encode()
    else:
        content = frame.to_parquet(None, index=False)
    write_whole(out, content)
    return len(frame), len(frame.columns) - len(FACTS)


def _frame(
    rows: Rows, split: str, customer_ids: tuple[str, ...], features: FeatureSet
) -> pd.DataFrame:
    facts = {
        CUSTOMER: np.array(customer_ids, dtype=object)[rows.customers],
        AS_OF: pd.to_datetime(rows.as_of, unit="us", utc=True),
        SPLIT: split,
        ANSWER: rows.answers,
        WEIGHT: rows.weights,
    }
    values = pd.DataFrame(rows.rows, columns=list(features.names))
    return pd.concat([pd.DataFrame(facts, index=values.index), values], axis=1)
