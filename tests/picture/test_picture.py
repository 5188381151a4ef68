"""Pictures: what can be read, what is refused, and what instruments are named."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from plugin_bridge.control.controls import INSTRUMENTS
from plugin_bridge.picture import image
from plugin_bridge.picture.image import read_picture
from plugin_bridge.picture.recognise import IMAGENET, LIKE, gathered, recognise
from realtime.errors import StemsteerError


def probabilities(**by_name):
    """Return probabilities (1000,) in which some instruments have theirs, the rest a desk's."""
    found = np.zeros(1000, np.float32)
    for name, value in by_name.items():
        found[IMAGENET[name][-1]] = value
    found[526] = 1 - found.sum()
    return found


def test_a_picture_is_its_middle_in_the_numbers_of_the_network(tmp_path):
    picture = np.zeros((300, 600, 3), np.uint8)
    picture[:, 150:450] = (255, 127, 0)
    Image.fromarray(picture).save(tmp_path / "a.png")
    found = read_picture(tmp_path / "a.png", 224)
    assert found.shape == (1, 3, 224, 224)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0, :, 112, 112], [1, 0, -127 / 128], atol=0.02)
    assert found[0, 0].min() > 0.9  # the black sides are cut off


def test_what_is_transparent_is_white(tmp_path):
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png", 224).min() == 1.0


def test_a_photograph_on_its_side_is_turned_upright(tmp_path):
    picture = np.zeros((100, 100, 3), np.uint8)
    picture[:50] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(picture).save(tmp_path / "a.jpg", exif=exif)
    found = read_picture(tmp_path / "a.jpg", 224)[0, 0]
    assert found[10].max() < -0.8
    assert found[-10].min() > 0.8


def bomb(width, height):
    """Return a PNG of a few bytes whose header says that it is huge."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + (
        chunk(b"IEND", b""))  # fmt: skip


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is no picture that can be read"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "is no picture that can be read"),
        (b"GIF89a" + bytes(40), "expected one of JPEG, PNG, WEBP, BMP"),
        (bomb(60_000, 60_000), "has too many pixels, expected at most 64 million"),
        (bomb(10_000, 10_000), "10000 × 10000 pixels, expected at most 64 million"),
        (bomb(8, 8), "8 × 8 pixels, expected at least 32"),
        (bomb(100, 100), "is no picture that can be read"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_line(tmp_path, content, words):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(StemsteerError) as caught:
        read_picture(path, 224)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_too_large_is_refused(tmp_path, monkeypatch):
    with pytest.raises(StemsteerError, match="no picture at"):
        read_picture(tmp_path / "none.png", 224)
    (tmp_path / "large.png").write_bytes(bytes(2000))
    monkeypatch.setattr(image, "MAX_BYTES", 1000)
    with pytest.raises(StemsteerError, match="expected at most 0"):
        read_picture(tmp_path / "large.png", 224)


def test_classes_are_instruments_of_the_table():
    assert set(IMAGENET) < set(INSTRUMENTS)
    numbers = [n for ids in IMAGENET.values() for n in ids]
    assert len(numbers) == len(set(numbers))
    assert set(LIKE) < set(IMAGENET)


def test_the_likeliest_instrument_is_taken_and_how_sure_it_is_is_said():
    found = gathered(probabilities(violin=0.7, cello=0.2), "a.png")
    assert found.instruments == ("violin",)
    assert found.sure == pytest.approx(0.7)
    assert found.shares["cello"] == pytest.approx(2 / 9)
    assert found.note == "shows violin (70% sure); a viola would be taken for that, too"


def test_two_instruments_that_are_as_likely_are_both_taken():
    found = gathered(probabilities(trumpet=0.4, drums=0.3), "a.png")
    assert found.instruments == ("trumpet", "drums")
    assert found.note == "shows trumpet and drums (70% sure)"


def test_a_picture_without_an_instrument_is_refused():
    with pytest.raises(StemsteerError, match=r"a\.png shows no instrument.*piano.* with 10%"):
        gathered(probabilities(piano=0.1), "a.png")


def test_without_the_network_the_user_is_told_how_to_have_it(tmp_path, monkeypatch):
    monkeypatch.setenv("STEMSTEER_DATA", str(tmp_path))
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    with pytest.raises(StemsteerError, match="stemsteer models add efficientnet-lite0"):
        recognise(tmp_path / "a.png")
    with pytest.raises(StemsteerError, match="no picture at"):
        recognise(tmp_path / "b.png")
