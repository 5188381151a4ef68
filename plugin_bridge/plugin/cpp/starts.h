// When a host's instances of the plugin start an engine: one for all that are of this library, and
// where none comes of it, ever less often, since each costs seconds of processor time beside live
// sound.
#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>

namespace stemsteer {

class Starts {
public:
    static constexpr double kShortest_s = 10, kLongest_s = 320;

    // Whether to start one now, by a command that was written then. True once for all who ask at the
    // same time. One that is written anew, as where it was repaired, is tried as the first was.
    bool begin(double now_s, int64_t written_ns) {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (written_ns > written_ns_) {
            written_ns_ = written_ns;
            pause_s_ = kShortest_s;
            next_s_ = now_s;
        }
        if (now_s < next_s_)
            return false;
        next_s_ = now_s + pause_s_;
        pause_s_ = std::min(2 * pause_s_, kLongest_s);
        return true;
    }

    // An engine has answered.
    void succeed(double now_s) {
        const std::lock_guard<std::mutex> lock(mutex_);
        pause_s_ = kShortest_s;
        next_s_ = std::min(next_s_, now_s + pause_s_);
    }

private:
    std::mutex mutex_;
    double next_s_ = 0, pause_s_ = kShortest_s;
    int64_t written_ns_ = 0;
};

}  // namespace stemsteer
