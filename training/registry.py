"""MLflow: what every training was, kept in the home. The only file that knows MLflow.

The store's champion row is the truth about what serves; the aliases here follow it. MLflow takes
seconds to import and serving never needs it, so it is imported when something is written down.
"""

import json
import logging
import os
import sqlite3
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from features.home import Home
from features.signals import date_of
from models.bundle import Bundle
from models.classifier import Classifier, Forest
from models.evaluation import CARD, FILE, Evaluation
from training.blank_sql import make_blank
from training.run_record import margin_metrics, metrics_of, parameters_of, score_parameters, tags_of
from training.server import HOST

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

    from training.retrain import Retrained

EXPERIMENT: Final = "nextbest"
CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
DIGEST_LENGTH: Final = 36  # as much of a digest as MLflow keeps of a data set; a tag has it whole
# Nobody is told; nothing pickled is ever loaded; the server keeps to two processes.
QUIET: Final[Mapping[str, str]] = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}
LONGEST_REASON: Final = 200  # of what others say went wrong; SQL and addresses follow it


class NothingTracked(LookupError):
    """The home has no MLflow database yet."""


class TrackingFailed(ValueError):
    """MLflow, its database or its files could not be read or written."""


def database(home: Home) -> Path:
    """Where MLflow keeps runs, metrics and registered models."""
    return home.path / "mlflow.db"


def artifacts(home: Home) -> Path:
    """Where MLflow keeps models, pictures and cards."""
    return home.path / "mlartifacts"


def registered_name(score: str) -> str:
    """Name of the registered model of a score: ``nextbest-churn`` of ``churn_risk``."""
    return f"nextbest-{score.split('_')[0]}"


def tracking_client(path: Path) -> "MlflowClient":
    """A client of the database at `path`, made if need be.

    Raises
    ------
    TrackingFailed
        If the database is damaged, locked for long, or cannot be written.
    """
    os.environ.update(QUIET)
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    with _in_words(path), _silence():
        make_blank(path)
        from mlflow import MlflowClient

        client = MlflowClient(f"sqlite:///{path.resolve()}")
        client.search_experiments(max_results=1)
    return client


def track(home: Home, retrained: "Retrained", folder: Path) -> str:
    """Write a training down: a run, a run in it for each model, and versions of the models.

    Parameters
    ----------
    folder : Path
        Of the bundle's reports; whatever lies there goes with the runs.

    Returns
    -------
    str
        Id of the parent run.

    Raises
    ------
    TrackingFailed
        If it could not be written.
    """
    client = tracking_client(database(home))
    bundle, evaluation = retrained.bundle, retrained.evaluation
    with _in_words(database(home)), _at(home), _silence():
        import mlflow

        experiment = _experiment(client, home)
        title = f"train {date_of(bundle.as_of)} {bundle.sha256[:12]}"
        with mlflow.start_run(experiment_id=experiment, run_name=title) as parent:
            mlflow.set_tags(tags_of(home, evaluation, bundle))
            mlflow.log_params(parameters_of(retrained))
            mlflow.log_text("\n".join(bundle.notes) + "\n", "notes.txt")
            mlflow.log_metrics(margin_metrics(bundle))
            _log_files(folder, (CARD, FILE))
            for score, classifier in bundle.classifiers.items():
                name = registered_name(score)
                with mlflow.start_run(experiment_id=experiment, run_name=name, nested=True):
                    mlflow.set_tags(tags_of(home, evaluation, bundle) | {"score": score})
                    mlflow.log_params(score_parameters(bundle, score))
                    _log_data(home, evaluation)
                    _log_test(evaluation, score, folder)
                    _register(client, bundle, score, classifier)
    return str(parent.info.run_id)


def close_abandoned(home: Home) -> int:
    """Mark runs as killed whose training has ended without saying so; how many there were.

    Called by the one that trains alone: whatever still says that it runs does not.

    Raises
    ------
    TrackingFailed
        If the database cannot be used.
    """
    client = tracking_client(database(home))
    with _in_words(database(home)), _silence():
        running = [
            str(run.info.run_id)
            for experiment in client.search_experiments()
            for run in client.search_runs(
                [experiment.experiment_id], "attributes.status = 'RUNNING'"
            )
        ]
        for run_id in running:
            client.set_terminated(run_id, "KILLED")
    return len(running)


def follow(home: Home, champion: str | None, challenger: str | None) -> list[str]:
    """Let the aliases point where the store does; what had to be changed, in words.

    Parameters
    ----------
    champion, challenger : str or None
        sha256 of the bundle that serves and of the one that waits.

    Raises
    ------
    NothingTracked
        If no training was written down yet.
    TrackingFailed
        If the database cannot be used.
    """
    client = tracking_client(_begun_database(home))
    done: list[str] = []
    with _in_words(database(home)), _silence():
        for model in client.search_registered_models():
            found = client.search_model_versions(f"name='{model.name}'")
            by_bundle = {each.tags.get("bundle"): str(each.version) for each in reversed(found)}
            present = {alias: str(number) for alias, number in model.aliases.items()}
            for alias, sha in ((CHAMPION, champion), (CHALLENGER, challenger)):
                wanted = by_bundle.get(sha) if sha else None
                if wanted == present.get(alias):
                    continue
                if wanted is None:
                    client.delete_registered_model_alias(model.name, alias)
                    done.append(f"{model.name}@{alias} taken away")
                else:
                    client.set_registered_model_alias(model.name, alias, wanted)
                    done.append(f"{model.name}@{alias} is version {wanted}")
    return done


