#include "effect.h"

#include <algorithm>
#include <cmath>
#include <exception>

#include "state.h"
#include "text.h"

namespace stemsteer {

namespace {

// An engine needs so many samples beside the host's block: half of the least latency of a mode.
constexpr uint32_t kSynthesis = 512, kDirectSynthesis = 256;
constexpr uint32_t kDirect = 512;
constexpr uint32_t kMostLatency = kCapacity / 2;  // the rest of the ring is for what is late
constexpr float kLoadSteps = 100;  // or hosts would be told of a new load with every block

bool is_later_schema(const std::string& text) {
    double schema, own;
    return parse_number(text, schema) && parse_number(kSchema, own) && schema > own;
}

// Windows keep their duration, so at twice the rate everything takes twice the samples.
uint32_t rate_scale(double rate_hz) { return rate_hz <= 50000 ? 1 : rate_hz <= 100000 ? 2 : 4; }

}  // namespace

int64_t whole_samples(double samples) {
    constexpr double kMost = 1LL << 53;
    return std::isfinite(samples) ? std::llround(std::clamp(samples, -kMost, kMost)) : 0;
}

Effect::Effect(LatencyChanges changes)
    : latency_changes_(changes), properties_(initial_properties()) {
    for (uint32_t id = 0; id < kControlCount; ++id)
        controls_[id] = kControls[id].normal;
    latency_ = wanted_latency();
}

float Effect::value(uint32_t id) const {
    switch (id) {
    case kConnected: return presence_.attached.load() ? 1.0f : 0.0f;
    case kDropouts: return float(std::min<uint64_t>(stream_.dropouts(), 1000000));
    case kLoad: return std::round(std::clamp(stream_.load(), 0.0f, 1.0f) * kLoadSteps) / kLoadSteps;
    default: return id < kControlCount ? controls_[id].load(std::memory_order_relaxed) : 0.0f;
    }
}

void Effect::set_value(uint32_t id, double value) {
    if (id >= kControlCount || kControls[id].output || !std::isfinite(value))
        return;
    const float legal = legal_value(kControls[id], value);
    if (id == kLearn && legal == 0)
        learn_is_kept_ = false;
    controls_[id].store(legal, std::memory_order_relaxed);
}

void Effect::move(uint32_t id, double value, uint32_t offset) {
    if (id >= kControlCount || kControls[id].output || !std::isfinite(value))
        return;
    if (offset == 0 || !is_automatable(kControls[id]) || (id == kLearn && learn_is_kept_) ||
        !moves_.add(id, legal_value(kControls[id], value), offset))
        set_value(id, value);
}

std::string Effect::property(const std::string& key) const {
    if (key == "uuid" && greeted_)
        return link_.uuid();
    if (key == "timbres")
        return link_.timbres();
    const auto found = properties_.find(key);
    return found == properties_.end() ? "" : found->second;
}

void Effect::set_property(const std::string& key, const std::string& value) {
    keep_property(key, value);
    if (greeted_)
        greet();
}

void Effect::keep_property(const std::string& key, const std::string& value) {
    const auto found = properties_.find(key);
    if (found == properties_.end())
        return;
    if (key == "schema") {  // what is written has ours, whatever was read
        if (is_later_schema(value))
            link_.log("the project is of a later version of this plugin: what that has kept besides "
                      "stays in the project unused");
        return;
    }
    found->second = valid_utf8(value);
    if (key == "timbres")
        link_.set_timbres(found->second);
    const std::string& policy = properties_["offline_policy"];
    policy_ = policy == "dry"       ? Wishes::kDry
              : policy == "silence" ? Wishes::kSilence
                                    : Wishes::kWait;
}

std::string Effect::save() const {
    State state;
    for (const auto& [key, _] : properties_)
        state.properties[key] = property(key);
    for (uint32_t id = 0; id < kControlCount; ++id)
        state.values[id] = value(id);
    state.later_properties = later_properties_;
    state.later_values = later_values_;
    return write_state(state);
}

bool Effect::load(const std::string& text) {
    State state;
    if (!read_state(text, state))
        return false;
    later_properties_ = state.later_properties;
    later_values_ = state.later_values;
    learn_is_kept_ = state.values[kLearn] > 0;
    for (uint32_t id = 0; id < kControlCount; ++id)
        set_value(id, state.values[id]);
    for (const auto& [key, value] : state.properties)
        keep_property(key, value);
    if (greeted_)
        greet();
    return true;
}

void Effect::set_track(const std::string& name) {
    const std::string text = valid_utf8(name);
    if (text == track_)
        return;
    track_ = text;
    if (greeted_)
        greet();
}

bool Effect::activate(double rate_hz, uint32_t max_block) {
    active_ = false;
    if (!(rate_hz >= 1000 && rate_hz <= 1e6) || max_block == 0)
        return false;
    rate_hz_ = rate_hz;
    if (!host_offline_)
        presence_.block = max_block;
    else if (rate_hz != live_rate_hz_)
        presence_.block = 0;  // else a bounce is as late as what was heard, and by the same tier
    live_rate_hz_ = host_offline_ ? live_rate_hz_ : rate_hz;
    latency_ = wanted_latency();
    try {
        stream_.begin(link_.ring(rate_hz, kOutputs), kOutputs, rate_hz, latency_);
        greet();
    } catch (const std::exception&) {
        return false;
    }
    played_ = false;
    return active_ = true;
}

void Effect::reset() {
    if (played_)
        stream_.restart();
    played_ = false;
}

void Effect::process(const float* const* inputs, float* const* outputs, uint32_t samples,
                     const Transport& transport) {
    if (!active_) {
        for (uint32_t i = 0; i < kOutputs; ++i)
            if (outputs[i])
                std::fill_n(outputs[i], samples, 0.0f);
        return;
    }
    float values[kValues] = {};
    for (uint32_t id = 0; id < std::min<uint32_t>(kControlCount, kValues); ++id)
        if (!kControls[id].output)
            values[id] = value(id);
    if (learn_is_kept_)
        values[kLearn] = 0;
    Wishes wishes;
    wishes.offline = host_offline_ || block_offline_ || values[kOffline] > 0.5f;
    wishes.policy = policy_;
    adapt_latency(samples, wishes.offline || stream_.offline());
    played_ = true;
    moves_.sort();
    for (const Move& move : moves_)
        set_value(move.id, move.value);
    stream_.run(inputs, outputs, samples, values, moves_, incoming(transport, samples), wishes);
    moves_.clear();
}

uint32_t Effect::latency_mode() const {
    return kLatencyModes[uint32_t(value(kLatencyMode) + 0.5f)];
}

uint32_t Effect::least_latency(uint32_t block) const {
    const uint32_t synthesis = latency_mode() == kDirect ? kDirectSynthesis : kSynthesis;
    return rate_scale(rate_hz_) * synthesis + block;
}

// The least latency, of those the mode allows, that pays the engine's and the block of a host that
// is not offline. With latency L, block b, hop h and synthesis window s, output [w - L, w - L + b)
// is due when w + b frames are written, and the engine has finished floor(w / h) h - (s - h) of
// what was written a block before: L >= b + s. What is left, L - b - s and one block's time, pays
// the model and the machine's jitter.
uint32_t Effect::wanted_latency(uint32_t block) const {
    uint32_t latency = rate_scale(rate_hz_) * latency_mode();
    while (latency < least_latency(block) && latency < kMostLatency)
        latency *= 2;
    return std::min(latency, kMostLatency);
}

// Constant but for two cases: the user asks for another latency mode, or the host plays larger
// blocks in real time than it announced.
void Effect::adapt_latency(uint32_t samples, bool offline) {
    if (!offline && samples > presence_.block)
        presence_.block = samples;
    if (!offline && least_latency(samples) > kMostLatency)
        presence_.oversized.store(samples);
    const uint32_t wanted = wanted_latency();
    if (wanted == latency_ || latency_changes_ == kWhenActivated)
        return;
    latency_ = wanted;
    stream_.set_latency(wanted);
}

// Where the sound that comes in is in the song. Ardour tells the place of the sound that goes
// out, and says to LV2 that the song stands until the sound from where it starts goes out.
Transport Effect::incoming(const Transport& told, uint32_t samples) {
    const bool goes_on = is_ardour_ && told.song_position == next_told_;
    next_told_ = told.song_position + samples;
    const bool rolling = told.rolling || goes_on;
    return {told.song_position + (is_ardour_ && rolling ? latency_.load() : 0), rolling};
}

void Effect::greet() {
    Hello hello;
    if (properties_["uuid"].empty())
        properties_["uuid"] = new_uuid();
    hello.uuid = properties_["uuid"];
    hello.label = properties_["label"];
    hello.track = track_;
    hello.model = properties_["model"];
    hello.format = binary_format();
    hello.rate_hz = rate_hz_;
    hello.latency = latency_;
    hello.outputs = kOutputs;
    link_.greet(hello);
    greeted_ = true;  // there is a thread
}

}  // namespace stemsteer
