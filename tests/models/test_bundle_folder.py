"""Folders that somebody prepared: nothing in them runs, waits, or is read from elsewhere."""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from features.definitions import FEATURES
from models.bundle_files import DamagedBundle, load_bundle
from models.bundle_trial import try_in_child

Signer = Callable[..., Path]


class Bomb:
    """Unpickling it writes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, (code(self.mark).decode(),)


def code(mark: Path) -> bytes:
    """Python that writes a file."""
    return f"open({str(mark)!r}, 'w').close()\n".encode()


def mlmodel(mark: Path) -> bytes:
    """MLflow's description of a model whose loader is code of the artefact."""
    return b"flavors:\n  python_function:\n    loader_module: evil\n    code: code\n"


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """The file that a payload writes when it runs."""
    return tmp_path / "executed"


PAYLOADS: dict[str, Callable[[Path], bytes]] = {
    "model.pkl": lambda mark: pickle.dumps(Bomb(mark)),
    "python_model.pkl": lambda mark: pickle.dumps(Bomb(mark), protocol=5),  # cloudpickle's name
    "model.joblib": lambda mark: pickle.dumps(Bomb(mark), protocol=2),
    "MLmodel": mlmodel,
    "conda.yaml": lambda mark: f"!!python/object/apply:os.system ['touch {mark}']".encode(),
    "evil.py": code,
    "sitecustomize.py": code,
    "__init__.py": code,
    "evil.pth": lambda mark: b"import os; " + code(mark),
    "evil.so": lambda mark: b"\x7fELF\x02\x01\x01",
}


@pytest.mark.parametrize("name", PAYLOADS)
@pytest.mark.parametrize("listed", [True, False], ids=["listed", "slipped in"])
def test_a_payload_beside_the_models_is_refused_by_name_and_does_not_run(
    folder: Path, signed_again: Signer, mark: Path, name: str, listed: bool
) -> None:
    (folder / name).write_bytes(PAYLOADS[name](mark))
    if listed:
        folder = signed_again(folder)
    with pytest.raises(DamagedBundle, match=f"'{name}'"):
        load_bundle(folder, FEATURES)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["churn_risk.lgb", "churn_risk.json", "golden.json"])
def test_a_payload_in_the_place_of_a_model_is_refused_and_does_not_run(
    folder: Path, signed_again: Signer, mark: Path, name: str
) -> None:
    (folder / name).write_bytes(pickle.dumps(Bomb(mark)))
    folder = signed_again(folder)
    with pytest.raises(DamagedBundle, match=r"not UTF-8|'ascii' codec"):
        load_bundle(folder, FEATURES, trial=try_in_child)
    assert not mark.exists()


def test_the_payloads_would_run_if_they_were_let(mark: Path) -> None:
    pickle.loads(PAYLOADS["model.pkl"](mark))
    assert mark.exists()


def test_a_folder_of_code_is_refused_by_name(folder: Path, mark: Path) -> None:
    (folder / "code").mkdir()
    (folder / "code" / "evil.py").write_bytes(code(mark))
    with pytest.raises(DamagedBundle, match="unknown file 'code'; the manifest lists all"):
        load_bundle(folder, FEATURES)
    assert not mark.exists()


@pytest.mark.parametrize(
    "name",
    ["../margin.json", "/etc/passwd", "..", "a/b.json", "A.json", "con:.json", "x.json\n", ".lgb"],
)
def test_a_manifest_that_points_elsewhere_is_refused(
    folder: Path, signed_again: Signer, name: str
) -> None:
    files = json.loads((folder / "manifest.json").read_text())["files"]
    folder = signed_again(folder, files=files | {name: "0" * 64})
    with pytest.raises(DamagedBundle, match="files of a bundle are small letters, then"):
        load_bundle(folder, FEATURES)


@pytest.mark.skipif(os.name == "nt", reason="links and pipes are POSIX")
def test_links_pipes_devices_and_folders_are_refused(folder: Path) -> None:
    path = folder / "margin.json"
    content = path.read_bytes()
    beside = folder.parent / "elsewhere.json"
    beside.write_bytes(content)
    replacements: dict[str, Callable[[], object]] = {
        r"'margin\.json' is a link; must be a plain file": lambda: path.symlink_to(beside),
        r"'margin\.json' must be a plain file": lambda: os.mkfifo(path),
    }
    for words, replacement in replacements.items():
        path.unlink()
        replacement()
        with pytest.raises(DamagedBundle, match=words):
            load_bundle(folder, FEATURES)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(DamagedBundle, match="is a link"):
        load_bundle(folder, FEATURES)
    path.unlink()
    path.mkdir()
    with pytest.raises((DamagedBundle, OSError)):
        load_bundle(folder, FEATURES)


@pytest.mark.skipif(os.name == "nt", reason="pipes are POSIX")
def test_a_manifest_that_is_a_pipe_is_not_waited_for(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    os.mkfifo(folder / "manifest.json")
    with pytest.raises(DamagedBundle, match=r"no manifest\.json in"):
        load_bundle(folder, FEATURES)


def test_files_without_end_are_refused(folder: Path) -> None:
    with (folder / "margin.json").open("r+b") as file:
        file.truncate(40 * 2**30)  # sparse: no disk is used
    with pytest.raises(DamagedBundle, match=r"'margin\.json' has 42,949,672,960 bytes; at most"):
        load_bundle(folder, FEATURES)


def test_folders_without_end_are_refused(folder: Path) -> None:
    for number in range(100):
        (folder / f"file{number}.json").write_text("{}")
    with pytest.raises(DamagedBundle, match="more than 64 files"):
        load_bundle(folder, FEATURES)


@pytest.mark.parametrize("name", ["stray.json", "promoter_likelihood.lgb"])
def test_a_listed_file_that_no_model_needs_is_refused(
    folder: Path, signed_again: Signer, name: str
) -> None:
    (folder / name).write_text("{}")
    with pytest.raises(DamagedBundle, match=f"file '{name}' belongs to no model"):
        load_bundle(signed_again(folder), FEATURES)


def test_a_name_that_is_no_checksum_is_refused(folder: Path) -> None:
    with pytest.raises(DamagedBundle, match="must be the folder's name"):
        load_bundle(folder.rename(folder.parent / "champion"), FEATURES)
