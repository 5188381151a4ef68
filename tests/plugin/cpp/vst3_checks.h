// A host of VST3 for checks.h, on DPF's C interface "travesty": not on ours, which is checked, too.
#pragma once

#include <travesty/audio_processor.h>
#include <travesty/component.h>
#include <travesty/edit_controller.h>
#include <travesty/factory.h>
#include <travesty/host.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <dlfcn.h>
#include <limits>
#include <map>
#include <memory>
#include <thread>

#include "checks.h"

namespace checks {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr v3_param_id kLatency = 0, kAzimuth = 1, kWidth = 2, kMix = 6, kGain = 8, kBypass = 9, kLatencyMode = 10,
                      kLoad = 14;
constexpr v3_speaker_arrangement kStereo = V3_SPEAKER_L | V3_SPEAKER_R;

// Objects of the host live as long as the check: references are not counted.
inline v3_result V3_API no_interface(void*, const v3_tuid, void** found) { return *found = nullptr, V3_NO_INTERFACE; }
inline uint32_t V3_API one(void*) { return 1; }

template <class Functions>
struct Object : v3_funknown {
    Functions functions = {};
    v3_funknown* self = this;

    Object() : v3_funknown{no_interface, one, one} {}
    template <class T>
    T** as() { return reinterpret_cast<T**>(&self); }
    template <class Derived>
    static Derived& of(void* self) { return *static_cast<Derived*>(static_cast<Object*>(*static_cast<v3_funknown**>(self))); }
};

struct ByteStream : Object<v3_bstream> {
    std::string bytes;
    size_t at = 0, piece = 0;  // piece 0: all at once
    v3_result answer = V3_OK;

    ByteStream(std::string text = "", size_t in_pieces_of = 0) : bytes(std::move(text)), piece(in_pieces_of) {
        functions.read = [](void* self, void* to, int32_t size, int32_t* done) {
            ByteStream& s = of<ByteStream>(self);
            size_t n = std::min<size_t>(size_t(size), s.bytes.size() - s.at);
            n = s.piece ? std::min(s.piece, n) : n;
            std::memcpy(to, s.bytes.data() + s.at, n);
            s.at += n;
            *done = int32_t(n);
            return s.answer;
        };
        functions.write = [](void* self, void* from, int32_t size, int32_t* done) {
            ByteStream& s = of<ByteStream>(self);
            const size_t n = s.piece ? std::min<size_t>(s.piece, size_t(size)) : size_t(size);
            s.bytes.append(static_cast<char*>(from), n);
            *done = int32_t(n);
            return s.answer;
        };
    }
};

struct Queue : Object<v3_param_value_queue> {
    v3_param_id id = 0;
    std::vector<std::pair<int32_t, double>> points;

    Queue() {
        functions.get_param_id = [](void* self) { return of<Queue>(self).id; };
        functions.get_point_count = [](void* self) { return int32_t(of<Queue>(self).points.size()); };
        functions.get_point = [](void* self, int32_t i, int32_t* offset, double* value) {
            auto& points = of<Queue>(self).points;
            if (i < 0 || size_t(i) >= points.size())
                return v3_result(V3_INVALID_ARG);
            *offset = points[size_t(i)].first;
            *value = points[size_t(i)].second;
            return v3_result(V3_OK);
        };
        functions.add_point = [](void* self, int32_t offset, double value, int32_t*) {
            of<Queue>(self).points.emplace_back(offset, value);
            return v3_result(V3_OK);
        };
    }
};

struct Changes : Object<v3_param_changes> {
    std::array<Queue, 64> queues;
    int32_t count = 0;
    bool with_null = false;

    Changes() {
        for (Queue& queue : queues)
            queue.points.reserve(512);  // the audio thread's allocations are counted
        functions.get_param_count = [](void* self) { return of<Changes>(self).count; };
        functions.get_param_data = [](void* self, int32_t i) {
            Changes& all = of<Changes>(self);
            const bool there = i >= 0 && i < all.count && !(all.with_null && i == 0);
            return there ? all.queues[size_t(i)].as<v3_param_value_queue>() : nullptr;
        };
        functions.add_param_data = [](void* self, v3_param_id* id, int32_t* index) {
            Changes& all = of<Changes>(self);
            all.queues[size_t(*index = all.count)].id = *id;
            return all.queues[size_t(all.count++)].as<v3_param_value_queue>();
        };
    }

    void add(v3_param_id id, double value, int32_t offset = 0) {
        Queue* queue = std::find_if(queues.begin(), queues.begin() + count, [id](const Queue& q) { return q.id == id; });
        if (queue == queues.begin() + count)
            ++count;
        queue->id = id;
        queue->points.emplace_back(offset, value);
    }

