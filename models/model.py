"""What every kind of model for a yes-or-no question must be able to do.

A kind is a frozen dataclass of numbers, texts and tuples of them, so that JSON holds it and no
file can run code. It says what each feature adds to the log-odds of a yes; the sum is the
prediction, so whatever serves has the same reasons and the same checks.

To add a kind: write such a class, add a line to `models.classifier.KINDS`, and a line to the
table of fitters in `training.candidates`.
"""

import math
from dataclasses import Field
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class DamagedModel(ValueError):
    """A model file that cannot be what training wrote."""


class WrongRows(ValueError):
    """Rows that do not have the features a model was trained on."""


class Model(Protocol):
    """A kind of model.

    Attributes
    ----------
    kind : str
        Its name in bundles, metrics and answers, one of `models.expectation.SERVED_BY`.
    """

    kind: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Field[object]]]  # what makes it a dataclass

    def contributions(self, rows: FloatArray, names: tuple[str, ...]) -> FloatArray:
        """What each feature adds to the log-odds; the last column is the starting point.

        Parameters
        ----------
        rows : ndarray of float64, shape (n, n_features)
            NaN where there is no value.
        names : tuple of str
            Names of the columns.

        Returns
        -------
        ndarray of float64, shape (n, n_features + 1), finite
        """
        ...


class Direct(Protocol):
    """A kind that knows its log-odds sooner than what each feature adds to them."""

    def raw_log_odds(self, rows: FloatArray, names: tuple[str, ...]) -> FloatArray:
        """Sum of the contributions of each row, shape (n,)."""
        ...


def sigmoid(log_odds: FloatArray) -> FloatArray:
    """Probability of log-odds, without overflow at either end."""
    small = np.exp(-np.abs(log_odds))
    return np.where(log_odds >= 0, 1.0, small) / (1.0 + small)


def logit(probability: float) -> float:
    """Log-odds of a probability strictly between 0 and 1."""
    return math.log(probability / (1.0 - probability))


def feature_column(names: tuple[str, ...], feature: str) -> int:
    """Place of a feature that a model looks at by name.

    Raises
    ------
    WrongRows
        If the feature set lacks it.
    """
    if feature not in names:
        raise WrongRows(
            f"no feature '{feature}' among the {len(names)} given; "
            "who is at risk depends on it; put it back into the feature set"
        )
    return names.index(feature)
