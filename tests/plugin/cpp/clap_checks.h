// A host of CLAP for checks.h, as strict as the interface.
#pragma once

#include <clap/entry.h>
#include <clap/ext/audio-ports.h>
#include <clap/ext/latency.h>
#include <clap/ext/params.h>
#include <clap/ext/state.h>
#include <clap/plugin-factory.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <dlfcn.h>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <thread>

#include "checks.h"
#include "clap_extensions.h"

namespace checks {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr clap_id kWidth = 1, kMix = 5, kGain = 7, kBypass = 8, kLatencyMode = 9, kLearn = 14;

inline const void* (*more_extensions)(const char* id) = [](const char*) -> const void* { return nullptr; };

struct Host {
    clap_host_t host = {CLAP_VERSION, this, "checks", "", "", "1", extension, restart, nothing, called};
    bool bare = false, activating = false;
    std::string track;
    std::atomic<int> restarts{0}, latency_changes{0}, wrong_latency_changes{0}, rescans{0}, callbacks{0}, dirty{0};

    static Host& of(const clap_host_t* host) { return *static_cast<Host*>(host->host_data); }
    static void nothing(const clap_host_t*) {}
    static void restart(const clap_host_t* host) { ++of(host).restarts; }
    static void called(const clap_host_t* host) { ++of(host).callbacks; }

    static void latency_changed(const clap_host_t* host) {
        ++of(host).latency_changes;
        of(host).wrong_latency_changes += !of(host).activating;
    }

    static bool track_info(const clap_host_t* host, clap_track_info_t* info) {
        info->flags = CLAP_TRACK_INFO_HAS_TRACK_NAME;
        std::snprintf(info->name, sizeof info->name, "%s", of(host).track.c_str());
        return true;
    }

    static const void* extension(const clap_host_t* host, const char* id) {
        static const clap_host_latency_t latency = {latency_changed};
        static const clap_host_params_t params = {
            [](const clap_host_t* host, clap_param_rescan_flags) { ++of(host).rescans; },
            [](const clap_host_t*, clap_id, clap_param_clear_flags) {}, nothing};
        static const clap_host_track_info_t track = {track_info};
        static const clap_host_state_t state = {[](const clap_host_t* host) { ++of(host).dirty; }};
        if (of(host).bare)
            return nullptr;
        if (!std::strcmp(id, CLAP_EXT_LATENCY))
            return &latency;
        if (!std::strcmp(id, CLAP_EXT_PARAMS))
            return &params;
        if (!std::strcmp(id, CLAP_EXT_STATE))
            return &state;
        return std::strcmp(id, CLAP_EXT_TRACK_INFO) ? more_extensions(id) : &track;
    }
};

inline const clap_plugin_entry_t* the_entry() {
    void* const library = dlopen(plugin_path.c_str(), RTLD_NOW | RTLD_LOCAL);
    REQUIRE(library, "%s", dlerror());
    const auto* entry = static_cast<const clap_plugin_entry_t*>(dlsym(library, "clap_entry"));
    REQUIRE(entry && entry->init(plugin_path.c_str()), "no clap_entry");
    return entry;
}

inline const clap_plugin_factory_t* the_factory() {
    const void* const factory = the_entry()->get_factory(CLAP_PLUGIN_FACTORY_ID);
    REQUIRE(factory, "no factory");
    return static_cast<const clap_plugin_factory_t*>(factory);
}

struct Events {
    std::vector<std::vector<char>> list;
    clap_input_events_t in = {
        this,
        [](const clap_input_events_t* self) {
            return uint32_t(static_cast<Events*>(self->ctx)->list.size());
        },
        [](const clap_input_events_t* self, uint32_t i) {
            const auto& event = static_cast<Events*>(self->ctx)->list.at(i);
            return event.empty() ? nullptr
                                 : reinterpret_cast<const clap_event_header_t*>(event.data());
        }};
    std::vector<clap_event_param_value_t> told;

    Events() { told.reserve(64); }  // the audio thread's allocations are counted

    clap_output_events_t out = {this, [](const clap_output_events_t* self, const clap_event_header_t* e) {
                                    auto& told = static_cast<Events*>(self->ctx)->told;
                                    told.push_back(*reinterpret_cast<const clap_event_param_value_t*>(e));
                                    return true;
                                }};

