"""A good client beside a flood: it is answered as if there were none.

The suite sends a tenth of the flood; `sh build/soak.sh` sends all of it, a million packets.
"""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import time

import pytest

from plugin_bridge.control.server_process import ServerProcess
from plugin_bridge.control.surface import MemorySurface
from plugin_bridge.osc.packets import encode
from plugin_bridge.osc.service import OscOptions
from tests.support.soak import rounds

pytestmark = pytest.mark.realtime  # a server that waits for a processor loses packets
PACKETS = rounds(1_000_000)
PER_S = 50_000  # a tenth of it has to last, too
ASKED_EVERY_S, WITHIN_S = 0.02, 0.25
SEED = 20_251
FLOOD = """
import random, socket, sys, time
from plugin_bridge.osc.packets import encode, encode_bundle
port, count, senders, seed, per_s = map(int, sys.argv[1:])
begun_s = time.monotonic()
r = random.Random(seed)
names = ["azimuth", "width", "mix"]
packets = [encode(f"/stemsteer/guitar/{r.choice(names)}", (r.uniform(-45, 45),))
           for _ in range(200)]
packets += [encode("/stemsteer/*/{" + ",".join("*a" * 5 for _ in range(10)) + "}", (1.0,))] * 20
packets += [encode_bundle([encode("/x", ())] * 100)] * 5 + [r.randbytes(60) for _ in range(20)]
sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(senders)]
for number in range(count):
    try:
        sockets[number % senders].sendto(packets[number % len(packets)], ("127.0.0.1", port))
    except OSError:
        pass
    if number % 500 == 0:
        time.sleep(max(0, begun_s + number / per_s - time.monotonic()))
"""


def answered_beside(flood: subprocess.Popen[bytes], port: int) -> tuple[int, int, float]:
    """How many pings were sent while a flood lasts, how many answered in time, and the slowest."""
    asked = answered = 0
    slowest_s = 0.0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as good:
        while flood.poll() is None or asked < 20:
            good.settimeout(WITHIN_S)
            began = time.monotonic()
            good.sendto(encode("/stemsteer/get", (f"/stemsteer/{1 + asked % 2}/gain",)),
                        ("127.0.0.1", port))  # fmt: skip
            asked += 1
            try:
                good.recv(1000)
                answered += 1
                slowest_s = max(slowest_s, time.monotonic() - began)
            except TimeoutError:
                pass
            time.sleep(ASKED_EVERY_S * random.Random(asked).uniform(0.5, 1.5))
    return asked, answered, slowest_s


@pytest.mark.soak
@pytest.mark.parametrize("senders", [1, 8])
def test_a_good_client_beside_a_flood_is_answered(senders):
    surface = MemorySurface(["guitar", "bass"])
    with ServerProcess(surface, [OscOptions(port=0)]) as servers:
        (port,) = servers.ports
        words = [port, PACKETS, senders, SEED, PER_S]
        flood = subprocess.Popen([sys.executable, "-c", FLOOD, *map(str, words)])
        asked, answered, slowest_s = answered_beside(flood, port)
        flood.wait()
    print(f"{senders} senders: {answered} of {asked} answered, slowest {1000 * slowest_s:.0f} ms")
    assert answered >= 0.95 * asked
