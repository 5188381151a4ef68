"""What validators and odd hosts ask of CLAP, VST3 and LV2, asked by small hosts of our own."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.engine_sandbox import (
    ROOT,
    SANITIZED,
    binary,
    built_plugin,
    compiled,
    need,
    sanitized_plugin,
)

pytestmark = pytest.mark.host
CPP = Path(__file__).parent / "cpp"
SOURCES = {
    "clap": tuple(CPP / f"clap_{part}_checks.cpp" for part in ("value", "start", "engine")),
    "vst3": tuple(CPP / f"vst3_{part}_checks.cpp" for part in ("value", "engine")),
    "lv2": (),
}
FEWEST = {"clap": 58, "vst3": 35, "lv2": 17}  # a check that is lost is a failure
TARGETS = [
    ("Stemsteer", "C"),
    ("StemsteerSplit", "C"),
    ("Stemsteer", "de_DE.UTF-8"),  # a comma in numbers
    ("Stemsteer", "tr_TR.UTF-8"),  # a comma, and letters whose upper case is another
]


def checked(program: Path, plugin: Path, **environment: str) -> list[str]:
    """The lines that a program of checks prints of a plugin, the verdict last."""
    done = subprocess.run(
        [program, plugin],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=600,
    )
    assert done.stdout, done.stderr[-2000:]
    print(plugin.name, environment, done.stdout.splitlines()[-1])
    return [*done.stdout.splitlines(), *done.stderr.splitlines()[-20:]] if done.returncode else []


@pytest.fixture(scope="session")
def locales() -> str:
    """A folder of locales whose numbers have a comma, whatever the machine has."""
    need("localedef", "/usr/share/i18n/locales/tr_TR")
    folder = ROOT / ".work" / "locales"
    folder.mkdir(parents=True, exist_ok=True)
    for name in {locale for _, locale in TARGETS} - {"C"}:
        if not (folder / name).exists():
            command = ["localedef", "-i", name.split(".")[0], "-f", "UTF-8", folder / name]
            subprocess.run(command, check=True, capture_output=True)
    return str(folder)


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize(("name", "locale"), TARGETS)
def test_every_check_of_a_format_passes_in_every_locale(
    engine_sandbox, locales, kind, name, locale
):
    program = compiled(f"{kind}_checks", *SOURCES[kind])
    wrong = checked(
        program, binary(built_plugin(), kind, name), LOCPATH=locales, CHECK_LOCALE=locale
    )
    assert not wrong, "\n".join(line for line in wrong if not line.startswith("ok "))


@pytest.mark.parametrize("kind", ["clap", "vst3"])
def test_every_check_passes_under_sanitizers(engine_sandbox, kind):
    program = compiled(f"{kind}_checks", *SOURCES[kind], flags=SANITIZED)
    wrong = checked(program, binary(sanitized_plugin(), kind, "StemsteerSplit"))
    assert not wrong, "\n".join(line for line in wrong if not line.startswith("ok "))


def test_the_threads_of_a_host_do_not_race(engine_sandbox):
    """Hosts ask and move controls, save and load, rename tracks, while the sound is processed."""
    need("setarch")  # ThreadSanitizer needs a memory layout that does not vary
    plugin = sanitized_plugin("Stemsteer", "thread") / "Stemsteer.clap"
    program = compiled("clap_checks", *SOURCES["clap"], flags=("-fsanitize=thread",))
    names = ("main_and_audio_thread_may_work_at_once", "the_engine_is_told_the_name_of_the_track")
    done = subprocess.run(
        ["setarch", "-R", program, plugin, *names], capture_output=True, text=True, timeout=300
    )
    assert done.stdout.endswith("2 passed, 0 failed\n"), done.stdout + done.stderr[-5000:]


@pytest.mark.parametrize("kind", SOURCES)
def test_no_check_is_lost(kind):
    sources = [CPP / f"{kind}_checks.cpp", CPP / "shared_checks.h", *SOURCES[kind]]
    names = re.findall(r"^CHECK\((\w+)\)", "".join(s.read_text() for s in sources), re.MULTILINE)
    assert len(set(names)) == len(names) >= FEWEST[kind]


def test_a_plugin_that_crashes_or_hangs_is_a_failed_check(tmp_path):
    source = tmp_path / "broken.cpp"
    source.write_text(
        '#define CHECKS_MAIN\n#include "checks.h"\n'
        "CHECK(good) {}\n"
        'CHECK(wrong) { fail("%d", 3); }\n'
        "CHECK(crash) { std::abort(); }\n"
        "CHECK(leaves) { std::exit(0); }\n"
        "CHECK(at_exit) { std::atexit([] { std::abort(); }); }\n"
        "int main(int count, char** words) { return run_checks(count, words); }\n"
    )
    program = tmp_path / "broken"
    need("g++")
    subprocess.run(["g++", "-std=c++17", f"-I{CPP}", source, "-o", program], check=True)
    lines = checked(program, tmp_path)
    assert lines[:6] == [
        "ok good",
        "FAILED wrong: 3",
        "FAILED crash: died: Aborted",
        "FAILED leaves: said nothing",
        "FAILED at_exit: died: Aborted",
        "1 passed, 4 failed",
    ]
