"""Weights that a user has become models that give what their networks give."""

import tarfile

import numpy as np
import pytest
import torch

from plugin_bridge.conversion import budget, install, open_unmix, spleeter, spleeter_files
from plugin_bridge.conversion.archive import read_arrays
from plugin_bridge.conversion.bundle import read_bundle
from plugin_bridge.conversion.files import writers_of
from realtime import Separator, StemsteerError, load_model
from tests.support.commands import stemsteer
from tests.support.contract import verify_streaming
from tests.support.signals import noise
from tests.support.tf_bundle import tensorflow_names, write_bundle
from tests.support.umx import XUMX, OpenUnmix
from tests.support.unet import ReferenceUNet, random_weights

pytestmark = pytest.mark.usefixtures("models")
BINS = 2049


@pytest.fixture(scope="module")
def networks():
    return [random_weights(seed) for seed in range(5)]


def spectrum(bins=1024, frames=64):
    drawn = np.random.default_rng(0).standard_normal((frames, 2, bins, 2))
    return (1e-3 * drawn).astype(np.float32)


def magnitude(spectra):
    return 2048 * np.sqrt((spectra.astype(np.float64) ** 2).sum(-1)).astype(np.float32)


def test_a_checkpoint_of_tensorflow_is_read_to_the_bit(tmp_path):
    arrays = {f"layer_{k}/kernel": np.random.default_rng(k).standard_normal((k, 2, 3))
              for k in range(1, 40)}  # fmt: skip
    found = read_bundle(write_bundle(tmp_path, arrays))
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array.astype(np.float32))


@pytest.mark.parametrize("change", ["cut", "bits", "no data", "short data", "nonsense", "long"])
def test_a_broken_checkpoint_of_tensorflow_is_refused_by_name(tmp_path, change):
    index = write_bundle(tmp_path, {"a/kernel": np.ones((3, 4)), "b/bias": np.ones(5)})
    data, whole = tmp_path / "model.data-00000-of-00001", index.read_bytes()
    if change == "no data":
        data.unlink()
    elif change == "short data":
        data.write_bytes(data.read_bytes()[:-4])
    else:
        found = {"cut": whole[:-60] + whole[-48:], "nonsense": b"nonsense" * 20,
                 "long": whole.replace(b"\x12\x02\x08\x03", b"\x12\x02\x08\x7f"),
                 "bits": bytes(255 - byte for byte in whole[:-48]) + whole[-48:]}  # fmt: skip
        index.write_bytes(found[change])
    with pytest.raises(StemsteerError, match=r"model\.index"):
        read_bundle(index)


def test_the_arrays_of_tensorflow_have_a_bound_together(tmp_path, monkeypatch):
    index = write_bundle(tmp_path, {"a": np.ones(1000), "b": np.ones(1000)})
    monkeypatch.setattr(budget, "MAX_BYTES", 9000)
    assert len(read_bundle(index)) == 2
    monkeypatch.setattr(budget, "MAX_BYTES", 7000)
    with pytest.raises(StemsteerError, match="more than"):
        read_bundle(index)


def test_every_single_byte_of_an_index_may_be_wrong(tmp_path):
    index = write_bundle(tmp_path, {"a/kernel": np.ones((3, 4)), "b/bias": np.ones(5)})
    whole = index.read_bytes()
    for place in range(len(whole)):
        for value in (0, 127, 128, 255):
            index.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            try:
                read_bundle(index)
            except StemsteerError:
                continue


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


def umx(seed=0, *, unidirectional=False, **sizes):
    torch.manual_seed(seed)
    network = OpenUnmix(nb_bins=BINS, hidden_size=32, unidirectional=unidirectional,
                        max_bin=1487, **sizes)  # fmt: skip
    for name, array in network.state_dict().items():
        if name.endswith("running_var"):
            array.uniform_(0.5, 2)
        elif array.is_floating_point() and not name.startswith("lstm"):
            array.add_(0.1 * torch.randn_like(array))
    return network.eval()


def save_umx(folder, **networks):
    folder.mkdir()
    for name, network in networks.items():
        torch.save(network.state_dict(), folder / f"{name}-1a2b3c.pth")
    return folder


