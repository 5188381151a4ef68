// The plugin as hosts see it: controls, state, latency. The audio is in stream.cpp, the engine is
// looked for in link.cpp. Hosts make and activate plugins while they scan, so nothing is allocated
// and no thread is made before activate().
#include <algorithm>
#include <cstring>
#include <string>

#include "DistrhoPlugin.hpp"
#include "controls.h"
#include "link.h"

START_NAMESPACE_DISTRHO

using namespace stemsteer;

namespace {

// An engine needs so many frames beside the host's block: half of the least latency of a mode.
constexpr uint32_t kSynthesis = 512, kDirectSynthesis = 256;
constexpr uint32_t kDirect = 512;
constexpr double kArrival_s = 1.5;    // activation may wait so long for an engine that is there

enum StateId : uint32_t { kSchema, kUuid, kLabel, kModel, kOfflinePolicy, kStateCount };

struct StateInfo {
    const char *key, *label, *initial;
};

constexpr StateInfo kStates[kStateCount] = {
    {"schema", "Schema", "1"},
    {"uuid", "Identity", ""},
    {"label", "Label", ""},
    {"model", "Model", ""},
    {"offline_policy", "Offline policy: wait, dry or silence", "wait"},
};

// Windows keep their duration, so at twice the rate everything takes twice the frames.
uint32_t rate_scale(double rate_hz) { return rate_hz <= 50000 ? 1 : rate_hz <= 100000 ? 2 : 4; }

void set_choices(Parameter& parameter, const Control& control) {
    if (!control.choice_count)
        return;
    ParameterEnumerationValue* const values = new ParameterEnumerationValue[control.choice_count];
    for (unsigned i = 0; i < control.choice_count; ++i) {
        values[i].value = control.low + float(i);
        values[i].label = control.choices[i];
    }
    parameter.enumValues.count = uint8_t(control.choice_count);
    parameter.enumValues.restrictedMode = control.low + control.choice_count - 1 == control.high;
    parameter.enumValues.values = values;
}

// A host that automates these would change the latency, or stop, in the middle of a song.
bool is_automatable(const Control& control) {
    return !control.output && control.id != kLatencyMode && control.id != kOffline;
}

}  // namespace

class StemsteerPlugin : public Plugin {
public:
    StemsteerPlugin() : Plugin(kControlCount, 0, kStateCount), link_(stream_, presence_) {
        for (uint32_t i = 0; i < kControlCount; ++i)
            controls_[i] = kControls[i].normal;
        for (uint32_t i = 0; i < kStateCount; ++i)
            states_[i] = kStates[i].initial;
        latency_ = wanted_latency(getBufferSize());
        setLatency(latency_);
    }

protected:
    const char* getLabel() const override {
        return DISTRHO_PLUGIN_NUM_OUTPUTS == 4 ? "StemsteerSplit" : "Stemsteer";
    }
    const char* getDescription() const override {
        return "Takes the sound you point at out of a stereo mix, or leaves it out.";
    }
    const char* getMaker() const override { return "Stemsteer"; }
    const char* getLicense() const override { return "GPL-3.0-or-later"; }
    uint32_t getVersion() const override { return d_version(0, 1, 0); }
    int64_t getUniqueId() const override {
        return DISTRHO_PLUGIN_NUM_OUTPUTS == 4 ? d_cconst('S', 't', 'S', 'p')
                                               : d_cconst('S', 't', 'e', 'm');
    }

    void initAudioPort(bool input, uint32_t index, AudioPort& port) override {
        Plugin::initAudioPort(input, index, port);
        port.groupId = input ? kPortGroupStereo : index < 2 ? kPortGroupStereo : kRest;
        if (port.groupId == kRest) {
            port.name = index == 2 ? "Rest Left" : "Rest Right";
            port.symbol = index == 2 ? "rest_left" : "rest_right";
        }
    }

    void initPortGroup(uint32_t group, PortGroup& port_group) override {
        if (group != kRest)
            return Plugin::initPortGroup(group, port_group);
        port_group.name = "Rest";
        port_group.symbol = "rest";
    }

    void initParameter(uint32_t index, Parameter& parameter) override {
        const Control& control = kControls[index];
        parameter.hints = (is_automatable(control) ? kParameterIsAutomatable : 0) |
                          (control.whole && !control.toggle ? kParameterIsInteger : 0) |
                          (control.toggle ? kParameterIsBoolean : 0) |
                          (control.output ? kParameterIsOutput : 0);
        parameter.name = control.title;
        parameter.symbol = control.symbol;
        parameter.unit = control.unit;
        parameter.description = control.help;
        parameter.ranges = ParameterRanges(control.normal, control.low, control.high);
        set_choices(parameter, control);
        if (index == kBypass)
            parameter.initDesignation(kParameterDesignationBypass);
    }

    void initState(uint32_t index, State& state) override {
        state.key = kStates[index].key;
        state.label = kStates[index].label;
        state.defaultValue = kStates[index].initial;
        state.hints = kStateIsOnlyForDSP;
    }

    float getParameterValue(uint32_t index) const override {
        switch (index) {
        case kConnected: return presence_.attached.load() ? 1.0f : 0.0f;
        case kDropouts: return float(std::min<uint64_t>(stream_.dropouts(), 1000000));
        case kLoad: return std::min(stream_.load(), kControls[kLoad].high);
        default: return controls_[index];
        }
    }

