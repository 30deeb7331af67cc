"""Ways to damage a bundle: cuts, flipped bits, and files crafted by who knows the format."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import numpy as np

Files = dict[str, bytes]
Damage = Callable[[Files, np.random.Generator], None]

MANIFEST: Final = "manifest.json"
# A file of this name among the damaged ones: the manifest is not to be signed again.
SIGNED: Final = "signed as it is"


def truncated(files: Files, rng: np.random.Generator) -> None:
    """One file ends too early."""
    name = _any(sorted(files), rng)
    files[name] = files[name][: rng.integers(len(files[name]))]


def flipped(files: Files, rng: np.random.Generator) -> None:
    """One bit of one file is another; a long file is hit more often, but none is spared."""
    sizes = np.sqrt([len(files[name]) for name in sorted(files)])
    name = sorted(files)[rng.choice(len(files), p=sizes / sizes.sum())]
    content = bytearray(files[name])
    content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    files[name] = bytes(content)


def _any(choices: list[str], rng: np.random.Generator) -> str:
    return choices[rng.integers(len(choices))]


def _on_forest(edit: Callable[[str, np.random.Generator], str]) -> Damage:
    """Damage to a forest's text, the sizes of its trees made to fit afterwards."""

    def damage(files: Files, rng: np.random.Generator) -> None:
        name = _any([name for name in sorted(files) if name.endswith(".lgb")], rng)
        files[name] = _sized_again(edit(files[name].decode(), rng)).encode()

    return damage


def _sized_again(text: str) -> str:
    trees = [f"Tree={part}" for part in text.split("\nend of trees")[0].split("\nTree=")[1:]]
    sizes = " ".join(str(len(tree.encode()) + 1) for tree in trees)
    return re.sub(r"tree_sizes=.*", f"tree_sizes={sizes}", text)


def _entry(keys: tuple[str, ...], words: tuple[str, ...]) -> Damage:
    """Another word for one entry of one of these lines of some tree."""

    def edit(text: str, rng: np.random.Generator) -> str:
        found = list(re.finditer(rf"^{_any(list(keys), rng)}=(.+)$", text, re.MULTILINE))
        line = found[rng.integers(len(found))]
        entries = line[1].split(" ")
        entries[rng.integers(len(entries))] = _any(list(words), rng)
        return text[: line.start(1)] + " ".join(entries) + text[line.end(1) :]

    return _on_forest(edit)


