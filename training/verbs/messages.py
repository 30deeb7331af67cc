"""The verbs of who writes to customers: decide, explain, hold back."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from features.home import Home
from training.verbs.options import (
    DEFAULT_HOME,
    AsOfOption,
    HomeOption,
    JsonOption,
    WrongUse,
    looked_from,
    show,
)


def decide(  # noqa: PLR0913 - each is an option of the command
    customer: Annotated[str | None, typer.Argument(help="One customer's id.")] = None,
    everyone: Annotated[bool, typer.Option("--all", help="Every customer.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Where to, with --all: a .parquet or .csv file.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    as_of: AsOfOption = None,
    changed_only: Annotated[
        bool,
        typer.Option(
            "--changed-only", help="With --all: only whose communication is another than last time."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Log nothing, use up no cap.")] = False,
    seed: Annotated[int | None, typer.Option(help="Draw the same numbers again.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Choose the next best communication, for one customer or for all."""
    from training.everyone import Asking, ask_everyone, ask_one
    from training.narrator import Narrator

    if (customer is None) == (not everyone) or everyone == (out is None) or changed_only > everyone:
        raise WrongUse(
            "decide: name one CUSTOMER, or give --all with --out FILE; see `nextbest decide --help`"
        )
    place = Home(home)
    asking = Asking(
        place, looked_from(place, as_of), logs=not dry_run, seed=seed, changed_only=changed_only
    )
    if customer is not None:
        found = ask_one(customer, asking)
        show([json.dumps(found, ensure_ascii=False, indent=2)], found, as_json)
    elif out is not None:
        run = ask_everyone(asking, out, Narrator(quiet=as_json))
        lines = [f"{count:>8,}  {name}" for name, count in run.communications.items()]
        record = {"out": str(out), **run.record()}
        show([*lines, *run.lines(), f"wrote {out}"], record, as_json)


def explain(
    customer: Annotated[str, typer.Argument(help="One customer's id.")],
    page: Annotated[
        Path | None, typer.Option("--html", help="Write the customer's page into this file.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say in words why this customer would get this communication, and what was refused."""
    from training.customer_file import write_customer_file
    from training.everyone import Asking, ask_why
    from training.words import explanation

    place = Home(home)
    at = looked_from(place, as_of)
    if page is not None:
        write_customer_file(customer, place, at, page)
        show([f"wrote {page}"], {"wrote": str(page)}, as_json)
        return
    found = ask_why(customer, Asking(place, at, logs=False, seed=0))
    show(explanation(found), found, as_json)


def pause(  # noqa: PLR0913 - each is an option of the command
    reason: Annotated[str | None, typer.Option(help="Why; stands in every refusal.")] = None,
    channel: Annotated[str, typer.Option(help="On this channel only.")] = "any",
    stage: Annotated[str, typer.Option(help="Customers of this stage only.")] = "any",
    flag: Annotated[str, typer.Option(help="Customers with this flag up only.")] = "any",
    allow: Annotated[
        list[str] | None,
        typer.Option(
            help="A class that may leave all the same; repeatable. By default "
            "transactional and crisis."
        ),
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Let go again.")] = False,
    number: Annotated[int | None, typer.Option(help="With --off: this one; else all.")] = None,
    review: Annotated[
        bool,
        typer.Option("--review", help="With --off: what came due meanwhile is not sent by itself."),
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Hold messages back, all or some: the crisis switch; without options, say what is paused.

    It says as well whom a pause kept from a message, while it is on, as it ends, and for a week
    after one that ended with --review.
    """
    from serving.pause_looks import Looked, look_record
    from serving.storage.pauses import ALLOWED, Wanted
    from serving.storage.store import Store
    from training.pause_words import look_lines

    if (off and reason is not None) or (number is not None and not off):
        raise WrongUse(
            "pause: give --reason to hold back, or --off [--number N] to let go; not both"
        )
    if review and not off:
        raise WrongUse("pause: --review goes with --off; a pause that is on sends nothing anyway")
    if off and (allow or {channel, stage, flag} != {"any"}):
        raise WrongUse("pause: --off takes --number N, or nothing for all; nothing was turned off")
    if reason is None and not off and (allow or {channel, stage, flag} != {"any"}):
        raise WrongUse("pause: no --reason; say in a few words why, it stands in every refusal")
    Home(home).about()
    with Store.open(Home(home).store) as store:
        ended = store.end_pause(number, review) if off else ()
        if reason is not None:
            store.pause(Wanted(reason, channel, stage, flag, tuple(allow or ALLOWED)))
        looked = Looked.at(store, ended)
    show(look_lines(looked), look_record(looked), as_json)


def catalog_check(
    file: Annotated[
        Path | None, typer.Argument(help="A catalog; the home's own if not given.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Name every mistake of a catalog, by entry and key."""
    from serving.catalog_check import check_catalog

    found = check_catalog(file or Home(home).catalog, time.time_ns() // 1000)
    show(found.lines(), found.record(), as_json)
    if found.mistakes:
        raise typer.Exit(1)
