"""Spleeter's checkpoints and archives become models; what is none is refused."""

import subprocess
import sys
import tarfile

import numpy as np
import pytest
import torch

from plugin_bridge.conversion import install, spleeter, spleeter_files
from plugin_bridge.conversion.files import writers_of
from realtime import StemsteerError, load_model
from tests.support.commands import stemsteer
from tests.support.spectra import magnitude, spectrum
from tests.support.tf_bundle import tensorflow_names, write_bundle
from tests.support.unet import ReferenceUNet, random_weights

pytestmark = pytest.mark.usefixtures("models")


@pytest.fixture(scope="module")
def networks():
    return [random_weights(seed) for seed in range(5)]


@pytest.mark.parametrize("stems", [2, 5])
def test_spleeters_stems_are_those_of_the_networks(tmp_path, networks, stems):
    index = write_bundle(tmp_path / "own", tensorflow_names(networks[:stems]))
    with writers_of(index.parent, None) as writers:
        names = {2: ["spleeter-own", "spleeter-own-offline"]}.get(stems, ["spleeter-own"])
        assert list(writers) == names
        writers[names[-1]](tmp_path / "made.onnx")
    model = load_model(tmp_path / "made.onnx")
    assert model.spec.targets == spleeter_files.SOURCES[stems][:-1]
    seen = torch.from_numpy(magnitude(spectrum())).transpose(0, 1)[None]
    with torch.no_grad():
        units = [ReferenceUNet(w, elu=stems > 2, logits=stems == 5)(seen)[0]
                 for w in networks[:stems]]  # fmt: skip
    factors = torch.stack(units).transpose(1, 2)  # (stems, frames, 2, bins)
    squares = (torch.softmax(factors, 0) if stems == 5 else factors) ** 2
    expected = (squares / squares.sum(0)).transpose(0, 1)[:, :-1].numpy()
    masks = model.run(spectrum(), 64)
    assert expected.std() > 0.05
    np.testing.assert_allclose(masks, expected, atol=0.02)  # weights in float16


def test_an_archive_as_it_is_published_is_added_listed_and_removed(tmp_path, networks, models):
    index = write_bundle(tmp_path / "in", tensorflow_names(networks[:2]))
    with tarfile.open(tmp_path / "2stems.tar.gz", "w:gz") as archive:
        for file in sorted(index.parent.iterdir()):
            archive.add(file, f"./{file.name}")
    done = stemsteer("models", "add", str(tmp_path / "2stems.tar.gz"))
    assert done.exit_code == 0, done.output
    assert sorted(file.name for file in models.iterdir()) == [
        "spleeter-2stems-offline.onnx", "spleeter-2stems.onnx"]  # fmt: skip
    assert load_model("spleeter-2stems").spec.targets == ("vocals",)
    assert stemsteer("models", "remove", "spleeter-2stems").exit_code == 0
    assert list(models.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "folder", "networks", "archive"])
def test_what_is_no_checkpoint_is_refused_with_what_is_expected(tmp_path, networks, kind):
    path = tmp_path / "x"
    if kind == "file":
        (tmp_path / "x.flac").write_bytes(b"fLaC")
        path = tmp_path / "x.flac"
    elif kind == "folder":
        path.mkdir()
    elif kind == "networks":
        path = write_bundle(path, tensorflow_names(networks[:3]))
    else:
        path = tmp_path / "2stems.tar.gz"
        with tarfile.open(path, "w:gz"):
            pass
    with pytest.raises(StemsteerError, match=r"expected (a checkpoint|2, 4 or 5|model\.index)"):
        install.add_file(path)


@pytest.mark.parametrize(
    "content",
    [b"not a tar at all" * 100, b"\x1f\x8b\x08\x08", b"BZh9", b"\xfd7zXZ\0"],
    ids=["text", "gzip", "bzip2", "xz"],
)
def test_a_damaged_archive_is_told_in_a_line(tmp_path, models, content):
    (tmp_path / "4stems.tar.gz").write_bytes(content)
    done = stemsteer("models", "add", str(tmp_path / "4stems.tar.gz"))
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert "4stems.tar.gz cannot be unpacked" in done.stderr
    assert "download it again" in done.stderr


def bomb(kind):
    """An archive whose headers, or whose members, ask for more than a checkpoint holds."""
    long, record = 1 << 25, b"33554432 comment="
    kinds = {
        "name": (tarfile.GNUTYPE_LONGNAME, long, 1),
        "names": (tarfile.GNUTYPE_LONGNAME, 0, 5000),  # each the name of the next
        "records": (tarfile.XHDTYPE, long, 1),
        "members": (tarfile.REGTYPE, 0, 60_000),
        "member": (tarfile.REGTYPE, 2 << 30, 1),
        "minus": (tarfile.REGTYPE, -512, 1),
    }
    head = tarfile.TarInfo("other")
    head.type, head.size, times = kinds[kind]
    data = record + b"a" * (long - len(record) - 1) + b"\n" if head.size == long else b""
    return head.tobuf(tarfile.GNU_FORMAT) * times + data


PEAK = """
import contextlib, pathlib, sys, tracemalloc
from plugin_bridge.conversion.spleeter_files import unpacked
from realtime.errors import StemsteerError
tracemalloc.start()
with contextlib.suppress(StemsteerError), unpacked(pathlib.Path(sys.argv[1])):
    pass
print(tracemalloc.get_traced_memory()[1])
"""
"""Prints the bytes of memory that unpacking an archive has taken at once."""


@pytest.mark.parametrize("kind", ["name", "names", "records", "member", "members", "minus"])
def test_an_archive_whose_headers_ask_for_too_much_is_refused(tmp_path, models, kind):
    archive = tmp_path / "4stems.tar"
    archive.write_bytes(bomb(kind) + bytes(10_240))
    done = stemsteer("models", "add", str(archive))
    assert done.exit_code == 1, done.output
    assert "4stems.tar " in done.stderr
    assert done.stderr.count("\n") == 1
    peak = subprocess.run([sys.executable, "-c", PEAK, archive], capture_output=True, check=True)
    assert int(peak.stdout) < 20e6


def test_the_tiers_of_several_networks_have_time_to_run():
    for count in (4, 5):
        tier = spleeter_files.tiers_of(count)["studio"]
        assert tier.runs.age + tier.lookahead == 2 * count
        assert tier.latency + tier.hop + 512 <= 8192, "as on a track"
    assert spleeter.LIVE_TIERS.keys().isdisjoint(spleeter.OFFLINE_TIERS)
