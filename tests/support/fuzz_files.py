"""A process that reads damaged files: `python -m tests.support.fuzz_files KIND FIRST COUNT FOLDER`.

It prints what went wrong, a line each, and at last the memory that it has had after a fifth of the
files and after all of them.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from random import Random

from plugin_bridge.automation import read_automation
from plugin_bridge.automation.formats.midi import ControllerMap
from plugin_bridge.files import decoders
from plugin_bridge.files.audio_reader import AudioReader
from plugin_bridge.files.targets import read_targets
from plugin_bridge.hosting.chain_file import read_chain
from realtime.errors import StemsteerError
from tests.support import audio_files as audio
from tests.support import text_files as texts
from tests.support.soak import at_most, memory_mb, mutated

LONGEST_S = 20.0
Read = Callable[[Path], object]


def read_audio(path: Path) -> None:
    """Read a file to its end."""
    with AudioReader(path) as reader:
        for _ in reader.blocks(4096):
            pass


def audio_files() -> list[tuple[str, bytes, Read]]:
    """Names, contents and readers of whole files of sound."""
    containers = [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAV", "MS_ADPCM"), ("WAVEX", "PCM_24")]
    containers += [("AIFF", "PCM_24"), ("FLAC", "PCM_24"), ("OGG", "VORBIS"), ("OGG", "OPUS")]
    containers += [("RF64", "PCM_16"), ("W64", "PCM_16"), ("CAF", "PCM_16"), ("CAF", "ALAC_16")]
    contents = [audio.encoded(*words) for words in containers]
    contents += [audio.wav(0xFFFF_FFFF), audio.aiff(0, 0x7F00_0000), audio.au(0xFFFF_FFFF)]
    contents += [audio.flac(0), audio.mp3(), audio.mp3(with_info=True), 2 * audio.flac()]
    contents += [audio.id3(50) + audio.mp3() + audio.ape(50), 2 * audio.encoded("OGG", "VORBIS")]
    return [("a", data[:60_000], read_audio) for data in contents]


def text_files() -> list[tuple[str, bytes, Read]]:
    """Names, contents and readers of whole files of lanes, targets, chains and mappings."""

    def lanes(path: Path) -> object:
        return read_automation(path, 44_100)

    def chain(path: Path) -> object:
        return read_chain(path, 44_100, 2)

    found: list[tuple[str, bytes, Read]] = [
        (name, data, lanes) for name, data in texts.LANES.items()
    ]
    found += [("targets.json", data, read_targets) for data in texts.TARGETS]
    found += [("chain.json", data, chain) for data in texts.CHAINS]
    return [*found, *(("map.json", data, ControllerMap.read) for data in texts.MAPPINGS)]


def main(kind: str, first: int, count: int, folder: Path) -> None:
    """Read files that are damaged each in a way of its own."""
    sys.setrecursionlimit(1000)
    if kind == "audio":
        decoders.ProcessDecoder = _refused  # type: ignore[assignment, misc]
    whole = {"audio": audio_files, "text": text_files}[kind]()
    contents = tuple(data for _, data, _ in whole)
    after_a_fifth_mb = 0.0
    for number in range(first, first + count):
        random = Random(f"{kind} {number}")
        name, data, read = random.choice(whole)
        path = folder / name
        path.write_bytes(mutated(data, random, contents))
        try:
            with at_most(LONGEST_S):
                read(path)
        except StemsteerError as error:
            if not str(error).startswith(str(path)) or "\n" in str(error):
                print(f"{kind} {number}: a message without the file, or of many lines: {error!r}")
        except BaseException:
            print(f"{kind} {number}: {traceback.format_exc()[-1500:]}")
        if number - first == count // 5:
            after_a_fifth_mb = memory_mb()
    print(f"memory {after_a_fifth_mb:.0f} {memory_mb():.0f}")


def _refused(path: Path) -> None:
    """Start no process for a file that nobody knows: `test_decoders` does."""
    raise ValueError(path)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
