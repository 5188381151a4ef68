"""Try a catalogue to the utmost, and measure what it costs; prints tables, exits 1 if it fails.

``python build/catalogue.py faults`` renders 1 000 short songs on two workers, of which one is
killed every 20 s, kills the whole in the middle and goes on; 20 songs are broken. Every good one
has to be done exactly once, byte-equal to `stemsteer render`, and the broken ones to be named.
``python build/catalogue.py cost`` measures seconds by songs and workers, beside as many processes
that render without a cluster.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from plugin_bridge.cluster.manifest import FILE_NAME
from plugin_bridge.control.target import Target
from plugin_bridge.files.audio_reader import AudioReader
from plugin_bridge.launch import own_process
from plugin_bridge.offline.render import RenderSettings, render
from realtime import load_model

RATE_HZ = 44_100
AZIMUTH_DEG, MODEL = -30.0, "panorama"
KILL_EVERY_S = 20.0


def write_songs(folder: Path, count: int, seconds: float, broken: int = 0) -> None:
    """Write songs of noise, most of them of about that length, and some that are cut off."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(count):
        samples = round(RATE_HZ * seconds * random.uniform(0.5, 1.5))
        path = folder / f"{number:05}.flac"
        soundfile.write(path, 0.1 * random.standard_normal((samples, 2)), RATE_HZ)
        if number < broken:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def command(folder: Path, out: Path, workers: int) -> list[str]:
    """Return the command line of a catalogue."""
    return own_process(
        "plugin_bridge.cli", "catalogue", folder, "--out", out, "--azimuth", AZIMUTH_DEG,
        "--model", MODEL, "--workers", workers, "--json",
    )  # fmt: skip


def children(process: int) -> list[int]:
    """Return the processes that a process has started."""
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return [int(word) for task in tasks for word in task.read_text().split()]


class Killer(threading.Thread):
    """Kills a worker of a catalogue every so often, and notes its memory."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self.process, self.kills, self.memory_mb = process, 0, list[float]()

    def run(self) -> None:
        last_s = time.monotonic()
        while True:
            time.sleep(1)
            try:
                status = Path(f"/proc/{self.process}/status").read_text()
                self.memory_mb.append(int(status.split("VmRSS:")[1].split()[0]) / 1024)
                workers = children(self.process)
            except (OSError, IndexError):
                return
            if time.monotonic() - last_s >= KILL_EVERY_S and workers:
                os.kill(workers[self.kills % len(workers)], signal.SIGKILL)
                self.kills += 1
                last_s = time.monotonic()


def records(out: Path) -> list[dict[str, object]]:
    """Return the lines of a manifest that are of songs."""
    try:
        text = (out / FILE_NAME).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return [line for line in map(json.loads, text.splitlines()) if "song" in line]


def faults(folder: Path, count: int, broken: int) -> bool:
    """Run the catalogue of faults; print what came of it, and return whether all is well."""
    music, out = folder / "music", folder / "stems"
    write_songs(music, count, 1.0, broken)
    first = subprocess.Popen(command(music, out, 2), stdout=subprocess.DEVNULL)
    killer = Killer(first.pid)
    killer.start()
    while len(records(out)) < count // 2 and first.poll() is None:
        time.sleep(1)
    first.kill()
    first.wait()
    known = len(records(out))
    began_s = time.monotonic()
    second = subprocess.Popen(command(music, out, 2), stdout=subprocess.PIPE, text=True)
    again = Killer(second.pid)
    again.start()
    while len(records(out)) == known and second.poll() is None:
        time.sleep(0.1)
    resumed_s = time.monotonic() - began_s
    report = json.loads(second.communicate()[0])
    states = Counter((line["song"], line["state"]) for line in records(out))
    bad = {f"{number:05}.flac" for number in range(broken)}
    good = {f"{number:05}.flac" for number in range(count)} - bad
    problems = [
        f"{song}: {states[song, 'done']} times" for song in good if states[song, "done"] != 1
    ]
    problems += [song for song in bad if not states[song, "failed"] or states[song, "done"]]
    problems += list(different(music, out, sorted(good)))
    if {failed["song"] for failed in report["failed"]} != bad or second.returncode != 1:
        problems.append("not the broken songs are named")
    problems += [f"{path} is left" for path in out.rglob(".*")]
    print(f"songs {count}, of which broken {broken}; workers killed {killer.kills + again.kills}")
    print(f"killed as a whole after {known} songs; the next was done {resumed_s:.1f} s after start")
    for part, seen in (("before", killer), ("after", again)):
        print(f"memory {part}: {show_memory(seen.memory_mb)}")
    print("\n".join(problems) or "every good song was done once, and as render does it")
    return not problems


def show_memory(memory_mb: list[float]) -> str:
    """Return memory at a quarter of a run, and at its end."""
    quarter = memory_mb[len(memory_mb) // 4]
    return f"{quarter:.0f} MB after a quarter, {memory_mb[-1]:.0f} MB at the end"


def different(music: Path, out: Path, names: list[str]) -> Iterator[str]:
    """Yield what is not, byte for byte, what a render of the song alone writes."""
    settings, model = RenderSettings([Target("target", AZIMUTH_DEG)]), load_model(MODEL)
    for name in names:
        with tempfile.TemporaryDirectory() as alone, AudioReader(music / name) as source:
            render(source, model, settings, Path(alone))
            for file in Path(alone).iterdir():
                if (out / name / file.name).read_bytes() != file.read_bytes():
                    yield f"{name}/{file.name} is another"


SEPARATE = """
import sys
from pathlib import Path
from plugin_bridge.control.target import Target
from plugin_bridge.files.audio_reader import AudioReader
from plugin_bridge.offline.render import RenderSettings, render
from realtime import load_model
settings, model = RenderSettings([Target("target", -30.0)]), load_model("panorama")
for path in map(Path, sys.argv[2:]):
    with AudioReader(path) as source:
        render(source, model, settings, Path(sys.argv[1]) / path.name)
"""


def cost(folder: Path, counts: list[int], workers: list[int], seconds: float) -> None:
    """Print a table of what catalogues cost, in seconds of the clock and of the processors."""
    print("| songs | workers | catalogue | processors | separate processes | processors |")
    print("|---|---|---|---|---|---|")
    for count in counts:
        music = folder / f"music-{count}"
        write_songs(music, count, seconds)
        songs = [str(path) for path in sorted(music.iterdir())]
        for number in workers:
            ours = timed([command(music, folder / f"c-{count}-{number}", number)])
            parts = [songs[part::number] for part in range(number)]
            alone = folder / f"s-{count}-{number}"
            theirs = timed([[sys.executable, "-c", SEPARATE, str(alone), *part] for part in parts])
            cells = (f"{value:.1f} s" for value in (*ours, *theirs))
            print(f"| {count} | {number} | {' | '.join(cells)} |", flush=True)


def timed(commands: list[list[str]]) -> tuple[float, float]:
    """Run commands side by side; return their seconds by the clock and of all processors."""
    before, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    running = [subprocess.Popen(words, stdout=subprocess.DEVNULL) for words in commands]
    if max(process.wait() for process in running):
        raise SystemExit("a command failed")
    took_s, after = time.monotonic() - began_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("faults", "cost"))
    parser.add_argument("--songs", type=int, nargs="+", default=[])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--broken", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stemsteer-catalogue-", dir="/var/tmp") as folder:
        if given.what == "cost":
            cost(Path(folder), given.songs or [10, 40, 160], given.workers, given.seconds)
        elif not faults(Path(folder), (given.songs or [1000])[0], given.broken):
            sys.exit(1)


if __name__ == "__main__":
    main()
