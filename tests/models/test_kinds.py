"""Every kind of model travels through a bundle and says the same."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from features.definitions import FEATURES
from models.btyd import ORDER_FACTS, BgNbd, ParetoNbd
from models.bundle import Bundle, with_golden_rows
from models.bundle_files import load_bundle, write_bundle
from models.classifier import KINDS, BaseRate, Calibration, Classifier, RecencyRule
from models.expectation import SERVED_BY
from models.model import Model
from models.reason_texts import ReasonTexts

FloatArray = NDArray[np.float64]
BTYD = (28.0, "absence", ORDER_FACTS, (9.0, 200.0, 12.0))
OTHERS: tuple[Model, ...] = (
    RecencyRule((14.0,), (-1.0, 1.0), 0.0, 0.2, "lateness"),
    BgNbd(0.8, 9.0, 0.1, 3.0, *BTYD),
    ParetoNbd(0.8, 9.0, 0.6, 90.0, *BTYD),
    BaseRate(-1.2),
)


def test_every_kind_has_a_name_of_the_closed_list() -> None:
    assert set(KINDS) == set(SERVED_BY)
    assert all(kind.kind == name for name, kind in KINDS.items())


@pytest.mark.parametrize("model", OTHERS, ids=lambda model: str(model.kind))
def test_a_kind_survives_its_bundle(
    model: Model, bundle: Bundle, rows: FloatArray, texts: ReasonTexts, tmp_path: Path
) -> None:
    churn = Classifier(model, FEATURES.names, Calibration(0.9, 0.1))
    made = with_golden_rows(
        replace(bundle, classifiers={**bundle.classifiers, "churn_risk": churn}), rows
    )
    found = load_bundle(tmp_path / write_bundle(made, tmp_path), FEATURES)
    assert found.classifiers["churn_risk"] == churn
    row = np.nan_to_num(rows[0], nan=1.0)
    row[FEATURES.names.index("days_since_last_order")] = 20.0
    said = found.expect(row, FEATURES, texts)
    assert said.scores["churn_risk"].served_by == model.kind
    assert said.value("churn_risk") == churn.predict(row[np.newaxis])[0]
    groups = {reason.code for reason in said.reasons if reason.score == "churn_risk"}
    assert groups if model.kind != "base_rate" else True
    np.testing.assert_allclose(
        churn.contributions(rows).sum(axis=1), churn.log_odds(rows), atol=1e-12
    )
