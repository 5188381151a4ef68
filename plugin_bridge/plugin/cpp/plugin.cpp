// The plugin for DPF, which makes LV2 and the JACK program of it.
#include <cstdio>
#include <iterator>

#include "DistrhoPlugin.hpp"
#include "effect.h"
#include "state.h"

START_NAMESPACE_DISTRHO

using namespace stemsteer;

namespace {

// Of the properties whose keys say less.
const std::map<std::string, const char*> kLabels = {
    {"uuid", "Identity"},
    {"offline_policy", "Offline policy: wait, dry or silence"},
    {"timbres", "Timbres that were learned or given"},
};

void set_choices(Parameter& parameter, const Control& control) {
    if (!control.choice_count)
        return;
    ParameterEnumerationValue* const values = new ParameterEnumerationValue[control.choice_count];
    for (unsigned i = 0; i < control.choice_count; ++i) {
        values[i].value = control.low + float(i);
        values[i].label = control.choices[i];
    }
    parameter.enumValues.count = uint8_t(control.choice_count);
    parameter.enumValues.restrictedMode = true;
    parameter.enumValues.values = values;
}

}  // namespace

const Effect& effect_of(const Plugin& plugin);

class StemsteerPlugin : public Plugin {
public:
    StemsteerPlugin() : Plugin(kControlCount, 0, uint32_t(initial_properties().size())) {
        setLatency(effect_.latency());
    }

protected:
    const char* getLabel() const override {
        return DISTRHO_PLUGIN_NUM_OUTPUTS == 4 ? "StemsteerSplit" : "Stemsteer";
    }
    const char* getDescription() const override { return STEMSTEER_DESCRIPTION; }
    const char* getMaker() const override { return DISTRHO_PLUGIN_BRAND; }
    const char* getHomePage() const override { return STEMSTEER_URL; }
    const char* getLicense() const override { return "GPL-3.0-or-later"; }
    uint32_t getVersion() const override {
        unsigned major = 0, minor = 0, micro = 0;
        std::sscanf(kProductVersion, "%u.%u.%u", &major, &minor, &micro);
        return d_version(uint8_t(major), uint8_t(minor), uint8_t(micro));
    }
    int64_t getUniqueId() const override { return STEMSTEER_UNIQUE_ID; }

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
        const auto properties = initial_properties();
        const auto& [key, initial] = *std::next(properties.begin(), index);
        const auto label = kLabels.find(key);
        state.key = key.c_str();
        state.label = label == kLabels.end() ? key.c_str() : label->second;
        state.defaultValue = initial.c_str();
        state.hints = kStateIsOnlyForDSP;
    }

    float getParameterValue(uint32_t index) const override { return effect_.value(index); }
    void setParameterValue(uint32_t index, float value) override { effect_.set_value(index, value); }
    String getState(const char* key) const override { return String(effect_.property(key).c_str()); }
    void setState(const char* key, const char* value) override { effect_.set_property(key, value); }

    // Hosts make plugins and activate them while they scan.
    void activate() override {
        if (!isDummyInstance())
            effect_.activate(getSampleRate(), getBufferSize());
        setLatency(effect_.latency());
    }

    void deactivate() override { effect_.deactivate(); }

    void run(const float** inputs, float** outputs, uint32_t samples) override {
        const TimePosition& time = getTimePosition();
        effect_.process(inputs, outputs, samples, {int64_t(time.frame), time.playing});
        setLatency(effect_.latency());
    }

private:
    friend const Effect& effect_of(const Plugin& plugin);

    static constexpr uint32_t kRest = 0;

    Effect effect_{Effect::kAtOnce};

    DISTRHO_DECLARE_NON_COPYABLE_WITH_LEAK_DETECTOR(StemsteerPlugin)
};

Plugin* createPlugin() { return new StemsteerPlugin(); }

// For the window in LV2, which is handed the plugin as DPF has it.
const Effect& effect_of(const Plugin& plugin) {
    return static_cast<const StemsteerPlugin&>(plugin).effect_;
}

END_NAMESPACE_DISTRHO
