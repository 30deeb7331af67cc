"""A bundle: everything that is expected of customers. Its files are in `models.bundle_files`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.algebra import FeatureSet
from models.classifier import Classifier, WrongRows, recency_column
from models.effects import EffectModels
from models.expectation import NOTHING_SERVES, Expectation, Reason, Score
from models.explain import reasons
from models.language import Quantity, phrase
from models.margin import MarginModel
from models.ranges import Ranges, ranges_of
from models.reason_texts import ReasonTexts
from models.targets import EVER, Target, Targets

FloatArray = NDArray[np.float64]

EXPECTED_MARGIN: Final = "expected_margin"


@dataclass(frozen=True, slots=True)
class Measured:
    """How one model did on the test snapshots of one target.

    Numbers are None where there was nothing to test on. `verdict` speaks of LightGBM against
    the best baseline and is empty for the others; `serves` marks the one in the bundle.
    """

    target: str
    model: str
    rows: int
    positives: int
    auc: float | None
    log_loss: float | None
    brier: float | None
    calibration_error: float | None
    calibration_slope: float | None
    serves: bool
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Golden:
    """Rows and what this bundle says of them, to see that it still says the same.

    The rows are quantiles of each feature by itself, so no customer is among them.
    """

    rows: tuple[tuple[float | None, ...], ...]
    predictions: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Bundle:
    """Models, and what is needed to read and to trust them.

    Attributes
    ----------
    as_of : int
        Microseconds UTC; nothing received later was used.
    feature_names : tuple of str
        Order of the columns of every model.
    fingerprint : str
        Of the feature set, sha256.
    classifiers : mapping of score name to Classifier
        A score for which no label window was complete is not in it.
    base_rates : mapping of score name to float
        Share of yes in the training rows.
    absent : mapping of score name to str
        Why a target has no model, to be said wherever its score would stand.
    ranges : Ranges
        What values of each feature were seen in training.
    sha256 : str
        Name of the folder; empty until written.
    effects : EffectModels or None
        What communications were measured to do; None: nothing was, and the catalog decides.
    """

    as_of: int
    feature_names: tuple[str, ...]
    fingerprint: str
    targets: Targets
    classifiers: Mapping[str, Classifier]
    base_rates: Mapping[str, float]
    margin: MarginModel
    metrics: tuple[Measured, ...]
    notes: tuple[str, ...]
    golden: Golden
    absent: Mapping[str, str] = field(default_factory=dict)
    ranges: Ranges = field(default_factory=Ranges)
    sha256: str = ""
    effects: EffectModels | None = None

    def expect(
        self, row: FloatArray, features: FeatureSet, texts: ReasonTexts | None
    ) -> Expectation:
        """What is expected of one customer.

        Parameters
        ----------
        row : ndarray of float64, shape (n_features,)
            Features in the order of `feature_names`.
        texts : ReasonTexts or None
            None: no reasons are worked out, which is some hundred times faster.

        Raises
        ------
        WrongRows
            If the row has another shape or type.
        """
        if row.ndim != 1:
            raise WrongRows(f"a row of shape {row.shape}; must be ({len(self.feature_names)},)")
        rows = row[np.newaxis]
        scores: dict[str, Score] = {}
        said: list[Reason] = []
        usual = self.ranges.usual
        for target in self.targets.targets:
            if target.name in self.classifiers:
                classifier = self.classifiers[target.name]
                score = scores[target.name] = self._score(target, classifier, rows)
                if texts is not None and score.value is not None:
                    said.extend(reasons(score, classifier, row, features, texts, usual))
            elif target.name in self.absent:
                note = phrase("no model: {why}", why=self.absent[target.name])
                scores[target.name] = Score(
                    target.name, None, target.window_days, 0.0, NOTHING_SERVES, note
                )
        scores[EXPECTED_MARGIN] = Score(
            EXPECTED_MARGIN,
            float(self.margin.expected(rows, self.feature_names)[0]),
            self.margin.horizon_days,
            self.margin.base,
            self.margin.served_by,
        )
        margin = float(self.margin.usual(rows, self.feature_names)[0])
        return Expectation(scores, margin, tuple(said))

    def _score(self, target: Target, classifier: Classifier, rows: FloatArray) -> Score:
        silent = rows[0, recency_column(self.feature_names)]
        value, note = None, ""
        if np.isnan(silent):
            note = phrase("not asked: no order on record")
        elif target.at_risk_days == EVER or silent <= target.at_risk_days:
            value = float(classifier.predict(rows)[0])
        else:
            note = phrase(
                "not asked: no order in the last {time}", time=Quantity(target.at_risk_days, "days")
            )
        rate, served_by = self.base_rates[target.name], classifier.served_by
        return Score(target.name, value, target.window_days, rate, served_by, note)


def predictions(bundle: Bundle, rows: FloatArray) -> dict[str, tuple[float, ...]]:
    """Every number the bundle has for rows of shape (n, n_features), at risk or not."""
    found = {name: model.predict(rows) for name, model in bundle.classifiers.items()}
    found[EXPECTED_MARGIN] = bundle.margin.expected(rows, bundle.feature_names)
    return {name: tuple(values.tolist()) for name, values in found.items()}


def with_golden_rows(bundle: Bundle, rows: FloatArray) -> Bundle:
    """The bundle with golden rows and ranges made of `rows`, shape (n, n_features), n > 0."""
    levels = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
    golden = np.array([_quantiles(column, levels) for column in rows.T]).T
    nothing_known = np.where(np.isnan(rows).any(axis=0), np.nan, 0.0)
    golden = np.vstack([golden, nothing_known])
    as_text = tuple(
        tuple(None if np.isnan(value) else float(value) for value in row) for row in golden
    )
    seen = Golden(as_text, predictions(bundle, golden))
    return replace(bundle, golden=seen, ranges=ranges_of(rows))


def _quantiles(column: FloatArray, levels: tuple[float, ...]) -> FloatArray:
    """Quantiles of the values there are, shape (n_levels,); NaN without any."""
    present = column[~np.isnan(column)]
    return np.quantile(present, levels) if len(present) else np.full(len(levels), np.nan)