    void setParameterValue(uint32_t index, float value) override { controls_[index] = value; }

    String getState(const char* key) const override {
        for (uint32_t i = 0; i < kStateCount; ++i)
            if (std::strcmp(key, kStates[i].key) == 0)
                return String((i == kUuid && greeted_ ? link_.uuid() : states_[i]).c_str());
        return String();
    }

    void setState(const char* key, const char* value) override {
        if (std::strcmp(key, "process_mode") == 0) {  // from the host, see the Makefile
            host_offline_ = std::strcmp(value, "offline") == 0;
            return;
        }
        if (std::strcmp(key, "block_mode") == 0) {
            block_offline_ = std::strcmp(value, "offline") == 0;
            return;
        }
        for (uint32_t i = 0; i < kStateCount; ++i)
            if (std::strcmp(key, kStates[i].key) == 0)
                states_[i] = value;
        policy_ = states_[kOfflinePolicy] == "dry"       ? Wishes::kDry
                  : states_[kOfflinePolicy] == "silence" ? Wishes::kSilence
                                                         : Wishes::kWait;
        if (greeted_)
            greet();
    }

    void activate() override {
        if (isDummyInstance())
            return;
        largest_block_ = host_offline_ ? 0 : getBufferSize();
        latency_ = wanted_latency(largest_block_);
        setLatency(latency_);
        stream_.begin(link_.ring(getSampleRate(), DISTRHO_PLUGIN_NUM_OUTPUTS),
                      DISTRHO_PLUGIN_NUM_OUTPUTS, getSampleRate(), latency_);
        greet();
        link_.await(kArrival_s);
    }

    void run(const float** inputs, float** outputs, uint32_t frames) override {
        float values[kValues] = {};
        std::copy(controls_, controls_ + std::min<uint32_t>(kControlCount, kValues), values);
        values[kConnected] = values[kDropouts] = values[kLoad] = 0;
        Wishes wishes;
        wishes.bypass = controls_[kBypass] > 0.5f;
        wishes.offline = host_offline_ || block_offline_ || controls_[kOffline] > 0.5f;
        wishes.policy = policy_;
        adapt_latency(frames);
        stream_.run(inputs, outputs, frames, values, transport(frames), wishes);
    }

private:
    static constexpr uint32_t kRest = 0;

    // The least latency, of those the mode allows, that pays the engine's and the block of a host
    // that is not offline.
    uint32_t wanted_latency(uint32_t block) const {
        const uint32_t scale = rate_scale(getSampleRate());
        constexpr unsigned kLast = sizeof kLatencyModes / sizeof *kLatencyModes - 1;
        const uint32_t mode = kLatencyModes[std::min(kLast, unsigned(controls_[kLatencyMode] + 0.5f))];
        const uint32_t synthesis = mode == kDirect ? kDirectSynthesis : kSynthesis;
        uint32_t latency = scale * mode;
        while (latency < scale * synthesis + block && latency < kFrames / 4)
            latency *= 2;
        return latency;
    }

    // Constant but for two cases: the user asks for another latency mode, or the host plays larger
    // blocks in real time than it announced.
    void adapt_latency(uint32_t frames) {
        if (frames > largest_block_ && !host_offline_ && !stream_.offline())
            largest_block_ = frames;
        const uint32_t wanted = wanted_latency(largest_block_);
        if (wanted == latency_)
            return;
        latency_ = wanted;
        setLatency(wanted);
        stream_.set_latency(wanted);
    }

    // Where the sound that comes in is in the song. Ardour tells the place of the sound that goes
    // out, and says to LV2 that the song stands until the sound from where it starts goes out.
    Transport transport(uint32_t frames) {
        const TimePosition& time = getTimePosition();
        const int64_t told = int64_t(time.frame);
        const bool goes_on = is_ardour_ && told == next_told_;
        next_told_ = told + frames;
        const bool rolling = time.playing || goes_on;
        return {told + (is_ardour_ && rolling ? latency_ : 0), rolling};
    }

    void greet() {
        Hello hello;
        if (states_[kUuid].empty())
            states_[kUuid] = new_uuid();
        hello.uuid = states_[kUuid];
        hello.label = states_[kLabel];
        hello.model = states_[kModel];
        hello.format = binary_format();
        hello.rate_hz = getSampleRate();
        hello.block = getBufferSize();
        hello.latency = latency_;  // until the audio thread changes it
        hello.outputs = DISTRHO_PLUGIN_NUM_OUTPUTS;
        greeted_ = true;
        link_.greet(hello);
    }

    float controls_[kControlCount];
    std::string states_[kStateCount];
    std::atomic<Wishes::Policy> policy_{Wishes::kWait};
    std::atomic<bool> host_offline_{false};
    bool block_offline_ = false;  // told with the block that is now processed
    bool greeted_ = false;
    const bool is_ardour_ = host_is_ardour();
    int64_t next_told_ = -1;  // place in the song, if it goes on
    uint32_t latency_ = 0, largest_block_ = 0;
    Presence presence_;
    Stream stream_{presence_};
    Link link_;

    DISTRHO_DECLARE_NON_COPYABLE_WITH_LEAK_DETECTOR(StemsteerPlugin)
};

Plugin* createPlugin() { return new StemsteerPlugin(); }

END_NAMESPACE_DISTRHO
