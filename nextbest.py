"""The command line: one verb, one line. The only file that imports from every package."""

import json
import os
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from features.home import CLOCKS, About, Home
from features.signals import SECOND

PACKAGES: Final = ("features", "models", "serving", "training")
DEFAULT_HOME: Final = Path(".nextbest")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The next best communication for each customer, silence included.",
)
features_app = typer.Typer(
    invoke_without_command=True, help="Features of every customer; what each of them means."
)
app.add_typer(features_app, name="features")
catalog_app = typer.Typer(no_args_is_help=True, help="The company's communications: check.")
app.add_typer(catalog_app, name="catalog")
keys_app = typer.Typer(no_args_is_help=True, help="API keys: new, list, revoke.")
app.add_typer(keys_app, name="keys")

HomeOption = Annotated[
    Path,
    typer.Option("--home", envvar="NEXTBEST_HOME", help="Folder that holds one data set."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")]
AsOfOption = Annotated[
    str | None,
    typer.Option("--as-of", help="Moment to look from, UTC: 2026-10-31 or 2026-10-31T12:00."),
]


BundleArgument = Annotated[
    str | None,
    typer.Argument(help="First letters of a bundle's name; the challenger if not given."),
]


class WrongUse(ValueError):
    """The command cannot be carried out as it was given."""


def main() -> None:
    """Run one verb; what our own code refuses becomes one line and exit code 2."""
    try:
        app()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except (ValueError, LookupError, OSError) as error:
        ours = type(error).__module__.split(".")[0] in (*PACKAGES, __name__)
        if not ours and not isinstance(error, OSError):
            raise
        sys.stderr.write(f"nextbest: {error.args[0] if ours and error.args else error}\n")
        raise SystemExit(2) from None


def show(lines: Iterable[str], record: object, as_json: bool) -> None:
    """Print what was found: words for people, or one JSON object for programs."""
    text = json.dumps(record, ensure_ascii=False) if as_json else "\n".join(lines)
    sys.stdout.write(text + "\n")


def moment(text: str | None) -> int | None:
    """Microseconds UTC of an ISO date or time; None stays None.

    Raises
    ------
    WrongUse
        If the text is no ISO 8601 date or time.
    """
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise WrongUse(
            f"--as-of {text}: not a date or time; write it like 2026-10-31 or 2026-10-31T12:00"
        ) from error
    at = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    return int(at.timestamp()) * SECOND + at.microsecond


def looked_from(home: Home, as_of: str | None) -> int:
    """The moment asked for, else the data set's own present. The one clock of the commands."""
    from serving.store import Store

    asked = moment(as_of)
    if asked is not None:
        home.about()
        return asked
    if home.about().clock == "live":
        return time.time_ns() // 1000
    with Store.open(home.store) as store:
        end = store.data_end()
    if end is None:
        raise WrongUse(f"{home.path}: no signals yet; take some in with `nextbest ingest FILE...`")
    return end


@app.command()
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


@app.command()
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
    from serving.store import Store
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
    lines.append(f"{customers:,} customers are ready to be asked about")
    record = {
        **({} if report is None else report.record()),
        "over_http": None if over_http is None else over_http.record(),
        "put_aside_over_http": aside,
        "customers": customers,
    }
    show(lines, record, as_json)


@app.command()
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


@features_app.callback()
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


@features_app.command("dictionary")
def feature_dictionary(as_json: JsonOption = False) -> None:
    """Say what each feature means, in which unit, and how it is computed."""
    from features.definitions import FEATURES
    from features.dictionary import dictionary_lines, dictionary_record
    from features.groups.event_sets import EVENT_SETS

    show(dictionary_lines(FEATURES, EVENT_SETS), dictionary_record(FEATURES, EVENT_SETS), as_json)


@app.command()
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


@app.command()
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


@app.command("policy-check")
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


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
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
    from serving.pauses import ALLOWED, Wanted
    from serving.store import Store
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


@app.command()
def serve(
    home: HomeOption = DEFAULT_HOME,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 3000,
) -> None:
    """Answer over HTTP on 127.0.0.1 until stopped."""
    from training.server import require_free, serving_command, serving_environment

    place = Home(home)
    place.about()
    require_free(port)
    command = serving_command(port)
    os.execve(command[0], command, serving_environment(os.environ, place))


@app.command()
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


@app.command()
def demo(
    data: Annotated[str, typer.Option(help="company, or complete-journey.")] = "company",
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 3000,
    home: Annotated[Path | None, typer.Option(help="Where to; a folder of its own.")] = None,
    people: Annotated[int, typer.Option(help="How many people the company has.")] = 5000,
    once: Annotated[bool, typer.Option("--once", help="Stop after the answer.")] = False,
) -> None:
    """Make a demo home, train it, serve it and ask it once."""
    from training.demo import Demo, run_demo
    from training.narrator import Narrator

    with suppress(KeyboardInterrupt):  # it is how a demo ends
        run_demo(Demo(data, port, home, people, once), Narrator())


@catalog_app.command("check")
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


@keys_app.command("new")
def new_key(
    name: Annotated[str, typer.Argument(help="Whose key it is, such as crm.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Make a key; it is shown this once, the store keeps only its hash."""
    from serving.store import Store

    Home(home).about()
    with Store.open(Home(home).store) as store:
        key = store.new_key(name)
    show([key], {"name": name, "key": key}, as_json)


@keys_app.command("list")
def list_keys(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Names of the keys that open this home."""
    from serving.store import Store

    Home(home).about()
    with Store.open(Home(home).store) as store:
        names = store.key_names()
    show(names or ["no keys yet; make one with `nextbest keys new NAME`"], list(names), as_json)


@keys_app.command("revoke")
def revoke_key(
    name: Annotated[str, typer.Argument(help="Whose keys.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Make all keys of this name useless, at once."""
    from serving.store import Store

    Home(home).about()
    with Store.open(Home(home).store) as store:
        count = store.revoke_keys(name)
    show([f"{count} keys of {name} revoked"], {"name": name, "revoked": count}, as_json)


if __name__ == "__main__":
    main()
