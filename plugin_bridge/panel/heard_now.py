"""Which instruments are heard now in the mixtures that browsers look at, and how surely.

It listens to what pictures are made of anyway: these overlap, so they are the whole stream while
somebody looks. A thread encodes the last seconds now and then, far from the audio.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Collection

import numpy as np

from plugin_bridge.control.surface import Sound
from plugin_bridge.files.clip import resampled
from plugin_bridge.timbre.heard import PIECE_S, Classifier, load_classifier
from realtime.arrays import Audio
from realtime.blocks import read_ring, write_ring
from realtime.encoder import OnnxEncoder, encoder_of
from realtime.errors import StemsteerError

EVERY_S = 3.0
LEAST = 0.1
"""Chances below are not told."""
Job = tuple[str, str, Audio, float]  # instance, encoder, mixture, rate in Hz


class HeardNow:
    """Tells the chances of instruments in the newest seconds of each mixture.

    `take` and `keep` belong to one thread. Where an encoder or its classifier is not installed,
    nothing is heard.
    """

    def __init__(self) -> None:
        self._rings: dict[str, _Ring] = {}
        self._chances: dict[str, list[tuple[str, float]]] = {}
        self._jobs: queue.Queue[Job | None] = queue.Queue(1)
        self._thread: threading.Thread | None = None

    def chances(self, instance: str) -> list[tuple[str, float]]:
        """Return instruments with their chances, those that are told."""
        return self._chances.get(instance, [])

    def keep(self, instances: Collection[str]) -> None:
        """Forget all but these: nobody looks at the others any more."""
        for instance in self._rings.keys() - set(instances):
            del self._rings[instance]
            self._chances.pop(instance, None)

    def take(self, instance: str, encoder: str, sound: Sound) -> None:
        """Listen to the newest sound of an instance whose model has this encoder."""
        ring = self._rings.get(instance)
        if ring is None or ring.rate_hz != sound.sample_rate:
            ring = self._rings[instance] = _Ring(sound.sample_rate)
        ring.put(sound)
        if ring.n_new < EVERY_S * ring.rate_hz or self._jobs.full():
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="stemsteer-heard", daemon=True)
            self._thread.start()
        ring.n_new = 0
        self._jobs.put((instance, encoder, ring.newest(), ring.rate_hz))

    def stop(self) -> None:
        """Let the thread end after what it does now."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()

    def _run(self) -> None:
        tools: dict[str, tuple[OnnxEncoder, Classifier]] = {}
        missing: set[str] = set()
        while (job := self._jobs.get()) is not None:
            instance, name, mixture, rate_hz = job
            if name not in tools and name not in missing:
                try:
                    encoder = encoder_of(name)
                    tools[name] = encoder, load_classifier(encoder.spec)
                except StemsteerError:
                    missing.add(name)
            if name in tools:
                self._chances[instance] = _heard(*tools[name], mixture, rate_hz)


class _Ring:
    def __init__(self, rate_hz: float) -> None:
        self.rate_hz, self.n_new = rate_hz, 0
        self._samples = np.zeros((2, round(PIECE_S * rate_hz)), np.float32)
        self._end = self._filled = 0

    def put(self, sound: Sound) -> None:
        """Append what is new in a sound; where some is missing, as a stop of the host, nothing."""
        new = min(max(sound.end - self._end, 0), sound.mixture.shape[1])
        self._end = sound.end
        if new:
            write_ring(self._samples, self._filled, sound.mixture[:, -new:])
            self._filled += new
            self.n_new += new

    def newest(self) -> Audio:
        size = self._samples.shape[1]
        return read_ring(self._samples, self._filled, min(size, self._filled))


def _heard(
    encoder: OnnxEncoder, classifier: Classifier, mixture: Audio, rate_hz: float
) -> list[tuple[str, float]]:
    """Return the chances that are told; none where it is silent."""
    try:
        sound = resampled(mixture, round(rate_hz), encoder.spec.sample_rate)
        chances = classifier.chances(encoder.encode(sound)[None])[0]
    except (ValueError, StemsteerError):  # silent, or the encoder fails
        return []
    pairs = zip(classifier.instruments, chances.tolist(), strict=True)
    return [(name, round(chance, 2)) for name, chance in pairs if chance >= LEAST]