def factors(network, spectra):
    """Factors (frames, 2, bins) of the network as it is."""
    seen = torch.from_numpy(magnitude(spectra)).permute(1, 2, 0)[None]
    with torch.no_grad():
        return (network(seen) / seen)[0].permute(2, 0, 1).numpy()


@pytest.mark.parametrize("unidirectional", [False, True])
def test_open_unmix_gives_what_the_network_gives(tmp_path, unidirectional):
    network = umx(unidirectional=unidirectional)
    weights = read_arrays(save_umx(tmp_path / "w", vocals=network) / "vocals-1a2b3c.pth")
    made = {"vocals": open_unmix.Network(weights)}
    spec = open_unmix.spec_of(made, "umx")
    open_unmix.convert(made, tmp_path / "umx.onnx", spec, half=False)
    model, seen = load_model(tmp_path / "umx.onnx"), spectrum(BINS)
    expected = np.minimum(factors(network, seen), 1)
    assert expected.std() > 0.05
    if not unidirectional:
        np.testing.assert_allclose(model.run(seen, 64)[:, 0], expected, atol=1e-4)
        return
    stream = model.stream(1)  # it remembers from call to call
    parts = [stream.step(part, {})["masks"].copy() for part in (seen[:10], seen[10:11], seen[11:])]
    np.testing.assert_allclose(np.concatenate(parts)[:, 0], expected, atol=1e-4)
    stream.reset()
    np.testing.assert_allclose(stream.step(seen[:10], {})["masks"][:, 0], expected[:10], atol=1e-4)


def test_with_what_remains_open_unmixs_sources_share_by_their_squares(tmp_path):
    networks = {"vocals": umx(0), "other": umx(1)}
    with writers_of(save_umx(tmp_path / "w", **networks), "mine") as writers:
        writers["mine"](tmp_path / "mine.onnx")
    model = load_model(tmp_path / "mine.onnx")
    assert model.spec.targets == ("vocals",)
    voice, rest = (factors(network, spectrum(BINS)) ** 2 for network in networks.values())
    expected = (voice + 1e-10) / (voice + rest + 2e-10)
    found = model.run(spectrum(BINS), 64)[:, 0]
    assert np.abs(found - expected).mean() < 2e-3  # weights in float16


@pytest.mark.parametrize("unidirectional", [False, True])
def test_x_umx_gives_what_its_bridged_networks_give(tmp_path, unidirectional):
    sources = ("bass", "drums", "vocals")
    networks = {name: umx(k, unidirectional=unidirectional) for k, name in enumerate(sources)}
    bridged = XUMX(networks)
    torch.save(bridged.saved(), tmp_path / "any-name.pth")
    arrays = read_arrays(tmp_path / "any-name.pth")
    made = open_unmix.bridged_networks(arrays, {})
    assert tuple(made) == sources
    spec = open_unmix.spec_of(made, "x")
    open_unmix.convert(made, tmp_path / "x.onnx", spec, half=False, bridged=True)
    model, seen = load_model(tmp_path / "x.onnx"), spectrum(BINS)
    with torch.no_grad():
        expected = bridged(torch.from_numpy(magnitude(seen))[:, None])[:, :, 0].transpose(0, 1)
    masks = model.stream(3).step(seen, {})["masks"] if unidirectional else model.run(seen, 64)
    np.testing.assert_allclose(masks, np.minimum(expected.numpy(), 1), atol=1e-4)
    with writers_of(tmp_path / "any-name.pth", None) as writers:
        assert list(writers) == ["x-umx"]
        writers["x-umx"](tmp_path / "half.onnx")
    assert load_model(tmp_path / "half.onnx").spec.targets == sources


@pytest.mark.parametrize("unidirectional", [False, True])
def test_a_model_of_a_file_is_added_and_keeps_the_streaming_contract(tmp_path, unidirectional):
    networks = {"vocals": umx(0, unidirectional=unidirectional),
                "drums": umx(1, unidirectional=unidirectional)}  # fmt: skip
    folder = save_umx(tmp_path / "w", **networks)
    done = stemsteer("models", "add", str(folder), "--name", "mine")
    assert done.exit_code == 0, done.output
    model = load_model("mine")
    assert model.spec.targets == ("drums", "vocals")
    if unidirectional:
        verify_streaming(lambda: Separator(model, 44_100, tier="studio"), samples=16_000,
                         tolerance=1e-5)  # fmt: skip
        return
    stems = Separator(model, 44_100, tier="offline").process(noise(2, 700 * 1024))
    assert np.isfinite(stems).all()


