import re

import lightgbm
import numpy as np
import pytest

from features.definitions import FEATURES
from models.classifier import Classifier, DamagedModel, Forest
from models.forest_text import check_forest

WIDTH = len(FEATURES)


@pytest.fixture(scope="module")
def text(forest: Classifier) -> str:
    assert isinstance(forest.model, Forest)
    return forest.model.text


def test_a_whole_forest_passes(text: str) -> None:
    check_forest(text, FEATURES.names)
    assert lightgbm.Booster(model_str=text).feature_name() == list(FEATURES.names)


def test_a_forest_cut_anywhere_is_refused(text: str) -> None:
    end = text.index("\nend of trees")
    for cut in range(0, end, max(end // 60, 1)):
        with pytest.raises(DamagedModel, match=r"the forest's text .*; must be"):
            check_forest(text[:cut], FEATURES.names)


@pytest.mark.parametrize(
    ("pattern", "new", "words"),
    [
        (r"^tree\n", "", "does not begin as a forest does"),
        (r"num_class=1", "num_class=2", "does not begin as a forest does"),
        (r"version=v4", "version=v3", "has version v3; must be version v4"),
        (r"objective=binary sigmoid:1", "objective=regression", "has objective regression"),
        (r"feature_names=\w+ ", "feature_names=other ", "has other feature names"),
        (r"max_feature_idx=\d+", "max_feature_idx=999999", "has other feature names"),
        (r"feature_infos=\S+ ", "feature_infos=", "has a wrong number of feature_infos"),
        (r"\nfeature_infos=", r"\nmonotone_constraints=2\nfeature_infos=", "wrong monotone_constr"),
        (r"num_leaves=\d+", "num_leaves=1000000", "tree 0 has 1000000 leaves; must be 1 to 1024"),
        (r"num_leaves=\d+", "num_leaves=0", "tree 0 has 0 leaves"),
        (r"num_leaves=\d+", "num_leaves=7", "tree 0 has 5 entries of split_feature; must be 6"),
        (r"num_leaves=\d+", "num_leaves=many", "has the line 'num_leaves=many'"),
        (r"num_cat=0", "num_cat=1", "tree 0 has the line 'num_cat=1'; must be 'num_cat='"),
        (r"is_linear=0", "is_linear=1", "tree 0 has the line 'is_linear=1'"),
        (r"split_gain=", "split_again=", "has the line 'split_again="),
        (r"split_feature=\d+", f"split_feature={WIDTH}", "tree 0 splits on a feature that is not"),
        (r"split_feature=\d+", "split_feature=-1", "tree 0 splits on a feature that is not there"),
        (r"split_feature=\d+", "split_feature=1.5", "tree 0 has the line 'split_feature=1.5"),
        (r"threshold=\S+ ", "threshold=", "tree 0 has 4 entries of threshold; must be 5"),
        (r"threshold=\S+ ", "threshold=nan ", "tree 0 has the line 'threshold=nan"),
        (r"decision_type=\d+", "decision_type=1", "tree 0 has an unknown decision_type"),
        (r"left_child=\S+ ", "left_child=0 ", "tree 0 has counts that do not add up"),
        (r"right_child=\S+ ", "right_child=77 ", "tree 0 has counts that do not add up"),
        (r"leaf_value=\S+ ", "leaf_value=", "tree 0 has 5 entries of leaf_value; must be 6"),
        (r"leaf_value=\S+ ", "leaf_value=1e999 ", "tree 0 has an infinite leaf_value"),
        (r"leaf_value=\S+ ", "leaf_value=-101 ", "tree 0 has a leaf beyond 100; must be log-odds"),
        (r"leaf_value=\S+ ", "leaf_value=1_0 ", "tree 0 has the line 'leaf_value=1_0"),
        (r"leaf_count=\d+", "leaf_count=0", "tree 0 has a leaf without rows"),
        (r"leaf_count=\d+", "leaf_count=1", "tree 0 has counts that do not add up"),
        (r"shrinkage=\S+", "shrinkage=0", "tree 0 has shrinkage 0; must be in (0, 1]"),
        (r"Tree=3\n", "Tree=4\n", "tree 3 is not where the head says"),
        (r"end of parameters", "end of all", "does not end as a forest does"),
        (r"pandas_categorical:null", "pandas_categorical:[[1]]", "does not end as a forest does"),
        (r"\[boosting: gbdt\]", '[boosting: "gbdt"]', "does not end as a forest does"),
        (r"tree\n", "tr\u00e9e\n", "has characters beyond ASCII"),
    ],
)
def test_a_forged_forest_is_refused(text: str, pattern: str, new: str, words: str) -> None:
    forged = re.sub(pattern, new, text, count=1)
    assert forged != text
    with pytest.raises(DamagedModel, match=re.escape(words)):
        check_forest(sized_again(forged), FEATURES.names)


def sized_again(text: str) -> str:
    """The text with the sizes of its trees made to fit: a forger's work."""
    trees = [f"Tree={part}" for part in text.split("\nend of trees")[0].split("\nTree=")[1:]]
    sizes = [len(tree) + 1 for tree in trees]
    return re.sub(r"tree_sizes=.*", f"tree_sizes={' '.join(map(str, sizes))}", text)


def test_sizes_that_lie_are_refused(text: str) -> None:
    forged = re.sub(r"tree_sizes=\d+ ", "tree_sizes=7 ", text)
    with pytest.raises(DamagedModel, match="tree 0 is not where the head says"):
        check_forest(forged, FEATURES.names)
    with pytest.raises(DamagedModel, match="tree 0 is not where the head says"):
        check_forest(re.sub(r"tree_sizes=\d+ ", "tree_sizes=", text), FEATURES.names)


def one_tree(left: str, right: str, split_rows: str) -> str:
    """A forest of one tree with four leaves of one row each, over one feature."""
    tree = "\n".join(
        [
            "Tree=0",
            "num_leaves=4",
            "num_cat=0",
            "split_feature=0 0 0",
            "split_gain=1 1 1",
            "threshold=1 2 3",
            "decision_type=2 2 2",
            f"left_child={left}",
            f"right_child={right}",
            "leaf_value=0.1 0.2 0.3 0.4",
            "leaf_weight=1 1 1 1",
            "leaf_count=1 1 1 1",
            "internal_value=0 0 0",
            "internal_weight=1 1 1",
            f"internal_count={split_rows}",
            "is_linear=0",
            "shrinkage=1",
            "",
            "",
            "",
        ]
    )
    return (
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\n"
        "max_feature_idx=0\nobjective=binary sigmoid:1\nfeature_names=x\nfeature_infos=[0:9]\n"
        f"tree_sizes={len(tree)}\n\n{tree}end of trees\n\nfeature_importances:\nx=3\n"
    )


def test_a_small_forest_by_hand_passes() -> None:
    text = one_tree("1 -1 -2", "2 -3 -4", "4 2 2")
    check_forest(text, ("x",))
    rows = np.array([[0.5], [1.5], [2.5], [3.5]])
    found = lightgbm.Booster(model_str=text).predict(rows, raw_score=True)
    assert list(np.asarray(found)) == [0.1, 0.2, 0.2, 0.4]


@pytest.mark.parametrize(
    ("left", "right", "split_rows"),
    [
        # Node 1 is its own parent: a prediction would go round for ever.
        ("1 1 -2", "2 -3 -4", "4 2 2"),
        # Splits 1 and 2 are each other's children, out of the root's reach; all counts add up.
        ("-1 2 1", "-2 -3 -4", "2 2 1"),
        # Two ways lead to one leaf.
        ("1 -1 -1", "2 -3 -4", "4 2 2"),
    ],
)
def test_nodes_that_are_no_tree_are_refused(left: str, right: str, split_rows: str) -> None:
    with pytest.raises(DamagedModel, match=r"tree 0 (is no tree|has counts that do not add up)"):
        check_forest(one_tree(left, right, split_rows), ("x",))


def test_a_chain_that_would_take_seconds_to_explain_is_refused() -> None:
    n = 1_024
    chain = "\n".join(
        [
            "Tree=0",
            f"num_leaves={n}",
            "num_cat=0",
            f"split_feature={' '.join(['0'] * (n - 1))}",
            f"split_gain={' '.join(['1'] * (n - 1))}",
            f"threshold={' '.join(map(str, range(n - 1)))}",
            f"decision_type={' '.join(['2'] * (n - 1))}",
            f"left_child={' '.join(str(-i - 1) for i in range(n - 1))}",
            f"right_child={' '.join([*map(str, range(1, n - 1)), str(-n)])}",
            f"leaf_value={' '.join(['0'] * n)}",
            f"leaf_weight={' '.join(['1'] * n)}",
            f"leaf_count={' '.join(['1'] * n)}",
            f"internal_value={' '.join(['0'] * (n - 1))}",
            f"internal_weight={' '.join(['1'] * (n - 1))}",
            f"internal_count={' '.join(map(str, range(n, 1, -1)))}",
            "is_linear=0",
            "shrinkage=1",
            "",
            "",
            "",
        ]
    )
    head = one_tree("1 -1 -2", "2 -3 -4", "4 2 2").split("tree_sizes=")[0]
    text = f"{head}tree_sizes={len(chain)}\n\n{chain}end of trees\n\nfeature_importances:\nx=3\n"
    with pytest.raises(DamagedModel, match="trees too deep, up to tree 0"):
        check_forest(text, ("x",))


def test_a_split_of_the_missing_from_the_rest_passes() -> None:
    text = one_tree("1 -1 -2", "2 -3 -4", "4 2 2")
    text = text.replace("threshold=1 ", "threshold=inf ").replace("type=2 ", "type=8 ")
    check_forest(sized_again(text), ("x",))
    found = lightgbm.Booster(model_str=sized_again(text)).predict([[0.5], [9.0], [np.nan]])
    log_odds = np.array([0.1, 0.3, 0.2])
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-log_odds)), rtol=1e-12)


def test_a_text_that_never_ends_is_refused() -> None:
    with pytest.raises(DamagedModel, match=re.escape("20,000,001 characters long")):
        check_forest("t" * 20_000_001, FEATURES.names)
