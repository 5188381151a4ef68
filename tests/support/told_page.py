"""A page of the panel that is told all by the test, so that no server decides what comes when."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from plugin_bridge.panel.server import FIXED
from plugin_bridge.panel.shown import shown
from tests.support.panel_page import Playing
from tests.support.waiting import until

_SOCKET = """
window.sent = [];
window.tell = (message) => window.socket.onmessage({ data: JSON.stringify(message) });
window.WebSocket = class {
    constructor() {
        window.socket = this;
        setTimeout(() => window.tell(%s));
    }
    send(text) { window.sent.push(JSON.parse(text)); }
};
"""


class ToldPage:
    """Opens the page of a server, and is its socket.

    Parameters
    ----------
    open_page : the fixture of that name.
    server : has the page; it is told nothing.
    told : what is told of more than the sounds, with the first message.
    """

    def __init__(
        self,
        open_page: Any,
        server: Any,
        sounds: Sequence[str] = ("guitar", "lead vocals"),
        told: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.everything = {**FIXED, **shown(Playing(sounds))}
        script = _SOCKET % json.dumps({**self.everything, **(told or {})})
        self.page = open_page(server, script=script, **options)
        self._names = list(sounds)

    def tell(self, **message: Any) -> None:
        """Let the page be told something."""
        self.page.evaluate("message => tell(message)", message)

    def tell_tracks(self, **workers: int) -> None:
        """Let the page be told which tracks there are, by the numbers of their processes."""
        gone = dict.fromkeys(self._names)
        self._names = list(workers)
        facts = {name: {"worker": str(worker)} for name, worker in workers.items()}
        values = dict.fromkeys(workers, self.everything["values"]["guitar"])
        self.tell(instances=self._names, facts={**gone, **facts}, values={**gone, **values})

    def moves(self) -> list[tuple[str, str, float]]:
        """Return what the page has moved: sound, control and value."""
        messages = self.page.evaluate("sent.map((message) => message.set ?? {})")
        return [
            (sound, name, value)
            for message in messages
            for sound, values in message.items()
            for name, value in values.items()
        ]

    def shows(self, sound: str) -> None:
        """Wait until the controls are those of a sound."""
        name = self.page.locator("#name")
        until(lambda: name.inner_text() == sound, f"{sound} is selected")

    def stop_clock(self) -> None:
        """Let the page's time stand still but for `clock.run_for`."""
        self.page.clock.install(time=0)
        self.page.clock.pause_at(1)