    void add(clap_id id, double value, uint16_t space = CLAP_CORE_EVENT_SPACE_ID, uint32_t time = 0,
             uint16_t type = CLAP_EVENT_PARAM_VALUE) {
        clap_event_param_value_t event = {};
        event.header = {sizeof event, time, space, type, 0};
        event.param_id = id;
        event.note_id = event.port_index = event.channel = event.key = -1;
        event.value = value;
        const char* const bytes = reinterpret_cast<const char*>(&event);
        list.emplace_back(bytes, bytes + sizeof event);
    }
};

struct Plugin {
    Host host;
    const clap_plugin_t* plugin;
    const clap_plugin_params_t* params;
    const clap_plugin_state_t* state;
    const clap_plugin_audio_ports_t* ports;
    const clap_plugin_latency_t* latency;
    bool active = false;

    explicit Plugin(bool bare = false) {
        host.bare = bare;
        const clap_plugin_factory_t* const factory = the_factory();
        plugin = factory->create_plugin(factory, &host.host, factory->get_plugin_descriptor(factory, 0)->id);
        REQUIRE(plugin && plugin->init(plugin), "no instance");
        params = extension<clap_plugin_params_t>(CLAP_EXT_PARAMS);
        state = extension<clap_plugin_state_t>(CLAP_EXT_STATE);
        ports = extension<clap_plugin_audio_ports_t>(CLAP_EXT_AUDIO_PORTS);
        latency = extension<clap_plugin_latency_t>(CLAP_EXT_LATENCY);
    }

    ~Plugin() {
        stop();
        plugin->destroy(plugin);
    }

    template <class T>
    const T* extension(const char* id) {
        const T* const found = static_cast<const T*>(plugin->get_extension(plugin, id));
        if (!found)
            fail("no extension %s", id);
        return found;
    }

    void start(double rate_hz = 44100, uint32_t block = 512) {
        host.activating = true;
        REQUIRE(plugin->activate(plugin, rate_hz, 1, block), "activate(%g, %u)", rate_hz, block);
        host.activating = false;
        REQUIRE(plugin->start_processing(plugin), "start_processing");
        active = true;
    }

    void stop() {
        if (active) {
            plugin->stop_processing(plugin);
            plugin->deactivate(plugin);
        }
        active = false;
    }

    double value(clap_id id) {
        double value = kNan;
        REQUIRE(params->get_value(plugin, id, &value), "get_value(%u)", id);
        return value;
    }

    std::map<clap_id, clap_param_info_t> infos() {
        std::map<clap_id, clap_param_info_t> found;
        for (uint32_t i = 0; i < params->count(plugin); ++i) {
            clap_param_info_t info;
            REQUIRE(params->get_info(plugin, i, &info), "get_info(%u)", i);
            REQUIRE(found.emplace(info.id, info).second, "id %u twice", info.id);
        }
        return found;
    }

    std::map<clap_id, double> inputs() {
        std::map<clap_id, double> values;
        for (const auto& [id, info] : infos())
            if (!(info.flags & CLAP_PARAM_IS_READONLY))
                values[id] = value(id);
        return values;
    }

    void flush(Events& events) { params->flush(plugin, &events.in, &events.out); }

    void set(clap_id id, double value) {
        Events events;
        events.add(id, value);
        flush(events);
    }

    uint32_t pairs() { return ports->count(plugin, false); }

