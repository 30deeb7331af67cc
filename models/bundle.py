"""A bundle: everything that is expected of customers. Its files are in `models.bundle_files`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.algebra import FeatureSet
from features.stage import STAGES
from models.at_risk import why_not
from models.classifier import Classifier, WrongRows
from models.effects import EffectModels, state_of
from models.expectation import NOTHING_SERVES, Expectation, Reason, Score
from models.explain import reasons
from models.golden_rows import EXPLAINED_ROWS, golden_rows
from models.language import phrase
from models.margin import MarginModel
from models.ranges import Ranges, ranges_of
from models.reason_texts import ReasonTexts
from models.targets import Target, Targets

FloatArray = NDArray[np.float64]

EXPECTED_MARGIN: Final = "expected_margin"
USUAL_MARGIN: Final = "usual_margin"


@dataclass(frozen=True, slots=True)
class Measured:
    """How one model did on the test snapshots of one target.

    Numbers are None where there was nothing to test on. `verdict` speaks of LightGBM against
    the best baseline and is empty for the others; `serves` marks the one in the bundle.
    `membership` is the AUC of an attack that tells from the losses whom a model learned from.
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
    membership: float | None = None


@dataclass(frozen=True, slots=True)
class MarginMeasured:
    """How one way to expect a margin did on the test snapshots; errors in currency units.

    Attributes
    ----------
    absolute_error : float
        Mean of the distance between expected and realised margin. The median of what may come
        would have the least; a mean, which money needs, has a little more.
    root_square_error : float
        Of which the mean has the least.
    bias : float
        Mean expected less mean realised margin.
    coverage, width : float or None
        Share of realised margins inside the interval, and its mean width; of the one that
        serves, None without intervals.
    verdict : str
        On LightGBM against the best of the others; empty for those.
    """

    model: str
    rows: int
    absolute_error: float
    root_square_error: float
    bias: float
    coverage: float | None
    width: float | None
    serves: bool
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Golden:
    """Rows and what this bundle says of them, to see that it still says the same.

    Attributes
    ----------
    rows : tuple of rows
        See `models.golden_rows`; no customer is among them.
    predictions : mapping of str to numbers
        One number a row of each score, of both margins, and of each effect and its error.
    explanations : mapping of score name to numbers
        Of the first rows: the sum of what each feature adds to the log-odds, the first one
        counted once, the second twice, and so on, so that a change in any of them shows.
    """

    rows: tuple[tuple[float | None, ...], ...]
    predictions: Mapping[str, tuple[float, ...]]
    explanations: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


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
    margins : tuple of MarginMeasured
        Of the ways to expect a margin.
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
    margins: tuple[MarginMeasured, ...] = ()

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
                score = scores[target.name] = self._score(target, classifier, rows, features)
                if texts is not None and score.value is not None:
                    said.extend(reasons(score, classifier, row, features, texts, usual))
            elif target.name in self.absent:
                note = phrase("no model: {why}", why=self.absent[target.name])
                scores[target.name] = Score(
                    target.name, None, target.window_days, 0.0, NOTHING_SERVES, note
                )
        money, usual_margin = self.margin.of_one(row, self.feature_names)
        low, high = self.margin.interval(money) or (None, None)
        scores[EXPECTED_MARGIN] = Score(
            EXPECTED_MARGIN,
            money,
            self.margin.horizon_days,
            self.margin.base,
            self.margin.served_by,
            low=low,
            high=high,
        )
        return Expectation(scores, usual_margin, tuple(said))

    def _score(
        self, target: Target, classifier: Classifier, rows: FloatArray, features: FeatureSet
    ) -> Score:
        note = why_not(target, rows[0], features)
        value = None if note else float(classifier.predict(rows)[0])
        rate, served_by = self.base_rates[target.name], classifier.served_by
        return Score(target.name, value, target.window_days, rate, served_by, note)


def predictions(bundle: Bundle, rows: FloatArray) -> dict[str, tuple[float, ...]]:
    """Every number the bundle has for rows of shape (n, n_features), at risk or not."""
    names = bundle.feature_names
    found = {name: model.predict(rows) for name, model in bundle.classifiers.items()}
    found[EXPECTED_MARGIN] = bundle.margin.expected(rows, names)
    found[USUAL_MARGIN] = bundle.margin.usual(rows, names)
    if bundle.effects is not None:
        found |= _effects_on(
            bundle.effects, found, [dict(zip(names, row, strict=True)) for row in rows]
        )
    if bundle.margin.intervals is not None:
        # And one margin of every band, whether or not a row falls into it.
        one_each = np.array([0.0, *bundle.margin.intervals.edges])
        margins = np.concatenate([found[EXPECTED_MARGIN], one_each])
        low, high = bundle.margin.intervals.around(margins)
        found |= {f"low {EXPECTED_MARGIN}": low, f"high {EXPECTED_MARGIN}": high}
    return {name: tuple(values.tolist()) for name, values in found.items()}


def _effects_on(
    effects: EffectModels, found: Mapping[str, FloatArray], rows: Sequence[Mapping[str, float]]
) -> dict[str, FloatArray]:
    """Effects and their errors on customers of such scores and features, every stage in turn."""
    values = np.empty((3, len(rows), len(effects.names)))
    for place, features in enumerate(rows):
        scores = {
            name: Score(name, float(numbers[place]), 0, 0.0, NOTHING_SERVES)
            for name, numbers in found.items()
        }
        stage = STAGES[place % len(STAGES)]
        known = Expectation(scores, float(found[USUAL_MARGIN][place]), ())
        on = effects.on(state_of(known, features, stage), stage)
        values[:, place] = on.values, np.sqrt(np.abs(np.diag(on.covariance))), on.usual
    what = ("effect", "error", "usual effect")
    return {
        f"{word} of {name}": values[kind, :, place]
        for kind, word in enumerate(what)
        for place, name in enumerate(effects.names)
    }


def explanations(bundle: Bundle, rows: FloatArray) -> dict[str, tuple[float, ...]]:
    """One number a row and score that says what each feature added; see `Golden`."""
    weights = np.arange(1.0, len(bundle.feature_names) + 2.0)
    parts = {name: model.contributions(rows) for name, model in bundle.classifiers.items()}
    parts[EXPECTED_MARGIN] = bundle.margin.contributions(rows, bundle.feature_names)
    return {name: tuple((found @ weights).tolist()) for name, found in parts.items()}


def with_golden_rows(bundle: Bundle, rows: FloatArray) -> Bundle:
    """The bundle with golden rows and ranges made of `rows`, shape (n, n_features), n > 0."""
    as_text = tuple(
        tuple(None if np.isnan(value) else float(value) for value in row)
        for row in golden_rows(rows)
    )
    found = replace(bundle, golden=Golden(as_text, {}), ranges=ranges_of(rows))
    return with_golden_answers(found)


def with_golden_answers(bundle: Bundle) -> Bundle:
    """The bundle with what it says now of the golden rows it has."""
    given = bundle.golden.rows
    rows = np.array(given, dtype=np.float64).reshape(len(given), len(bundle.feature_names))
    return replace(
        bundle,
        golden=Golden(
            given, predictions(bundle, rows), explanations(bundle, rows[:EXPLAINED_ROWS])
        ),
    )
