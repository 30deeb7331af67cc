from pathlib import Path

from features.definitions import FEATURES
from features.home import Home
from models.bundle_files import load_bundle
from models.evaluation import load_evaluation, report_folder
from models.expectation import SERVED_BY
from serving.storage.store import Store
from training.card import NAMES, write_card
from training.results import gate_lines


def test_every_model_that_may_serve_has_a_name_on_the_card() -> None:
    assert set(NAMES) == set(SERVED_BY)


def test_the_gates_are_kept_printed_and_on_the_card(
    trained: tuple[Home, int], tmp_path: Path
) -> None:
    home = trained[0]
    with Store.open(home.store) as store:
        sha = str(store.champion())
    found = load_evaluation(report_folder(home, sha))
    names = [gate.name for gate in found.gates]
    for name in ("schema and fingerprint", "golden predictions", "size"):
        assert name in names
    for what in ("data", "best baseline", "membership inference"):
        assert f"churn_risk: {what}" in names
    bundle = load_bundle(home.bundles / sha, FEATURES)
    page = write_card(found, bundle, home.about(), tmp_path).read_text()
    for gate, line in zip(found.gates, gate_lines(found.gates), strict=True):
        assert line == f"{'yes' if gate.passed else 'NO '}  {gate.name}: {gate.says}"
        passed = "yes" if gate.passed else "no"
        assert f"<td>{gate.name}</td><td>{passed}</td><td>{gate.says}</td>" in page
