"""Play from and to a sound card, with keys and a display."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import typer

from plugin_bridge.cli.console import warn
from plugin_bridge.cli.keys import HELP as KEYS_HELP
from plugin_bridge.cli.keys import KeyActions, single_keys
from plugin_bridge.cli.live_display import table

if TYPE_CHECKING:
    from plugin_bridge.live.session import LiveSession, LiveSettings


HANGS_S = 2.0
"""So long after a card has last asked for sound it is said that it hangs."""
HANGS = (
    f"the sound card has asked for no sound for {HANGS_S:g} s: it, or the JACK server, hangs; this "
    "goes on when it does, Ctrl-C ends"
)


def play_card(
    session: LiveSession, card: str | int | None, settings: LiveSettings, seconds: float | None
) -> None:
    """Play for so many seconds, or until the user ends it if that is None.

    Raises KeyboardInterrupt when the user does, StemsteerError when the sound card is gone.

    Parameters
    ----------
    card : its number, or a part of its name; None: the system's own.
    """
    from rich.console import Console
    from rich.live import Live as Display

    from plugin_bridge.live import audio_device
    from realtime.errors import StemsteerError

    with audio_device.stream(session.process, card, settings.sample_rate, settings.block) as (
        card_s,
        flags,
    ):
        total_ms = 1000 * (session.latency_s + card_s)
        typer.echo(
            f"latency {total_ms:.1f} ms: engine {1000 * session.latency_s:.1f}, "
            f"sound card {1000 * card_s:.1f}; Ctrl-C ends",
            err=True,
        )
        console = Console(stderr=True)
        until_s = time.monotonic() + (math.inf if seconds is None else seconds)
        keys = KeyActions(session.surface)
        with single_keys() as terminal, Display(console=console, transient=True) as display:
            if terminal is not None:
                typer.echo(KEYS_HELP, err=True)
            hangs = False
            while time.monotonic() < until_s:
                if words := flags.ended():
                    raise StemsteerError(words)
                if hangs != (time.monotonic() > flags.asked_s + HANGS_S):
                    hangs = not hangs
                    warn(HANGS if hangs else "the sound card asks for sound again")
                keys.attend(terminal)
                if console.is_terminal:
                    display.update(table(session, flags))
                time.sleep(0.1)
