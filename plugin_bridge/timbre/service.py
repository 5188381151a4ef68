"""Timbres on request, while sound runs: reads and encodes examples, and what was listened to.

It works in a thread of its own, beside the audio: in the process of the servers of `live`, or in
the engine's daemon. What is wrong with a request is told in a line, and the sound goes on as it is.

The way of a request: an action (`control.actions`) on the surface; here the file is read, or the
sound that a `SoundCapture` has kept is taken, and encoded; the surface gets a vector, and the audio
crosses over to it (`control.target_timbres`) in the same stream. On a track both go with the
messages of the audio process (`engine.worker.timbres`), and what was learned on to the plugin, as a
text that the project keeps and the next hello brings back (`engine.shared.kept_timbres`).
"""

from __future__ import annotations

import math
import socket
import threading
from dataclasses import dataclass
from pathlib import Path

from plugin_bridge.control.servers import Report
from plugin_bridge.control.surface import ControlSurface
from plugin_bridge.control.timbre_morph import is_named, let_example_count
from plugin_bridge.control.timbre_requests import Heard, Request, Slot, TimbreChange
from plugin_bridge.timbre.learned import learned_timbre
from plugin_bridge.timbre.query import timbre_of
from plugin_bridge.timbre.surface_encoders import SurfaceEncoders
from plugin_bridge.timbre.timbre_library import TimbreLibrary
from plugin_bridge.timbre.vector import Timbre, check_apart
from realtime.errors import StemsteerError

STOP_S = 5.0
LONGEST_WORDS = 200


@dataclass(frozen=True)
class TimbreSettings:
    """Settings of a `TimbreService`; goes to another process by pickle.

    Parameters
    ----------
    models_folder : where a model lies whose encoder may be beside it; None: where all models are.
    """

    models_folder: Path | None = None

    def open(self, surface: ControlSurface, report: Report) -> TimbreService:
        """Return the service, which works already."""
        return TimbreService(surface, report, self.models_folder)


class TimbreService:
    """Does what is asked on the requests of a surface; a `Server` that listens nowhere.

    Parameters
    ----------
    report : told in a sentence what was done, or why it was not.
    models_folder : see `TimbreSettings`.
    """

    name, port = "timbres", 0

    def __init__(
        self, surface: ControlSurface, report: Report, models_folder: Path | None = None
    ) -> None:
        self._surface, self._report = surface, report
        self._library = TimbreLibrary()
        self._encoders = SurfaceEncoders(surface, models_folder)
        self._n_done = self._n_refused = 0
        self._idle, self._other = socket.socketpair()  # never readable: the thread needs nobody
        self._thread = threading.Thread(target=self._run, name="stemsteer-timbres", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """Return a descriptor on which nothing comes."""
        return self._idle.fileno()

    def due_in_s(self) -> float:
        """Return infinity: there is nothing to attend to."""
        return math.inf

    def attend(self) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Let the thread end after what it does now."""
        self._surface.requests.put(None)
        self._thread.join(STOP_S)
        self._idle.close()
        self._other.close()

    def summary(self) -> str:
        """Return how many timbres were made, empty if none was asked for."""
        if not self._n_done and not self._n_refused:
            return ""
        return f"{self._n_done} timbres changed, {self._n_refused} requests refused"

    def _run(self) -> None:
        while (item := self._surface.requests.get()) is not None:
            what = "learn" if isinstance(item, Heard) else item.action
            try:
                self._do(item)
            except (StemsteerError, ValueError) as error:
                self._n_refused += 1
                self._answer(item.instance, f"{what}: {error}")
            except Exception as error:  # the net: what nobody has foreseen costs one request
                self._n_refused += 1
                self._answer(item.instance, f"a fault of Stemsteer itself at {what}: {error!r}")

    def _do(self, item: Request | Heard) -> None:
        if isinstance(item, Heard):
            seconds = item.target.shape[1] / item.sample_rate
            learned = learned_timbre(item, self._encoders.of(item.instance))
            self._change(item.instance, "like", learned, f"learned, {seconds:.2g} s")
            return
        if item.action == "learn":
            (seconds,) = item.arguments
            self._listen(item.instance, float(seconds))
            return
        encoder = self._encoders.of(item.instance)
        slot: Slot = "unlike" if item.action == "unlike" else "like"
        examples = [str(text) for text in item.arguments if text]
        self._check_names(item, examples)
        timbre = timbre_of(examples, encoder, self._library) if examples else None
        self._change(item.instance, slot, timbre, ", ".join(examples)[:LONGEST_WORDS])

    def _listen(self, instance: str, seconds: float) -> None:
        self._encoders.name_of(instance)  # raises where nothing could be learned
        self._surface.listen(instance, seconds)
        if seconds:
            self._answer(instance, f"listening for {seconds:g} s")
        self._encoders.of(instance)  # it is loaded meanwhile

    def _answer(self, instance: str, words: str) -> None:
        self._surface.requests.answers[instance] = words
        self._report(f"{instance}: {words}")

    def _check_names(self, request: Request, examples: list[str]) -> None:
        """Raise StemsteerError for what another machine may not ask, or what nothing is wanted of.

        A file that another machine names is not opened: its answers would tell what there is.
        """
        unknown = set(examples) - set(self._library.names())
        if unknown and not request.names_files:
            raise StemsteerError(
                f"{min(unknown)!r} is no timbre of the library, and files are named from this "
                "machine alone: keep it by `stemsteer timbres add` first"
            )
        like = self._surface.timbres(request.instance).get("like")
        has_sound = like or is_named(self._surface, request.instance)
        if request.action == "unlike" and examples and not has_sound:
            raise StemsteerError(
                "there is an example of what is not wanted and none of what is: send like or "
                "instrument first"
            )

    def _change(self, instance: str, slot: Slot, timbre: Timbre | None, words: str) -> None:
        other: Slot = "unlike" if slot == "like" else "like"
        there = self._surface.timbre_vector(instance, other)
        if timbre is not None and there is not None:
            told = self._surface.timbres(instance).get(other, "")
            check_apart(timbre, Timbre(there, timbre.encoder, sources=(told,)))
        vector = None if timbre is None else timbre.vector
        self._surface.change_timbre(TimbreChange(instance, slot, vector, words))
        self._n_done += 1
        is_example = slot == "like" and timbre is not None
        moved = let_example_count(self._surface, instance) if is_example else ""
        self._answer(
            instance, "; ".join(filter(None, (f"{slot}: {words or 'none any more'}", moved)))
        )
