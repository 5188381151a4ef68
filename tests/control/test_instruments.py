"""The words for instruments."""

import pytest

from plugin_bridge.control.controls import BY_NAME, INSTRUMENTS
from plugin_bridge.control.instruments import FAMILIES, MEANINGS, PARTS, SYNONYMS, WITHOUT, resolve


@pytest.mark.parametrize(
    ("word", "classes"),
    [
        ("vocals", ("vocals",)),
        ("Singer", ("vocals",)),
        ("lead vocal", ("vocals",)),
        ("lead_vocal", ("vocals",)),
        ("sax", ("saxophone",)),
        ("upright bass", ("double_bass",)),
        ("Upright-Bass", ("double_bass",)),
        ("double bass", ("double_bass",)),
        ("woodwinds", ("flute", "oboe", "clarinet", "bassoon", "saxophone", "reed")),
    ],
)
def test_everyday_words_mean_names_of_the_table(word, classes):
    assert resolve(word).classes == classes
    assert not resolve(word).removed


@pytest.mark.parametrize("word", ["instrumental", "karaoke", "backing track"])
def test_words_for_a_song_without_its_singer_mean_everything_but_the_vocals(word):
    assert resolve(word).classes == ("vocals",)
    assert resolve(word).removed


def test_a_part_of_a_drum_kit_takes_the_kit_and_says_so():
    meaning = resolve("kick")
    assert meaning.classes == ("drums",)
    assert "as a whole" in meaning.note


@pytest.mark.parametrize(
    ("typo", "near"), [("vocls", "vocals"), ("saxofone", "saxophone"), ("gitar", "guitar")]
)
def test_a_typo_names_the_nearest_words(typo, near):
    with pytest.raises(ValueError, match=f"did you mean .*{near}"):
        resolve(typo)


def test_what_is_nothing_like_an_instrument_lists_what_there_is():
    with pytest.raises(ValueError, match="there are drums, vocals"):
        resolve("qqqq", known=["vocals", "drums"])


def test_an_instrument_that_cannot_be_had_names_those_that_can():
    with pytest.raises(ValueError, match="saxophone cannot be had here; there are vocals"):
        resolve("sax", known=["vocals"])


def test_of_a_family_those_are_taken_that_can_be_had():
    assert resolve("woodwinds", known=["flute", "vocals"]).classes == ("flute",)


def test_every_word_means_one_thing():
    words = [w for table in (SYNONYMS, PARTS, WITHOUT) for row in table.values() for w in row]
    assert len(words) == len(set(words))
    assert set(SYNONYMS) | set(PARTS) | set(WITHOUT) <= set(INSTRUMENTS)
    assert {name for names in FAMILIES.values() for name in names} <= set(INSTRUMENTS)
    assert not set(words) & set(INSTRUMENTS)
    assert len(MEANINGS) > 120


@pytest.mark.parametrize("word", ["vocals", "Singer", "27", "lead vocal"])
def test_a_value_of_the_control_is_read_from_everyday_words_and_numbers(word):
    assert BY_NAME["instrument"].parse(word) == INSTRUMENTS.index("vocals")


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("woodwinds", "several instruments"),
        ("karaoke", "everything but"),
        ("gitar", "did you mean"),
    ],
)
def test_a_word_that_is_no_one_instrument_is_no_value_of_the_control(word, told):
    with pytest.raises(ValueError, match=told):
        BY_NAME["instrument"].parse(word)
