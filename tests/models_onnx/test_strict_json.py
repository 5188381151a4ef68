"""What is written is JSON to every reader."""

import json

import pytest

from models_onnx.strict_json import to_json


def test_numbers_that_are_not_finite_become_null_and_names_stay_what_they_are():
    value = {"NaN": [float("nan"), float("-inf"), 1.5, (2, float("inf"))], "name": "-Infinity NaN"}
    found = json.loads(to_json(value), parse_constant=pytest.fail)
    assert found == {"NaN": [None, None, 1.5, [2, None]], "name": "-Infinity NaN"}


def test_what_json_has_no_word_for_is_refused():
    with pytest.raises(TypeError):
        to_json({"at": object()})