    const double* last(v3_param_id id) const {
        for (int32_t i = 0; i < count; ++i)
            if (queues[size_t(i)].id == id)
                return &queues[size_t(i)].points.back().second;
        return nullptr;
    }
};

struct Handler : Object<v3_component_handler> {
    int latency_restarts = 0, value_restarts = 0;

    Handler() {
        functions.begin_edit = functions.end_edit = [](void*, v3_param_id) { return v3_result(V3_OK); };
        functions.perform_edit = [](void*, v3_param_id, double) { return v3_result(V3_OK); };
        functions.restart_component = [](void* self, int32_t flags) {
            of<Handler>(self).latency_restarts += !!(flags & V3_RESTART_LATENCY_CHANGED);
            of<Handler>(self).value_restarts += !!(flags & V3_RESTART_PARAM_VALUES_CHANGED);
            return v3_result(V3_OK);
        };
    }
};

inline v3_plugin_factory_3** the_factory() {
    void* const library = dlopen(plugin_path.c_str(), RTLD_NOW | RTLD_LOCAL);
    REQUIRE(library, "%s", dlerror());
    const auto enter = reinterpret_cast<bool (*)(void*)>(dlsym(library, "ModuleEntry"));
    const auto get = reinterpret_cast<v3_plugin_factory** (*)()>(dlsym(library, "GetPluginFactory"));
    REQUIRE(enter && enter(library) && get && dlsym(library, "ModuleExit"), "entry points");
    v3_plugin_factory** const factory = get();
    v3_plugin_factory_3** found = nullptr;
    REQUIRE(v3_cpp_obj_query_interface(factory, v3_plugin_factory_3_iid, &found) == V3_OK, "no factory 3");
    return found;
}

inline v3_plugin_factory* first_of(v3_plugin_factory_3** factory) {
    return v3_cpp_obj(reinterpret_cast<v3_plugin_factory**>(factory));
}

struct Plugin {
    Handler handler;
    v3_component** component = nullptr;
    v3_audio_processor** processor = nullptr;
    v3_edit_controller** controller = nullptr;
    bool active = false;

    Plugin() {
        v3_plugin_factory_3** const factory = the_factory();
        v3_class_info info;
        first_of(factory)->get_class_info(factory, 0, &info);
        first_of(factory)->create_instance(factory, info.class_id, v3_component_iid, reinterpret_cast<void**>(&component));
        REQUIRE(component, "no component");
        REQUIRE(v3_cpp_obj_initialize(component, nullptr) == V3_OK, "initialize");
        v3_cpp_obj_query_interface(component, v3_audio_processor_iid, &processor);
        v3_cpp_obj_query_interface(component, v3_edit_controller_iid, &controller);
        REQUIRE(processor && controller, "interfaces");
        control()->set_component_handler(controller, handler.as<v3_component_handler>());
    }

    ~Plugin() {
        stop();
        control()->set_component_handler(controller, nullptr);
        v3_cpp_obj_terminate(component);
        v3_cpp_obj_unref(controller);
        v3_cpp_obj_unref(processor);
        v3_cpp_obj_unref(component);
    }

    v3_component* comp() { return v3_cpp_obj(component); }
    v3_audio_processor* proc() { return v3_cpp_obj(processor); }
    v3_edit_controller* control() { return v3_cpp_obj(controller); }
    int32_t buses(int32_t direction) { return comp()->get_bus_count(component, V3_AUDIO, direction); }
    uint32_t latency() { return proc()->get_latency_samples(processor); }

    void start(double rate_hz = 44100, int32_t block = 512, int32_t mode = V3_REALTIME) {
        v3_process_setup setup = {mode, V3_SAMPLE_32, block, rate_hz};
        REQUIRE(proc()->setup_processing(processor, &setup) == V3_OK, "setup_processing");
        for (const int32_t direction : {V3_INPUT, V3_OUTPUT})
            for (int32_t i = 0; i < buses(direction); ++i)
                REQUIRE(comp()->activate_bus(component, V3_AUDIO, direction, i, true) == V3_OK, "bus %d", i);
        REQUIRE(comp()->set_active(component, true) == V3_OK, "set_active");
        proc()->set_processing(processor, true);
        active = true;
    }

    void stop() {
        if (active) {
            proc()->set_processing(processor, false);
            comp()->set_active(component, false);
        }
        active = false;
    }

    double value(v3_param_id id) { return control()->get_parameter_normalised(controller, id); }

    std::map<v3_param_id, v3_param_info> infos() {
        std::map<v3_param_id, v3_param_info> found;
        for (int32_t i = 0; i < control()->get_parameter_count(controller); ++i) {
            v3_param_info info;
            REQUIRE(control()->get_parameter_info(controller, i, &info) == V3_OK, "parameter %d", i);
            REQUIRE(found.emplace(info.param_id, info).second, "id %u twice", info.param_id);
        }
        return found;
    }

