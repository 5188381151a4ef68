// A host of LV2 for checks.h. The plugin is the library in its bundle, whose .ttl tells the ports.
#pragma once

#include <lv2/atom-forge.h>
#include <lv2/atom.h>
#include <lv2/buf-size.h>
#include <lv2/lv2.h>
#include <lv2/options.h>
#include <lv2/state.h>
#include <lv2/time.h>
#include <lv2/urid.h>

#include <algorithm>
#include <cmath>
#include <dlfcn.h>
#include <fstream>
#include <limits>
#include <map>
#include <memory>

#include "checks.h"

namespace checks {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

inline std::map<std::string, LV2_URID> all_urids;

inline LV2_URID urid_of(const char* uri) { return all_urids.emplace(uri, LV2_URID(all_urids.size() + 1)).first->second; }

// Index of every port by its symbol, as the bundle's .ttl tells.
inline const std::map<std::string, uint32_t>& ports() {
    static std::map<std::string, uint32_t> found;
    if (!found.empty())
        return found;
    std::string path = plugin_path;
    std::ifstream file(path.replace(path.rfind(".so"), 3, ".ttl"));
    long index = -1;
    for (std::string line; std::getline(file, line);) {
        char symbol[64];
        std::sscanf(line.c_str(), " lv2:index %ld ;", &index);
        if (index >= 0 && std::sscanf(line.c_str(), " lv2:symbol \"%63[^\"]\"", symbol) == 1) {
            found[symbol] = uint32_t(index);
            index = -1;
        }
    }
    REQUIRE(found.size() >= 18, "%zu ports in %s", found.size(), path.c_str());
    return found;
}

inline const LV2_Descriptor* descriptor(uint32_t index = 0) {
    void* const library = dlopen(plugin_path.c_str(), RTLD_NOW | RTLD_LOCAL);
    REQUIRE(library, "%s", dlerror());
    const auto get = reinterpret_cast<LV2_Descriptor_Function>(dlsym(library, "lv2_descriptor"));
    REQUIRE(get, "no lv2_descriptor");
    return get(index);
}

struct Plugin {
    const LV2_Descriptor* const described = descriptor();
    LV2_Handle handle;
    LV2_URID_Map map = {nullptr, [](LV2_URID_Map_Handle, const char* uri) { return urid_of(uri); }};
    int32_t block;
    std::map<std::string, float> controls;
    std::vector<uint64_t> events_in = std::vector<uint64_t>(512), events_out = std::vector<uint64_t>(512);
    bool active = false;

    explicit Plugin(double rate_hz = 44100, int32_t largest = 512, bool with_options = true) : block(largest) {
        const LV2_Options_Option options[] = {
            {LV2_OPTIONS_INSTANCE, 0, urid_of(LV2_BUF_SIZE__maxBlockLength), 4, urid_of(LV2_ATOM__Int), &block}, {}};
        const LV2_Feature map_feature = {LV2_URID__map, &map};
        const LV2_Feature options_feature = {LV2_OPTIONS__options, const_cast<LV2_Options_Option*>(options)};
        const LV2_Feature* const features[] = {&map_feature, with_options ? &options_feature : nullptr, nullptr};
        handle = described->instantiate(described, rate_hz, "/", features);
        REQUIRE(handle, "not instantiated");
        for (const auto& [symbol, index] : ports())
            if (symbol.rfind("lv2_audio", 0) && symbol.rfind("lv2_rest", 0) && symbol.rfind("lv2_events", 0))
                described->connect_port(handle, index, &controls[symbol]);
        controls["lv2_enabled"] = controls["mix"] = controls["strength"] = 1;
        controls["width"] = 20;
        described->connect_port(handle, ports().at("lv2_events_in"), events_in.data());
        described->connect_port(handle, ports().at("lv2_events_out"), events_out.data());
        clear_events();
    }

    ~Plugin() {
        stop();
        described->cleanup(handle);
    }

    void start() {
        described->activate(handle);
        active = true;
    }

    void stop() {
        if (active)
            described->deactivate(handle);
        active = false;
    }

    void clear_events() {
        auto* in = reinterpret_cast<LV2_Atom_Sequence*>(events_in.data());
        *in = {{sizeof(LV2_Atom_Sequence_Body), urid_of(LV2_ATOM__Sequence)}, {0, 0}};
        reinterpret_cast<LV2_Atom_Sequence*>(events_out.data())->atom = {4000, urid_of(LV2_ATOM__Chunk)};
    }

    std::vector<uint32_t> outputs() const {
        std::vector<uint32_t> found;
        for (const char* symbol : {"lv2_audio_out_1", "lv2_audio_out_2", "lv2_rest_left", "lv2_rest_right"})
            if (ports().count(symbol))
                found.push_back(ports().at(symbol));
        return found;
    }

    void run(float* const* in, float* const* out, uint32_t frames) {
        described->connect_port(handle, ports().at("lv2_audio_in_1"), in[0]);
        described->connect_port(handle, ports().at("lv2_audio_in_2"), in[1]);
        const std::vector<uint32_t> to = outputs();
        for (size_t i = 0; i < to.size(); ++i)
            described->connect_port(handle, to[i], out[i]);
        reinterpret_cast<LV2_Atom_Sequence*>(events_out.data())->atom = {4000, urid_of(LV2_ATOM__Chunk)};
        in_audio = true;
        described->run(handle, frames);
        in_audio = false;
    }
};

// Without an engine the first pair is the input, late by the latency, and the second silence.
inline void require_dry_run(Plugin& plugin, const std::vector<uint32_t>& blocks, size_t frames, const char* what,
                     bool in_place = false) {
    const auto left = noise(frames, 1), right = noise(frames, 2);
    const size_t channels = plugin.outputs().size();
    for (size_t at = 0, turn = 0; at < frames; ++turn) {
        const uint32_t n = uint32_t(std::min<size_t>(blocks[turn % blocks.size()], frames - at));
        std::vector<std::vector<float>> in = {{&left[at], &left[at] + n}, {&right[at], &right[at] + n}};
        std::vector<std::vector<float>> given(channels, std::vector<float>(n + 1, kUnwritten));
        float* in_rows[] = {in[0].data(), in[1].data()};
        std::vector<float*> rows;
        for (auto& row : given)
            rows.push_back(row.data());
        if (in_place)
            std::copy(in_rows, in_rows + 2, rows.begin());
        plugin.run(in_rows, rows.data(), n);
        const size_t latency = size_t(plugin.controls["lv2_latency"]);
        for (size_t channel = 0; channel < channels; ++channel)
            for (size_t i = 0; i < n; ++i) {
                const auto& input = channel == 0 ? left : right;
                const float expected = channel < 2 && at + i >= latency ? input[at + i - latency] : 0.0f;
                REQUIRE(rows[channel][i] == expected, "%s: channel %zu, sample %zu is %g, not %g", what, channel,
                        at + i, rows[channel][i], expected);
            }
        at += n;
    }
}

}  // namespace checks
