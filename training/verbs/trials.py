"""The verbs that try before anything is let loose: on the log, on the past, on invented people."""

from pathlib import Path
from typing import Annotated

import typer

from features.home import Home
from training.verbs.options import (
    DEFAULT_HOME,
    AsOfOption,
    HomeOption,
    JsonOption,
    looked_from,
    show,
)


def policy_check(  # noqa: PLR0913 - each is an option of the command
    catalog: Annotated[Path | None, typer.Option(help="A new catalog.toml to check.")] = None,
    policy: Annotated[Path | None, typer.Option(help="A new policy.toml to check.")] = None,
    bundle: Annotated[
        str | None, typer.Option(help="First letters of another bundle's name.")
    ] = None,
    group: Annotated[
        str, typer.Option(help="Compare contact rates by stage, or by a trait such as country.")
    ] = "stage",
    not_worse_by: Annotated[
        float, typer.Option(help="Money a decision that the change may cost; 0: it must gain.")
    ] = 0.0,
    home: HomeOption = DEFAULT_HOME,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge a new catalog, policy or bundle by the log; exit code 1 if it should not be released.

    The new engine and the present one decide again at every logged moment.
    """
    from training.narrator import Narrator
    from training.policy_check import Change, check_policy
    from training.policy_words import check_lines, check_record

    place = Home(home)
    change = Change(catalog, policy, bundle, group, not_worse_by)
    found = check_policy(place, change, looked_from(place, as_of), Narrator(quiet=as_json))
    show(check_lines(found), check_record(found), as_json)
    if not found.released:
        raise SystemExit(1)


def replay(
    days: Annotated[int, typer.Option(help="How far back to look for messages sent.")] = 28,
    out: Annotated[
        Path | None, typer.Option(help="One row a message: a .parquet or .csv file.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show your own past messages beside what we would have sent; sends and logs nothing."""
    from training.apprentice import replay as look_again
    from training.apprentice_words import replay_lines, replay_record, write_replay
    from training.narrator import Narrator
    from training.row_file import require_writable

    if out is not None:
        require_writable(out)
    place = Home(home)
    found = look_again(place, looked_from(place, as_of), days, Narrator(quiet=as_json))
    wrote = [] if out is None else [f"wrote {write_replay(found, out):,} rows into {out}"]
    show([*replay_lines(found), *wrote], replay_record(found), as_json)


def simulate(
    months: Annotated[int, typer.Option(help="Of four weeks; a decision a month for all.")] = 6,
    people: Annotated[int, typer.Option(help="How many people the company has.")] = 1500,
    seed: Annotated[int, typer.Option(help="Same seed, same people, same table.")] = 1,
    effects: Annotated[
        float, typer.Option(help="Factor on what communications truly do; 0: nothing.")
    ] = 1.0,
    keep: Annotated[
        Path | None, typer.Option(help="Keep the home that it runs in, in this new folder.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the loop for months on an invented company, and hold what it says against the truth."""
    from training.narrator import Narrator
    from training.simulate import Wanted
    from training.simulate_truth import simulate as run_months
    from training.simulate_words import simulation_lines, simulation_record

    wanted = Wanted(months, people, seed, effects)
    found = run_months(wanted, keep, Narrator(quiet=as_json))
    show(simulation_lines(found), simulation_record(found), as_json)
