"""The LV2 plugin in jalv on a JACK server in real time, while its engine is stopped and killed.

In a soak no period may be late that the machine did not stand still for. In the suite, beside other
tests, late periods are only told. STEMSTEER_SOAK_S sets the seconds.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest

from plugin_bridge.control.controls import INSTRUMENTS
from tests.support.claphost import stalls
from tests.support.engine_sandbox import (
    LATENCY,
    absent,
    built_plugin,
    need,
    sandboxed_engine,
)
from tests.support.jack import jack_server
from tests.support.models import source_model
from tests.support.soak import is_soak
from tests.support.waiting import until

pytestmark = [pytest.mark.host, pytest.mark.realtime]
RATE_HZ, PERIOD = 44_100, 512
SOAK_S = float(os.environ.get("STEMSTEER_SOAK_S", "60" if is_soak() else "15"))
TAIL_S = 2.0


def realtime_jack(monkeypatch, period=PERIOD):
    """A JACK server of our own that asks for real-time priority."""
    return jack_server(monkeypatch, "-R", rate_hz=RATE_HZ, period=period)


def offer_plugin(monkeypatch, folder):
    """Let jalv find the plugin, and no other."""
    for bundle in built_plugin().glob("*.lv2"):
        shutil.copytree(bundle, folder / "lv2" / bundle.name)
    monkeypatch.setenv("LV2_PATH", str(folder / "lv2"))


class Player:
    """A JACK client that plays noise into the plugin and records what comes back."""

    def __init__(self, jack, seconds):
        self.client = jack.Client("player")
        self.sent = 0.2 * np.random.default_rng(0).standard_normal(
            (2, int(seconds * RATE_HZ) // PERIOD * PERIOD)
        ).astype(np.float32)
        self.got = np.zeros_like(self.sent)
        self.at = self.xruns = 0
        self.outs = [self.client.outports.register(f"out{i}") for i in (1, 2)]
        self.ins = [self.client.inports.register(f"in{i}") for i in (1, 2)]
        self.client.set_process_callback(self.process)
        self.client.set_xrun_callback(self.count)

    def process(self, frames):
        end = min(self.at + frames, self.sent.shape[1])
        for port, recorded, row in zip(self.ins, self.got, range(2), strict=True):
            if end - self.at == frames:
                recorded[self.at : end] = port.get_array()
                self.outs[row].get_array()[:] = self.sent[row, self.at : end]
        self.at = end

    def count(self, _delay_us):
        self.xruns += 1

    def connect(self):
        """Through the plugin: its ports are named by the audio ports of the LV2 bundle."""
        ports = self.client.get_ports("Stemsteer", is_audio=True)
        for ours, theirs in zip(self.outs, [p for p in ports if p.is_input], strict=True):
            self.client.connect(ours, theirs)
        for theirs, ours in zip([p for p in ports if p.is_output], self.ins, strict=True):
            self.client.connect(theirs, ours)


def kinds_of(player, delay):
    """Of each period 2 processed, 1 dry, 0 something else; sample-aligned at `delay`."""
    kinds = []
    for at in range(4 * PERIOD, player.at - PERIOD, PERIOD):
        sent, got = (
            player.sent[:, at - delay : at - delay + PERIOD],
            player.got[:, at : at + PERIOD],
        )
        if np.abs(got - sent / 2).max() < 1e-4:
            kinds.append(2)
        else:
            kinds.append(1 if np.abs(got - sent).max() < 1e-6 else 0)
    return np.array(kinds)


@pytest.mark.soak
def test_faults_of_the_engine_are_heard_as_aligned_dry_sound(monkeypatch, tmp_path):
    need("jackd", "jalv")
    if importlib.util.find_spec("jack") is None:
        absent("JACK-Client missing; run: pip install -e '.[host]'")
    import jack  # loads the JACK library

    offer_plugin(monkeypatch, tmp_path)
    with sandboxed_engine(monkeypatch) as own, realtime_jack(monkeypatch):
        own.start(own.identity)
        command = ["jalv", "-c", "gain=-6.0205999", "urn:stemsteer:stemsteer"]
        jalv = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        try:
            player = Player(jack, SOAK_S + 60)
            with player.client, stalls() as still:
                until(lambda: len(player.client.get_ports("Stemsteer", is_audio=True)) == 4, "jalv")
                player.connect()
                until(lambda: own.workers() and own.busiest()["hops"] > 500, "it runs", 30)
                player.xruns = 0
                begun_s, faults = time.monotonic(), 0
                while time.monotonic() - begun_s < SOAK_S - TAIL_S:
                    fault(own, faults)
                    faults += 1
                time.sleep(TAIL_S)
                end = player.at
        finally:
            jalv.kill()
            jalv.wait()
    player.at = end
    delay = LATENCY + PERIOD  # a period more, since the player is before and behind the plugin
    kinds = kinds_of(player, delay)
    print(f"{faults} faults, {player.xruns} xruns, {len(kinds)} periods: "
          f"{(kinds == 2).sum()} processed, {(kinds == 1).sum()} dry, {(kinds == 0).sum()} fading; "
          f"the machine stood still for {still['stalled_s']:.2f} s")  # fmt: skip
    assert 2 in kinds
    assert 1 in kinds
    assert (kinds == 0).sum() <= 12 * (faults + 2) + still["stalled_s"] * RATE_HZ / PERIOD
    assert 2 in kinds[-60:]
    if is_soak():  # on a machine that does nothing else
        assert player.xruns <= still["stalled_s"] * RATE_HZ / PERIOD


@pytest.mark.parametrize("period", [64, 128, 256])
def test_a_latency_of_512_is_kept_by_a_quick_model_and_small_blocks(monkeypatch, tmp_path, period):
    need("jackd", "jalv", "jack_lsp")
    offer_plugin(monkeypatch, tmp_path)
    with sandboxed_engine(monkeypatch) as own, realtime_jack(monkeypatch, period):
        own.start("panorama")
        command = ["jalv", "-c", "latency_mode=3", "urn:stemsteer:stemsteer"]
        jalv = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        try:
            until(lambda: [i for i in own.instances() if i.get("tier") == "direct"], "direct", 30)
            until(lambda: any(i["hops"] > 500 for i in own.instances()), "it runs", 30)
            before = own.busiest()
            with stalls() as still:
                time.sleep(SOAK_S)
                after = own.busiest()
        finally:
            jalv.kill()
            jalv.wait()
    assert (after["latency"], after["tier"], after["block"]) == (512, "direct", period)
    late, blocks = (after[name] - before[name] for name in ("dropouts", "blocks"))
    print(f"latency 512, blocks of {period}: {late} of {blocks} late, load {after['load']:.0%}, "
          f"worst call {after['worst_hop_ms']:.1f} ms; the machine stood still for "
          f"{still['stalled_s']:.2f} s, at most {1000 * still['longest_s']:.1f} ms")  # fmt: skip
    assert blocks > 0.9 * SOAK_S * RATE_HZ / period
    if is_soak():
        assert late <= 0.01 * blocks + 2 * still["stalled_s"] * RATE_HZ / period
    assert late < blocks / 2


def shares_of(player, delay, start, stop):
    """Of each period from start to stop, how much of what was sent came back."""
    sent, got = (
        side[0, at : at + stop - start].reshape(-1, PERIOD)
        for side, at in ((player.sent, start - delay), (player.got, start))
    )
    return (sent * got).sum(1) / (sent**2).sum(1)


def test_an_instrument_that_the_host_moves_is_taken_without_a_gap(monkeypatch, tmp_path):
    need("jackd", "jalv")
    if importlib.util.find_spec("jack") is None:
        absent("JACK-Client missing; run: pip install -e '.[host]'")
    import jack  # loads the JACK library

    offer_plugin(monkeypatch, tmp_path)
    vocals, drums = (INSTRUMENTS.index(name) for name in ("vocals", "drums"))
    with sandboxed_engine(monkeypatch) as own, realtime_jack(monkeypatch):
        own.start(source_model(tmp_path / "known.onnx", {"vocals": 0.5, "drums": 0.25}))
        command = ["jalv", "-c", "width=90", "-c", f"instrument={vocals}",
                   "urn:stemsteer:stemsteer"]  # fmt: skip
        jalv = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        try:
            player = Player(jack, 60)
            with player.client, stalls() as still:
                until(lambda: len(player.client.get_ports("Stemsteer", is_audio=True)) == 4, "jalv")
                player.connect()
                until(lambda: own.workers() and own.busiest()["hops"] > 500, "it runs", 30)
                before, player.xruns = own.busiest()["dropouts"], 0
                moves = []
                for instrument in (drums, vocals, drums):
                    time.sleep(1.5)
                    moves.append((player.at // PERIOD * PERIOD, instrument))
                    jalv.stdin.write(f"instrument = {instrument}\n")
                    jalv.stdin.flush()
                time.sleep(1.5)
                end = player.at // PERIOD * PERIOD
                dropouts = own.busiest()["dropouts"] - before
        finally:
            jalv.kill()
            jalv.wait()
    wanted = {vocals: 0.5, drums: 0.25}
    lost = dropouts + player.xruns + int(still["stalled_s"] * RATE_HZ / PERIOD)
    delays = [LATENCY + PERIOD * (1 + k) for k in range(player.xruns + 1)]  # each may shift it
    for (start, instrument), stop in zip(moves, [*(at for at, _ in moves[1:]), end], strict=True):
        found = [shares_of(player, delay, start, stop) for delay in delays]
        shares = min(found, key=lambda each: np.abs(each - wanted[instrument]).mean())
        print(f"{INSTRUMENTS[instrument]}: {shares.round(3)[::12]}, {lost} periods lost")
        settled = shares[RATE_HZ // PERIOD // 2 : -4]  # from half a second after the move
        assert (np.abs(settled - wanted[instrument]) > 1e-3).sum() <= 4 * lost
        assert (shares < 0.24).sum() <= 4 * lost, "it crosses over, there is no gap"


def fault(own, number):
    """Stop, kill or restart the engine, then let it run for a while."""
    worker = own.workers()[0]
    if number % 3 == 0:
        os.kill(worker, signal.SIGSTOP)
        time.sleep(1)
        os.kill(worker, signal.SIGCONT)
    elif number % 3 == 1:
        os.kill(worker, signal.SIGKILL)
        until(lambda: worker not in own.workers(), "it is gone")
    else:
        own.stop(signal.SIGKILL)
        own.start(own.identity)
    until(own.workers, "the track is served", 30)
    time.sleep(1)
