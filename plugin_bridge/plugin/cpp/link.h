// The helper thread of a plugin instance: makes the ring, finds an engine, tells what went wrong.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "paths.h"
#include "refusals.h"
#include "stream.h"

namespace stemsteer {

// What the engine is told of an instance.
struct Hello {
    std::string uuid, label, track, model, format, timbres;
    double rate_hz = 0;
    uint32_t latency = 0, outputs = 2;
    uint32_t block = 0;  // of live sound, when it was told
};

// A moment of what goes in and of what an engine has made of it, as the track is heard now.
struct Sound {
    uint64_t end = 0;                  // position of the sample after the last
    double rate_hz = 0;
    bool processed = false;            // the output is there, all of it
    std::vector<float> input, output;  // interleaved, left and right, of the same positions; a power of two
};

class Link {
public:
    explicit Link(Stream& stream, Presence& presence) : stream_(stream), presence_(presence) {}
    ~Link();

    // Have a ring for this rate and these outputs; keeps the one there is when it fits. Memory
    // that cannot be shared (none is left) serves until the next call: then everything stays dry.
    Ring ring(double rate_hz, uint32_t outputs);

    // Say hello, again if anything but names is new or live blocks have grown, and keep looking for an
    // engine. The engine that is there is told new names, and is heard until another one is ready.
    void greet(Hello hello);

    // Called, in a thread of the link's own, with what the user should know.
    void on_fault(std::function<void(const std::string&)> tell) { tell_ = std::move(tell); }

    // Called, in that thread, when the engine has changed what the project is to keep.
    void on_change(std::function<void()> tell) { tell_change_ = std::move(tell); }

    // The name under which the engine knows the instance; a copy of a track gets a new one.
    std::string uuid() const;

    // Why the engine that is there does not take the instance; empty, where none is or it does.
    std::string refusal() const;

    // The timbres that a project keeps: a text of the engine, which alone reads it. An engine that
    // has made new ones tells them; one that is set is told to the engine.
    std::string timbres() const;
    void set_timbres(const std::string& text);

    // Copy the newest samples that are heard out of the ring, for a window to show; not in the audio
    // thread. False: there are none, or the host renders, faster than this could read.
    bool copy_sound(Sound& sound) const;

    // Write a line into the plugins' log, and on the error stream.
    void log(const std::string& text) const;

private:
    void work();
    void attempt();
    enum Meeting { kRefused, kOutdated, kAccepted };
    bool shake_hands();
    Meeting meet();
    bool is_answered(int socket, char* answer, size_t bytes);
    Ring mapped() const;
    bool is_outgrown() const;
    void stay();
    bool tell_news();
    bool tell_names();
    void leave();
    bool pause(int time_ms);
    void settle();
    void close_ring();
    void report_losses();
    void report_blocks();
    std::string called() const;
    void hear(const char* text);
    bool is_engine_there() const;
    bool is_expected() const;

    const Settings settings_;
    Stream& stream_;
    Presence& presence_;
    // Guards hello_, timbres_, refusal_, ring and what is new; never taken in the audio thread.
    mutable std::mutex mutex_;
    Hello hello_;
    std::string asked_uuid_, timbres_;
    void* memory_ = nullptr;
    size_t bytes_ = 0;
    double ring_rate_hz_ = 0;
    uint32_t ring_outputs_ = 0;
    uint64_t ring_serial_ = 0;
    int ring_fd_ = -1;
    bool stale_ = false;    // what the engine was told is no longer true
    bool renamed_ = false;  // of that, the names
    bool moved_ = false;    // the ring is another one
    int wake_fd_ = -1;
    int socket_ = -1;
    uint64_t seen_losses_ = 0, told_losses_ = 0;
    uint32_t told_block_ = 0;
    double oversized_s_ = 0;  // when blocks that are too large were seen first; 0: not yet
    std::string refusal_, told_refusal_;
    Refusals refusals_;
    std::function<void(const std::string&)> tell_;
    std::function<void()> tell_change_;
    std::atomic<bool> quit_{false};
    std::thread thread_;
};

std::string new_uuid();
std::string binary_format();
bool host_is_ardour();

}  // namespace stemsteer
