// How long the machine itself stands still: a thread of the highest priority on each processor
// wakes every millisecond until the standard input ends; prints the frames of 44.1 kHz lost in
// stalls of more than 3 ms, of the worst processor and of all.
#include <atomic>
#include <cstdio>
#include <ctime>
#include <pthread.h>
#include <sched.h>
#include <thread>
#include <unistd.h>
#include <vector>

int main() {
    std::atomic<bool> done{false};
    const unsigned count = std::thread::hardware_concurrency();
    std::vector<double> lost_s(count), worst_s(count);
    std::vector<std::thread> threads;
    for (unsigned cpu = 0; cpu < count; ++cpu)
        threads.emplace_back([&, cpu] {
            cpu_set_t own;
            CPU_ZERO(&own);
            CPU_SET(cpu, &own);
            sched_setaffinity(0, sizeof own, &own);
            sched_param most = {sched_get_priority_max(SCHED_FIFO)};
            pthread_setschedparam(pthread_self(), SCHED_FIFO, &most);
            for (timespec before, after; !done;) {
                clock_gettime(CLOCK_MONOTONIC, &before);
                usleep(1000);
                clock_gettime(CLOCK_MONOTONIC, &after);
                const double took_s = double(after.tv_sec - before.tv_sec) +
                                      1e-9 * double(after.tv_nsec - before.tv_nsec) - 0.001;
                if (took_s > 0.003)
                    lost_s[cpu] += took_s;
                if (took_s > worst_s[cpu])
                    worst_s[cpu] = took_s;
            }
        });
    while (getchar() != EOF) {
    }
    done = true;
    double all_s = 0, longest_s = 0;
    for (unsigned cpu = 0; cpu < count; ++cpu) {
        threads[cpu].join();
        all_s += lost_s[cpu];
        longest_s = worst_s[cpu] > longest_s ? worst_s[cpu] : longest_s;
    }
    std::printf("{\"stalled_s\": %.4f, \"longest_s\": %.4f}\n", all_s, longest_s);
}