@pytest.mark.parametrize(
    "change", ["shape", "missing", "nan", "bins", "unknown name", "no weights"]
)
def test_weights_of_something_else_are_refused_in_a_line(tmp_path, models, change):
    state = umx().state_dict()
    name = "vocals"
    if change == "shape":
        state["fc2.weight"] = torch.zeros(32, 60)
    elif change == "missing":
        del state["bn2.bias"]
    elif change == "nan":
        state["fc3.weight"][0, 0] = torch.nan
    elif change == "bins":
        state = umx_of_bins(1025).state_dict()
    elif change == "unknown name":
        name = "best"
    else:
        state = {"w": torch.ones(3)}
    torch.save(state, tmp_path / f"{name}.pth")
    done = stemsteer("models", "add", str(tmp_path / f"{name}.pth"))
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    words = {"shape": "fc2.weight", "missing": "bn2.bias", "nan": "NaN", "bins": "1025 bins",
             "unknown name": "call it vocals.pth", "no weights": "not Open-Unmix's"}  # fmt: skip
    assert words[change] in done.stderr
    assert f"{name}.pth" in done.stderr
    assert not list(models.glob("*")), "nothing half there"


@pytest.mark.parametrize("saved", ["as it is", "training", "wrapped", "bfloat16"])
def test_a_network_is_read_however_it_was_saved(tmp_path, saved):
    network, seen = umx(), spectrum(BINS)
    state = network.state_dict()
    content = {
        "as it is": state,
        "training": {"epoch": 3, "state_dict": state, "best_loss": 0.1},
        "wrapped": {f"module.{name}": array for name, array in state.items()},
        "bfloat16": {name: array.bfloat16() for name, array in state.items()},
    }[saved]
    path = tmp_path / ("vocals.chkpnt" if saved == "training" else "vocals.pth")
    torch.save(content, path)
    with writers_of(path, "mine") as writers:
        writers["mine"](tmp_path / "mine.onnx")
    found = load_model(tmp_path / "mine.onnx").run(seen, 64)[:, 0]
    assert np.abs(found - np.minimum(factors(network, seen), 1)).mean() < 0.01


def test_of_a_folder_of_a_training_the_weights_are_taken(tmp_path):
    folder = save_umx(tmp_path / "w", vocals=umx(0))
    torch.save({"state_dict": umx(1).state_dict()}, folder / "vocals-1a2b3c.chkpnt")
    torch.save({"state_dict": umx(2).state_dict()}, folder / "drums.chkpnt")
    with writers_of(folder, "mine") as writers:
        writers["mine"](tmp_path / "mine.onnx")
    assert load_model(tmp_path / "mine.onnx").spec.targets == ("drums", "vocals")


def test_what_a_checkpoint_says_of_its_sample_rate_goes_into_the_spec(tmp_path):
    state = umx().state_dict()
    torch.save(state | {"sample_rate": torch.tensor(48_000.0)}, tmp_path / "vocals.pth")
    bridged = XUMX({"bass": umx(0), "vocals": umx(1)}).saved()
    bridged["model_args"]["sample_rate"] = 32_000
    torch.save(bridged, tmp_path / "x.pth")
    (tmp_path / "beside").mkdir()
    torch.save(state, tmp_path / "beside" / "vocals.pth")
    (tmp_path / "beside" / "separator.json").write_text(
        '{"nfft": 4096, "nhop": 1024, "nb_channels": 2, "sample_rate": 16000.0}'
    )
    for file, rate_hz in (("vocals.pth", 48_000), ("x.pth", 32_000), ("beside", 16_000)):
        with writers_of(tmp_path / file, "mine") as writers:
            writers["mine"](tmp_path / "mine.onnx")
        assert load_model(tmp_path / "mine.onnx").spec.sample_rate == rate_hz


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("spec_power", 2, "1"), ("n_hop", 2048, "1024"), ("nb_channels", 1, "2"),
     ("window_length", 2048, "4096"), ("sample_rate", 0, "1000 to 768000"),
     ("sample_rate", float("nan"), "1000 to 768000")],
)  # fmt: skip
def test_networks_of_other_spectra_are_refused_with_what_is_expected(
    tmp_path, name, value, expected
):
    bridged = XUMX({"bass": umx(0), "vocals": umx(1)}).saved()
    bridged["model_args"][name] = value
    torch.save(bridged, tmp_path / "x.pth")
    done = stemsteer("models", "add", str(tmp_path / "x.pth"))
    assert done.exit_code == 1
    assert "x.pth: " in done.stderr
    assert f"{name} {value:g}" in done.stderr
    assert f"expected {expected}" in done.stderr


