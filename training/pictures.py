"""Pictures of a test as SVG text: calibrated or not, lift, and what moves a score.

The only file that draws with matplotlib and shap. No script, no font file, no clock in a
picture: the same numbers give the same bytes.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from features.algebra import FeatureSet
from features.home import write_whole
from models.classifier import BaseRate, Classifier
from models.evaluation import Evaluation, TargetEvaluation, beeswarm_file
from training.fit import Tested
from training.retrain import Retrained

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = NDArray[np.float64]

# Drawn as vectors, a point of shap's takes 130 bytes: 300 rows of ten features make 400 kB, and
# more points would only lie on top of each other.
MOST_ROWS: Final = 300
MOST_FEATURES: Final = 10
BLUE: Final = "#2563a8"
GREY: Final = "#8a8f98"


def draw(retrained: Retrained, features: FeatureSet, folder: Path) -> list[Path]:
    """Draw every target's pictures into a folder; the files written."""
    written = []
    for name, text in _pictures(retrained, features):
        write_whole(folder / name, text.encode())
        written.append(folder / name)
    return written


def _pictures(retrained: Retrained, features: FeatureSet) -> Iterator[tuple[str, str]]:
    evaluation: Evaluation = retrained.evaluation
    for target in evaluation.targets:
        yield f"calibration-{target.target}.svg", calibration_picture(target)
        if target.lift:
            yield f"lift-{target.target}.svg", lift_picture(target)
        classifier = retrained.bundle.classifiers[target.target]
        if not isinstance(classifier.model, BaseRate):  # it moves for nobody
            tested = retrained.tested[target.target]
            yield beeswarm_file(target.target), beeswarm(classifier, tested, features)


def calibration_picture(target: TargetEvaluation) -> str:
    """Share that came against probability that was said, a point a tenth."""
    with _figure((4.6, 4.2)) as figure:
        axes = figure.add_subplot()
        said = [bin_.mean_predicted for bin_ in target.calibration]
        came = [bin_.observed for bin_ in target.calibration]
        most = max(*said, *came, 0.01) * 1.05
        axes.plot([0, most], [0, most], color=GREY, linewidth=1, linestyle="--")
        axes.plot(said, came, color=BLUE, marker="o", linewidth=1.5)
        axes.set_xlim(0, most)
        axes.set_ylim(0, most)
        axes.set_xlabel("said: mean predicted probability of a tenth")
        axes.set_ylabel("came: share of yes")
        _percent(axes)
        return _svg(figure)


def lift_picture(target: TargetEvaluation) -> str:
    """Share of yes in each tenth, the highest scores first."""
    base = target.base_rate
    with _figure((4.6, 4.2)) as figure:
        axes = figure.add_subplot()
        axes.bar([each.tenth for each in target.lift], [each.observed for each in target.lift],
                 color=BLUE, width=0.75)  # fmt: skip
        axes.axhline(base, color=GREY, linewidth=1, linestyle="--")
        axes.set_xticks([each.tenth for each in target.lift])
        axes.set_xlabel("tenth of the rows, highest scores first (dashed: all)")
        axes.set_ylabel("share of yes")
        _percent(axes, x=False)
        return _svg(figure)


def beeswarm(classifier: Classifier, tested: Tested, features: FeatureSet) -> str:
    """SHAP's own beeswarm of a spread of test rows: what moved the log-odds, and how far."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of shap's own making
        import shap  # type: ignore[import-untyped]

        every = max(1, -(-len(tested.rows) // MOST_ROWS))
        rows = tested.rows[::every]
        parts = classifier.contributions(rows)
        explanation = shap.Explanation(
            values=parts[:, :-1],
            base_values=parts[:, -1],
            data=rows,
            feature_names=[feature.label for feature in features.features],
        )
        moving = int(np.count_nonzero(np.abs(parts[:, :-1]).max(axis=0) > 0))
        shown = max(1, min(MOST_FEATURES, moving))
        with _figure((9.6, 1.2 + 0.36 * shown)) as figure, _seeded():
            axes = figure.add_subplot()
            shap.plots.beeswarm(
                explanation[:, np.argsort(-np.abs(parts[:, :-1]).mean(axis=0), kind="stable")],
                max_display=shown,
                ax=axes,
                show=False,
                plot_size=None,
                group_remaining_features=False,
            )
            for artist in figure.findobj(lambda artist: bool(artist.get_rasterized())):
                artist.set_rasterized(False)  # vectors throughout: no picture in the picture
            axes.set_xlabel("moves the log-odds of a yes by", fontsize=10)
            axes.tick_params("y", labelsize=9, length=0)
            axes.tick_params("x", labelsize=9)
            return _svg(figure)


@contextmanager
def _figure(size: tuple[float, float]) -> Iterator["Figure"]:
    """A figure that no window and no global state know of."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(
        {
            "font.family": "sans-serif",
            "font.size": 10,
            "svg.fonttype": "none",  # text stays text: smaller, and to be read aloud
            "svg.hashsalt": "nextbest",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": GREY,
        }
    ):
        yield Figure(figsize=size, layout="constrained")


@contextmanager
def _seeded() -> Iterator[None]:
    """Shap jitters its points with NumPy's global numbers: fixed for it, then put back."""
    state = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(state)


def _percent(axes: "Axes", x: bool = True) -> None:
    from matplotlib.ticker import PercentFormatter

    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    if x:
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))


def _svg(figure: "Figure") -> str:
    """The figure as SVG, without the date and the program's name."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()
