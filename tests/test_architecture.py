"""The tables of IMPORTS.md, held: who may import whom, and where each library is imported."""

from __future__ import annotations

import ast
import re
from collections.abc import Container, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("realtime", "plugin_bridge", "models_onnx")
FOR_EVERYONE = {"realtime.errors", "realtime.atomic"}
ROW = re.compile(r"^\| `([a-z_/]+?)(?:\.py|/)` \|.*\|([^|]*)\|$", re.MULTILINE)
LIBRARY = re.compile(r"^\| `(\w+)` \|([^|]*)\|$", re.MULTILINE)
PAGE = (ROOT / "tests" / "IMPORTS.md").read_text(encoding="utf-8")


def room_of(module: str) -> str:
    """The row of the table that a module belongs to: the longest one that begins its name."""
    parts = module.split(".")
    names = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((name for name in names if name in rooms()), parts[0])


@cache
def rooms() -> dict[str, set[str]]:
    """Rooms and files of the table, and which ones each may import."""
    found = {place.replace("/", "."): cells for place, cells in ROW.findall(PAGE)}
    return {place: full_names(cells, found) for place, cells in found.items()}


@cache
def libraries() -> dict[str, set[str]]:
    """Libraries of others, by the name in their import, and which places may import each."""
    return {library: full_names(cells, rooms()) for library, cells in LIBRARY.findall(PAGE)}


def full_names(cells: str, known: Container[str]) -> set[str]:
    """The modules that cells of a table name."""
    return {full_name(word, known) for word in re.findall(r"`([a-z_./]+)`", cells)}


def full_name(word: str, known: Container[str]) -> str:
    """A word of the last column as a module: `osc` stands for plugin_bridge.osc."""
    word = word.strip("/").removesuffix(".py").replace("/", ".")
    names = (word, *(f"{package}.{word}" for package in PACKAGES))
    return next((name for name in names if name in known or exists(name)), word)


def exists(module: str) -> bool:
    """Whether a module or package of ours has that name."""
    path = ROOT / module.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").exists()


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the project with its file."""
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            yield ".".join(file.relative_to(ROOT).with_suffix("").parts), file


@cache
def imports_of(file: Path) -> frozenset[str]:
    """Every module that a file names in an import, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if exists(name) else node.module for name in names}
    return frozenset(found)


def ours(file: Path) -> set[str]:
    """The imports of a file that are the project's own."""
    return {name for name in imports_of(file) if name.split(".")[0] in PACKAGES} - FOR_EVERYONE


def test_every_folder_of_code_has_its_row():
    folders = {str(file.parent.relative_to(ROOT)) for _, file in modules()}
    rows = {room.replace(".", "/") for room in rooms()}
    missing = {f for f in folders if not any(f == r or f.startswith(f"{r}/") for r in rows)}
    assert missing <= {"plugin_bridge", "models_onnx"}, "rows of IMPORTS.md are missing"
    assert len(rows) > 15, "the table is found"


def test_a_folder_imports_only_what_its_row_says():
    wrong = []
    for module, file in modules():
        room = room_of(module)
        if room not in rooms() or file.name == "__main__.py":
            continue
        allowed = rooms()[room] | {room}
        for name in ours(file):
            if not any(name == a or name.startswith(f"{a}.") for a in allowed):
                wrong.append(f"{module} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_no_rooms_import_each_other_in_a_circle():
    arrows = {room_of(module): set[str]() for module, _ in modules()}
    for module, file in modules():
        arrows[room_of(module)] |= {room_of(name) for name in ours(file)} - {room_of(module)}
    done: set[str] = set()
    while ready := {r for r, to in arrows.items() if r not in done and to <= done}:
        done |= ready
    assert done == set(arrows), f"in a circle: {', '.join(sorted(set(arrows) - done))}"


@pytest.mark.parametrize("library", libraries())
def test_a_library_is_imported_only_where_it_belongs(library):
    users = {m for m, file in modules() if library in {n.split(".")[0] for n in imports_of(file)}}
    places = libraries()[library]
    assert users, "a row of which nobody imports the library"
    assert all(exists(place) for place in places)
    strangers = {m for m in users if not any(m == p or m.startswith(f"{p}.") for p in places)}
    assert not strangers


def test_the_table_of_libraries_is_found():
    assert len(libraries()) >= 15
