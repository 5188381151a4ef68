// The plugin's audio code against an engine in another thread, for ThreadSanitizer: the engine
// copies the input to the output in hops, stops now and then, jumps, and is replaced. Everything
// that the stream plays must be the input, late by the latency, whether processed or dry. The
// streams that are waited for are far quieter than what the one before has left in the ring.
#include <cstdio>
#include <cstdlib>
#include <new>
#include <random>
#include <thread>
#include <vector>

#include "stream.h"

using namespace stemsteer;

namespace {

constexpr uint32_t kHop = 256, kLatency = 1024, kOutputs = 2;

std::atomic<bool> done{false};

// What plugin_bridge/engine/worker/processor.py does, with a copy for a model.
void engine(Ring ring) {
    Header& header = *ring.header;
    std::mt19937 random(1);
    uint64_t start = 0, position = 0;
    while (!done.load()) {
        const uint32_t bell = header.input_bell.load(std::memory_order_acquire);
        const uint64_t written = header.written.load(std::memory_order_acquire);
        const uint64_t now = header.start.load(std::memory_order_acquire);
        const bool offline = header.offline.load(std::memory_order_relaxed);  // then nothing is lost
        if (now != start || (!offline && (written - position > 8192 || random() % 997 == 0))) {
            const uint64_t behind = std::min<uint64_t>(written - now, offline ? 24576 : kLatency);
            position = written - behind;
            start = now;
            header.from.store(position, std::memory_order_release);
            header.done.store(position, std::memory_order_release);
        }
        if (written - position < kHop || written < position) {
            header.engine_sleeps.store(1);
            futex_wait(header.input_bell, bell, 5);
            header.engine_sleeps.store(0);
            continue;
        }
        for (uint64_t at = position; at < position + kHop; ++at)
            for (uint32_t channel = 0; channel < kOutputs; ++channel)
                ring.output[at % kCapacity * kOutputs + channel] =
                    ring.input[at % kCapacity * kInputs + channel];
        position += kHop;
        header.done.store(position, std::memory_order_release);
        ring_bell(header.output_bell, header.plugin_sleeps);
        if (random() % 499 == 0)
            std::this_thread::sleep_for(std::chrono::milliseconds(3));
    }
}

void check(bool right, const char* what, uint64_t where) {
    if (right)
        return;
    std::printf("%s at %llu\n", what, static_cast<unsigned long long>(where));
    std::exit(1);
}

}  // namespace

int main() {
    std::vector<uint64_t> memory(ring_bytes(kOutputs) / 8 + 1);
    new (memory.data()) Header();
    const Ring ring = Ring::at(memory.data());
    ring.header->written.store(kOrigin);
    ring.header->start.store(kOrigin);

    Presence presence;
    presence.attached = 1;
    Stream stream(presence);
    std::thread other(engine, ring);
    std::mt19937 random(2);
    std::vector<float> in[2], out[2];
    uint64_t count = 0;
    Moves moves;
    for (int activation = 0; activation < 8; ++activation) {
        stream.begin(ring, kOutputs, 44100, kLatency);
        const uint64_t begun = count, lost = stream.lost_offline();
        Wishes wishes;
        wishes.offline = activation % 2;
        const float level = wishes.offline ? 0x1p-20f : 1;
        for (int turn = 0; turn < 600; ++turn) {
            const uint32_t frames = random() % 700 + (turn % 100 == 7 ? 5000 : 0);
            float values[kValues] = {float(turn / 3)};
            for (int channel = 0; channel < 2; ++channel) {
                in[channel].resize(frames);
                out[channel].assign(frames, -1);
                for (uint32_t i = 0; i < frames; ++i)
                    in[channel][i] = level * (float((count + i) % 65536) + float(channel) / 4);
            }
            const float* const inputs[] = {in[0].data(), in[1].data()};
            float* const outputs[] = {out[0].data(), out[1].data()};
            stream.run(inputs, outputs, frames, values, moves, {}, wishes);
            for (int channel = 0; channel < 2; ++channel)
                for (uint32_t i = 0; i < frames; ++i) {
                    const uint64_t at = count + i;
                    const bool begins = at - begun < kLatency;
                    const float expected =
                        begins ? 0 : level * (float((at - kLatency) % 65536) + float(channel) / 4);
                    check(out[channel][i] == expected, "wrong sample", at);
                }
            count += frames;
            if (!wishes.offline && turn % 4 == 0)
                std::this_thread::sleep_for(std::chrono::microseconds(500));
        }
        if (wishes.offline)
            check(stream.lost_offline() == lost, "offline loss", count);
    }
    done = true;
    futex_wake(ring.header->input_bell);
    other.join();
    std::printf("ok %llu frames, %llu blocks dry\n", static_cast<unsigned long long>(count),
                static_cast<unsigned long long>(stream.dropouts()));
}
