"""Membership inference: how well a model's losses tell whom it has learned from."""

import numpy as np
from numpy.typing import NDArray

from models.model import FloatArray
from training.metrics import auc, losses


def attack_auc(
    answers: NDArray[np.int8], probabilities: FloatArray, learned: NDArray[np.bool_]
) -> float:
    """AUC of the loss-threshold attack: low losses are said to be of rows learned from.

    .5: the losses give nothing away; 1: everybody is found out. Source: Yeom et al. (2018),
    "Privacy risk in machine learning", with the AUC in place of one threshold.

    Parameters
    ----------
    answers : ndarray of int8, shape (n,)
        1: yes, 0: no.
    probabilities : ndarray of float64, shape (n,)
    learned : ndarray of bool, shape (n,)
        The members. The others must be like them in all else: other customers of the same
        snapshots.

    Raises
    ------
    OneClass
        If there are members only, or none.
    """
    return auc(learned.astype(np.int8), -losses(answers, probabilities))
