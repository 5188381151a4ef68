"""The Markdown pages of the project: what they link to is there."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from plugin_bridge.control.controls import CONTROLS

ROOT = Path(__file__).parents[1]
FOLDERS = ("build", "models_onnx", "plugin_bridge", "realtime", "tests")
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *(p for f in FOLDERS for p in (ROOT / f).rglob("*.md")))
)
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")


@cache
def anchors(path: Path) -> frozenset[str]:
    """The names by which places of a page are reached: headings, as GitHub makes them, and ids."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    names = (re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in headings)
    return frozenset(names) | set(re.findall(r'<a id="([\w-]+)">', text))


def test_the_pages_are_found():
    assert {"README.md", "ARCHITECTURE.md", "models_onnx/SPEED.md"} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page):
    text = CODE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    wrong = []
    for path, anchor in LINK.findall(text):
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(f"{path}#{anchor}")
    assert not wrong


@pytest.mark.parametrize("page", PAGES)
def test_every_script_that_a_page_tells_to_run_is_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for path in re.findall(r"(?:sh|python) (build/[\w-]+\.(?:sh|py))", text):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("part", ["bench", "peers"])
def test_the_tables_that_bench_writes_have_their_place(part):
    script = (ROOT / "build" / "bench.sh").read_text(encoding="utf-8")
    (page,) = re.findall(r'pathlib\.Path\("(\w+/\w+\.md)"\)', script)
    assert f"part={part}" in script
    text = (ROOT / page).read_text(encoding="utf-8")
    assert re.search(rf"<!-- {part} -->\n\|.*?\n<!-- /{part} -->", text, re.DOTALL)


def test_a_control_that_hosts_call_otherwise_is_told_by_both_names():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    others = [control.title for control in CONTROLS if control.title.startswith("Timbre ")]
    assert others
    for title in others:
        short = title.removeprefix("Timbre ")  # as the panel, the command line and OSC call it
        assert f"*{short}* (in a host's list *{title}*)" in readme
        assert readme.count(title) == 1
