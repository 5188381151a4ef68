"""The scripts of build/ and their list of Debian packages."""

import json
import os
import re
import subprocess
import sys

import pytest
import soundfile

from tests.support.engine_sandbox import DEBIAN_PACKAGES, ROOT, debian_packages
from tests.support.models import source_model

SOURCES = [
    ROOT / "README.md",
    *(
        file
        for folder in ("realtime", "plugin_bridge", "models_onnx")
        for file in sorted((ROOT / folder).rglob("*"))
        if file.suffix in (".py", ".md") or file.name == "Makefile"
    ),
]
INSTALLED = re.compile(r"apt(?:-get)? install ([a-z0-9][a-z0-9+.-]+(?: [a-z0-9][a-z0-9+.-]+)*)")
APT_GET = """#!/bin/sh
case "$*" in *update*) exit ;; esac
for word; do package=$word; done
case "$*" in
*unknown*) echo "E: Unable to locate package unknown"; exit 100 ;;
esac
touch "$(dirname "$0")/$package"
"""


def test_a_package_that_a_message_says_to_install_is_in_the_list():
    named = {
        (file.name, package)
        for file in SOURCES
        for words in INSTALLED.findall(re.sub(r'"\s*f?"', "", file.read_text()))
        for package in words.split()
    }
    assert len(named) >= 4, "the messages are found"
    assert not {one for one in named if one[1] not in debian_packages().values()}


def test_the_packages_of_the_soundfonts_are_those_of_the_list():
    soundfonts = pytest.importorskip("models_onnx.data.sounds.soundfonts", exc_type=ImportError)
    fonts = (*soundfonts.TRAINING, *soundfonts.HELD_OUT)
    listed = {what.rpartition("/")[2]: package for what, package in debian_packages().items()}
    assert {f.file: f.package for f in fonts}.items() <= listed.items()


def test_every_line_of_the_list_names_a_package_and_what_it_is_for():
    lines = [line for line in DEBIAN_PACKAGES.read_text().splitlines() if line]
    listed = [line.split(maxsplit=2) for line in lines if not line.startswith("#")]
    assert len(listed) == len(debian_packages()) > 20
    assert all(len(words) == 3 for words in listed)


@pytest.fixture
def provide(tmp_path):
    """Run build/environment.sh's `provide` with an apt-get that knows no package `unknown`."""
    commands = tmp_path / "commands"
    commands.mkdir()
    for name, text in (("apt-get", APT_GET), ("id", "#!/bin/sh\necho 0\n")):
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)

    def run(needs: str, **environment: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "needs.txt").write_text(needs.format(here=commands))
        script = f". {ROOT}/build/environment.sh; provide {tmp_path}/needs.txt; echo went on"
        path = f"{commands}:{os.environ['PATH']}"
        return subprocess.run(
            ["sh", "-euc", script], capture_output=True, text=True,
            env={"PATH": path, **environment},
        )  # fmt: skip

    return run


def test_what_is_here_is_not_installed(provide):
    done = provide("# comment\n\nsh dash a shell\n{here}/*-get apt a pattern\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "went on\n", "")


def test_what_is_missing_is_installed(provide):
    done = provide("{here}/one one first\n{here}/two two second\n".replace("two two", "one one"))
    assert (done.returncode, done.stdout) == (0, "went on\n")
    assert done.stderr == "installing Debian packages: one\n"


NEEDS = "{here}/good good for this\nnowhere unknown for that\n"


def test_a_package_that_cannot_be_installed_is_named_and_keeps_no_other_away(provide, tmp_path):
    done = provide(NEEDS)
    assert (done.returncode, done.stdout) == (0, "went on\n")
    assert "cannot install unknown: E: Unable to locate package unknown\n" in done.stderr
    assert "MISSING: unknown (nowhere): for that\n" in done.stderr
    assert "TESTS WILL BE SKIPPED" in done.stderr
    assert "MISSING: good" not in done.stderr
    assert (tmp_path / "commands" / "good").exists()


def test_where_hosts_are_required_a_missing_package_ends_it(provide):
    done = provide(NEEDS, STEMSTEER_HOST_TESTS="required")
    assert (done.returncode, done.stdout) == (1, "")
    assert "MISSING: unknown (nowhere): for that\n" in done.stderr


def test_tests_of_real_time_are_one_group_of_a_process_and_come_first(request):
    items = request.session.items
    groups = [item.get_closest_marker("xdist_group").args[0] for item in items]
    realtime = [item.get_closest_marker("realtime") is not None for item in items]
    assert [group == "realtime" for group in groups] == realtime == sorted(realtime, reverse=True)
    if request.config.getoption("loadgroup", False):  # in one of several processes
        told = zip(items, groups, strict=True)
        assert all(item.nodeid.endswith(f"@{group}") for item, group in told)


def test_the_demonstration_takes_the_song_apart_by_direction_and_by_name(tmp_path):
    command = [sys.executable, ROOT / "build" / "demo.py", tmp_path / "demo"]
    none = os.environ | {"STEMSTEER_DATA": str(tmp_path / "data"), "STEMSTEER_MODELS": ""}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=none)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("exactly, to the last bit") == 6
    assert "by name" in done.stdout
    assert "stemsteer models add spleeter" in done.stdout
    for file in ("field.png", "targets.json", "steer/guitar.flac", "by-name/drums.flac",
                 "sung.flac", "singer-steer/vocals.flac",
                 "singer-timbre-unet/vocals.flac"):  # fmt: skip
        assert (tmp_path / "demo" / file).exists(), file


def test_the_demonstration_takes_a_singer_out_and_says_how_well(tmp_path):
    half = source_model(tmp_path / "half.onnx", {"vocals": 0.5})
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "sung.flac").write_text("of an earlier run")
    command = [sys.executable, ROOT / "build" / "demo.py", tmp_path / "demo", "--model", half]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    rows = {line[3:22].strip(): line.split()[-1] for line in lines}
    assert rows["half"] == rows["the mix as it is"] == rows["the mix / 2"]
    assert float(rows["oracle ratio mask"]) > 10 > float(rows["panorama"]) > float(rows["half"])
    told = json.loads((ROOT / "build" / "singer" / "singer.json").read_text())
    assert told["licence"] == "CC-BY-4.0"
    assert "vocadito" in told["credit"]
    assert soundfile.info(ROOT / "build" / "singer" / told["file"]).duration > 9
