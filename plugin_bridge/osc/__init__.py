"""Open Sound Control: controls moved from outside, and shown there.

In reading order: `packets` (bytes to messages), `rate_limit` (who and how much), `schedule` (what
is meant for later), `namespace` and `patterns` (addresses to controls), `dialects` and `adm`
(messages of other programs), `router` (what a message does), `subscriptions` (what is told),
`server` (the socket), `oscquery` and `discovery` (its description), `service` (all of it).
"""

from plugin_bridge.osc.server import DEFAULT_PORT, OscServer

__all__ = ["DEFAULT_PORT", "OscServer"]
