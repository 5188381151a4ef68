#include "stream.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <pthread.h>

#include "controls.h"

namespace stemsteer {

namespace {

constexpr uint32_t kChunk = 4096;        // larger blocks are taken in pieces
constexpr uint32_t kMask = kCapacity - 1;
constexpr uint32_t kSpacing = 64;        // frames between two records: faster moves are one
constexpr double kSmoothing_s = 0.02;    // over which a jump is spread
constexpr float kFadeStep = 1.0f / 256;  // per frame
constexpr double kStall_s = 30;          // an engine that is there may stall so long, offline
constexpr double kArrival_s = 5;         // an engine that is expected may take so long, offline
constexpr double kImpatience_s = 0.25;   // the same with the policy "dry"
constexpr double kGap_s = 0.5;           // a host that pauses so long begins anew
constexpr double kLook_s = 1;            // between two looks at the host's speed
constexpr double kBurst_s = 0.25;        // that live hosts may play at once, or two blocks
constexpr double kFast = 1.05;           // of real time: faster is not live
constexpr int kLooks = 3;                // that find it so make a render beyond doubt,
constexpr double kFarAhead_s = 1;        // as this does: live hosts stay closer to the sound card
constexpr float kLoudest = 40;           // of the input's peak: 20 dB, and 12 dB of gain
constexpr float kLeastPeak = 1e-3f;

// What a thread has waited in all instances. In a table, since memory of a thread's own is
// allocated when it is first used; without a place in it, an instance knows its own waits alone.
struct ThreadWaits {
    std::atomic<pthread_t> thread{0};
    std::atomic<double> sum_s{0};  // written by that thread
};

constexpr size_t kThreads = 256;
ThreadWaits all_waits[kThreads];

ThreadWaits* waits_here() {
    const pthread_t self = pthread_self();
    for (size_t i = 0; i < kThreads; ++i) {
        ThreadWaits& waits = all_waits[(size_t(self) / 4096 + i) % kThreads];
        pthread_t owner = waits.thread.load(std::memory_order_relaxed);
        if (owner == self || (owner == 0 && waits.thread.compare_exchange_strong(owner, self)))
            return &waits;
    }
    return nullptr;
}

// NaN and infinity become silence. By bits: compilers drop std::isfinite under -ffast-math.
inline float sane(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return (bits & 0x7f800000u) == 0x7f800000u ? 0.0f : value;
}

}  // namespace

double seconds() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

void Lead::begin(double now_s) {
    running_ = true;
    is_sure_ = false;
    fast_looks_ = 0;
    start_waits_s_ = mark_waits_s_ = waits_s_;
    ++beginnings_;
    start_s_ = mark_s_ = now_s;
    played_s_ = mark_played_s_ = 0;
}

double Lead::play(uint32_t samples, double rate_hz, double now_s) {
    now_s -= waits_s_ += take_waits();
    const double block_s = samples / rate_hz;
    if (!running_ || now_s - last_s_ > kGap_s || played_s_ < now_s - start_s_)
        begin(now_s);
    if (now_s - mark_s_ > kLook_s) {
        const double look_s = now_s - mark_s_, sound_s = played_s_ - mark_played_s_;
        fast_looks_ += sound_s > kFast * (look_s + waits_s_ - mark_waits_s_);
        if (sound_s < kFast * look_s)
            begin(now_s);
        mark_s_ = now_s;
        mark_played_s_ = played_s_;
        mark_waits_s_ = waits_s_;
    }
    lead_s_ = played_s_ - (now_s - start_s_);
    played_s_ += block_s;
    last_s_ = now_s;
    const double burst_s = std::min(4 * block_s, std::max(kBurst_s, 2 * block_s)) + 0.05;
    is_sure_ |= lead_s_ > burst_s && (lead_s_ > kFarAhead_s || fast_looks_ >= kLooks);
    return lead_s_ > burst_s ? lead_s_ : 0;
}

void Lead::waited(double time_s) {
    own_s_ += time_s;
    if (ThreadWaits* const here = waits_here())
        here->sum_s.store(here->sum_s.load(std::memory_order_relaxed) + time_s,
                          std::memory_order_relaxed);
}

// What was waited since the last block: where that was played in this thread, by all instances.
double Lead::take_waits() {
    const ThreadWaits* const here = waits_here();
    const double sum_s = here ? here->sum_s.load(std::memory_order_relaxed) : 0;
    const double waits_s = here && here == thread_ ? sum_s - seen_s_ : own_s_;
    thread_ = here;
    seen_s_ = sum_s;
    own_s_ = 0;
    return waits_s;
}

void Stream::begin(Ring ring, uint32_t outputs, double rate_hz, uint32_t latency) {
    const bool other = ring.header != ring_.header || ring.serial != ring_.serial;
    ring_ = ring;
    outputs_ = outputs;
    rate_hz_ = rate_hz;
    if (other) {
        written_ = kOrigin;
        recorded_ = blocks_ = 0;
        dropouts_ = 0;
        dry_.assign(size_t{kCapacity} * kInputs, 0.0f);
    }
    set_latency(latency);
    restart();
}

void Stream::restart() {
    start_ = written_;
    ring_.header->start.store(start_);
    lead_.restart();
    fresh_ = true;
    engaged_ = hopeless_ = false;
    told_at_ = moved_at_ = reached_ = 0;
    wet_ = remainder_ = peak_ = 0;
    std::fill(gap_, gap_ + 4, 0.0f);
}

void Stream::set_latency(uint32_t latency) {
    latency_ = latency;
    ring_.header->latency.store(latency, std::memory_order_relaxed);
}

void Stream::run(const float* const* inputs, float* const* outputs, uint32_t samples,
                 const float values[kValues], const Moves& moves, const Transport& transport,
                 Wishes wishes) {
    if (samples == 0)
        return;
    presence_.used.store(1, std::memory_order_relaxed);
    look_at_the_lead(samples, wishes);
    load_.store(sane(ring_.header->load.load(std::memory_order_relaxed)),
                std::memory_order_relaxed);
    last_block_at_ = block_at_;
    block_at_ = written_;
    std::memcpy(values_, values, sizeof values_);
    const Move* next = moves.begin();
    for (uint32_t offset = 0, count; offset < samples; offset += count) {
        next = set_values(next, moves.end(), offset);
        wishes.bypass = values_[kBypass] > 0.5f;
        count = std::min(kChunk, samples - offset);
        for (const Move* move = next; move != moves.end() && move->offset < offset + count; ++move)
            if (move->id == kBypass)
                count = move->offset - offset;  // the bypass is switched between two blocks
        next = record(next, moves.end(), offset, count, transport.after(offset));
        block(inputs, outputs, offset, count, wishes);
    }
}

// A render that is known by the clock is one from where the clock began.
void Stream::look_at_the_lead(uint32_t samples, const Wishes& wishes) {
    const double lead_s = lead_.play(samples, rate_hz_, seconds());
    lead_s_ = wishes.offline ? kStall_s : lead_s;
    spare_s_ = lead_.spare_s();
    offline_ = lead_s_ > 0;
    is_render_ = offline_ && (wishes.offline || lead_.is_sure());
    ring_.header->offline.store(offline_, std::memory_order_relaxed);
    if (is_render_ && !wishes.offline && lead_.beginnings() == beginnings_)
        lose(uncounted_, early_);
    if (is_render_ || lead_.beginnings() != beginnings_)
        early_ = uncounted_ = 0;
    beginnings_ = lead_.beginnings();
}

void Stream::block(const float* const* inputs, float* const* outputs, uint32_t offset,
                   uint32_t samples, const Wishes& wishes) {
    take(inputs, offset, samples);
    publish(samples);

    const uint64_t last = written_ - latency_, first = last - samples;
    if (last <= start_) {  // nothing of the stream is due yet
        for (uint32_t channel = 0; channel < outputs_; ++channel)
            if (outputs[channel])
                std::fill_n(outputs[channel] + offset, samples, 0.0f);
        return;
    }
    const bool there = ready(first, last) || (offline_ && await(first, last, wishes.policy));
    const bool processed = there && is_sound(first, samples);
    count(processed, wishes);
    play(outputs, offset, first, samples, processed, wishes);
}

void Stream::take(const float* const* inputs, uint32_t offset, uint32_t samples) {
    float peak = 0;
    for (uint32_t channel = 0; channel < kInputs; ++channel)
        for (uint32_t i = 0; i < samples; ++i) {
            const float value = inputs[channel] ? sane(inputs[channel][offset + i]) : 0.0f;
            const size_t at = ((written_ + i) & kMask) * kInputs + channel;
            dry_[at] = ring_.input[at] = value;
            peak = std::max(peak, std::fabs(value));
        }
    peak_ = std::max(peak, peak_ * std::max(0.0f, 1 - float(samples / rate_hz_)));
}

// Apply the moves up to a place in the block; the next one that is left.
const Move* Stream::set_values(const Move* next, const Move* end, uint32_t offset) {
    for (; next != end && next->offset <= offset; ++next)
        values_[next->id] = next->value;
    return next;
}

// Write a record wherever values move, or the song does not go on as it did, in the frames that
// come next. Moves that follow a record closely wait until it is kSpacing frames away, in this block
// or the next, so that no record is overwritten that an engine still needs. Where records are, and
// what is in them, depends on the moves alone and not on the host's blocks.
const Move* Stream::record(const Move* next, const Move* end, uint32_t offset, uint32_t samples,
                           const Transport& transport) {
    for (uint32_t at = 0; at < samples;) {
        next = set_values(next, end, offset + at);
        const uint64_t position = written_ + at;
        const Transport now = transport.after(at);
        if (is_news(position, now)) {
            if (told_at_ >= start_ && position < told_at_ + kSpacing) {
                at = uint32_t(told_at_ + kSpacing - written_);
                continue;
            }
            write_record(position, now);
        }
        at = next == end ? samples : next->offset - offset;
    }
    return next;
}

bool Stream::is_news(uint64_t position, const Transport& transport) const {
    if (told_at_ < start_ || std::memcmp(values_, told_values_, sizeof values_) != 0)
        return true;
    const Transport expected = told_transport_.after(int64_t(position - told_at_));
    return transport.rolling != expected.rolling ||
           transport.song_position != expected.song_position;
}

// A value is reached after its smoothing time, or as soon as it has followed the one before, which
// makes a curve of straight lines. So does a host that tells one value a block, at the same place in
// each, however long these are.
void Stream::write_record(uint64_t position, const Transport& transport) {
    if (told_at_ >= start_ && std::memcmp(values_, told_values_, sizeof values_) != 0) {
        const uint64_t since = position - moved_at_;
        const bool by_blocks = since == block_at_ - last_block_at_;
        const auto smoothing = uint64_t(kSmoothing_s * rate_hz_);
        reached_ = position + (by_blocks ? since : std::min(since, smoothing));
        moved_at_ = position;
    }
    Record& record = ring_.records[recorded_ % kRecords];
    record.position = position;
    record.samples = reached_ > position ? uint32_t(reached_ - position) : 1;
    record.rolling = transport.rolling;
    record.song_position = transport.song_position;
    for (uint32_t i = 0; i < kValues; ++i)
        record.values[i] = sane(values_[i]);
    ring_.header->recorded.store(++recorded_, std::memory_order_release);
    std::memcpy(told_values_, values_, sizeof told_values_);
    told_transport_ = transport;
    told_at_ = position;
}

static_assert(uint64_t{kRecords} * kSpacing >= kCapacity, "a record stays as long as its sound");

void Stream::publish(uint32_t samples) {
    Header& header = *ring_.header;
    written_ += samples;
    header.block.store(samples, std::memory_order_relaxed);
    header.written.store(written_, std::memory_order_release);
    ring_bell(header.input_bell, header.engine_sleeps);
}

// `from` is stored before `done`, so it is loaded after it. A render waits for what it asked for;
// who listens hears the engine that was there until the next one is ready.
bool Stream::ready(uint64_t first, uint64_t last) const {
    if (offline_ && presence_.outdated.load(std::memory_order_acquire))
        return false;
    if (ring_.header->done.load(std::memory_order_acquire) < last)
        return false;
    const uint64_t from = ring_.header->from.load(std::memory_order_acquire);
    return from >= start_ && from <= std::max(first, start_);
}

// An engine that has gone mad must not be heard: NaN, infinity, what is far louder than the input.
// What lies before the stream is of an earlier one, and is not played.
bool Stream::is_sound(uint64_t first, uint32_t samples) const {
    const float loudest = kLoudest * std::max(peak_, kLeastPeak);
    bool good = true;
    for (uint32_t i = first < start_ ? uint32_t(start_ - first) : 0; i < samples; ++i)
        for (uint32_t channel = 0; channel < outputs_; ++channel) {
            const float value = ring_.output[((first + i) & kMask) * outputs_ + channel];
            good &= std::fabs(value) <= loudest;  // false for NaN
        }
    return good;
}

double Stream::most_patience_s() const {
    return is_render_ ? std::min(kStall_s, 2 * lead_s_) : spare_s_;
}

double Stream::patience_s(Wishes::Policy policy) const {
    const double most_s = most_patience_s();
    if (policy == Wishes::kDry)
        return std::min(most_s, kImpatience_s);
    if (presence_.attached.load(std::memory_order_acquire) ||
        presence_.greeted.load(std::memory_order_acquire))
        return most_s;
    return presence_.expected.load(std::memory_order_relaxed) ? std::min(most_s, kArrival_s) : 0;
}

// Only offline: wait for the engine, as long as there is hope. What a host that may be live has to
// spare is so little that it is always waited.
bool Stream::await(uint64_t first, uint64_t last, Wishes::Policy policy) {
    const uint32_t encounters = presence_.encounters.load(std::memory_order_acquire);
    const double most_s = most_patience_s();
    if (is_render_ && hopeless_ && encounters == met_ && most_s < 2 * tried_s_)
        return false;
    met_ = encounters;
    tried_s_ = most_s;
    Header& header = *ring_.header;
    const double begun_s = seconds();
    bool is_ready = false;
    while (!(is_ready = ready(first, last)) && seconds() - begun_s < patience_s(policy)) {
        const uint32_t bell = header.output_bell.load(std::memory_order_acquire);
        header.plugin_sleeps.store(1, std::memory_order_seq_cst);
        if (!ready(first, last))
            futex_wait(header.output_bell, bell, 20);
        header.plugin_sleeps.store(0, std::memory_order_relaxed);
    }
    const double waited_s = seconds() - begun_s;
    hopeless_ = !is_ready;
    spare_s_ = std::max(0.0, spare_s_ - waited_s);
    lead_.waited(waited_s);
    return is_ready;
}

void Stream::count(bool processed, const Wishes& wishes) {
    ring_.header->blocks.store(++blocks_, std::memory_order_relaxed);
    engaged_ |= processed;
    hopeless_ &= !processed;
    if (processed || wishes.bypass)
        return;
    const bool counts = is_render_ || engaged_;
    early_ += !is_render_;
    uncounted_ += !counts;
    lose(counts, is_render_);
}

void Stream::lose(uint64_t blocks, uint64_t of_a_render) {
    const uint64_t dropouts = dropouts_.load(std::memory_order_relaxed) + blocks;
    dropouts_.store(dropouts, std::memory_order_relaxed);
    ring_.header->dropouts.store(dropouts, std::memory_order_relaxed);
    lost_offline_.fetch_add(of_a_render, std::memory_order_relaxed);
}

// There is nothing to fade from: keep the last difference to the dry signal and let that fade.
void Stream::fall_back() {
    if (wet_ > 0 || remainder_ > 0) {
        std::copy(gap_, gap_ + 4, offset_);
        remainder_ = 1;
    }
    wet_ = 0;
}

void Stream::play(float* const* outputs, uint32_t offset, uint64_t first, uint32_t samples,
                  bool processed, const Wishes& wishes) {
    const float goal = processed && !wishes.bypass ? 1.0f : 0.0f;
    if (fresh_)
        wet_ = goal;
    else if (!processed && wet_ > 0)
        fall_back();
    fresh_ = false;
    const bool hole = !processed && !wishes.bypass && is_render_ && wishes.policy == Wishes::kSilence;

    for (uint32_t i = 0; i < samples; ++i) {
        const uint64_t position = first + i;
        const float* const input = dry_.data() + (position & kMask) * kInputs;
        const float* const output = ring_.output + (position & kMask) * outputs_;
        const bool begun = position >= start_ && !hole;
        for (uint32_t channel = 0; channel < outputs_; ++channel) {
            const float dry = begun && channel < kInputs ? input[channel] : 0.0f;
            const float wet = processed && begun ? sane(output[channel]) : dry;
            float value = wet_ >= 1 ? wet : dry + wet_ * (wet - dry);
            if (remainder_ > 0)
                value += remainder_ * offset_[channel];
            gap_[channel] = value - dry;
            if (outputs[channel])
                outputs[channel][offset + i] = value;
        }
        wet_ = goal > wet_ ? std::min(goal, wet_ + kFadeStep) : std::max(goal, wet_ - kFadeStep);
        remainder_ = std::max(0.0f, remainder_ - kFadeStep);
    }
}

}  // namespace stemsteer
