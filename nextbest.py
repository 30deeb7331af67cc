"""The command line: every verb under its name.

What a verb takes and does is in `training/verbs`, grouped by who needs it.
"""

import sys
from typing import Final

import typer

from training.verbs import data, messages, models, service, trials

PACKAGES: Final = ("features", "models", "serving", "training")
VERBS: Final = (
    data.init,
    data.ingest,
    data.doctor,
    models.train,
    models.evaluate,
    trials.policy_check,
    trials.simulate,
    trials.replay,
    models.promote,
    models.rollback,
    messages.decide,
    messages.explain,
    messages.pause,
    service.serve,
    models.mlflow,
    service.demo,
)


def commands() -> typer.Typer:
    """Every verb under its name."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="The next best communication for each customer, silence included.",
    )
    for verb in VERBS:
        app.command()(verb)
    features = typer.Typer(help="Features of every customer; what each of them means.")
    features.callback(invoke_without_command=True)(data.features)
    features.command("dictionary")(data.feature_dictionary)
    app.add_typer(features, name="features")
    catalog = typer.Typer(no_args_is_help=True, help="The company's communications: check.")
    catalog.command("check")(messages.catalog_check)
    app.add_typer(catalog, name="catalog")
    keys = typer.Typer(no_args_is_help=True, help="API keys: new, list, revoke.")
    keys.command("new")(service.new_key)
    keys.command("list")(service.list_keys)
    keys.command("revoke")(service.revoke_key)
    app.add_typer(keys, name="keys")
    return app


app: Final = commands()


def main() -> None:
    """Run one verb; what our own code refuses becomes one line and exit code 2."""
    try:
        app()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except (ValueError, LookupError, OSError) as error:
        ours = type(error).__module__.split(".")[0] in PACKAGES
        if not ours and not isinstance(error, OSError):
            raise
        sys.stderr.write(f"nextbest: {error.args[0] if ours and error.args else error}\n")
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