    // Play `frames` frames from `in` (two rows) into `out` (two rows a port). In place where asked.
    clap_process_status play(float* const* in, float* const* out, uint32_t frames, Events& events,
                             const clap_event_transport_t* transport = nullptr) {
        clap_audio_buffer_t input = {const_cast<float**>(in), nullptr, 2, 0, 0};
        std::vector<clap_audio_buffer_t> outputs;
        for (uint32_t i = 0; i < pairs(); ++i)
            outputs.push_back({const_cast<float**>(out) + 2 * i, nullptr, 2, 0, 0});
        clap_process_t data = {};
        data.steady_time = -1;
        data.frames_count = frames;
        data.transport = transport;
        data.audio_inputs = &input;
        data.audio_outputs = outputs.data();
        data.audio_inputs_count = 1;
        data.audio_outputs_count = uint32_t(outputs.size());
        data.in_events = &events.in;
        data.out_events = &events.out;
        in_audio = true;
        const clap_process_status status = plugin->process(plugin, &data);
        in_audio = false;
        return status;
    }
};

// Sound through the plugin in blocks of these sizes, one after another; `placement`: how the
// buffers of outputs lie to those of inputs.
enum Placement { kApart, kInPlace, kCrossed };

inline std::vector<std::vector<float>> through(Plugin& plugin, const std::vector<float>& left,
                                        const std::vector<float>& right,
                                        const std::vector<uint32_t>& blocks, Placement placement = kApart) {
    const size_t frames = left.size(), channels = 2 * plugin.pairs();
    std::vector<std::vector<float>> out(channels);
    for (size_t at = 0, turn = 0; at < frames; ++turn) {
        const uint32_t n = uint32_t(std::min<size_t>(blocks[turn % blocks.size()], frames - at));
        std::vector<std::vector<float>> in = {{left.begin() + at, left.begin() + at + n},
                                              {right.begin() + at, right.begin() + at + n}};
        std::vector<std::vector<float>> given(channels, std::vector<float>(n, kUnwritten));
        std::vector<float*> in_rows = {in[0].data(), in[1].data()}, rows;
        for (auto& row : given)
            rows.push_back(row.data());
        if (placement != kApart) {
            rows[0] = in_rows[placement == kInPlace ? 0 : 1];
            rows[1] = in_rows[placement == kInPlace ? 1 : 0];
        }
        Events events;
        REQUIRE(plugin.play(in_rows.data(), rows.data(), n, events) != CLAP_PROCESS_ERROR, "process");
        for (size_t channel = 0; channel < channels; ++channel)
            out[channel].insert(out[channel].end(), rows[channel], rows[channel] + n);
        at += n;
    }
    return out;
}

// Without an engine the first port is the input, late by the latency, and the second silence.
inline void require_dry(const std::vector<std::vector<float>>& out, const std::vector<float>& left,
                 const std::vector<float>& right, uint32_t latency, const char* what) {
    for (size_t channel = 0; channel < out.size(); ++channel)
        for (size_t i = 0; i < left.size(); ++i) {
            const auto& input = channel == 0 ? left : right;
            const float expected = channel < 2 && i >= latency ? input[i - latency] : 0.0f;
            REQUIRE(out[channel][i] == expected, "%s: channel %zu, sample %zu is %g, not %g", what,
                    channel, i, out[channel][i], expected);
        }
}

inline void require_dry_run(Plugin& plugin, const std::vector<uint32_t>& blocks, size_t frames,
                     const char* what, Placement placement = kApart) {
    const auto left = noise(frames, 1), right = noise(frames, 2);
    const uint32_t latency = plugin.latency->get(plugin.plugin);
    require_dry(through(plugin, left, right, blocks, placement), left, right, latency, what);
}

struct Stream {
    std::string bytes;
    size_t at = 0, piece = 0;  // piece 0: all at once

    static int64_t write(const clap_ostream_t* self, const void* from, uint64_t size) {
        Stream& stream = *static_cast<Stream*>(self->ctx);
        const size_t n = stream.piece ? std::min<size_t>(stream.piece, size) : size;
        stream.bytes.append(static_cast<const char*>(from), n);
        return int64_t(n);
    }

    static int64_t read(const clap_istream_t* self, void* to, uint64_t size) {
        Stream& stream = *static_cast<Stream*>(self->ctx);
        size_t n = std::min<size_t>(size, stream.bytes.size() - stream.at);
        n = stream.piece ? std::min(stream.piece, n) : n;
        std::memcpy(to, stream.bytes.data() + stream.at, n);
        stream.at += n;
        return int64_t(n);
    }
};

// Strings that each end with a zero byte, as states are made of.
inline std::string strings(std::initializer_list<const char*> words) {
    std::string text;
    for (const char* word : words)
        text.append(word, std::strlen(word) + 1);
    return text;
}

inline std::string saved(Plugin& plugin, size_t piece = 0) {
    Stream stream;
    stream.piece = piece;
    const clap_ostream_t out = {&stream, Stream::write};
    REQUIRE(plugin.state->save(plugin.plugin, &out), "save in pieces of %zu", piece);
    return stream.bytes;
}

inline bool loaded(Plugin& plugin, const std::string& bytes, size_t piece = 0) {
    Stream stream = {bytes, 0, piece};
    const clap_istream_t in = {&stream, Stream::read};
    return plugin.state->load(plugin.plugin, &in);
}

// Values that differ from the defaults in every control.
inline void set_all(Plugin& plugin, uint64_t seed) {
    Random random(seed);
    Events events;
    for (const auto& [id, info] : plugin.infos())
        if (!(info.flags & CLAP_PARAM_IS_READONLY)) {
            const double value = info.min_value + random.unit() * (info.max_value - info.min_value);
            events.add(id, info.flags & CLAP_PARAM_IS_STEPPED ? std::round(value) : value);
        }
    plugin.flush(events);
}

}  // namespace checks
