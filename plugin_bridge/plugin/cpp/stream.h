// What happens in the audio thread: never allocates, locks or logs, and in real time never waits.
#pragma once

#include <algorithm>
#include <vector>

#include "moves.h"
#include "ring.h"

namespace stemsteer {

// What the host and the user asked of a block.
struct Wishes {
    bool bypass = false;   // as the control is; the stream sees to it
    bool offline = false;  // a flag of the host, or the user's switch
    enum Policy { kWait, kDry, kSilence } policy = kWait;
};

// Where the host's song is at the first frame of a block, and whether it goes on.
struct Transport {
    int64_t song_position = 0;
    bool rolling = false;

    // Where it will be so many frames later.
    Transport after(int64_t frames) const {
        return {song_position + (rolling ? frames : 0), rolling};
    }
};

// Whether an engine is there, and whether to hope for one, by the link's thread; and the blocks that
// it is told of.
struct Presence {
    std::atomic<uint32_t> attached{0};    // 1: an engine has taken the ring
    std::atomic<uint32_t> expected{0};    // 1: a socket or an autostart file is there
    std::atomic<uint32_t> greeted{0};     // 1: an engine has the hello and makes ready
    std::atomic<uint32_t> outdated{0};    // 1: an engine delivers what was asked for before
    std::atomic<uint32_t> encounters{0};  // engines met so far
    std::atomic<uint32_t> block{512};     // samples of the largest live block; 0: the host has only rendered
    std::atomic<uint32_t> oversized{0};   // samples of live blocks for which no latency will do
    std::atomic<uint32_t> used{0};        // 1: audio has run, so this is no scan
};

// Says from the clock alone how far the host is ahead of real time: time of the samples processed -
// time passed, without the time that its thread has waited in instances of ours. A live host is
// never ahead by more than a few blocks; one that catches up after a pause is, but soon runs at the
// speed of the clock again. Ahead means by more than 50 ms and four blocks; of large blocks 0.25 s,
// or two blocks if these are longer, instead of the four. With the host's flag (VST3's process
// mode, at setup or, as Ardour has it, with each block; LV2's freeWheeling; CLAP's render) this is
// how a render is known. Some hosts process live tracks ahead of the sound card, a fraction of a
// second: what is ahead is surely a render once it is so by a second, or has stayed faster than
// the clock for three. Blocks that were dry until then are counted as lost.
class Lead {
public:
    // How far the host is ahead, seconds; 0: it is live. Call it once a block.
    double play(uint32_t samples, double rate_hz, double now_s);
    void restart() { running_ = false; }

    // Whether it is a render beyond doubt.
    bool is_sure() const { return is_sure_; }

    // How long a host that may be live can be kept waiting in this block, seconds, so that it stays
    // ahead of the sound card by half of what it was.
    double spare_s() const { return std::max(0.0, lead_s_ / 2 - (waits_s_ - start_waits_s_)); }

    // How often the clock began anew; the host has been live until then.
    uint64_t beginnings() const { return beginnings_; }

    // This instance has waited so long, in the thread that calls this. It counts for all that run
    // in the same thread, one after the other, and for no other: that may be live.
    void waited(double time_s);

private:
    void begin(double now_s);
    double take_waits();

    bool running_ = false, is_sure_ = false;
    uint64_t beginnings_ = 0;
    int fast_looks_ = 0;  // that found the host faster than the clock, with all it has waited
    double lead_s_ = 0;
    const void* thread_ = nullptr;  // in which it has played last
    double seen_s_ = 0;             // of what that thread has waited
    double own_s_ = 0;              // waited since it has played last, in any thread
    double waits_s_ = 0;            // sum of the waits that count
    double start_waits_s_ = 0;      // of it, before the clock began
    double start_s_ = 0, last_s_ = 0, played_s_ = 0;
    double mark_s_ = 0, mark_played_s_ = 0, mark_waits_s_ = 0;  // where the speed was looked at
};

class Stream {
public:
    explicit Stream(Presence& presence) : presence_(presence) {}

    // Not in the audio thread: begin a stream on this ring. The counters go on from where they are.
    void begin(Ring ring, uint32_t outputs, double rate_hz, uint32_t latency);

    // Begin anew on the same ring, at once; may be called in the audio thread.
    void restart();

