import re

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


def test_a_forest_cut_anywhere_is_refused(text: str) -> None:
    end = text.index("\nend of trees")
    for cut in range(0, end, max(end // 60, 1)):
        with pytest.raises(DamagedModel, match="train again with `nextbest train`"):
            check_forest(text[:cut], FEATURES.names)


@pytest.mark.parametrize(
    ("pattern", "new", "words"),
    [
        (r"version=v4", "version=v3", "has version v3; must be version v4"),
        (r"objective=binary sigmoid:1", "objective=regression", "has objective regression"),
        (r"feature_names=\w+ ", "feature_names=other ", "has other feature names"),
        (r"tree_sizes=\d+ ", "tree_sizes=", "has 10 trees; must be as many as its head"),
        (r"num_leaves=\d+", "num_leaves=1000000", "tree 0 has a wrong number of leaves"),
        (r"num_leaves=\d+", "num_leaves=many", "tree 0 cannot be read"),
        (r"num_cat=0", "num_cat=1", "tree 0 has categories or linear leaves"),
        (r"split_feature=\d+", f"split_feature={WIDTH}", "tree 0 splits on a feature that is not"),
        (r"split_feature=\d+", "split_feature=-1", "tree 0 splits on a feature that is not there"),
        (r"threshold=\S+ ", "threshold=", "tree 0 has a wrong number of 'threshold'"),
        (r"left_child=\S+ ", "left_child=0 ", "tree 0 is no tree"),
        (r"right_child=\S+ ", "right_child=77 ", "tree 0 is no tree"),
        (r"leaf_value=\S+ ", "leaf_value=", "tree 0 has a wrong number of leaves"),
    ],
)
def test_a_forged_forest_is_refused(text: str, pattern: str, new: str, words: str) -> None:
    forged = re.sub(pattern, new, text, count=1)
    assert forged != text
    with pytest.raises(DamagedModel, match=re.escape(words)):
        check_forest(forged, FEATURES.names)


def test_a_text_that_never_ends_is_refused() -> None:
    with pytest.raises(DamagedModel, match=re.escape("50,000,001 characters long")):
        check_forest("t" * 50_000_001, FEATURES.names)
