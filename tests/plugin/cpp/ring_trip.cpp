// How long an engine takes from a block to its sound: feeds the ring of descriptor argv[1] with
// argv[2] blocks of 256 frames at their pace, as a plugin does, and waits for each on the spot.
// Prints the median and the 99th percentile of the trips, their mean, and the mean of what the
// separator took of them, in microseconds.
#include "ring.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#include <vector>

using namespace stemsteer;

namespace {

constexpr uint32_t kBlock = 256;
constexpr double kRate_hz = 44100, kPatience_s = 0.02;

double seconds() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

void sleep_until(double time_s) {
    const timespec due = {time_t(time_s), long((time_s - double(time_t(time_s))) * 1e9)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, nullptr);
}

}  // namespace

int main(int, char** arguments) {
    const int fd = std::atoi(arguments[1]), blocks = std::atoi(arguments[2]);
    void* const memory =
        mmap(nullptr, ring_bytes(2), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        return 1;
    const Ring ring = Ring::at(memory);
    Header& header = *ring.header;
    uint64_t written = header.written;
    std::vector<double> trips_us;
    const int warm = blocks / 4;
    double trips_sum_us = 0, separation_sum = 0;
    const double begun_s = seconds();
    for (int block = 0; block < blocks; ++block) {
        sleep_until(begun_s + block * kBlock / kRate_hz);
        for (uint32_t i = 0; i < kBlock * kInputs; ++i)
            ring.input[written % kCapacity * kInputs + i] = float(std::rand()) / float(RAND_MAX) - 0.5f;
        written += kBlock;
        const double posted_s = seconds();
        const uint64_t done = header.done;
        header.written.store(written, std::memory_order_release);
        ring_bell(header.input_bell, header.engine_sleeps);
        while (header.done.load(std::memory_order_acquire) == done &&
               seconds() - posted_s < kPatience_s) {
        }
        if (block < warm)
            continue;
        trips_us.push_back(1e6 * (seconds() - posted_s));
        trips_sum_us += trips_us.back();
        separation_sum += header.separation;  // of the blocks before, smoothed
    }
    const size_t count = trips_us.size();
    std::sort(trips_us.begin(), trips_us.end());
    std::printf("%.1f %.1f %.1f %.1f\n", trips_us[count / 2], trips_us[count * 99 / 100],
                trips_sum_us / count, 1e6 * separation_sum / count * kBlock / kRate_hz);
}
