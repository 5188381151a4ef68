"""Open Sound Control: controls played from outside, and shown there.

In reading order: `packets` (bytes to messages), `guard` (who and how much), `namespace` (addresses
to controls), `feedback` (subscriptions), `server` (the thread), `query` (OSCQuery over HTTP),
`apart` (all that in a process of its own).
"""

from plugin_bridge.osc.server import DEFAULT_PORT, OscServer

__all__ = ["DEFAULT_PORT", "OscServer"]
