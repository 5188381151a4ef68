// Whose waits count for whom: the clock of an instance stands still while its thread waits for an
// engine, and goes on while other threads do. And which hosts are live though they are ahead of the
// sound card. Prints what is wrong.
#include <algorithm>
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
    Lead ahead;  // a live host that processes 0.2 s before the sound card plays, and may wait in each block
    double clock_s = seconds(), sooner_s = 0.2;
    const double begun_s = clock_s;
    for (int block = 0; block < 1000; ++block) {
        const double due_s = begun_s + block * kBlock_s;  // the sound card takes the block then
        clock_s = std::max(clock_s, due_s - 0.2);
        const bool may_wait = ahead.play(kBlock, kRate_hz, clock_s) > 0;
        if (ahead.is_sure())
            std::printf("block %d of a live host is surely a render\n", block);
        if (may_wait) {
            clock_s += ahead.spare_s();
            ahead.waited(ahead.spare_s());
            sooner_s = std::min(sooner_s, due_s - clock_s);
        }
    }
    if (sooner_s < 0.04)
        std::printf("a live host is kept waiting until %.3f s before the sound card\n", sooner_s);
    Lead slow;  // a render at 1.2 times the speed of the clock
    int sure = 0;
    for (int block = 0; block < 400; ++block) {
        slow.play(kBlock, kRate_hz, block * kBlock_s / 1.2);
        sure += slow.is_sure();
    }
    if (sure < 50)
        std::printf("%d of 400 blocks of a slow render are surely one\n", sure);
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
