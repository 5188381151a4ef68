"""`stemsteer bench --paced` says which runs beside a stream came too late."""

import time

import numpy as np
import pytest

from plugin_bridge.diagnostics.paced_runs import measure_paced_runs
from realtime.spec import Runs, Tier
from tests.support.fakes import FakeModel, fake_spec

BESIDE = Tier(1024, 1024, 512, 2, Runs(8, 512, every=4, age=0))  # a run has two hops, 23 ms
SPEC = fake_spec(
    tiers={"studio": BESIDE, "live": Tier(1024, 512, 256)},
    conditions={}, targets=("voice",), mask_axes="channels",
)  # fmt: skip


def taking(delay_s):
    def rule(*_):
        time.sleep(delay_s)
        return np.ones((1, 1, 1, 1), np.float32)

    return FakeModel(rule, SPEC)


@pytest.mark.realtime
def test_a_quick_model_is_in_time_and_one_that_takes_longer_than_it_may_is_late():
    for _ in range(10):  # a busy machine may be late for some seconds
        quick = measure_paced_runs(taking(0), "studio", 2)
        assert (quick.hops, quick.runs) == (172, 43)
        slow = measure_paced_runs(taking(0.2), "studio", 2)
        assert slow.late_runs > 30
        if quick.late_runs <= 5 and slow.late_hops <= quick.late_hops + 10:
            break
    assert quick.late_runs <= 5
    assert slow.late_hops <= quick.late_hops + 10, "the stream does not wait for it"


def test_a_model_that_steps_frame_by_frame_has_no_runs_to_pace():
    with pytest.raises(ValueError, match="has no runs"):
        measure_paced_runs(taking(0), "live", 1)