    std::map<v3_param_id, double> inputs() {
        std::map<v3_param_id, double> values;
        for (const auto& [id, info] : infos())
            if (!(info.flags & V3_PARAM_READ_ONLY))
                values[id] = value(id);
        return values;
    }

    std::string text(v3_param_id id, double normalized) {
        v3_str_128 text = {};
        REQUIRE(control()->get_parameter_string_for_value(controller, id, normalized, text) == V3_OK, "text of %u", id);
        std::string narrow;
        for (int i = 0; i < 128 && text[i]; ++i)
            narrow += char(text[i]);
        return narrow;
    }

    bool parse(v3_param_id id, const std::string& text, double* normalized) {
        v3_str_128 wide = {};
        std::copy(text.begin(), text.end(), wide);
        return control()->get_parameter_value_for_string(controller, id, wide, normalized) == V3_OK;
    }

    std::string saved(size_t piece = 0) {
        ByteStream stream("", piece);
        REQUIRE(comp()->get_state(component, stream.as<v3_bstream>()) == V3_OK, "get_state in pieces of %zu", piece);
        return stream.bytes;
    }

    bool loaded(const std::string& bytes, size_t piece = 0) {
        ByteStream stream(bytes, piece), again(bytes, piece);
        const bool done = comp()->set_state(component, stream.as<v3_bstream>()) == V3_OK;
        control()->set_component_state(controller, again.as<v3_bstream>());
        return done;
    }

    // Play blocks that begin at these rows: two of input, two a bus of output.
    v3_result play(float* const* in, float* const* out, int32_t frames, Changes* changes = nullptr,
                   Changes* told = nullptr, v3_process_context* context = nullptr, int32_t mode = V3_REALTIME) {
        v3_audio_bus_buffers input = {2, 0, {const_cast<float**>(in)}}, outputs[2];
        for (int32_t i = 0; i < buses(V3_OUTPUT); ++i)
            outputs[i] = {2, 0, {const_cast<float**>(out) + 2 * i}};
        v3_process_data data = {};
        data.process_mode = mode;
        data.symbolic_sample_size = V3_SAMPLE_32;
        data.nframes = frames;
        data.num_input_buses = frames ? 1 : 0;
        data.num_output_buses = frames ? buses(V3_OUTPUT) : 0;
        data.inputs = frames ? &input : nullptr;
        data.outputs = frames ? outputs : nullptr;
        data.input_params = changes ? changes->as<v3_param_changes>() : nullptr;
        data.output_params = told ? told->as<v3_param_changes>() : nullptr;
        data.ctx = context;
        in_audio = true;
        const v3_result done = proc()->process(processor, &data);
        in_audio = false;
        return done;
    }

    void flush(v3_param_id id, double value) {
        auto changes = std::make_unique<Changes>();
        changes->add(id, value);
        REQUIRE(play(nullptr, nullptr, 0, changes.get()) == V3_OK, "flush");
    }
};

// Without an engine the first bus is the input, late by the latency, and the second silence.
inline void require_dry_run(Plugin& plugin, const std::vector<int32_t>& blocks, size_t frames, const char* what,
                            bool in_place = false) {
    const auto left = noise(frames, 1), right = noise(frames, 2);
    const uint32_t latency = plugin.latency();
    const size_t channels = 2 * size_t(plugin.buses(V3_OUTPUT));
    for (size_t at = 0, turn = 0; at < frames; ++turn) {
        const int32_t n = int32_t(std::min<size_t>(size_t(blocks[turn % blocks.size()]), frames - at));
        std::vector<std::vector<float>> in = {{&left[at], &left[at] + n}, {&right[at], &right[at] + n}};
        std::vector<std::vector<float>> given(channels, std::vector<float>(size_t(n), kUnwritten));
        std::vector<float*> in_rows = {in[0].data(), in[1].data()}, rows;
        for (auto& row : given)
            rows.push_back(row.data());
        if (in_place)
            std::copy(in_rows.begin(), in_rows.end(), rows.begin());
        REQUIRE(plugin.play(in_rows.data(), rows.data(), n) == V3_OK, "%s: process", what);
        for (size_t channel = 0; channel < channels; ++channel)
            for (size_t i = 0; i < size_t(n); ++i) {
                const auto& input = channel == 0 ? left : right;
                const float expected = channel < 2 && at + i >= latency ? input[at + i - latency] : 0.0f;
                REQUIRE(rows[channel][i] == expected, "%s: channel %zu, sample %zu is %g, not %g", what, channel,
                        at + i, rows[channel][i], expected);
            }
        at += size_t(n);
    }
}

}  // namespace checks
