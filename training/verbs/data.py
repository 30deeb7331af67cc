"""The verbs of who brings the data: a home, its signals, their features."""

import time
from pathlib import Path
from typing import Annotated

import typer

from features.counting import counted
from features.home import CLOCKS, About, Home
from training.verbs.options import (
    DEFAULT_HOME,
    AsOfOption,
    HomeOption,
    JsonOption,
    WrongUse,
    looked_from,
    show,
)


def init(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Your own CSV, Parquet or NDJSON files.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    name: Annotated[str | None, typer.Option(help="The company's name.")] = None,
    clock: Annotated[
        str, typer.Option(help='"data_end": look from the end of the files; "live": from now.')
    ] = "data_end",
    currency: Annotated[str, typer.Option(help="The company's one currency.")] = "EUR",
    as_json: JsonOption = False,
) -> None:
    """Make a home; look at your files and draft the mapping that reads them."""
    from features.intake.mapping_draft import draft_mapping
    from training.homes import make_home, write_mapping

    if clock not in CLOCKS:
        raise WrongUse(f"--clock {clock}: clocks are {', '.join(CLOCKS)}; choose one of them")
    about = About(name or Path.cwd().name, clock)
    made = make_home(Home(home), about, currency)
    lines = [f"{home}: a home for {about.name}", *(f"wrote {path}" for path in made)]
    notes: tuple[str, ...] = ()
    if files:
        draft = draft_mapping(files)
        notes = draft.notes
        if draft.mapping.files:
            kept = write_mapping(Home(home), draft.toml())
            other = "" if kept == Home(home).mapping else f" --mapping {kept}"
            then = f"read {kept}, correct it, then: nextbest ingest{other} ..."
            lines += [f"wrote {kept}", *notes, then]
        else:
            lines += [*notes, "nothing was mapped, so no mapping was written"]
    show(lines, {"home": str(home), "wrote": [str(p) for p in made], "notes": notes}, as_json)


def ingest(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Files of signals; none: only what came over HTTP."),
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    mapping: Annotated[
        Path | None, typer.Option(help="How to read the files; the home's own if not given.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check files and take them in, and what came over HTTP; repeating changes nothing.

    Bad rows go to quarantine.
    """
    from features.history import History
    from features.intake.ingest import IntakeRules
    from features.intake.ingest import ingest as take_in
    from features.intake.mapping import load_mapping
    from serving.policy import load_policy
    from serving.storage.store import Store
    from training.online import bring_online, take_over

    place = Home(home)
    place.about()
    chosen = mapping or (place.mapping if place.mapping.exists() else None)
    rules = None if chosen is None else load_mapping(chosen)
    # Whatever clock the data set has, nothing in it can lie in the future.
    now = time.time_ns() // 1000
    currency = load_policy(place.policy).currency
    with Store.open(place.store) as store:
        over_http = take_over(place, store, currency)
        report = take_in(files, rules, place, IntakeRules(currency, now)) if files else None
        customers = bring_online(History(place.signals), store)
        aside = store.quarantine_counts()
    lines = [line for each in (over_http, report) if each for line in each.lines()]
    if not lines:
        lines.append("Nothing new came over HTTP.")
    lines += [f"Put aside over HTTP: {count:,} x {words}." for words, count in aside.items()]
    lines.append(f"{counted(customers, 'customer')} can be asked about now")
    record = {
        **({} if report is None else report.record()),
        "over_http": None if over_http is None else over_http.record(),
        "put_aside_over_http": aside,
        "customers": customers,
    }
    show(lines, record, as_json)


def doctor(
    home: HomeOption = DEFAULT_HOME,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write the proposed windows into targets.toml.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Say in words what data there is, what it suffices for, and what is missing."""
    from training.checkup import checked_home

    place = Home(home)
    lines, applied = checked_home(place, apply)
    show(lines, {"lines": lines, "applied": applied}, as_json)


def features(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option(help="Where to: a .parquet or .csv file.")] = None,
    home: HomeOption = DEFAULT_HOME,
    as_of: AsOfOption = None,
    training: Annotated[
        str | None,
        typer.Option(help="A score: the rows that its models are trained and tested on instead."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the features of every customer at a moment, one row each."""
    if context.invoked_subcommand:
        return
    from training.feature_file import write_features

    if out is None:
        raise WrongUse(
            "features: no --out FILE; give a .parquet or .csv file to write, or see what each "
            "feature means with `nextbest features dictionary`"
        )
    place = Home(home)
    at = looked_from(place, as_of)
    if training is None:
        rows, columns = write_features(place, at, out)
        lines = [f"{out}: {rows:,} customers, {columns} features"]
    else:
        from training.matrix import write_matrix

        rows, columns = write_matrix(place, training, at, out)
        lines = [f"{out}: {rows:,} rows of {training}, {columns} features"]
    show(lines, {"out": str(out), "rows": rows, "features": columns}, as_json)


def feature_dictionary(as_json: JsonOption = False) -> None:
    """Say what each feature means, in which unit, and how it is computed."""
    from features.definitions import FEATURES
    from features.dictionary import dictionary_lines, dictionary_record
    from features.groups.event_sets import EVENT_SETS

    show(dictionary_lines(FEATURES, EVENT_SETS), dictionary_record(FEATURES, EVENT_SETS), as_json)
