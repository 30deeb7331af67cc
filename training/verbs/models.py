"""The verbs of who trains: fit, compare, promote, go back."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from features.home import Home
from training.verbs.options import (
    DEFAULT_HOME,
    AsOfOption,
    BundleArgument,
    HomeOption,
    JsonOption,
    looked_from,
    show,
)


def train(  # noqa: PLR0913 - each is an option of the command
    home: HomeOption = DEFAULT_HOME,
    as_of: AsOfOption = None,
    targets: Annotated[
        Path | None, typer.Option(help="Questions and windows; the home's own if not given.")
    ] = None,
    changed: Annotated[
        list[str] | None,
        typer.Option("--set", help="A guarded parameter, such as num_leaves=31; repeatable."),
    ] = None,
    trials: Annotated[
        int,
        typer.Option(
            "--search", min=0, help="Try so many settings first; goes on where it was stopped."
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(help="Same data, same seed, same models.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Fit the models and their baselines; the first bundle serves, a later one challenges it."""
    from training.forest import BoosterSettings
    from training.narrator import Narrator
    from training.parameters import changed_settings
    from training.publish import publish
    from training.results import result_lines, result_record
    from training.retrain import Recipe, retrain

    place, narrator = Home(home), Narrator(quiet=as_json)
    recipe = Recipe(targets, seed, changed_settings(BoosterSettings(), changed or ()), trials)
    retrained = retrain(place, looked_from(place, as_of), recipe, narrator)
    untold = publish(place, retrained, narrator)
    record = {**result_record(retrained), "mlflow": untold}
    show([*result_lines(retrained), *untold], record, as_json)


def evaluate(
    bundle: BundleArgument = None,
    holdout: Annotated[
        bool, typer.Option("--holdout", help="What the programme is worth, by the holdout.")
    ] = False,
    detect: Annotated[
        float | None, typer.Option(help="With --holdout: money a customer worth finding.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare a bundle with the one in service, on later snapshots new to both."""
    from training.evaluate import compare, named_bundle
    from training.narrator import Narrator
    from training.results import comparison_lines, comparison_record, verdict_line

    place = Home(home)
    now = looked_from(place, as_of)
    if holdout:
        from training.holdout import holdout_report

        report = holdout_report(place, now, detect)
        show(report.lines(), report.record(), as_json)
        return
    found = compare(place, named_bundle(place, bundle), now, Narrator(quiet=as_json))
    show([*comparison_lines(found), verdict_line(found)], comparison_record(found), as_json)


def promote(
    bundle: BundleArgument = None,
    home: HomeOption = DEFAULT_HOME,
    as_of: AsOfOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Even if a gate says no; the history will say so.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Put a bundle into service if every gate says yes; exit code 1 if one says no."""
    from training.aliases import left_behind
    from training.evaluate import named_bundle
    from training.narrator import Narrator
    from training.promote import promote as put_into_service
    from training.results import promotion_lines, promotion_record

    place = Home(home)
    now, narrator = looked_from(place, as_of), Narrator(quiet=as_json)
    found = put_into_service(place, named_bundle(place, bundle), now, force, narrator)
    untold = left_behind(place)
    record = {**promotion_record(found), "mlflow": untold}
    show([*promotion_lines(found), *untold], record, as_json)
    if not found.promoted:
        raise SystemExit(1)


def rollback(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Put the bundle that served before back into service."""
    from training.aliases import left_behind
    from training.rollback import roll_back

    place = Home(home)
    place.about()
    before, after = roll_back(place)
    untold = left_behind(place)
    line = f"bundle {after[:12]} is in service again; {before[:12]} is not any more"
    record = {"champion": f"sha256:{after}", "was": f"sha256:{before}", "mlflow": untold}
    show([line, *untold], record, as_json)


def mlflow(
    home: HomeOption = DEFAULT_HOME,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 5000,
) -> None:
    """Show the runs, metrics and models of all trainings in MLflow's pages, on 127.0.0.1."""
    from training.registry import ui_command, ui_environment
    from training.server import require_free

    place = Home(home)
    place.about()
    command = ui_command(place, port)
    require_free(port)
    sys.stdout.write(f"http://127.0.0.1:{port}\n")
    sys.stdout.flush()
    os.execve(command[0], command, ui_environment(os.environ))
