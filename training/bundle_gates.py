"""Gates that a bundle passes by itself: what it is made for, says of its test, and gives away."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from features.algebra import FeatureSet
from models.bundle import Bundle, Measured, predictions
from models.bundle_files import GOLDEN_TOLERANCE
from models.evaluation import Gate
from models.forest import Forest
from training.contest import FEWEST_TESTED
from training.gates import BEATS, EQUALS, LOSES, MAY_SERVE, UNCLEAR

# AUC of the loss-threshold attack. LightGBM with its defaults had .71 on 2,000 rows; .5 is luck.
MOST_MEMBERSHIP: Final = 0.60
# One forest of the demo company has 180 trees and a third of a mebibyte; the time of an answer
# and of a start grows with both.
MOST_TREES: Final = 1_000
MOST_BYTES: Final = 24 * 2**20


def bundle_gates(bundle: Bundle, features: FeatureSet) -> Iterator[Gate]:
    """Every gate that needs the bundle only."""
    yield schema_gate(bundle, features)
    for name in bundle.classifiers:
        yield data_gate(name, serving(bundle, name))
        yield baseline_gate(name, serving(bundle, name))
        yield membership_gate(name, serving(bundle, name))
    yield golden_gate(bundle)
    yield size_gate(bundle)


def serving(bundle: Bundle, target: str) -> Measured | None:
    """What the own test said of the model that serves a target; None if nothing."""
    served_by = bundle.classifiers[target].served_by
    for each in bundle.metrics:
        if each.target == target and each.model == served_by and each.serves:
            return each
    return None


def schema_gate(bundle: Bundle, features: FeatureSet) -> Gate:
    """Whether the bundle was made for the features that this program computes."""
    same = bundle.fingerprint == features.fingerprint and bundle.feature_names == features.names
    return Gate(
        "schema and fingerprint",
        same,
        f"{len(bundle.feature_names)} features of fingerprint {bundle.fingerprint[:12]}; this "
        f"program computes {len(features.names)} of {features.fingerprint[:12]}",
    )


def data_gate(target: str, found: Measured | None) -> Gate:
    """Whether the model that serves was tested on both answers, unless it learned next to none."""
    name = f"{target}: data"
    if found is None:
        return Gate(name, False, "the bundle does not say how its test went")
    no = found.rows - found.positives
    simple = found.model in ("base_rate", "recency")
    both = min(found.positives, no) > 0
    says = f"tested on {found.rows:,} later rows, {found.positives:,} yes and {no:,} no"
    if not both and simple:
        says += f"; the {found.model} rule serves"
    return Gate(name, both or simple, says)


_VERBS: Final = {
    BEATS: "beats",
    EQUALS: "equals",
    LOSES: "loses to",
    UNCLEAR: "is not shown to be as good as",
}


def baseline_gate(target: str, found: Measured | None) -> Gate:
    """Whether LightGBM serves only where it beats or equals the best baseline."""
    name = f"{target}: best baseline"
    if found is None:
        return Gate(name, False, "the bundle does not say how its test went")
    if found.model != "lightgbm":
        few = f"untested: {found.rows:,} rows are too few to compare on"
        says = few if found.rows < FEWEST_TESTED else "the best of them"
        return Gate(name, True, f"{found.model} serves, {says}")
    verb = _VERBS.get(found.verdict, "was not compared with")
    says = f"LightGBM serves; it {verb} the best baseline"
    return Gate(name, found.verdict in MAY_SERVE, says)


def membership_gate(target: str, found: Measured | None) -> Gate:
    """Whether losses tell too well whom the model has learned from."""
    name = f"{target}: membership inference"
    if found is None:
        return Gate(name, False, "the bundle does not say how its test went")
    if found.model != "lightgbm":
        return Gate(
            name, True, f"not attacked: {found.model} serves, a few numbers for all customers"
        )
    if found.membership is None:
        return Gate(name, False, f"not measured; at most {MOST_MEMBERSHIP:.2f} may be")
    return Gate(
        name,
        found.membership <= MOST_MEMBERSHIP,
        f"attack AUC {found.membership:.3f}; at most {MOST_MEMBERSHIP:.2f} may be",
    )


def golden_gate(bundle: Bundle) -> Gate:
    """Whether the bundle still says of its golden rows what it said when it was made."""
    golden = bundle.golden
    rows = np.array(golden.rows, dtype=np.float64).reshape(-1, len(bundle.feature_names))
    now = predictions(bundle, rows)
    gaps = [
        np.abs(np.array(then) - now[name]) / np.maximum(1.0, np.abs(np.array(then)))
        for name, then in golden.predictions.items()
    ]
    gap = max((float(np.max(each)) for each in gaps if len(each)), default=np.inf)
    return Gate(
        "golden predictions",
        gap <= GOLDEN_TOLERANCE,
        f"{len(rows)} rows repeat within {gap:.1g}; at most {GOLDEN_TOLERANCE:g} may be",
    )


def size_gate(bundle: Bundle) -> Gate:
    """Whether the forests are small enough to answer and to start in time."""
    forests = [one.model for one in bundle.classifiers.values() if isinstance(one.model, Forest)]
    if bundle.margin.forest is not None:
        forests.append(bundle.margin.forest.forest)
    size = sum(len(forest.text) for forest in forests)
    trees = max((forest.text.count("\nTree=") for forest in forests), default=0)
    return Gate(
        "size",
        size <= MOST_BYTES and trees <= MOST_TREES,
        f"forests of {size / 2**20:.1f} MiB together, {trees:,} trees at most in one; allowed are "
        f"{MOST_BYTES // 2**20} MiB and {MOST_TREES:,}",
    )
