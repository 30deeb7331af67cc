"""LightGBM's text format, checked before LightGBM reads it.

Its own parser trusts what it is given: a truncated or forged file can end the process, or send
a prediction round in circles. So every line must be one that LightGBM writes for our forests,
in its order, and every tree a tree: one root, each node reached once, counts that add up.
"""

import math
import re
from typing import Final

from models.model import DamagedModel

LONGEST: Final = 20_000_000  # characters; the largest forest that training makes has 2,000,000
PROBABILITY: Final = "binary sigmoid:1"  # leaves add up to log-odds
MOST_LEAVES: Final = 1_024  # of one tree; training stops at 127 at most
# Log-odds; beyond 37 a float64 cannot tell the probability from 0 or 1.
LARGEST_LEAF: Final = 100.0
# Leaves x depth^2, summed over the trees, is the work of explaining one prediction. The demo
# company's forests have 10^5.6 and take 1.5 ms; this is a quarter of a second.
MOST_WORK: Final = 10**8
# LightGBM's bits: 1 categorical, 2 missing goes left, 4 zero is missing, 8 NaN is missing.
DECISION_TYPES: Final = frozenset({0, 2, 8, 10})

_INTEGER: Final = r"-?\d{1,10}"
_NUMBER: Final = r"-?\d{1,40}(?:\.\d{1,40})?(?:e[+-]?\d{1,3})?"


def _list_of(word: str) -> str:
    return f"(?:{word}(?: {word})*)?"


_NUMBERS: Final = _list_of(_NUMBER)
# "All that have a value go left": a split of the missing from the rest.
_THRESHOLDS: Final = _list_of(rf"(?:{_NUMBER}|inf)")
_INTEGERS: Final = _list_of(_INTEGER)
_RANGES: Final = _list_of(rf"(?:none|\[{_NUMBER}:{_NUMBER}\])")
# Lines of a tree, in LightGBM's order.
_TREE_LINES: Final = {
    "num_leaves": r"\d{1,7}",
    "num_cat": "0",
    "split_feature": _INTEGERS,
    "split_gain": _NUMBERS,
    "threshold": _THRESHOLDS,
    "decision_type": _INTEGERS,
    "left_child": _INTEGERS,
    "right_child": _INTEGERS,
    "leaf_value": _NUMBERS,
    "leaf_weight": _NUMBERS,
    "leaf_count": _INTEGERS,
    "internal_value": _NUMBERS,
    "internal_weight": _NUMBERS,
    "internal_count": _INTEGERS,
    "is_linear": "0",
    "shrinkage": _NUMBER,
}
_PER_SPLIT: Final = (
    "split_feature",
    "split_gain",
    "threshold",
    "decision_type",
    "left_child",
    "right_child",
    "internal_value",
    "internal_weight",
    "internal_count",
)
_PER_LEAF: Final = ("leaf_value", "leaf_weight", "leaf_count")
_TREE: Final = [(name, re.compile(f"{name}=({form})")) for name, form in _TREE_LINES.items()]
_HEAD: Final = re.compile(
    r"tree\n"
    r"version=(?P<version>.*)\n"
    r"num_class=1\nnum_tree_per_iteration=1\nlabel_index=0\n"
    r"max_feature_idx=(?P<last>\d{1,6})\n"
    r"objective=(?P<objective>.*)\n"
    r"feature_names=(?P<names>.*)\n"
    rf"(?:monotone_constraints=(?P<monotone>{_INTEGERS})\n)?"
    rf"feature_infos=(?P<infos>{_RANGES})\n"
    r"tree_sizes=(?P<sizes>\d{1,9}(?: \d{1,9})*)\n\n"
)
# What follows the trees is read as well: how often a feature splits, and how it was trained.
_TAIL: Final = re.compile(
    r"end of trees\n\nfeature_importances:\n(?:[A-Za-z0-9_]{1,100}=\d{1,9}\n)*\n?"
    r"(?:parameters:\n(?:\[[a-z0-9_]{1,60}: [^\n\[\]\"\\]{0,2000}\]\n)*\nend of parameters\n)?"
    r"(?:\npandas_categorical:(?:null|\[\])\n?)?"
)


def check_forest(text: str, names: tuple[str, ...], objective: str = PROBABILITY) -> None:
    """Refuse a text that is no whole forest over these features.

    Parameters
    ----------
    objective : str
        What it was grown for, as LightGBM writes it; it says what the leaves add up to.

    Raises
    ------
    DamagedModel
        If a line is missing, unknown or in another place, an array has another length than its
        tree needs, a number is not finite or too large, or the nodes are no tree.
    """
    if len(text) > LONGEST:
        raise _damaged(f"is {len(text):,} characters long", f"at most {LONGEST:,}")
    if not text.isascii():
        raise _damaged("has characters beyond ASCII", "ASCII")
    place, sizes = _checked_head(text, names, objective)
    work = 0
    for number, size in enumerate(sizes):
        work += _tree_work(number, text[place : place + size], len(names))
        if work > MOST_WORK:
            raise _damaged(f"has trees too deep, up to tree {number}", f"{MOST_WORK} at most")
        place += size
    if not _TAIL.fullmatch(text, place):
        raise _damaged("does not end as a forest does", "all trees, their end and nothing else")


