"""OSCQuery 1.0 over HTTP: the namespace as JSON, so that controllers find every control.

``GET /`` describes everything, ``GET /stemsteer/guitar`` a part of it, ``?VALUE`` one attribute
of it, and ``?HOST_INFO`` where OSC is received. Nothing can be changed this way.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

from plugin_bridge.control.actions import Action
from plugin_bridge.control.controls import ALIASES, METERS, Control
from plugin_bridge.control.surface import ControlSurface, osc_name
from plugin_bridge.osc.http_guard import GuardedHandler, GuardedServer
from plugin_bridge.osc.namespace import ROOT
from plugin_bridge.osc.server import OscServer
from realtime.errors import StemsteerError

READ, WRITE, READ_WRITE = 1, 2, 3
ATTRIBUTES = ("ACCESS", "CLIPMODE", "DESCRIPTION", "RANGE", "TYPE", "UNIT", "VALUE")
_UNITS = {"deg": "angle.degree", "dB": "gain.db", "s": "time.second"}
Node = dict[str, Any]


class PortTakenError(StemsteerError):
    """Somebody else has the TCP port."""


class QueryServer:
    """Answers OSCQuery on TCP for an `OscServer`, on the same host.

    Raises PortTakenError if the port is taken.
    """

    def __init__(self, osc: OscServer, surface: ControlSurface, port: int) -> None:
        handler = type("Handler", (_Handler,), {"osc": osc, "surface": surface})
        try:
            self._server = GuardedServer(osc.host, port, handler, osc.allows)
        except (OSError, OverflowError) as error:
            raise PortTakenError(
                f"cannot answer OSCQuery on {osc.host} port {port}: {error}; choose another "
                "with --port (of serve: --osc-port), or stop what uses it"
            ) from error
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="stemsteer-oscquery", daemon=True
        )

    def __enter__(self) -> QueryServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(GuardedHandler):
    """One request."""

    osc: OscServer
    surface: ControlSurface

    def do_GET(self) -> None:  # noqa: N802  (the name that http.server calls)
        if not self.is_trusted:
            self.send_error(403)
            return
        try:
            url = urlsplit(self.path)
        except ValueError:  # as http://[::1/
            self.send_error(400)
            return
        if url.query == "HOST_INFO":
            self._answer(host_info(self.osc))
            return
        node = find(describe(self.surface), unquote(url.path))
        if node is None:
            self.send_error(404)
        elif not url.query:
            self._answer(node)
        elif url.query in node:
            self._answer({url.query: node[url.query]})
        else:
            self.send_response(204 if url.query in ATTRIBUTES else 400)
            self.end_headers()

    def _answer(self, content: Mapping[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def host_info(osc: OscServer) -> Node:
    """Return where OSC is received, and what the description holds.

    Received everywhere, there is no OSC_IP, which means: where this answer came from.
    """
    everywhere = osc.host in ("0.0.0.0", "::")
    return {
        "NAME": "Stemsteer",
        **({} if everywhere else {"OSC_IP": osc.host}),
        "OSC_PORT": osc.port,
        "OSC_TRANSPORT": "UDP",
        "EXTENSIONS": dict.fromkeys(ATTRIBUTES, True),
    }


def describe(surface: ControlSurface) -> Node:
    """Return the whole namespace."""
    instances = {osc_name(name): _instance(surface, name) for name in surface.instances}
    return _folder("/", {ROOT: _folder(f"/{ROOT}", instances)})


def find(node: Node, path: str) -> Node | None:
    """Return the part of a description at a path, None if there is none."""
    for part in filter(None, path.split("/")):
        node = node.get("CONTENTS", {}).get(part)
        if node is None:
            return None
    return node


def _instance(surface: ControlSurface, instance: str) -> Node:
    path = f"/{ROOT}/{osc_name(instance)}"
    node = _folder(path, {})
    for name, control in surface.controls(instance).items():
        _place(node, name, _leaf(f"{path}/{name}", control, float(surface.value(instance, name))))
    for alias, name in ALIASES.items():
        if (meant := surface.controls(instance).get(name)) is not None:
            value = float(surface.value(instance, name))
            _place(node, alias, _leaf(f"{path}/{alias}", meant, value))
    words = surface.timbres(instance)
    for name, action in surface.actions(instance).items():
        _place(node, name, _action_leaf(f"{path}/{name}", action, words.get(name, "")))
    shown = surface.meters(instance)
    for meter in METERS:
        if meter.name in shown:
            values = [float(value) for value in shown[meter.name]]
            leaf = {"TYPE": "f" * len(values), "ACCESS": READ, "DESCRIPTION": meter.help}
            _place(node, meter.name, {**leaf, "FULL_PATH": f"{path}/{meter.name}", "VALUE": values})
    return node


def _place(node: Node, name: str, leaf: Node) -> None:
    """Put a leaf in its folder; the name of a plugin's parameter has one of its own."""
    *folders, last = name.split("/")
    for folder in folders:
        path = f"{node['FULL_PATH']}/{folder}"
        node = node["CONTENTS"].setdefault(folder, _folder(path, {}))
    node["CONTENTS"][last] = leaf


def _folder(path: str, contents: Node) -> Node:
    return {"FULL_PATH": path, "ACCESS": 0, "CONTENTS": contents}


def _leaf(path: str, control: Control, value: float) -> Node:
    leaf: Node = {
        "FULL_PATH": path,
        "TYPE": "f",
        "ACCESS": READ_WRITE,
        "VALUE": [value],
        "RANGE": [{"MIN": control.low, "MAX": control.high}],
        "CLIPMODE": ["both"],
        "DESCRIPTION": control.help,
    }
    if control.unit in _UNITS:
        leaf["UNIT"] = [_UNITS[control.unit]]
    return leaf


def _action_leaf(path: str, action: Action, words: str) -> Node:
    leaf: Node = {"FULL_PATH": path, "DESCRIPTION": action.help}
    if action.is_text:
        return {**leaf, "TYPE": "s", "ACCESS": READ_WRITE, "VALUE": [words]}
    bounds = [{"MIN": action.low, "MAX": action.high}]
    unit = {"UNIT": [_UNITS[action.unit]]} if action.unit in _UNITS else {}
    return {**leaf, "TYPE": "f", "ACCESS": WRITE, "RANGE": bounds, **unit}
