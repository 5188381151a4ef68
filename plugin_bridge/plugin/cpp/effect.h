// The plugin without a format: controls, what a project keeps, latency, sound. clap.cpp, vst3.cpp
// and plugin.cpp (LV2 and JACK, by DPF) are what hosts see of it. CLAP and VST3 stand on the
// interfaces' own headers, from DPF and its travesty, and are two ways into one library. Those that
// DPF 1.6 makes have thirty faults that validators and hosts meet (crashes in 3/16, a second output
// never written, states read by the locale). Mending them by patches would have touched every
// function of 7 600 lines, while what this plugin needs of both is about a thousand lines.
// What is left to patch of DPF, for LV2, is in patch_dpf.sh. States (state.h), ids and the class of
// the VST3 are DPF's.
#pragma once

#include <atomic>
#include <map>
#include <string>

#include "DistrhoPluginInfo.h"
#include "controls.h"
#include "link.h"

namespace stemsteer {

constexpr uint32_t kOutputs = DISTRHO_PLUGIN_NUM_OUTPUTS;

// A host that automates the others would change the latency, or stop, in the middle of a song.
inline bool is_automatable(const Control& control) {
    return !control.output && control.id != kLatencyMode && control.id != kOffline;
}

// A place in the song that a host tells, made whole; what is no number is the beginning.
int64_t whole_samples(double samples);

class Effect {
public:
    // Whether the latency may change while the effect is active. CLAP forbids it.
    enum LatencyChanges { kAtOnce, kWhenActivated };

    explicit Effect(LatencyChanges changes);

    // Controls by id. Any thread may call these.
    float value(uint32_t id) const;
    void set_value(uint32_t id, double value);  // to the nearest legal value; NaN and infinity: no

    // The same from `offset` frames into the next block on; in the audio thread, before `process`.
    void move(uint32_t id, double value, uint32_t offset);

    // What a project keeps (state.h). Not in the audio thread.
    std::string save() const;
    bool load(const std::string& text);  // all of it or, with false, nothing
    std::string property(const std::string& key) const;
    void set_property(const std::string& key, const std::string& value);

    // What the host says: that nobody listens (until told otherwise, or with this block), and on
    // which track the effect is.
    void set_host_offline(bool offline) { host_offline_ = offline; }
    void set_block_offline(bool offline) { block_offline_ = offline; }
    void set_track(const std::string& name);

    // Called with what a user of the host should know. From any thread but the audio thread's.
    void on_fault(std::function<void(const std::string&)> tell) { link_.on_fault(std::move(tell)); }

    // Called when a project has to be saved again: an engine has learned, or was given, something.
    void on_change(std::function<void()> tell) { link_.on_change(std::move(tell)); }

    // Not in the audio thread. False, and not active: the rate or the block is none, or there is no
    // memory or no thread. It waits for no engine, since the host's main thread would stand still:
    // where nobody listens, the audio thread waits.
    bool activate(double rate_hz, uint32_t max_block);
    void deactivate() { active_ = false; }
    bool active() const { return active_; }
    double rate_hz() const { return rate_hz_; }

    // A moment of the sound that is heard now, for the window (Link::copy_sound).
    bool copy_sound(Sound& sound) const { return link_.copy_sound(sound); }

    // Why the engine does not take the track, for the window (Link::refusal).
    std::string refusal() const { return link_.refusal(); }

    // In the audio thread: begin anew; the sound that is under way is forgotten.
    void reset();

    // In the audio thread. Inputs that are null are silent, outputs that are null are not written.
    // Silence while it is not active.
    void process(const float* const* inputs, float* const* outputs, uint32_t samples,
                 const Transport& transport);

    // In samples; `wanted_latency` will be the latency once the effect is activated again.
    uint32_t latency() const { return latency_; }
    uint32_t wanted_latency() const { return wanted_latency(presence_.block); }

private:
    uint32_t latency_mode() const;
    uint32_t least_latency(uint32_t block) const;
    uint32_t wanted_latency(uint32_t block) const;
    void keep_property(const std::string& key, const std::string& value);
    void adapt_latency(uint32_t samples, bool offline);
    Transport incoming(const Transport& told, uint32_t samples);
    void greet();

    const LatencyChanges latency_changes_;
    std::atomic<float> controls_[kControlCount];
    std::atomic<bool> learn_is_kept_{false};  // a state has switched it on, so nobody asks for it now
    std::map<std::string, std::string> properties_;
    std::map<std::string, std::string> later_properties_, later_values_;  // of a later state
    std::string track_;
    std::atomic<Wishes::Policy> policy_{Wishes::kWait};
    std::atomic<bool> host_offline_{false};
    bool block_offline_ = false;
    bool active_ = false, greeted_ = false, played_ = false;
    const bool is_ardour_ = host_is_ardour();
    int64_t next_told_ = -1;  // place in the song, if it goes on
    double rate_hz_ = 44100;
    double live_rate_hz_ = 0;  // when it was active in real time last
    std::atomic<uint32_t> latency_{0};
    Moves moves_;  // within the next block
    Presence presence_;
    Stream stream_{presence_};
    Link link_{stream_, presence_};
};

}  // namespace stemsteer