def _checked_head(text: str, names: tuple[str, ...], objective: str) -> tuple[int, list[int]]:
    """Where the first tree begins, and how many characters each tree takes."""
    head = _HEAD.match(text)
    if head is None:
        raise _damaged("does not begin as a forest does", "version v4, its features and sizes")
    if head["version"] != "v4":
        raise _damaged(f"has version {head['version'][:20]}", "version v4")
    if head["objective"] != objective:
        raise _damaged(f"has objective {head['objective'][:40]}", objective)
    if head["names"].split(" ") != list(names) or int(head["last"]) != len(names) - 1:
        raise _damaged("has other feature names", "those of the bundle, in the same order")
    if len(head["infos"].split()) != len(names):
        raise _damaged("has a wrong number of feature_infos", f"{len(names)}")
    monotone = (head["monotone"] or "").split()
    if len(monotone) not in (0, len(names)) or not set(monotone) <= {"-1", "0", "1"}:
        raise _damaged("has wrong monotone_constraints", f"{len(names)} of -1, 0 and 1")
    return head.end(), [int(size) for size in head["sizes"].split()]


def _tree_work(number: int, block: str, n_features: int) -> int:
    """Check one tree; leaves x depth^2 of it."""
    found = _lines_of(number, block)
    leaves = int(found["num_leaves"])
    if not 1 <= leaves <= MOST_LEAVES:
        raise _damaged(f"tree {number} has {leaves} leaves", f"1 to {MOST_LEAVES}")
    values = {
        name: [float(word) for word in found[name].split()] for name in (*_PER_SPLIT, *_PER_LEAF)
    }
    for name, numbers in values.items():
        expected = leaves - 1 if name in _PER_SPLIT else leaves
        if leaves == 1 and name == "leaf_weight":
            expected = 0  # so LightGBM writes it
        if len(numbers) != expected:
            raise _damaged(f"tree {number} has {len(numbers)} entries of {name}", f"{expected}")
        if name != "threshold" and not all(map(math.isfinite, numbers)):
            raise _damaged(f"tree {number} has an infinite {name}", "finite numbers")
    if max(map(abs, values["leaf_value"])) > LARGEST_LEAF:
        raise _damaged(f"tree {number} has a leaf beyond {LARGEST_LEAF:g}", "log-odds")
    if not 0 < float(found["shrinkage"]) <= 1:
        raise _damaged(f"tree {number} has shrinkage {found['shrinkage']}", "in (0, 1]")
    if not all(0 <= place < n_features for place in values["split_feature"]):
        raise _damaged(f"tree {number} splits on a feature that is not there", f"{n_features}")
    if not DECISION_TYPES.issuperset(values["decision_type"]):
        raise _damaged(f"tree {number} has an unknown decision_type", f"{sorted(DECISION_TYPES)}")
    return leaves * _checked_depth(number, values) ** 2


def _lines_of(number: int, block: str) -> dict[str, str]:
    """Values of the lines of a tree by name, each as LightGBM writes it and where it does."""
    first, *lines = block.split("\n")
    if first != f"Tree={number}" or lines[len(_TREE) :] != ["", "", ""]:
        raise _damaged(f"tree {number} is not where the head says", "as long as tree_sizes says")
    found = {}
    for (name, form), line in zip(_TREE, lines, strict=False):
        match = form.fullmatch(line)
        if match is None:
            raise _damaged(
                f"tree {number} has the line {line[:40]!a}", f"'{name}=' and its numbers"
            )
        found[name] = match[1]
    return found


def _checked_depth(number: int, values: dict[str, list[float]]) -> int:
    """Depth of the deepest leaf, having walked to each node once.

    Splits count from 0; leaves are written as -1, -2, ... The number of rows that came to a
    node is the sum of its children's: explanations are weighted by it.
    """
    left, right = values["left_child"], values["right_child"]
    split_rows, leaf_rows = values["internal_count"], values["leaf_count"]
    if min(leaf_rows) < 1:
        raise _damaged(f"tree {number} has a leaf without rows", "one at least")
    splits, leaves = len(left), len(leaf_rows)
    if not splits:
        return 0  # the root is the leaf: there was nothing worth a split
    todo, depth, met = [(0 if splits else -1, 0)], 0, 0
    while todo:
        node, above = todo.pop()
        met += 1
        if not -leaves <= node < splits or met > splits + leaves:
            raise _damaged(f"tree {number} is no tree", "each node once")
        if node < 0:
            depth = max(depth, above)
            continue
        children = [int(side[node]) for side in (left, right)]
        rows = sum(
            leaf_rows[~child] if child < 0 else split_rows[child]
            for child in children
            if -leaves <= child < splits
        )
        if rows != split_rows[node]:
            raise _damaged(f"tree {number} has counts that do not add up", "sums of the leaves'")
        todo += [(child, above + 1) for child in children]
    nodes = sorted(int(child) for child in (*left, *right))
    if met != splits + leaves or nodes != [*range(-leaves, 0), *range(1, splits)]:
        raise _damaged(f"tree {number} is no tree", "each node once")
    return depth


def _damaged(found: str, allowed: str) -> DamagedModel:
    return DamagedModel(f"the forest's text {found}; must be {allowed}")
