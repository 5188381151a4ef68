"""A layout for TouchOSC: a fader or a button for every control of every instance.

A .tosc file is XML compressed by zlib. A message of a control sends its value scaled to the range
of ours, and takes feedback the same way back.
"""

from __future__ import annotations

import uuid
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Sequence

from plugin_bridge.control.controls import INPUTS, Control
from plugin_bridge.osc.namespace import address_of

NAME = "Stemsteer.tosc"
SHOWN = tuple(c for c in INPUTS if c.name not in ("latency_mode", "offline", "instrument"))
ROW, WIDTH, LABEL, GAP = 60, 640, 150, 10


def layout(instances: Sequence[str]) -> bytes:
    """Return the file for these instances, one block of rows each."""
    root = ET.Element("lexml", version="3")
    height = len(instances) * (len(SHOWN) + 1) * ROW
    page = _node(root, "GROUP", "stemsteer", (0, 0, WIDTH, height))
    children = ET.SubElement(page, "children")
    top = 0
    for instance in instances:
        _label(children, instance, (GAP, top, WIDTH - 2 * GAP, ROW - GAP))
        top += ROW
        for control in SHOWN:
            _label(children, control.title, (GAP, top, LABEL, ROW - GAP))
            frame = (GAP + LABEL, top, WIDTH - LABEL - 2 * GAP, ROW - GAP)
            _control(children, instance, control, frame)
            top += ROW
    text = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return zlib.compress(text, 9)


Frame = tuple[int, int, int, int]


def _control(parent: ET.Element, instance: str, control: Control, frame: Frame) -> None:
    switch = control.whole and control.high == 1
    node = _node(parent, "BUTTON" if switch else "FADER", control.name, frame)
    properties = node.find("properties")
    assert properties is not None
    if switch:
        _property(properties, "i", "buttonType", "1")  # stays as it is until pressed again
    else:
        _property(properties, "i", "orientation", "1")  # from left to right
    values = ET.SubElement(node, "values")
    value = ET.SubElement(values, "value")
    for key, text in (
        ("key", "x"), ("locked", "0"), ("lockedDefaultCurrent", "0"),
        ("default", f"{control.norm(control.default):g}"), ("defaultPull", "0"),
    ):  # fmt: skip
        ET.SubElement(value, key).text = text
    _message(ET.SubElement(node, "messages"), address_of(instance, control.name), control)


def _message(parent: ET.Element, address: str, control: Control) -> None:
    osc = ET.SubElement(parent, "osc")
    for key in ("enabled", "send", "receive"):
        ET.SubElement(osc, key).text = "1"
    ET.SubElement(osc, "feedback").text = "0"
    ET.SubElement(osc, "connections").text = "11111"
    trigger = ET.SubElement(ET.SubElement(osc, "triggers"), "trigger")
    ET.SubElement(trigger, "var").text = "x"
    ET.SubElement(trigger, "condition").text = "ANY"
    path = ET.SubElement(ET.SubElement(osc, "path"), "partial")
    _partial(path, "CONSTANT", "STRING", address, 0, 1)
    argument = ET.SubElement(ET.SubElement(osc, "arguments"), "partial")
    _partial(argument, "VALUE", "FLOAT", "x", control.low, control.high)


def _partial(
    parent: ET.Element, kind: str, conversion: str, value: str, low: float, high: float
) -> None:
    for key, text in (
        ("type", kind), ("conversion", conversion), ("value", value),
        ("scaleMin", f"{low:g}"), ("scaleMax", f"{high:g}"),
    ):  # fmt: skip
        ET.SubElement(parent, key).text = text


def _label(parent: ET.Element, text: str, frame: Frame) -> None:
    node = _node(parent, "LABEL", f"{text} label", frame)
    values = ET.SubElement(node, "values")
    value = ET.SubElement(values, "value")
    for key, content in (
        ("key", "text"), ("locked", "1"), ("lockedDefaultCurrent", "0"), ("default", text),
        ("defaultPull", "0"),
    ):  # fmt: skip
        ET.SubElement(value, key).text = content


def _node(parent: ET.Element, kind: str, name: str, frame: Frame) -> ET.Element:
    ident = uuid.uuid5(uuid.NAMESPACE_OID, f"{kind} {name} {frame}")  # the same in every file
    node = ET.SubElement(parent, "node", ID=str(ident), type=kind)
    properties = ET.SubElement(node, "properties")
    _property(properties, "s", "name", name)
    box = ET.SubElement(properties, "property", type="r")
    ET.SubElement(box, "key").text = "frame"
    value = ET.SubElement(box, "value")
    for key, number in zip("xywh", frame, strict=True):
        ET.SubElement(value, key).text = str(number)
    return node


def _property(properties: ET.Element, kind: str, key: str, value: str) -> None:
    entry = ET.SubElement(properties, "property", type=kind)
    ET.SubElement(entry, "key").text = key
    ET.SubElement(entry, "value").text = value