def _lengths(text: str, rng: np.random.Generator) -> str:
    """An array of a tree is longer or shorter, or the tree says that it is."""
    found = list(re.finditer(r"^(\w+)=(.+ .+)$", text[text.index("Tree=0") :], re.MULTILINE))
    line = found[rng.integers(len(found))]
    entries = line[2].split(" ")
    changed = (
        entries[:-1],
        [*entries, entries[0]],
        entries * 1000,
        [],
        entries[: len(entries) // 2],
    )[rng.integers(5)]
    start = text.index("Tree=0")
    edited = f"{line[1]}={' '.join(changed)}"
    if rng.random() < 0.3:
        place = text.index("num_leaves=", start)
        leaves = _any(["0", "1", "-1", "2147483647", "9", "7", "1e9"], rng)
        return re.sub(r"num_leaves=\d+", f"num_leaves={leaves}", text[:place]) + re.sub(
            r"num_leaves=\d+", f"num_leaves={leaves}", text[place:], count=1
        )
    return text[: start + line.start()] + edited + text[start + line.end() :]


def _head(text: str, rng: np.random.Generator) -> str:
    pattern, new = (
        (r"max_feature_idx=\d+", "max_feature_idx=100000"),
        (r"max_feature_idx=\d+", "max_feature_idx=-1"),
        (r"num_class=1", "num_class=1000"),
        (r"num_tree_per_iteration=1", "num_tree_per_iteration=0"),
        (r"num_tree_per_iteration=1", "num_tree_per_iteration=7"),
        (r"label_index=0", "label_index=-5"),
        (r"objective=.*", "objective=multiclass num_class:3"),
        (r"objective=.*", "objective=binary sigmoid:-1"),
        (r"objective=.*", "objective=custom"),
        (r"version=v4", "version=v5"),
        (r"feature_names=(\S+) (\S+)", r"feature_names=\2 \1"),
        (r"feature_names=.*", "feature_names="),
        (r"feature_infos=.*", "feature_infos=none"),
        (r"objective=", "average_output\nobjective="),
        (r"tree\n", "trees\n"),
        (r"Tree=3\n", "Tree=-3\n"),
        (r"\nend of trees", ""),
    )[rng.integers(17)]
    return re.sub(pattern, new, text, count=1)


def tree_sizes(files: Files, rng: np.random.Generator) -> None:
    """The head lies about where the trees are."""
    name = _any([name for name in sorted(files) if name.endswith(".lgb")], rng)

    def lie(found: re.Match[str]) -> str:
        sizes = found[1].split(" ")
        sizes[rng.integers(len(sizes))] = _any(["0", "-1", "99999999", "", "3", "1e5", "x"], rng)
        return f"tree_sizes={' '.join(sizes)}"

    files[name] = re.sub(r"tree_sizes=(.*)", lie, files[name].decode()).encode()


def _lines(text: str, rng: np.random.Generator) -> str:
    """A line twice, gone, elsewhere, or one that LightGBM never wrote."""
    lines = text.split("\n")
    place, other = rng.integers(1, len(lines) - 1, 2)
    way = rng.integers(6)
    if way == 0:
        lines.insert(other, lines[place])
    elif way == 1:
        del lines[place]
    elif way == 2:
        lines[place], lines[other] = lines[other], lines[place]
    elif way == 3:
        lines.insert(place, _any(["cat_boundaries=0 1", "cat_threshold=7", "leaf_const=1"], rng))
    elif way == 4:
        lines[place] += _any([" ", "\x00", "\r", "\t1", " 1 1 1", "=", "é", "\x1b[2J"], rng)
    else:
        lines[place] = lines[place][: len(lines[place]) // 2]
    return "\n".join(lines)


def _numbers_in(value: object) -> Iterator[tuple[list[object] | dict[str, object], int | str]]:
    """Every place of a number in a JSON value."""
    entries = enumerate(value) if isinstance(value, list) else ()
    for key, each in value.items() if isinstance(value, dict) else entries:
        if isinstance(each, int | float) and not isinstance(each, bool):
            yield value, key  # type: ignore[misc]
        else:
            yield from _numbers_in(each)


def _json_file(files: Files, rng: np.random.Generator) -> tuple[str, object]:
    names = [name for name in sorted(files) if name.endswith(".json") and name != MANIFEST]
    name = _any(names, rng)
    return name, json.loads(files[name])


def nudged_numbers(files: Files, rng: np.random.Generator) -> None:
    """One number is slightly, or not so slightly, another: nothing but the golden rows tells."""
    forests = [name for name in files if name.endswith(".lgb")]
    if forests and rng.random() < 0.5:
        line_of = r"^(?:leaf_value|threshold)=(.+)$"
        forest = _any(sorted(forests), rng)
        text = files[forest].decode()
        found = list(re.finditer(line_of, text, re.MULTILINE))
        line = found[rng.integers(len(found))]
        entries = line[1].split(" ")
        place = rng.integers(len(entries))
        entries[place] = repr(float(entries[place]) * (1 + 10 ** -float(rng.integers(1, 6))))
        edited = text[: line.start(1)] + " ".join(entries) + text[line.end(1) :]
        files[forest] = _sized_again(edited).encode()
        return
    name, value = _json_file(files, rng)
    places = list(_numbers_in(value))
    while not places:
        name, value = _json_file(files, rng)
        places = list(_numbers_in(value))
    holder, key = places[rng.integers(len(places))]
    old = holder[key]  # type: ignore[index]
    holder[key] = old + 1 if isinstance(old, int) else old * (1 + 10 ** -rng.uniform(0, 6))  # type: ignore[index]
    files[name] = json.dumps(value).encode()


def _json_words(words: tuple[str, ...]) -> Damage:
    """Another word, which need not be JSON, in the place of one number."""

    def damage(files: Files, rng: np.random.Generator) -> None:
        name = _any([name for name in sorted(files) if name.endswith(".json")], rng)
        text = files[name].decode()
        found = list(re.finditer(r"(?<=[ \[:])-?\d[\d.e+-]*(?=[,\n\]}])", text))
        if found:
            number = found[rng.integers(len(found))]
            text = text[: number.start()] + _any(list(words), rng) + text[number.end() :]
        files[name] = text.encode()

    return damage


def json_keys(files: Files, rng: np.random.Generator) -> None:
    """A key is missing, new, twice, or oddly spelled."""
    name = _any([name for name in sorted(files) if name.endswith(".json")], rng)
    text = files[name].decode()
    found = list(re.finditer(r'"([^"\n]+)": ', text))
    key = found[rng.integers(len(found))]
    odd = _any(["__class__", "\\u0000", "../x", "py/object", "", "\\ud800", "é"], rng)
    new = (
        f'"{key[1]}": 1, "{key[1]}": ',
        f'"{odd}": 1, "{key[1]}": ',
        f'"{odd}": ',
        f'"{key[1].upper()}": ',
    )[rng.integers(4)]
    files[name] = (text[: key.start()] + new + text[key.end() :]).encode()


def json_shapes(files: Files, rng: np.random.Generator) -> None:
    """Lists too long, too short, too deep; texts without end; other things than an object."""
    name = _any([name for name in sorted(files) if name.endswith(".json")], rng)
    way = rng.integers(6)
    if way == 0:
        files[name] = b"[" * 100_000 + b"]" * 100_000
    elif way == 1:
        files[name] = _any(["[]", "null", "3", '"x"', "", "{}", "\ufeff{}"], rng).encode()
    elif way == 2:
        files[name] = json.dumps({"x" * 1_000_000: "y" * 1_000_000}).encode()
    else:
        text = files[name].decode()
        found = list(re.finditer(r"\[\n[^\[\]{}]*\n *\]", text)) or [re.match("", text)]
        part = found[rng.integers(len(found))]
        assert part is not None
        entries = part[0].strip("[]\n ").split(",\n")
        longer = [*entries, *entries] if way == 3 else entries[:-1]
        new = f"[{','.join(longer)}]" if way < 5 else '{"a": 1}'
        files[name] = (text[: part.start()] + new + text[part.end() :]).encode()


def listed_names(files: Files, rng: np.random.Generator) -> None:
    """The manifest lists what a bundle never holds, or not what it does."""
    manifest = json.loads(files[MANIFEST])
    name = _any(
        [
            "../evil.json",
            "/etc/passwd",
            "code/run.py",
            "a.pkl",
            "CON.json",
            "x.json",
            "..",
            "y.lgb",
        ],
        rng,
    )
    if rng.random() < 0.8:
        manifest["files"][name] = hashlib.sha256(b"{}").hexdigest()
        if name in ("x.json", "y.lgb"):
            files[name] = b"{}"
    else:
        del manifest["files"][_any(sorted(manifest["files"]), rng)]
    files[SIGNED] = b""
    files[MANIFEST] = json.dumps(manifest).encode()


INTEGERS: Final = ("-1", "0", "99999", "-99999", "2147483647", "-2147483648", "4294967296")
STRANGE: Final = ("nan", "inf", "-inf", "1e999", "-1e308", "x", "", "1_0", "0x10", "٣", "1.5.2")
NOT_NUMBERS: Final = (
    "NaN",
    "Infinity",
    "-Infinity",
    "null",
    "true",
    '"1"',
    "[]",
    "{}",
    "[[1]]",
    '{"py/object": "os.system"}',
)
CRAFTED: Final[Mapping[str, Damage]] = {
    "tree wiring": _entry(("left_child", "right_child"), (*INTEGERS, "1", "2", "-2", "-3")),
    "split features": _entry(("split_feature",), INTEGERS),
    "array lengths": _on_forest(_lengths),
    "forest numbers": _entry(
        ("threshold", "leaf_value", "leaf_count", "internal_count", "shrinkage"),
        (*INTEGERS, *STRANGE),
    ),
    "split kinds": _entry(
        ("decision_type", "num_cat", "is_linear"), (*INTEGERS, "1", "2", "3", "4", "8", "9", "12")
    ),
    "forest head": _on_forest(_head),
    "tree sizes": tree_sizes,
    "forest lines": _on_forest(_lines),
    "nudged numbers": nudged_numbers,
    "JSON words": _json_words(
        (*INTEGERS, *NOT_NUMBERS, "1e999", "9" * 5000, "1e308", "-1e308", "1e-320")
    ),
    "JSON keys": json_keys,
    "JSON shapes": json_shapes,
    "listed names": listed_names,
}
NEEDS_FOREST: Final = tuple(CRAFTED)[:8]
DAMAGES: Final[Mapping[str, Damage]] = {"truncated": truncated, "flipped": flipped} | dict(CRAFTED)