@pytest.mark.parametrize(
    ("text", "said"), [('{"nhop": 2048}', "nhop 2048, expected 1024"), ("{", "separator.json: ")]
)
def test_the_settings_beside_the_networks_count(tmp_path, text, said):
    folder = save_umx(tmp_path / "w", vocals=umx())
    (folder / "separator.json").write_text(text)
    with pytest.raises(StemsteerError, match=said):
        install.add_file(folder)


def test_sources_of_one_instrument_keep_their_own_names(tmp_path):
    bridged = XUMX({"vocals": umx(0), "voice": umx(1), "drum": umx(2)})
    torch.save(bridged.saved(), tmp_path / "x.pth")
    with writers_of(tmp_path / "x.pth", "x") as writers:
        writers["x"](tmp_path / "x.onnx")
    model, seen = load_model(tmp_path / "x.onnx"), spectrum(BINS)
    assert model.spec.targets == ("vocals", "voice", "drums")
    with torch.no_grad():
        expected = bridged(torch.from_numpy(magnitude(seen))[:, None])[:, :, 0].transpose(0, 1)
    assert np.abs(model.run(seen, 64) - np.minimum(expected.numpy(), 1)).mean() < 2e-3


def umx_of_bins(bins):
    return OpenUnmix(nb_bins=bins, hidden_size=32, max_bin=500)


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


def test_a_name_that_is_a_path_is_refused(tmp_path):
    folder = save_umx(tmp_path / "w", vocals=umx())
    for name in ("../up", "a/b", "", ".hidden"):
        with pytest.raises(ValueError, match="expected letters"):
            install.add_file(folder, name=name)


def test_a_model_that_comes_along_is_not_hidden_in_silence(tmp_path, models):
    folder = save_umx(tmp_path / "w", vocals=umx(unidirectional=True))
    with pytest.raises(StemsteerError, match="'steer' is a model that comes with Stemsteer"):
        install.add_file(folder, name="steer")
    assert install.add_file(folder, name="steer", force=True) == [models / "steer.onnx"]


def test_the_networks_of_the_package_openunmix_agree(tmp_path):
    package = pytest.importorskip("openunmix.model", reason="the package openunmix is not here")
    torch.manual_seed(0)
    network = package.OpenUnmix(nb_bins=BINS, hidden_size=32, max_bin=1487).eval()
    weights = read_arrays(save_umx(tmp_path / "w", vocals=network) / "vocals-1a2b3c.pth")
    made = {"vocals": open_unmix.Network(weights)}
    open_unmix.convert(made, tmp_path / "u.onnx", open_unmix.spec_of(made, "umx"), half=False)
    found = load_model(tmp_path / "u.onnx").run(spectrum(BINS), 64)[:, 0]
    np.testing.assert_allclose(found, np.minimum(factors(network, spectrum(BINS)), 1), atol=1e-4)


def test_the_tiers_of_several_networks_have_time_to_run():
    for count in (4, 5):
        tier = spleeter_files.tiers_of(count)["studio"]
        assert tier.runs.age + tier.lookahead == 2 * count
        assert tier.latency + tier.hop + 512 <= 8192, "as on a track"
    assert spleeter.LIVE_TIERS.keys().isdisjoint(spleeter.OFFLINE_TIERS)