def ui_command(home: Home, port: int) -> list[str]:
    """The command that shows MLflow's pages of a home on `port` of this machine only.

    Raises
    ------
    NothingTracked
        If no training was written down yet.
    """
    kept = _begun_database(home).resolve()
    server = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)]
    server += ["--workers", "1", "--backend-store-uri", f"sqlite:///{kept}"]
    server += ["--artifacts-destination", artifacts(home).resolve().as_uri()]
    return [*server, "--allowed-hosts", f"{HOST}:{port},localhost:{port}"]


def _begun_database(home: Home) -> Path:
    """The home's database, in which some training was written down."""
    if not database(home).exists():
        raise NothingTracked(f"{home.path}: nothing is kept in MLflow yet; run `nextbest train`")
    return database(home)


def ui_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Environment of the pages: nobody told, and the server's own programs found."""
    programs = str(Path(sys.executable).parent)
    path = os.pathsep.join([programs, environment.get("PATH", "")])
    return {**environment, **QUIET, "PATH": path}


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """What MLflow, or SQLite below it, could not do, as one sentence of ours."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError) as error:
        reason = str(error).partition("\n")[0][:LONGEST_REASON]
        raise TrackingFailed(
            f"{path}: MLflow cannot use it or the files beside it ({reason}); what serves, the "
            "bundles and their cards do not hang on it; if another program has it open, end that "
            "and run `nextbest doctor`; if it is damaged, move the file away: the next training "
            "begins a new one"
        ) from error


@contextmanager
def _silence() -> Iterator[None]:
    """MLflow without the warnings of its own insides and without its diary."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _at(home: Home) -> Iterator[None]:
    """MLflow's calls without a client go to this home while the block runs."""
    import mlflow

    before = os.environ.get("MLFLOW_TRACKING_URI")  # where MLflow itself remembers it
    mlflow.set_tracking_uri(f"sqlite:///{database(home).resolve()}")
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before or "")


def _experiment(client: "MlflowClient", home: Home) -> str:
    """Id of the home's experiment.

    Its place on disk is fixed when it is made. After a home was moved or copied the old one is
    put aside under another name, so that nothing is written where the home was.
    """
    place = artifacts(home).resolve().as_uri()
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None and found.artifact_location == place:
        return str(found.experiment_id)
    if found is not None:
        client.rename_experiment(found.experiment_id, f"{EXPERIMENT} at {found.artifact_location}")
    return str(client.create_experiment(EXPERIMENT, artifact_location=place))


def _log_data(home: Home, evaluation: Evaluation) -> None:
    import mlflow
    from mlflow.data.dataset_source_registry import resolve_dataset_source
    from mlflow.data.meta_dataset import MetaDataset

    source = resolve_dataset_source(str(home.signals.resolve()))
    digest = evaluation.data_digest[:DIGEST_LENGTH]
    data = MetaDataset(source, "signals", digest)  # type: ignore[abstract]
    mlflow.log_input(data, context="training")


def _log_test(evaluation: Evaluation, score: str, folder: Path) -> None:
    """Metrics of the model that serves and of those beside it, and the pictures."""
    import mlflow

    for target in evaluation.targets:
        if target.target == score:
            mlflow.log_metrics(metrics_of(target))
    _log_files(folder, sorted(path.name for path in folder.glob(f"*-{score}.svg")))


def _log_files(folder: Path, names: tuple[str, ...] | list[str]) -> None:
    import mlflow

    for name in names:
        if (folder / name).exists():
            mlflow.log_artifact(str(folder / name))


def _register(client: "MlflowClient", bundle: Bundle, score: str, classifier: Classifier) -> None:
    """A version of the registered model: the forest as text, or a simpler model as JSON."""
    import mlflow

    name = registered_name(score)
    run = mlflow.active_run()
    run_id = str(run.info.run_id) if run else None
    model = classifier.model
    if isinstance(model, Forest):
        model_id = _log_forest(bundle, model, name)
        place = f"models:/{model_id}"
    else:
        text = json.dumps({"kind": classifier.served_by, "model": asdict(model)}, indent=1)
        mlflow.log_text(text, "model/model.json")
        model_id, place = None, mlflow.get_artifact_uri("model")
    if not client.search_registered_models(f"name='{name}'"):
        client.create_registered_model(name)
    number = str(client.create_model_version(name, place, run_id, model_id=model_id).version)
    client.set_model_version_tag(name, number, "bundle", bundle.sha256)
    client.set_model_version_tag(name, number, "served_by", classifier.served_by)
    line = classifier.calibration
    client.update_model_version(
        name,
        number,
        f"As in bundle {bundle.sha256}. The served score is 1 / (1 + exp(-({line.slope!r} x + "
        f"{line.intercept!r}))) of this model's log-odds x.",
    )


def _log_forest(bundle: Bundle, forest: Forest, name: str) -> str:
    """Log LightGBM's text with its signature; id of the logged model."""
    import lightgbm
    import mlflow.lightgbm
    import pandas as pd

    example = pd.DataFrame(
        np.array(bundle.golden.rows, dtype=np.float64), columns=list(bundle.feature_names)
    )
    logged = mlflow.lightgbm.log_model(
        lightgbm.Booster(model_str=forest.text),
        name=name,
        signature=_signature(bundle),
        input_example=example,
        # Named, since finding them out takes MLflow another process and some seconds.
        pip_requirements=[f"lightgbm=={version('lightgbm')}", f"numpy=={version('numpy')}"],
    )
    return str(logged.model_id)


def _signature(bundle: Bundle) -> "ModelSignature":
    """Every feature a required double; a missing one is sent as null, never left out."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    return ModelSignature(
        inputs=Schema([ColSpec("double", name) for name in bundle.feature_names]),
        outputs=Schema([TensorSpec(np.dtype("float64"), (-1,))]),
    )
