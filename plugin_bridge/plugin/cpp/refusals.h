// When an engine that has refused an instance is asked again: ever less often, as long as the instance
// offers the same, since each time may cost a process that has loaded a model.
#pragma once

#include <algorithm>
#include <string>

namespace stemsteer {

class Refusals {
public:
    static constexpr double kShortest_s = 0.25, kLongest_s = 30;

    // Whether it is too early to make an offer.
    bool hold(const std::string& offer, double now_s) const {
        return offer == offer_ && now_s < next_s_;
    }

    void add(const std::string& offer, double now_s) {
        pause_s_ = offer == offer_ ? std::min(2 * pause_s_, kLongest_s) : kShortest_s;
        next_s_ = now_s + pause_s_;
        offer_ = offer;
    }

    // One was taken.
    void clear() { offer_.clear(); }

private:
    std::string offer_;
    double next_s_ = 0, pause_s_ = kShortest_s;
};

}  // namespace stemsteer
