import json

import numpy as np
import pytest

from realtime.spec import MAX_RATE_HZ, MIN_RATE_HZ, ModelSpec, Runs, Tier, rate_factor
from tests.support.fakes import fake_spec


def test_a_spec_survives_its_json():
    runs = Tier(1024, 512, 256, runs=Runs(64, 256, every=4, age=2, partial=1, mirrored=True))
    spec = fake_spec(
        tiers={"live": runs}, conditions={}, bins=512, targets=("a", "b"), training={"hours": 2.5}
    )
    assert ModelSpec.from_json(spec.to_json()) == spec


def test_a_model_that_is_told_no_timbre_needs_no_encoder():
    assert fake_spec(conditions={"timbre": 4}, encoder="ear").timbre_encoder == "ear"
    assert fake_spec(conditions={"timbre": 4}).timbre_encoder == ""
    assert fake_spec(encoder="ear").timbre_encoder == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "not JSON"),
        ("[]", "schema"),
        ("{}", "schema"),
        ('{"schema": 99}', "schema"),
        ('{"schema": 1}', "lacks a field"),
    ],
)
def test_a_wrong_spec_is_refused_with_its_reason(text, message):
    with pytest.raises(ValueError, match=message):
        ModelSpec.from_json(text)


def test_a_spec_with_an_unknown_field_is_refused():
    fields = json.loads(fake_spec().to_json()) | {"colour": "red"}
    with pytest.raises(ValueError, match="colour"):
        ModelSpec.from_json(json.dumps(fields))


def test_whether_targets_share_a_filter_is_true_or_false() -> None:
    spec = fake_spec(conditions={"timbre": 4}, joint=True)
    assert ModelSpec.from_json(spec.to_json()).joint
    fields = json.loads(spec.to_json()) | {"joint": "yes"}
    with pytest.raises(ValueError, match=r"joint of the spec is 'yes', expected true or false"):
        ModelSpec.from_json(json.dumps(fields))


@pytest.mark.parametrize(
    "changes",
    [
        {"mask_axes": "diagonal"},
        {"tiers": {}},
        {"tiers": {"instant": Tier(1024, 512, 256)}},
        {"mask_axes": "steered", "conditions": {}},
        {"conditions": {"direction": 3}},
        {"bins": 514},
        {"joint": True},  # without a timbre
    ],
    ids=str,
)
def test_a_spec_that_contradicts_itself_is_refused(changes):
    with pytest.raises(ValueError, match=r"expected|need|has"):
        fake_spec(**changes)


@pytest.mark.parametrize("sizes", [(512, 1024, 256), (1024, 512, 0), (1024, 768, 256)], ids=str)
def test_a_tier_that_cannot_overlap_add_is_refused(sizes):
    with pytest.raises(ValueError, match=r"tier|synthesis"):
        Tier(*sizes)


def test_bins_keep_their_width_within_nine_percent_at_every_rate():
    rates = np.arange(MIN_RATE_HZ, MAX_RATE_HZ + 1, 25)
    widths = np.array([rate / 44_100 / rate_factor(rate, 44_100) for rate in rates])
    assert widths.max() <= 1.09
    assert widths.min() >= 1 / 1.09


def test_every_tier_scales_to_whole_samples_at_the_rates_of_hosts():
    tier = Tier(window=2048, synthesis=512, hop=256)
    hops = {r: tier.scaled(rate_factor(r, 44_100)).hop for r in (32_000, 44_100, 48_000, 96_000)}
    assert hops == {32_000: 192, 44_100: 256, 48_000: 256, 96_000: 512}


@pytest.mark.parametrize("rate", ["44100", None, [44_100]])
def test_a_rate_that_is_no_number_is_refused(rate):
    with pytest.raises(TypeError, match=r"sample rate is .*, expected a number of Hz"):
        rate_factor(rate, 44_100)


@pytest.mark.parametrize("rate", [0, 8_000, 31_999, 192_001, float("nan")])
def test_rates_outside_the_range_are_refused(rate):
    with pytest.raises(ValueError, match="32000 to 192000"):
        rate_factor(rate, 44_100)


def test_classes_have_timbres_of_the_size_of_the_condition() -> None:
    conditions = {"direction": 2, "timbre": 2, "against": 2}
    about = {"name": "m", "tiers": {"live": Tier(2048, 512, 256)}, "mask_axes": "steered"}
    spec = ModelSpec(**about, conditions=conditions, encoder="e-1", classes={"bass": [0.6, 0.8]})
    assert ModelSpec.from_json(spec.to_json()) == spec
    with pytest.raises(ValueError, match="the timbre of 'drums' has not 2 numbers"):
        ModelSpec(**about, conditions=conditions, classes={"drums": [1.0]})
    with pytest.raises(ValueError, match="of one size"):
        ModelSpec(**about, conditions={**conditions, "against": 3})


HUGE = {"offline": Tier(65_536, 65_536, 32_768, lookahead=1024)}


@pytest.mark.parametrize(
    "fields",
    [
        {"sample_rate": 1000, "tiers": {"offline": Tier(65_536, 65_536, 32_768)}},
        {"tiers": HUGE},
        {"tiers": {"offline": Tier(2048, 512, 256, runs=Runs(65_536, 256, every=4))}},
        {"tiers": {"offline": Tier(2048, 512, 256, runs=Runs(1024, 65_536, every=4))}},
        {"tiers": {"offline": Tier(2048, 512, 256, runs=Runs(64, 256, every=65_536))}},
        {
            "tiers": {"offline": Tier(65_536, 65_536, 32_768)},
            "targets": tuple("abcdefghijklmnop" * 3),
        },
    ],
    ids=["window", "lookahead", "frames", "step", "every", "targets"],
)
def test_a_tier_that_asks_for_far_too_much_memory_is_refused(fields):
    targets = tuple(f"{name}{k}" for k, name in enumerate(fields.get("targets", "a")))
    spec = fake_spec(conditions={}, **fields | {"targets": targets})
    with pytest.raises(ValueError, match=r"model .* asks for too much memory: \d+ .* at most"):
        spec.tier_at("offline", 44_100)


def test_a_tier_without_windows_at_a_rate_says_so():
    spec = fake_spec(sample_rate=768_000, tiers={"offline": Tier(64, 64, 32)})
    assert spec.tier_at("offline", 192_000).hop == 8
    with pytest.raises(ValueError, match=r"'offline' of model .* has no windows at 44100 Hz"):
        spec.tier_at("offline", 44_100)
