"""Our guarded classifier behind scikit-learn's interface, for notebooks and comparisons.

It fits what `nextbest train` fits for a score, LightGBM with guarded parameters and a calibration
that is kept only if it wins on later rows, and says what each feature adds. It passes
scikit-learn's own checks; `EXPECTED_FAILURES` names those that it cannot pass, and why.
"""

# ruff: noqa: N803 - X is scikit-learn's own name for a table

import re
from typing import Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, check_random_state, validate_data

from models.classifier import Classifier
from training.calibration import cross_fitted
from training.contest import Rows
from training.forest import BoosterSettings, Growth, fit_forest
from training.parameters import InvalidParameter, require_guarded

FloatArray = NDArray[np.float64]

EXPECTED_FAILURES: Final[dict[str, str]] = {}
PLAIN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")  # others LightGBM may refuse
_OURS: Final = BoosterSettings()


class GuardedClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """LightGBM, guarded and calibrated as for a score: small trees, large leaves, strong penalty.

    Rows must stand in the order of time: the calibration is judged on the last third of them.
    NaN stands for no value.

    Parameters
    ----------
    rounds, learning_rate, num_leaves, lambda_l2 :
        As `training.forest.BoosterSettings`, within `training.parameters.RANGES`.
    directions : sequence of int, one a feature, or None
        +1: the probability may never fall as the feature rises; -1: never rise; 0: free.
    random_state : int, RandomState or None

    Attributes
    ----------
    classes_ : ndarray, shape (2,)
    classifier_ : models.classifier.Classifier
        What was fitted: text and numbers, ready for a bundle if the columns are its features.
    """

    def __init__(
        self,
        rounds: int = _OURS.rounds,
        learning_rate: float = _OURS.learning_rate,
        num_leaves: int = _OURS.num_leaves,
        lambda_l2: float = _OURS.lambda_l2,
        directions: tuple[int, ...] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.rounds = rounds
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.lambda_l2 = lambda_l2
        self.directions = directions
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit and calibrate.

        Parameters
        ----------
        X : array-like, shape (n, n_features)
            Rows in the order of time; NaN where there is no value.
        y : array-like, shape (n,)
            Two classes; the second in sorted order is the yes.

        Raises
        ------
        ValueError
            If there are more or fewer than two classes.
        InvalidParameter
            If a parameter leaves its guarded range, or `directions` do not fit the columns.
        """
        found = validate_data(self, X, y, dtype=np.float64, ensure_all_finite="allow-nan")
        values, given = np.asarray(found[0], dtype=np.float64), np.asarray(found[1])
        check_classification_targets(given)
        kind = type_of_target(given, input_name="y", raise_unknown=True)
        self.classes_, answers = np.unique(given, return_inverse=True)
        if len(self.classes_) > 2:
            raise ValueError(
                f"Only binary classification is supported. The type of the target is {kind}."
            )
        if len(self.classes_) < 2:
            raise ValueError(
                f"y holds one class, {self.classes_[0]!r}; there must be two; "
                "look for rows of the other"
            )
        n_rows, n_features = values.shape
        names = self._names(n_features)
        growth = Growth(self._booster(), self._seed(), self._directions(n_features))
        order, no_clocks = np.arange(n_rows), np.zeros(n_features, dtype=bool)
        rows = Rows(values, answers.astype(np.int8), order, order, np.ones(n_rows), no_clocks)
        forest = fit_forest(values, rows.answers, names, growth)
        line = cross_fitted(rows, names, growth, np.random.default_rng(growth.seed)).line
        self.classifier_ = Classifier(forest.model, names, line)
        return self

    def decision_function(self, X: ArrayLike) -> FloatArray:
        """Calibrated log-odds of the second class, shape (n,)."""
        return self._fitted().log_odds(self._checked(X))

    def predict_proba(self, X: ArrayLike) -> FloatArray:
        """Probabilities of both classes, shape (n, 2)."""
        yes = self._fitted().predict(self._checked(X))
        return np.column_stack((1.0 - yes, yes))

    def predict(self, X: ArrayLike) -> NDArray[np.generic]:
        """The likelier class, shape (n,)."""
        yes = self.decision_function(X) > 0
        return np.asarray(self.classes_[yes.astype(np.int64)])

    def contributions(self, X: ArrayLike) -> FloatArray:
        """What each feature adds to the log-odds, shape (n, n_features + 1); the start last."""
        return self._fitted().contributions(self._checked(X))

    def __sklearn_tags__(self) -> Tags:
        """Two classes only; no value is a value."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.allow_nan = True
        return tags

    def _fitted(self) -> Classifier:
        check_is_fitted(self)
        return self.classifier_

    def _checked(self, X: ArrayLike) -> FloatArray:
        found = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        return np.asarray(found, dtype=np.float64)

    def _names(self, n: int) -> tuple[str, ...]:
        """The frame's own column names where LightGBM can keep them."""
        given = tuple(str(name) for name in getattr(self, "feature_names_in_", ()))
        if given and all(PLAIN_NAME.fullmatch(name) for name in given):
            return given
        return tuple(f"column_{place}" for place in range(n))

    def _directions(self, n: int) -> tuple[int, ...]:
        if self.directions is None:
            return ()
        given = tuple(self.directions)
        if len(given) != n or any(each not in (-1, 0, 1) for each in given):
            raise InvalidParameter(
                f"directions={given}; must be -1, 0 or 1 for each of {n} columns; correct it"
            )
        return tuple(int(each) for each in given)

    def _booster(self) -> BoosterSettings:
        for name in ("rounds", "learning_rate", "num_leaves", "lambda_l2"):
            value = getattr(self, name)
            require_guarded(f"{name}={value!r}", name, value)
        return BoosterSettings(
            rounds=self.rounds,
            learning_rate=self.learning_rate,
            num_leaves=self.num_leaves,
            lambda_l2=self.lambda_l2,
        )

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(2**31 - 1))
