"""LightGBM's text format, checked before LightGBM reads it.

Its own parser trusts what it is given: a truncated or forged file can end the process. So
each tree's arrays must have the length its leaves imply, and point inside it.
"""

from typing import Final

from models.classifier import DamagedModel

LONGEST: Final = 50_000_000  # bytes; ten times the largest forest training can make here
# One entry a split, or one a leaf. LightGBM writes more; these are the ones prediction reads.
PER_SPLIT: Final = ("split_feature", "threshold", "decision_type", "left_child", "right_child")
PER_LEAF: Final = ("leaf_value", "leaf_count", "leaf_weight")


def check_forest(text: str, names: tuple[str, ...]) -> None:
    """Refuse a text that is no whole forest over these features.

    Raises
    ------
    DamagedModel
        If a part is missing, has another length than its tree needs, or points outside.
    """
    if len(text) > LONGEST:
        raise _damaged(f"is {len(text):,} characters long", f"at most {LONGEST:,}")
    head, *trees = text.split("\nTree=")
    if not trees or "\nend of trees" not in trees[-1]:
        raise _damaged("has no end of trees", "trees and their end")
    fields = _fields(head)
    if not head.startswith("tree\n") or fields.get("version") != "v4":
        raise _damaged(f"has version {fields.get('version')}", "version v4")
    if fields.get("feature_names", "").split(" ") != list(names):
        raise _damaged("has other feature names", "those of the bundle, in the same order")
    if fields.get("num_class") != "1" or fields.get("objective") != "binary sigmoid:1":
        raise _damaged(f"has objective {fields.get('objective')}", "binary sigmoid:1")
    if len(fields.get("tree_sizes", "").split()) != len(trees):
        raise _damaged(f"has {len(trees)} trees", "as many as its head announces")
    for number, tree in enumerate(trees):
        _check_tree(number, _fields(tree.split("\nend of trees")[0]), len(names))


def _check_tree(number: int, fields: dict[str, str], n_features: int) -> None:
    try:
        leaves = int(fields["num_leaves"])
        arrays = {name: fields[name].split() for name in (*PER_SPLIT, *PER_LEAF) if name in fields}
        numbers = {name: [float(word) for word in words] for name, words in arrays.items()}
    except (KeyError, ValueError) as error:
        raise _damaged(f"tree {number} cannot be read ({error})", "numbers only") from error
    if fields.get("num_cat") != "0" or fields.get("is_linear", "0") != "0":
        raise _damaged(f"tree {number} has categories or linear leaves", "neither")
    if leaves < 1 or len(numbers.get("leaf_value", ())) != leaves:
        raise _damaged(f"tree {number} has a wrong number of leaves", f"{leaves}")
    if leaves == 1:
        return
    for name in PER_SPLIT:
        if len(numbers.get(name, ())) != leaves - 1:
            raise _damaged(f"tree {number} has a wrong number of '{name}'", f"{leaves - 1}")
    if not all(0 <= place < n_features for place in numbers["split_feature"]):
        raise _damaged(f"tree {number} splits on a feature that is not there", f"{n_features}")
    children = [int(child) for name in PER_SPLIT[3:] for child in numbers[name]]
    # Splits count from 0, leaves are written as -1, -2, ...; each but the root has one parent.
    if sorted(children) != [*range(-leaves, 0), *range(1, leaves - 1)]:
        raise _damaged(f"tree {number} is no tree", "each node once")


def _fields(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.split("\n") if "=" in line)


def _damaged(found: str, allowed: str) -> DamagedModel:
    return DamagedModel(
        f"the forest's text {found}; must be {allowed}; train again with `nextbest train`"
    )
