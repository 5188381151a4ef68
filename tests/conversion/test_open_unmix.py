"""Weights of Open-Unmix and X-UMX become models that give what their networks give."""

import numpy as np
import pytest
import torch

from plugin_bridge.conversion import install, open_unmix
from plugin_bridge.conversion.archive import read_arrays
from plugin_bridge.conversion.files import writers_of
from realtime import Separator, StemsteerError, load_model
from tests.support.commands import stemsteer
from tests.support.contract import verify_streaming
from tests.support.signals import noise
from tests.support.spectra import magnitude, spectrum
from tests.support.umx import XUMX, OpenUnmix

pytestmark = pytest.mark.usefixtures("models")
BINS = 2049


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