    // Set the latency. What the ring still holds is played again or left out.
    void set_latency(uint32_t latency);

    // Take `samples` of `inputs` (2), give as many of `outputs`, `latency` later. With 4 outputs the
    // second pair is what was taken away from the first. Inputs and outputs may be the same memory.
    // An input that is null is silent, an output that is null is not written. `values` hold at the
    // first sample, `moves` are sorted and follow.
    void run(const float* const* inputs, float* const* outputs, uint32_t samples,
             const float values[kValues], const Moves& moves, const Transport& transport,
             Wishes wishes);

    // Any thread may ask for these.
    bool offline() const { return offline_.load(std::memory_order_relaxed); }
    uint32_t latency() const { return latency_.load(std::memory_order_relaxed); }
    uint64_t dropouts() const { return dropouts_.load(std::memory_order_relaxed); }
    uint64_t lost_offline() const { return lost_offline_.load(std::memory_order_relaxed); }
    float load() const { return load_.load(std::memory_order_relaxed); }

private:
    void block(const float* const* inputs, float* const* outputs, uint32_t offset, uint32_t samples,
               const Wishes& wishes);
    void take(const float* const* inputs, uint32_t offset, uint32_t samples);
    const Move* set_values(const Move* next, const Move* end, uint32_t offset);
    const Move* record(const Move* next, const Move* end, uint32_t offset, uint32_t samples,
                       const Transport& transport);
    bool is_news(uint64_t position, const Transport& transport) const;
    void write_record(uint64_t position, const Transport& transport);
    void publish(uint32_t samples);
    bool ready(uint64_t first, uint64_t last) const;
    bool is_sound(uint64_t first, uint32_t samples) const;
    bool await(uint64_t first, uint64_t last, Wishes::Policy policy);
    double most_patience_s() const;
    double patience_s(Wishes::Policy policy) const;
    void count(bool processed, const Wishes& wishes);
    void lose(uint64_t blocks, uint64_t of_a_render);
    void look_at_the_lead(uint32_t samples, const Wishes& wishes);
    void play(float* const* outputs, uint32_t offset, uint64_t first, uint32_t samples,
              bool processed, const Wishes& wishes);
    void fall_back();

    Presence& presence_;
    Ring ring_;
    Lead lead_;
    double rate_hz_ = 0;
    uint32_t outputs_ = 2;
    std::atomic<uint32_t> latency_{0};
    uint64_t written_ = kOrigin, recorded_ = 0, start_ = kOrigin;
    uint64_t blocks_ = 0;
    std::atomic<uint64_t> dropouts_{0}, lost_offline_{0};
    std::atomic<float> load_{0};
    std::vector<float> dry_;  // the input, out of the engine's reach: what is heard if it fails
    float peak_ = 0;          // of the input, falling slowly
    float values_[kValues] = {};       // of the controls now
    float told_values_[kValues] = {};  // by the last record, and where the song was there
    Transport told_transport_;
    uint64_t told_at_ = 0;   // position of the last record; before `start_`: of an earlier stream
    uint64_t moved_at_ = 0;  // of the last one that moved a value
    uint64_t reached_ = 0;   // where that value is reached
    uint64_t block_at_ = 0, last_block_at_ = 0;  // where the host's last two blocks begin
    bool fresh_ = true;     // nothing has been played since the stream began
    bool engaged_ = false;  // an engine has delivered since the stream began
    std::atomic<bool> offline_{false};     // it may be a render
    bool is_render_ = false;               // it surely is one
    uint64_t beginnings_ = 0;              // of the lead's clock
    uint64_t early_ = 0, uncounted_ = 0;   // late blocks since then, should this be a render
    double lead_s_ = 0;      // how far the host is ahead of the clock; much, when it says so
    double spare_s_ = 0;     // what may be waited in this block while it may be live
    bool hopeless_ = false;  // waiting was in vain; not again before an engine is met or delivers,
    uint32_t met_ = 0;       // (encounters when hope was lost)
    double tried_s_ = 0;     // or there is twice as much patience as then

    float wet_ = 0;        // 1: processed, 0: dry
    float remainder_ = 0;  // share of `offset_` still added, so that a sudden change does not click
    float gap_[4] = {};    // last output - last dry
    float offset_[4] = {};
};

double seconds();

}  // namespace stemsteer
