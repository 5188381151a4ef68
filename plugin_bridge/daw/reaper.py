"""A pattern file for REAPER: what its OSC surface sends, so that Stemsteer understands it."""

from __future__ import annotations

NAME = "Stemsteer.ReaperOSC"


def pattern_file() -> str:
    """Return the text of the file; it goes into the folder OSC beside REAPER's settings."""
    return """\
# REAPER sends the pan of every track and the parameters of its effects to Stemsteer.
# Copy this file to the folder OSC of REAPER's resource path (Options > Show REAPER resource path),
# then Preferences > Control/OSC/web > Add > OSC: pattern config Stemsteer, mode "Configure device
# IP+local port", device IP 127.0.0.1, device port 9900.

DEVICE_TRACK_COUNT 64
DEVICE_FX_COUNT 8
DEVICE_FX_PARAM_COUNT 16

REAPER_TRACK_FOLLOWS REAPER
DEVICE_TRACK_FOLLOWS DEVICE
DEVICE_TRACK_BANK_FOLLOWS DEVICE
DEVICE_FX_FOLLOWS DEVICE

TRACK_NAME s/track/@/name
TRACK_PAN n/track/@/pan
FX_NAME s/track/@/fx/@/name
FX_PARAM_NAME s/track/@/fx/@/fxparam/@/name
FX_PARAM_VALUE n/track/@/fx/@/fxparam/@/value
"""
