"""The model card: one page on a bundle, in one file that needs nothing else."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jinja2
import numpy as np

from features.home import About, write_whole
from features.signals import date_of
from models.bundle import Bundle
from models.evaluation import CARD, Estimate, Evaluation, beeswarm_file

TEMPLATE: Final = "card.html"
NAMES: Final = {
    "lightgbm": "LightGBM",
    "logistic": "logistic regression",
    "bg_nbd": "BG/NBD, from purchase times alone",
    "pareto_nbd": "Pareto/NBD, from purchase times alone",
    "recency": "rule by the last order",
    "base_rate": "base rate",
}


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture inside the card: its words for those who cannot see it, and SVG in base64."""

    title: str
    content: str


def write_card(evaluation: Evaluation, bundle: Bundle, about: About, folder: Path) -> Path:
    """Write the card beside the pictures of a report folder; the file it became."""
    page = _environment().get_template(TEMPLATE)
    text = page.render(
        evaluation=evaluation,
        bundle=bundle,
        about=about,
        pictures={target.target: _pictures(target.target, folder) for target in evaluation.targets},
        names=NAMES,
        day=date_of,
        percent=_percent,
        estimate=_estimate,
        command=again(evaluation),
    )
    write_whole(folder / CARD, text.encode())
    return folder / CARD


def again(evaluation: Evaluation) -> str:
    """The command that makes the same bundle from the same signals."""
    words = [f"nextbest train --as-of {_moment(evaluation.as_of)} --seed {evaluation.seed}"]
    words += [f"--set {name}={value:g}" for name, value in evaluation.changed.items()]
    return " ".join(words)


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _pictures(target: str, folder: Path) -> list[Picture]:
    found = []
    for name, title in (
        (f"calibration-{target}.svg", "Calibration; the table below has its numbers"),
        (f"lift-{target}.svg", "Lift by tenth; the table below has its numbers"),
        (beeswarm_file(target), "Beeswarm: which features move the score, and in which direction"),
    ):
        if (folder / name).exists():
            content = base64.b64encode((folder / name).read_bytes()).decode("ascii")
            found.append(Picture(title, content))
    return found


def _estimate(found: Estimate | None) -> str:
    if found is None:
        return "none"
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _moment(moment: int) -> str:
    return str(np.datetime64(moment, "us").astype("datetime64[s]"))
