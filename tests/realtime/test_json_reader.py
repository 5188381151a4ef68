"""JSON from outside: read, or refused with a ValueError, whatever it is."""

from __future__ import annotations

import json

import pytest

from realtime.json_reader import MAX_DEPTH, read_json, read_json_object


def test_what_json_is_is_read():
    value = {"a": [1, 2.5, None, True, {"b": "ü"}], "c": -1e-9}
    assert read_json(json.dumps(value), max_bytes=1000) == value
    assert read_json(json.dumps(value).encode(), max_bytes=1000) == value
    assert read_json_object(b'{"a": 1}', max_bytes=10) == {"a": 1}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested"),
        ('{"a":' * 20_000, "nested"),
        ("[" * 900 + "]" * 900, "nested deeper than 32"),
        ('{"a":' * 40 + "1" + "}" * 40, "nested deeper than 32"),
        ("[NaN]", "NaN is no number"),
        ("-Infinity", "Infinity is no number"),
        ("[1e999]", "too large"),
        ("9" * 5000, "99 … is too large"),
        ('{"a": [-1' + 400 * "0" + "]}", "too large"),
        (str(1 << 63), "too large"),
        (str(-(1 << 63) - 1), "too large"),
        ('[{"a": 1, "b": 2, "a": 1}]', "'a' is twice in one object"),
        (b"\xff{}", "UTF-8"),
        ("", "Expecting value"),
        ("{} {}", "Extra data"),
        (" " * 200_001, "longer than"),
    ],
)
def test_what_is_wrong_is_a_value_error_that_says_why(text, words):
    with pytest.raises(ValueError, match=words):
        read_json(text, max_bytes=200_000)


def test_whole_numbers_of_64_bits_are_read_exactly():
    ends = [-(1 << 63), (1 << 63) - 1]
    assert read_json(json.dumps(ends), max_bytes=100) == ends


def test_depth_is_counted_to_the_level():
    for depth, deeper in ((MAX_DEPTH, False), (MAX_DEPTH + 1, True)):
        text = "[" * depth + "]" * depth
        if deeper:
            with pytest.raises(ValueError, match="nested"):
                read_json(text, max_bytes=1000)
        else:
            assert read_json(text, max_bytes=1000) is not None


@pytest.mark.parametrize("text", ["[]", "1", '"a"', "null"])
def test_another_value_is_no_object(text):
    with pytest.raises(ValueError, match="not a JSON object"):
        read_json_object(text, max_bytes=100)
