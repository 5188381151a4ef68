// Whose waits count for whom: the clock of an instance stands still while its thread waits for an
// engine, and goes on while other threads do. Prints what is wrong.
#include <cstdio>
#include <thread>

#include "stream.h"

using namespace stemsteer;

namespace {

constexpr uint32_t kBlock = 512;
constexpr double kRate_hz = 44100, kBlock_s = kBlock / kRate_hz;

// Blocks of 400 that were taken for a render, where an instance waits for half of the time.
template <class Wait>
int rendered(Lead& lead, double step_s, Wait wait) {
    int count = 0;
    double now_s = seconds();
    for (int block = 0; block < 400; ++block) {
        count += lead.play(kBlock, kRate_hz, now_s) > 0;
        wait();
        now_s += step_s;
    }
    return count;
}

}  // namespace

int main() {
    Lead live, bounced, after;
    const int taken = rendered(live, kBlock_s, [&] {
        std::thread([&] { bounced.waited(kBlock_s / 2); }).join();
    });
    if (taken)
        std::printf("%d live blocks are a render while another thread waits\n", taken);
    // Each block takes as long as it is, but half of it is a wait in the same thread.
    const int own = rendered(bounced, kBlock_s, [&] { bounced.waited(kBlock_s / 2); });
    const int others = rendered(after, kBlock_s, [&] { bounced.waited(kBlock_s / 2); });
    if (own < 350 || others < 350)
        std::printf("%d and %d of 400 blocks of a render are known as such\n", own, others);
    Lead moved;  // a host with several threads plays an instance now here, now there
    int here_and_there = 0;
    for (int block = 0; block < 400; ++block) {
        const auto play = [&] {
            here_and_there += moved.play(kBlock, kRate_hz, block * kBlock_s) > 0;
            moved.waited(kBlock_s / 2);
        };
        block % 2 ? std::thread(play).join() : play();
    }
    if (here_and_there < 350)
        std::printf("%d of 400 blocks in two threads are known as a render\n", here_and_there);
}
