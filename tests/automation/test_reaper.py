"""REAPER projects as people have them: what is not ours is not taken, what is not read is said."""

from __future__ import annotations

import pytest

from realtime.errors import StemsteerError
from tests.support.lanes import points, read

OURS = 'VST "VST3: Stemsteer (Stemsteer)" Stemsteer.vst3 0 "" 1399090541{565354} ""'


def envelope(words, *points, active=1, extra=""):
    rows = "".join(f"PT {point}\n" for point in points)
    return f"<{words}\nACT {active} -1\nVIS 1 1 1\n{extra}{rows}>\n"


def parameter(number, title, *points):
    quoted = f' "{title}"' if title else ""
    return envelope(f"PARMENV {number} 0 1 0.5{quoted}", *points)


def effect(words, bypass="0 0 0"):
    return f"BYPASS {bypass}\n<{words}\nAAAA\n>\nFXID {{B}}\n"


def chain(*rows):
    return f"<FXCHAIN\nSHOW 0\n{''.join(rows)}>\n"


def track(name, *rows):
    return f"<TRACK\nNAME {name}\n{''.join(rows)}>\n"


def project(*tracks):
    return f'<REAPER_PROJECT 0.1 "7.22/linux" 1735524019\nTEMPO 120 4 4\n{"".join(tracks)}>\n'


LEFT = envelope("PANENV2", "0 1 0")
AZIMUTH = parameter("0:azimuth", "Azimuth / Stemsteer", "0 0.25 0")


def targets(folder, *tracks):
    return sorted({target for target, _ in read(folder, "a.rpp", project(*tracks)).lanes})


def azimuth(folder, *rows):
    automation = read(folder, "a.rpp", project(track("guitar", *rows)))
    assert set(automation.lanes) == {("guitar", "azimuth")}
    return [row[1] for row in points(automation, "guitar", "azimuth")]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (['""', '""'], ["track_1", "track_2"]),
        (["Gtr", "Gtr"], ["Gtr", "Gtr 2"]),
        (["Gtr", "gtr", '"gtr 2"'], ["Gtr", "gtr 2", "gtr 2 2"]),
        (["'Gtr/Vox & \"Lead\"'"], ["Gtr_Vox _ _Lead"]),
        (["../../etc/passwd"], ["etc_passwd"]),
        (["///", "residual", "CON"], ["CON_", "residual_", "track_1"]),
        (["Cafe\u0301", "Caf\u00e9"], ["Caf\u00e9", "Caf\u00e9 2"]),
        ([f'"{"x" * 300}"', f'"{"x" * 300}"'], ["x" * 50, f"{'x' * 50} 2"]),
    ],
)
def test_every_track_is_a_target_whose_name_can_be_that_of_a_file(tmp_path, names, expected):
    found = targets(tmp_path, *(track(name, LEFT) for name in names))
    assert found == sorted(expected)


def test_every_instance_on_a_track_is_a_target(tmp_path):
    rows = [effect(OURS), AZIMUTH, effect(OURS), parameter("0:azimuth", "Azimuth", "0 0.75 0")]
    automation = read(tmp_path, "a.rpp", project(track("guitar", LEFT, chain(*rows))))
    assert points(automation, "guitar", "azimuth")[0][1] == -22.5
    assert points(automation, "guitar 2", "azimuth")[0][1] == 22.5


@pytest.mark.parametrize(
    "other",
    [
        'JS "utility/width" ""',
        "VIDEO_EFFECT",
        'DX "Stemsteer"',
        'VST "VST: ReaEQ (Cockos)" reaeq.so 0 "EQ before Stemsteer" 1919247729 ""',
        'VST "VST3: Stemsteer (Somebody)" other.vst3 0 "" 1 ""',
        'VST "VST3: Stemsteerer (Somebody)" 0 "" 1 ""',
        'CONTAINER Container "Stemsteer" ""',
        'CLAP "CLAP: Other (Somebody)" com.somebody.stemsteer ""',
    ],
)
def test_the_envelopes_of_other_effects_are_not_ours(tmp_path, other):
    rows = [effect(OURS), AZIMUTH, effect(other), parameter("1:width", "Width / X", "0 0.9 0")]
    assert azimuth(tmp_path, chain(*rows)) == [-22.5]
    assert azimuth(tmp_path, LEFT, chain(*rows[2:])) == [-45]


