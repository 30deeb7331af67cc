"""The airline's survey: who answers 9 or 10, from what else was asked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from lines import Line
from numpy.typing import NDArray

from training.baselines import logistic
from training.demo import SEED
from training.forest import BoosterSettings, Growth, fit_forest
from training.metrics import auc, auc_interval

FloatArray = NDArray[np.float64]

NAME: Final = "airline"
ROOT: Final = Path(__file__).resolve().parents[2]
SURVEY: Final = ROOT.parent / "shared" / "data" / "nps_airline" / "survey.csv"


def airline() -> Iterator[Line]:
    """A model-only benchmark: fields of the survey itself, so it says nothing of the product."""
    name = "promoter in March, learned in January and February"
    if not SURVEY.exists():
        yield Line(
            NAME, name, "AUC", None, 0.87,
            note=f"skipped: {SURVEY.name} is not there; it may not be shipped",
        )  # fmt: skip
        return
    found = pd.read_csv(SURVEY)
    found = found[found["Likelihood.to.recommend"].notna()]
    month = found["Flight.date"].str.split("/").str[0].astype(int).to_numpy()
    answers = (found["Likelihood.to.recommend"].to_numpy() >= 9).astype(np.int8)
    table = pd.DataFrame(dict(_airline_columns(found)))
    names = tuple(column.replace(".", "_") for column in table.columns)
    rows = table.to_numpy(dtype=np.float64)
    learned = month < 3
    model = fit_forest(rows[learned], answers[learned], names, Growth(BoosterSettings(), SEED))
    peer = logistic(rows[learned], answers[learned], names)
    tested, said = rows[~learned], answers[~learned]
    people = np.arange(len(said))  # one answer each
    area = auc_interval(people, said, model.predict(tested), np.random.default_rng(1))
    yield Line(
        NAME, name, "AUC", area.difference, 0.87, True, area.low, area.high,
        "logistic regression", auc(said, peer.predict(tested)),
        f"{len(said):,} answers; model only: fields such as price sensitivity come from the "
        "survey itself, which no product has before it asks",
    )  # fmt: skip


def _airline_columns(found: pd.DataFrame) -> Iterator[tuple[str, FloatArray]]:
    """Numbers as they are; words of few kinds as a column for each kind."""
    left_out = {"Unnamed: 0", "Likelihood.to.recommend", "freeText", "Flight.date"}
    for column in found.columns:
        if column in left_out:
            continue
        if pd.api.types.is_numeric_dtype(found[column]):
            yield column, found[column].to_numpy(dtype=np.float64)
        elif found[column].nunique() <= 20:
            for kind in sorted(found[column].dropna().unique()):
                word = "".join(letter if letter.isalnum() else "_" for letter in kind)
                yield f"{column}_{word}", (found[column] == kind).to_numpy(dtype=np.float64)
