"""The sum of a forest's leaves, read from LightGBM's text and worked out by a loop of our own.

LightGBM's Python interface spends most of the time of a single row on getting ready. The trees
as plain arrays need a tenth of it, and give the same bits: the same comparisons, the leaves
added in the order of the trees.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Int64Array = NDArray[np.int64]
_Function = TypeVar("_Function", bound=Callable[..., object])

# LightGBM's bits of a decision: 2, the missing go left; 8, NaN is missing. Without the latter NaN
# counts as 0. Other bits (categories, zero as missing) are refused by `forest_text`.
MISSING_LEFT: Final = 2
NAN_IS_MISSING: Final = 8
# What is not further from 0 than the float32 nearest to 1e-35 counts as 0: its kZeroThreshold.
ZERO: Final = 1.0000000180025095e-35


class Trees(NamedTuple):
    """All trees behind each other; `roots` and `leaves` say where each begins.

    Attributes
    ----------
    roots, leaves : ndarray of int64, shape (n_trees,)
        First node, and first leaf, of each tree.
    splits : ndarray of int64, shape (n_trees,)
        Nodes of each tree; 0: it is one leaf.
    feature, decision, left, right : ndarray of int64, shape (n_nodes,)
        A child below 0 is a leaf: -1 the first.
    threshold : ndarray of float64, shape (n_nodes,)
    value : ndarray of float64, shape (n_leaves,)
    """

    roots: Int64Array
    leaves: Int64Array
    splits: Int64Array
    feature: Int64Array
    decision: Int64Array
    left: Int64Array
    right: Int64Array
    threshold: FloatArray
    value: FloatArray


# A service holds one bundle with a handful of forests, or two while one takes over.
@lru_cache(maxsize=32)
def trees_of(text: str) -> Trees:
    """The trees of a text that `check_forest` has found to be whole."""
    blocks = text.split("\nend of trees")[0].split("\nTree=")[1:]
    found = [dict(line.split("=", 1) for line in block.split("\n") if "=" in line)
             for block in blocks]  # fmt: skip
    counts = np.array([int(tree["num_leaves"]) for tree in found], dtype=np.int64)

    def joined(name: str) -> FloatArray:
        # A tree of one leaf has no such lines, or empty ones.
        return np.array([float(x) for tree in found for x in tree.get(name, "").split()])

    def whole(name: str) -> Int64Array:
        return joined(name).astype(np.int64)

    before = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
    return Trees(
        roots=before - np.arange(len(counts)),
        leaves=before,
        splits=counts - 1,
        feature=whole("split_feature"),
        decision=whole("decision_type"),
        left=whole("left_child"),
        right=whole("right_child"),
        threshold=joined("threshold"),
        value=joined("leaf_value"),
    )


def leaf_sums(text: str, rows: FloatArray) -> FloatArray:
    """Sum of the leaves that each row falls into, shape (n,).

    Parameters
    ----------
    text : str
        A forest that `check_forest` has found to be whole.
    rows : ndarray of float64, shape (n, n_features)
    """
    sums = np.zeros(len(rows))
    _add_leaves(trees_of(text), np.ascontiguousarray(rows), sums)
    return sums


def _compiled(function: _Function) -> _Function:
    return cast(_Function, njit(cache=True)(function))


@_compiled
def _add_leaves(trees: Trees, rows: FloatArray, sums: FloatArray) -> None:
    for i in range(rows.shape[0]):
        total = 0.0
        for tree in range(trees.splits.shape[0]):
            node = 0 if trees.splits[tree] > 0 else -1
            while node >= 0:
                here = trees.roots[tree] + node
                value = rows[i, trees.feature[here]]
                if np.isnan(value) and trees.decision[here] & NAN_IS_MISSING:
                    left = trees.decision[here] & MISSING_LEFT != 0
                else:
                    if not abs(value) > ZERO:  # NaN too
                        value = 0.0
                    left = value <= trees.threshold[here]
                node = trees.left[here] if left else trees.right[here]
            total += trees.value[trees.leaves[tree] - node - 1]
        sums[i] = total