@pytest.mark.parametrize(
    "ours",
    [
        OURS,
        'VST "VST3: Renamed by me (Me)" "C:\\Plugins\\Stemsteer.vst3" 0 "Vocal finder" 1{2} ""',
        'CLAP "CLAP: Stemsteer (Stemsteer)" stemsteer.stemsteer ""',
        'LV2 "LV2: Stemsteer Split (Stemsteer)" https://example.org ""',
        'AU "AU: Stemsteer (Stemsteer)" "Stemsteer: Stemsteer" ""',
    ],
)
def test_ours_is_known_by_its_file_or_its_name(tmp_path, ours):
    assert azimuth(tmp_path, LEFT, chain(effect(ours), AZIMUTH)) == [-22.5]


@pytest.mark.parametrize("bypass", ["1 0 0", "0 1 0", "1 1 0", "1"])
def test_an_effect_that_is_off_moves_nothing(tmp_path, bypass):
    rows = chain(effect(OURS, bypass), AZIMUTH)
    assert azimuth(tmp_path, LEFT, rows) == [-45]
    with pytest.raises(StemsteerError, match="no track has an active envelope"):
        read(tmp_path, "a.rpp", project(track("guitar", rows)))
    on_behind = chain(effect('JS "x" ""', bypass), effect(OURS), AZIMUTH)
    assert azimuth(tmp_path, LEFT, on_behind) == [-22.5]


def test_the_effects_of_a_track_may_be_off_together(tmp_path):
    assert azimuth(tmp_path, LEFT, "FX 0\n", chain(effect(OURS), AZIMUTH)) == [-45]


def test_an_instance_in_a_container_counts_unless_the_container_is_off(tmp_path):
    inside = 'CONTAINER Container "" ""\n' + effect(OURS) + AZIMUTH
    for bypass, expected in (("0 0 0", -22.5), ("1 0 0", -45)):
        container = f"BYPASS {bypass}\n<{inside}>\n"
        assert azimuth(tmp_path, LEFT, chain(container)) == [expected]
        assert azimuth(tmp_path, LEFT, chain(f"BYPASS {bypass}\n<CONTAINER\n{container}>\n")) == [
            expected
        ]


@pytest.mark.parametrize("where", ["pan", "parameter"])
def test_automation_items_are_said(tmp_path, where):
    item = "POOLEDENVINST 1 2 2 0 1 0 0 1 1 0 0 1 0 0 0 0\n"
    if where == "pan":
        rows = [envelope("PANENV2", "0 0 0", extra=item)]
    else:
        rows = [chain(effect(OURS), envelope('PARMENV 0:azimuth 0 1 0.5 "Azimuth"', extra=item))]
    with pytest.raises(StemsteerError, match="has automation items, which are not read here"):
        read(tmp_path, "a.rpp", project(track("guitar", *rows)))


def test_a_parameter_without_title_and_symbol_is_said_and_one_with_a_symbol_is_read(tmp_path):
    assert azimuth(tmp_path, chain(effect(OURS), parameter("5:azimuth", "", "0 0.25 0"))) == [-22.5]
    for number in ("0", "3:17"):
        with pytest.raises(StemsteerError, match=rf"PARMENV {number} of Stemsteer does not tell"):
            azimuth(tmp_path, chain(effect(OURS), parameter(number, "", "0 0.25 0")))


@pytest.mark.parametrize("title", ["Azimuths", "Gain-Low Shelf", "Mode 2", "Width left"])
def test_a_title_that_only_begins_like_a_control_is_none(tmp_path, title):
    rows = chain(effect(OURS), AZIMUTH, parameter("9:x9", f"{title} / Stemsteer", "0 0.1 0"))
    assert azimuth(tmp_path, rows) == [-22.5]


def test_a_byte_order_mark_and_foreign_letters_do_not_matter(tmp_path):
    text = project(track('"Git\xe4rre"', LEFT)).encode("latin-1")
    (tmp_path / "a.rpp").write_bytes(b"\xef\xbb\xbf" + text)
    from plugin_bridge.automation import read_automation

    assert set(read_automation(tmp_path / "a.rpp", 44_100).lanes) == {("Git_rre", "azimuth")}


def test_chunks_in_chunks_without_end_are_refused(tmp_path):
    with pytest.raises(StemsteerError, match="over 64 deep"):
        read(tmp_path, "a.rpp", "<REAPER_PROJECT\n" + "<A\n" * 100_000)
