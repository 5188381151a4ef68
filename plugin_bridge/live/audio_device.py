"""Sound cards through PortAudio: the list, a stream, and how late it is.

PortAudio speaks to ALSA and JACK on Linux, Core Audio on macOS, WASAPI, ASIO and others on
Windows. (For ASIO the environment needs SD_ENABLE_ASIO=1 before it starts.)
"""

from __future__ import annotations

import atexit
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from realtime.arrays import Audio
from realtime.errors import StemsteerError

Process = Callable[[Audio], Audio]
PROBE_S, GAP_S = 0.1, 0.5  # of noise to measure by, and how long its echo is waited for
TRIES = 6
SPARE_S = 2.0  # beyond the time of all tries, for a card to start
END_S = 5.0  # for a card to stop; PortAudio waits ten minutes for a JACK server that has gone


@dataclass(frozen=True)
class Device:
    """A sound card as PortAudio lists it."""

    number: int
    name: str
    system: str
    inputs: int
    outputs: int
    rate_hz: float


@dataclass
class Flags:
    """What PortAudio says: blocks that it lost since the start, when it asked for the newest, by
    `time.monotonic`, and why no more will come.
    """

    input_lost: int = 0
    output_lost: int = 0
    asked_s: float = field(default_factory=time.monotonic)
    ended: Callable[[], str] = lambda: ""
    """Returns what has become of the card, in words; empty while it runs."""


def devices() -> list[Device]:
    """Return all sound cards. Raises StemsteerError if PortAudio is not there."""
    sounddevice = _portaudio()
    systems = sounddevice.query_hostapis()
    return [
        Device(
            number, row["name"], systems[row["hostapi"]]["name"],
            row["max_input_channels"], row["max_output_channels"], row["default_samplerate"],
        )
        for number, row in enumerate(sounddevice.query_devices())
    ]  # fmt: skip


def rate_of(device: str | int | None) -> float:
    """Return the rate in Hz at which a card runs by itself. Raises StemsteerError without one."""
    sounddevice = _portaudio()
    if not devices():
        raise StemsteerError(
            "this machine has no sound card that PortAudio sees; start JACK, or take a file with "
            "--input-file and --output-file"
        )
    try:
        return float(sounddevice.query_devices(device, "input")["default_samplerate"])
    except (ValueError, sounddevice.PortAudioError) as error:
        raise StemsteerError(
            f"no sound card for input called {device!r} ({error}); see `stemsteer live --devices`"
        ) from error


@contextmanager
def stream(
    process: Process, device: str | int | None, sample_rate: float, block: int
) -> Iterator[tuple[float, Flags]]:
    """Run `process` on blocks (2, `block`) of a card; yield its own latency in seconds, and flags.

    A mono input is taken as two equal channels.

    A card that goes or hangs, as one that is unplugged or a JACK server that ends, is told by the
    flags.

    Raises StemsteerError if the card does not do what is asked.
    """
    sounddevice = _portaudio()
    flags = Flags()
    try:
        inputs = min(2, sounddevice.query_devices(device, "input")["max_input_channels"])

        def callback(indata: Any, outdata: Any, frames: int, _: Any, status: Any) -> None:
            flags.asked_s = time.monotonic()
            flags.input_lost += bool(status.input_overflow)
            flags.output_lost += bool(status.output_underflow)
            sound = np.empty((2, frames), np.float32)
            sound[:] = indata.T
            outdata[:] = process(sound).T

        made = sounddevice.Stream(
            sample_rate, block, device, (inputs, 2), "float32", "low", callback=callback
        )
        made.start()
    except (ValueError, sounddevice.PortAudioError) as error:
        raise StemsteerError(
            f"the sound card {device if device is not None else '(default)'} does not open at "
            f"{sample_rate:g} Hz: {error}; see `stemsteer live --devices`"
        ) from error
    flags.asked_s = time.monotonic()  # it took a while to open
    flags.ended = lambda: "" if made.active else _ended(sounddevice, device)
    try:
        yield sum(made.latency), flags
    finally:
        _end(made, sounddevice)


def _end(made: Any, sounddevice: Any) -> None:
    """Stop and close a stream; one that does not stop is left to the end of the process."""
    ending = threading.Thread(target=made.__exit__, name="stemsteer-card", daemon=True)
    if made.active:
        ending.start()
        ending.join(END_S)
        if not ending.is_alive():
            return
    # PortAudio stops all streams when the process ends, and would wait for this one
    if at_exit := getattr(sounddevice, "_exit_handler", None):
        atexit.unregister(at_exit)
    _left.append(made)  # the card might still call it


_left: list[Any] = []


def _ended(sounddevice: Any, device: str | int | None) -> str:
    """Return what has become of a card that gives no sound any more."""
    with contextlib.suppress(ValueError, sounddevice.PortAudioError):
        system = sounddevice.query_devices(device, "input")["hostapi"]
        if "JACK" in sounddevice.query_hostapis(system)["name"]:
            return "the JACK server has ended, or has shut us out: start it, then this again"
    return "the sound card has stopped: plug it in, see `stemsteer live --devices`, and start again"


def measure_latency(device: str | int | None, sample_rate: float, block: int) -> int:
    """Return the samples from a card's output to its input, which a cable must join.

    Plays noise, again and again for a few seconds, and finds it in what comes in.

    Raises StemsteerError if it does not come in, or the card stops.
    """
    noise = np.random.default_rng(1).standard_normal(round(PROBE_S * sample_rate)) * 0.1
    period = np.concatenate([noise, np.zeros(round(GAP_S * sample_rate))]).astype(np.float32)
    received = np.zeros(TRIES * period.size, np.float32)
    position = 0

    def process(sound: Audio) -> Audio:
        nonlocal position
        size = min(sound.shape[1], received.size - position)
        received[position : position + size] = sound[0, :size]
        due = np.arange(position, position + sound.shape[1])
        position += size
        return np.tile(period[due % period.size], (2, 1))

    with stream(process, device, sample_rate, block):
        patience_s = received.size / sample_rate + SPARE_S
        until_s = time.monotonic() + patience_s
        for start in range(0, received.size, period.size):
            while position < start + period.size:
                if time.monotonic() > until_s:
                    raise StemsteerError(
                        f"the sound card has taken {position / sample_rate:.1f} s of sound in "
                        f"{patience_s:.1f} s, expected {received.size / sample_rate:.1f}: end what "
                        "else uses it, or name another one by --device, and measure again"
                    )
                time.sleep(0.02)
            echo = received[start : start + period.size]
            with contextlib.suppress(StemsteerError):
                return find(period, echo)
    return find(period, echo)


def find(played: np.ndarray, received: np.ndarray) -> int:
    """Return by how many samples `received` is behind `played`.

    Raises StemsteerError if it is not in it.
    """
    size = 2 * max(played.size, received.size)
    spectrum = np.fft.rfft(received, size) * np.conj(np.fft.rfft(played, size))
    match = np.abs(np.fft.irfft(spectrum))[: received.size]
    best = int(np.argmax(match))
    if match[best] < 20 * np.median(match) or match[best] == 0:
        raise StemsteerError(
            "what was played did not come in again: join an output of the card to its input by a "
            "cable, turn both up, and measure again"
        )
    return best


def _portaudio() -> Any:
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        raise StemsteerError(
            f"live sound needs sounddevice and PortAudio ({error}); run: pip install "
            "'stemsteer[live]', and on Linux: apt install libportaudio2"
        ) from error
    return sounddevice
