"""What OSC asks beside the values of controls: examples, learning, and words for instruments."""

from __future__ import annotations

import json
import urllib.request

import pytest

from plugin_bridge.control.actions import ACTIONS
from plugin_bridge.control.surface import MemorySurface
from plugin_bridge.control.timbre_requests import MAX_PENDING, Request
from plugin_bridge.osc.counters import MOST_TOLD
from plugin_bridge.osc.oscquery import QueryServer
from plugin_bridge.osc.rate_limit import is_loopback
from tests.support.osc_rig import Rig


class Asked(MemorySurface):
    """A surface whose instances can be asked, as one that plays."""

    def actions(self, instance):
        return ACTIONS

    def timbres(self, instance):
        return {"encoder": "e", "like": "solo.wav@1-3"}


@pytest.fixture
def rig():
    with Rig(Asked(["guitar", "lead vocals"])) as own:
        yield own


def asked(rig):
    rig.settle()
    return rig.surface.requests.take_all()


def test_examples_and_learning_are_asked_of_the_instances_that_an_address_matches(rig):
    rig.send("/stemsteer/guitar/like", "solo.wav@61-63", "mine")
    rig.send("/stemsteer/*/unlike", "")
    rig.send("/stemsteer/2/learn", 2)
    assert asked(rig) == [
        Request("guitar", "like", ("solo.wav@61-63", "mine")),
        Request("guitar", "unlike", ("",)),
        Request("lead vocals", "unlike", ("",)),
        Request("lead vocals", "learn", (2.0,)),
    ]
    assert rig.ask("/stemsteer/get", "/stemsteer/guitar/like") == (
        "/stemsteer/guitar/like", ["solo.wav@1-3"],
    )  # fmt: skip
    assert rig.ask("/stemsteer/get", "/stemsteer/guitar/unlike") == (
        "/stemsteer/guitar/unlike", [""],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("address", "argument", "words"),
    [
        ("/stemsteer/guitar/learn", 60.0, "learn has [60.0], expected a number, 0.25 to 10 s"),
        ("/stemsteer/guitar/like", 1.0, "like has [1.0], expected 1 to 16 texts"),
        ("/stemsteer/guitar/instrument", "guitr", "did you mean guitar"),
        ("/stemsteer/guitar/instrument", "voices", "which means several instruments"),
    ],
)
def test_what_cannot_be_asked_is_told_and_counted(rig, address, argument, words):
    rig.send(address, argument)
    assert asked(rig) == []
    assert words in rig.reports[0]
    assert rig.server.counters.wrong_type == 1


def test_each_wrong_word_is_told_once_and_of_many_a_few(rig):
    for word in ("gitar", "vocls", "gitar", *(f"x{k}" for k in range(20))):
        rig.send("/stemsteer/guitar/instrument", word)
    rig.settle()
    assert rig.server.counters.wrong_type == 23
    assert len(rig.reports) == MOST_TOLD["wrong_type"]
    assert "'gitar'" in rig.reports[0]
    assert "'vocls'" in rig.reports[1]
    assert [words.endswith("more of the kind are only counted)") for words in rig.reports] == (
        [False] * (len(rig.reports) - 1) + [True]
    )


def test_instruments_by_word_and_the_short_name_of_the_morph(rig):
    rig.send("/stemsteer/guitar/instrument", "Upright Bass")
    rig.send("/stemsteer/guitar/morph", 0.25)
    rig.send("/stemsteer/2/morph/norm", 0.5)
    assert rig.value(name="instrument") == 14
    assert rig.value(name="timbre_morph") == 0.25
    assert rig.value("lead vocals", "timbre_morph") == 0.5


def test_more_than_can_be_done_is_left_out_and_counted(rig):
    for _ in range(MAX_PENDING + 3):
        rig.send("/stemsteer/guitar/learn", 1.0)
    assert len(asked(rig)) == MAX_PENDING
    assert rig.server.counters.too_many == 3


def test_a_surface_where_nothing_sounds_has_nothing_to_ask():
    with Rig() as own:
        own.send("/stemsteer/guitar/like", "x.wav")
        own.settle()
        assert own.server.counters.unknown_address == 1


def test_oscquery_declares_what_can_be_asked(rig):
    with QueryServer(rig.server, rig.surface, 0) as query:
        url = f"http://127.0.0.1:{query.port}/stemsteer/guitar"
        leaves = json.loads(urllib.request.urlopen(url).read())["CONTENTS"]
    assert (leaves["like"]["TYPE"], leaves["like"]["ACCESS"]) == ("s", 3)
    assert leaves["like"]["VALUE"] == ["solo.wav@1-3"]
    assert leaves["unlike"]["VALUE"] == [""]
    assert (leaves["learn"]["TYPE"], leaves["learn"]["ACCESS"]) == ("f", 2)
    assert leaves["learn"]["RANGE"] == [{"MIN": 0.25, "MAX": 10}]
    assert leaves["morph"]["RANGE"] == leaves["timbre_morph"]["RANGE"]


def test_only_what_this_machine_sends_may_name_files(rig):
    rig.server.router.namespace.set("/stemsteer/guitar/like", ["x.wav"], is_own=False)
    assert asked(rig) == [Request("guitar", "like", ("x.wav",), names_files=False)]
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "192.168.1.2", "::ffff:127.0.0.1")]\
        == [True, True, False, True]  # fmt: skip


def test_what_is_only_asked_for_has_no_value_to_get(rig):
    rig.send("/stemsteer/get", "/stemsteer/guitar/learn")
    rig.settle()
    assert rig.server.counters.unknown_address == 1
    assert rig.reports[0].startswith(
        "/stemsteer/get: no value at /stemsteer/guitar/learn; learn asks for something and has no "
    )
