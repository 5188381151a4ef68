"""The composer: a seed is a song, its parts fit their instruments and agree on the harmony."""

import numpy as np
import pytest

from models_onnx.data.classes import CLASSES, DRUM_KIT, FAMILY_OF, INSTRUMENTS, ORCHESTRA_13, ROLES
from models_onnx.data.songs.compose import Song, compose

SEEDS = range(60)


@pytest.fixture(scope="module")
def songs() -> list[Song]:
    return [compose(np.random.default_rng(seed)) for seed in SEEDS]


def test_a_seed_gives_the_same_song_again(songs):
    assert songs[7] == compose(np.random.default_rng(7))
    assert songs[7] != songs[8]


def test_every_note_lies_in_the_range_of_its_instrument_and_in_the_song(songs):
    for song in songs:
        for part in song.parts:
            assert part.notes == sorted(part.notes)
            for note in part.notes:
                assert part.instrument.low <= note.pitch <= part.instrument.high
                assert 0 <= note.start_s < note.end_s
                assert note.start_s < song.seconds
                assert 1 <= note.velocity <= 127


def test_chords_and_basses_play_only_tones_of_the_scale(songs):
    for song in songs:
        scale = {song.plan.pitch(degree) % 12 for degree in range(7)}
        for part in song.parts:
            if part.program != DRUM_KIT:
                assert {note.pitch % 12 for note in part.notes} <= scale


def test_songs_have_three_to_seven_parts_and_last_twenty_to_thirty_seconds(songs):
    assert all(2 <= len(song.parts) <= 7 for song in songs)
    assert all(18 < song.seconds < 32 for song in songs)
    assert np.mean([len(song.parts) for song in songs]) > 4


def test_most_songs_have_two_instruments_of_one_family(songs):
    def twins(song: Song) -> bool:
        families = [part.instrument.family for part in song.parts]
        return len(set(families)) < len(families)

    assert np.mean([twins(song) for song in songs]) > 0.7


def test_every_class_of_the_orchestra_can_be_drawn_and_every_name_has_a_family():
    played = {instrument.name for instrument in INSTRUMENTS}
    assert set(ORCHESTRA_13) <= played
    assert played <= set(CLASSES) == set(FAMILY_OF)
    assert {role for instrument in INSTRUMENTS for role in instrument.roles} == set(ROLES)
