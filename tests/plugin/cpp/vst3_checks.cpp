// What hosts and validators of VST3 ask of a plugin. See checks.h.
#define CHECKS_MAIN
#include "fake_engine.h"
#include "ring.h"
#include "vst3_checks.h"

using namespace checks;

// Values that differ from the defaults in every control.
static void set_all(Plugin& plugin, uint64_t seed) {
    Random random(seed);
    for (const auto& [id, info] : plugin.infos())
        if (!(info.flags & V3_PARAM_READ_ONLY))
            plugin.flush(id, info.step_count ? random.below(uint32_t(info.step_count) + 1) / double(info.step_count)
                                             : random.unit());
}

static std::string narrow(const int16_t* text) { return {text, text + std::char_traits<char16_t>::length(reinterpret_cast<const char16_t*>(text))}; }

// --- the library

CHECK(scan_takes_less_than_100_ms) {
    const double took_s = quickest_s([] { Plugin plugin; });
    REQUIRE(took_s < 0.1, "%.0f ms", 1e3 * took_s);
}

CHECK(the_class_is_described_and_none_is_beyond_the_count) {
    v3_plugin_factory_3** const factory = the_factory();
    v3_plugin_factory_2** two = nullptr;
    v3_cpp_obj_query_interface(factory, v3_plugin_factory_2_iid, &two);
    v3_factory_info maker;
    v3_class_info info;
    v3_class_info_2 info2;
    v3_class_info_3 info3;
    REQUIRE(first_of(factory)->get_factory_info(factory, &maker) == V3_OK && maker.vendor[0] && maker.url[0], "factory");
    REQUIRE(first_of(factory)->num_classes(factory) == 1, "classes");
    REQUIRE(first_of(factory)->get_class_info(factory, 0, &info) == V3_OK, "class");
    REQUIRE(v3_cpp_obj(two)->get_class_info_2(two, 0, &info2) == V3_OK, "class 2");
    REQUIRE(v3_cpp_obj(factory)->get_class_info_utf16(factory, 0, &info3) == V3_OK, "class 3");
    REQUIRE(!std::strcmp(info.category, "Audio Module Class"), "%s", info.category);
    REQUIRE(!std::strcmp(info.name, info2.name) && narrow(info3.name) == info.name, "%s", info.name);
    REQUIRE(info2.version[0] && narrow(info3.version) == info2.version, "version");
    REQUIRE(!std::strncmp(info2.sdk_version, "VST 3", 5), "SDK '%s': Cubase lists only VST 3", info2.sdk_version);
    REQUIRE(!info2.class_flags && !info3.class_flags, "processor and controller are one object, not two");
    REQUIRE(v3_tuid_match(info.class_id, info2.class_id) && v3_tuid_match(info.class_id, info3.class_id), "ids");
    for (const int32_t index : {-1, 1, 2, 1000}) {
        REQUIRE(first_of(factory)->get_class_info(factory, index, &info) != V3_OK, "class %d", index);
        REQUIRE(v3_cpp_obj(two)->get_class_info_2(two, index, &info2) != V3_OK, "class %d", index);
        REQUIRE(v3_cpp_obj(factory)->get_class_info_utf16(factory, index, &info3) != V3_OK, "class %d", index);
    }
}

CHECK(the_class_has_the_identity_that_projects_know) {
    v3_plugin_factory_3** const factory = the_factory();
    v3_class_info info;
    first_of(factory)->get_class_info(factory, 0, &info);
    const bool is_split = std::string(info.name) == "Stemsteer Split";
    const std::string expected = std::string(" FPDsalc") + (is_split ? "pStS" : "metS") + std::string(4, '\0');
    REQUIRE(!std::memcmp(info.class_id, expected.data(), 16), "another identity");
}

CHECK(unknown_classes_and_interfaces_are_refused) {
    v3_plugin_factory_3** const factory = the_factory();
    v3_class_info info;
    first_of(factory)->get_class_info(factory, 0, &info);
    void* made = &info;
    const v3_tuid other = {1};
    REQUIRE(first_of(factory)->create_instance(factory, other, v3_component_iid, &made) != V3_OK && !made, "class");
    REQUIRE(first_of(factory)->create_instance(factory, info.class_id, other, &made) != V3_OK && !made, "interface");
    Plugin plugin;
    void* found = &info;
    v3_cpp_obj_query_interface(plugin.component, other, reinterpret_cast<void***>(&found));
    REQUIRE(!found, "an unknown interface");
}

CHECK(references_are_counted) {
    Plugin plugin;
    const uint32_t before = v3_cpp_obj_ref(plugin.component);
    REQUIRE(v3_cpp_obj_unref(plugin.component) == before - 1, "unref");
    v3_funknown **first = nullptr, **second = nullptr;
    v3_cpp_obj_query_interface(plugin.controller, v3_funknown_iid, &first);
    v3_cpp_obj_query_interface(plugin.processor, v3_funknown_iid, &second);
    REQUIRE(first && first == second, "one object has two identities");
    v3_cpp_obj_unref(plugin.component);
    v3_cpp_obj_unref(plugin.component);
}

CHECK(buses_are_stereo_and_none_is_beyond_the_count) {
    Plugin plugin;
    for (const int32_t direction : {V3_INPUT, V3_OUTPUT}) {
        const int32_t count = plugin.buses(direction);
        v3_bus_info info;
        v3_speaker_arrangement speakers;
        for (int32_t i = 0; i < count; ++i) {
            REQUIRE(plugin.comp()->get_bus_info(plugin.component, V3_AUDIO, direction, i, &info) == V3_OK, "bus %d", i);
            REQUIRE(info.channel_count == 2 && info.bus_name[0], "bus %d", i);
            plugin.proc()->get_bus_arrangement(plugin.processor, direction, i, &speakers);
            REQUIRE(speakers == kStereo, "bus %d", i);
        }
        for (const int32_t i : {-1, count, 1000}) {
            REQUIRE(plugin.comp()->get_bus_info(plugin.component, V3_AUDIO, direction, i, &info) != V3_OK, "bus %d", i);
            REQUIRE(plugin.comp()->activate_bus(plugin.component, V3_AUDIO, direction, i, 1) != V3_OK, "bus %d", i);
            REQUIRE(plugin.proc()->get_bus_arrangement(plugin.processor, direction, i, &speakers) != V3_OK, "bus %d", i);
        }
        REQUIRE(plugin.comp()->get_bus_count(plugin.component, V3_EVENT, direction) == 0, "events");
    }
    REQUIRE(plugin.comp()->get_bus_count(plugin.component, 7, 7) == 0, "unknown media");
    v3_speaker_arrangement mono = V3_SPEAKER_M, stereo[] = {kStereo, kStereo};
    REQUIRE(plugin.proc()->set_bus_arrangements(plugin.processor, stereo, 1, stereo, plugin.buses(V3_OUTPUT)) == V3_OK, "stereo");
    REQUIRE(plugin.proc()->set_bus_arrangements(plugin.processor, &mono, 1, stereo, 1) != V3_OK, "mono");
    REQUIRE(plugin.proc()->set_bus_arrangements(plugin.processor, stereo, 2, stereo, 1) != V3_OK, "two inputs");
    REQUIRE(plugin.proc()->can_process_sample_size(plugin.processor, V3_SAMPLE_64) != V3_OK, "64 bits");
}

// --- life

CHECK(activation_twice_and_after_each_other_is_served) {
    Plugin plugin;
    plugin.start();
    plugin.start(48000, 64);
    require_dry_run(plugin, {64}, 4096, "twice");
    for (int i = 0; i < 5; ++i) {
        plugin.stop();
        plugin.stop();
        plugin.start();
        require_dry_run(plugin, {512}, 4096, "again");
    }
}

#ifndef __SANITIZE_ADDRESS__  // which ends a program that has no memory
CHECK(an_activation_that_fails_leaves_silence) {
    Plugin plugin;
    plugin.start();
    require_dry_run(plugin, {512}, 4096, "active");
    without_memory([&] {
        v3_process_setup setup = {V3_REALTIME, V3_SAMPLE_32, 512, 48000};  // another ring is needed
        REQUIRE(plugin.proc()->setup_processing(plugin.processor, &setup) != V3_OK, "there is memory");
    });
    std::vector<float> row(512, 1);
    float* const rows[] = {row.data(), row.data(), row.data(), row.data()};
    REQUIRE(plugin.play(rows, rows, 512) == V3_OK, "process");
    REQUIRE(std::count(row.begin(), row.end(), 0.0f) == 512, "not silent");
    plugin.start(48000);
    require_dry_run(plugin, {512}, 4096, "again");
}
#endif

CHECK(absurd_setups_are_refused) {
    Plugin plugin;
    for (const double rate_hz : {0.0, -1.0, kNan, kInfinity}) {
        v3_process_setup setup = {V3_REALTIME, V3_SAMPLE_32, 512, rate_hz};
        REQUIRE(plugin.proc()->setup_processing(plugin.processor, &setup) != V3_OK, "rate %g", rate_hz);
    }
    v3_process_setup setup = {V3_REALTIME, V3_SAMPLE_64, 512, 44100};
    REQUIRE(plugin.proc()->setup_processing(plugin.processor, &setup) != V3_OK, "64 bits");
    setup = {V3_REALTIME, V3_SAMPLE_32, -5, 44100};
    REQUIRE(plugin.proc()->setup_processing(plugin.processor, &setup) != V3_OK, "block -5");
    REQUIRE(plugin.proc()->process(plugin.processor, nullptr) != V3_OK, "no data");
}

CHECK(a_hundred_instances_come_and_go) {
    std::vector<std::unique_ptr<Plugin>> plugins;
    for (int i = 0; i < 100; ++i)
        plugins.push_back(std::make_unique<Plugin>());
    plugins.erase(plugins.begin(), plugins.begin() + 50);
    for (size_t i = 0; i < plugins.size(); i += 10)
        plugins[i]->start();
}

CHECK(exit_with_an_instance_that_plays_is_clean) {
    static Plugin* const plugin = new Plugin;
    plugin->start();
    usleep(50000);  // the thread that looks for an engine runs
    std::atexit([] {
        void* const library = dlopen(plugin_path.c_str(), RTLD_NOW | RTLD_NOLOAD);
        reinterpret_cast<bool (*)()>(dlsym(library, "ModuleExit"))();
        v3_plugin_factory_3** const factory = the_factory();
        v3_class_info info;
        first_of(factory)->get_class_info(factory, 0, &info);
        unload();
        usleep(600000);  // longer than the thread's naps
    });
}

// --- sound

CHECK(every_bus_is_written_apart_and_in_place) {
    for (const bool in_place : {false, true}) {
        Plugin plugin;
        plugin.start();
        require_dry_run(plugin, {512}, 8192, in_place ? "in place" : "apart", in_place);
    }
}

CHECK(every_rate_and_block_gives_the_input_at_the_latency) {
    for (const double rate_hz : {22050.0, 44100.0, 48000.0, 88200.0, 96000.0, 192000.0, 384000.0})
        for (const int32_t block : {1, 2, 64, 441, 512, 1024, 4096}) {
            Plugin plugin;
            plugin.start(rate_hz, block);
            require_dry_run(plugin, {block, 1, block}, 12000, "rate and block");
        }
}

CHECK(missing_buffers_are_silence_and_are_not_written) {
    Plugin plugin;
    plugin.start();
    std::vector<float> row(512);
    float* null_rows[] = {nullptr, nullptr, nullptr, nullptr};
    float* half_rows[] = {row.data(), nullptr, nullptr, row.data()};
    for (int i = 0; i < 8; ++i) {
        REQUIRE(plugin.play(null_rows, null_rows, 512) == V3_OK, "no rows");
        REQUIRE(plugin.play(half_rows, half_rows, 512) == V3_OK, "half of them");
        v3_process_data data = {};
        data.symbolic_sample_size = V3_SAMPLE_32;
        data.nframes = 512;
        REQUIRE(plugin.proc()->process(plugin.processor, &data) == V3_OK, "no buses");
        v3_audio_bus_buffers none = {2, 0, {nullptr}}, mono = {1, 0, {half_rows}};
        data.inputs = &none;
        data.outputs = &mono;
        data.num_input_buses = data.num_output_buses = 1;
        REQUIRE(plugin.proc()->process(plugin.processor, &data) == V3_OK, "mono");
    }
}

CHECK(the_audio_thread_allocates_nothing) {
    Plugin plugin;
    plugin.start();
    audio_allocations = 0;
    require_dry_run(plugin, {512, 64, 1}, 65536, "audio");
    plugin.flush(kWidth, 0.5);
    REQUIRE(audio_allocations == 0, "%zu allocations", audio_allocations);
}

CHECK(any_transport_is_taken) {
    Plugin plugin;
    plugin.start();
    Random random(11);
    std::vector<float> row(64);
    float* const rows[] = {row.data(), row.data(), row.data(), row.data()};
    const int32_t kBeats[] = {0, 1, 2, 3, 5, 8, 16, 32, -1, INT32_MIN, INT32_MAX};
    const double kNumbers[] = {0, -1, 1e-300, 120, 1e300, kNan, kInfinity, -1e9};
    for (int i = 0; i < 3000; ++i) {
        v3_process_context context = {};
        context.state = random.bits();
        context.sample_rate = kNumbers[random.below(8)];
        context.project_time_in_samples = i % 3 ? int64_t(random.bits()) - (1LL << 31) : INT64_MIN;
        context.continuous_time_in_samples = i % 5 ? int64_t(random.bits()) : INT64_MAX;
        context.project_time_quarters = kNumbers[random.below(8)];
        context.bpm = kNumbers[random.below(8)];
        context.time_sig_numerator = kBeats[random.below(11)];
        context.time_sig_denom = kBeats[random.below(11)];
        REQUIRE(plugin.play(rows, rows, 64, nullptr, nullptr, &context) == V3_OK, "process");
    }
}

// --- latency

CHECK(every_change_of_the_latency_reaches_the_host) {
    Plugin plugin;
    plugin.start();
    std::vector<float> row(512);
    float* const rows[] = {row.data(), row.data(), row.data(), row.data()};
    const uint32_t kLatencies[] = {1024, 2048, 4096, 1024, 8192};  // 512 is too small for blocks of 512
    for (const int mode : {2, 1, 4, 0}) {
        plugin.flush(kLatencyMode, mode / 4.0);
        auto told = std::make_unique<Changes>();
        plugin.play(rows, rows, 512, nullptr, told.get());
        const double* const normalized = told->last(kLatency);
        REQUIRE(normalized, "mode %d is not told", mode);
        const int before = plugin.handler.latency_restarts;
        plugin.control()->set_parameter_normalised(plugin.controller, kLatency, *normalized);  // as a host does
        REQUIRE(plugin.handler.latency_restarts == before + 1, "no restart");
        REQUIRE(plugin.latency() == kLatencies[mode], "mode %d: %u", mode, plugin.latency());
        plugin.control()->set_parameter_normalised(plugin.controller, kLatency, *normalized);  // an echo
        REQUIRE(plugin.handler.latency_restarts == before + 1, "a restart for what the host knows");
        const double plain = plugin.control()->normalised_parameter_to_plain(plugin.controller, kLatency, *normalized);
        REQUIRE(plain == kLatencies[mode], "shown as %g", plain);
        REQUIRE(plugin.text(kLatency, *normalized) == std::to_string(kLatencies[mode]), "text");
    }
}

CHECK(a_latency_that_has_not_changed_is_not_told) {
    for (const bool asks : {true, false}) {
        Plugin plugin;
        std::vector<float> row(512);
        float* const rows[] = {row.data(), row.data(), row.data(), row.data()};
        for (int activation = 0; activation < 2; ++activation) {
            plugin.start();
            if (asks)
                plugin.latency();
            auto told = std::make_unique<Changes>();
            plugin.play(rows, rows, 512, nullptr, told.get());
            REQUIRE(!told->last(kLatency), "the first block asks for a restart");
            plugin.stop();
        }
        if (asks) {  // it has not asked again
            plugin.start(96000);
            auto told = std::make_unique<Changes>();
            plugin.play(rows, rows, 512, nullptr, told.get());
            REQUIRE(told->last(kLatency), "a latency that the host does not know is not told");
        }
    }
}

// --- controls

CHECK(parameters_are_described_and_none_is_beyond_the_count) {
    Plugin plugin;
    for (const auto& [id, info] : plugin.infos()) {
        REQUIRE(info.title[0] && info.default_normalised_value >= 0 && info.default_normalised_value <= 1, "%u", id);
        if (!(info.flags & V3_PARAM_IS_HIDDEN))
            REQUIRE(plugin.value(id) == info.default_normalised_value, "%u is %g", id, plugin.value(id));
        REQUIRE(!!(info.flags & V3_PARAM_IS_BYPASS) == (id == kBypass), "bypass");
    }
    v3_param_info info;
    v3_str_128 text;
    double value;
    const int32_t count = plugin.control()->get_parameter_count(plugin.controller);
    for (const int32_t index : {-1, count, 100000000}) {
        const v3_param_id id = v3_param_id(index);
        REQUIRE(plugin.control()->get_parameter_info(plugin.controller, index, &info) != V3_OK, "%d", index);
        REQUIRE(plugin.control()->get_parameter_string_for_value(plugin.controller, id, 0, text) != V3_OK, "%d", index);
        REQUIRE(!plugin.parse(id, "1", &value), "%d", index);
        REQUIRE(plugin.control()->set_parameter_normalised(plugin.controller, id, 0.5) != V3_OK, "%d", index);
        REQUIRE(plugin.value(id) == 0, "%d", index);
    }
}

CHECK(values_are_the_same_after_text_and_back) {
    Plugin plugin;
    for (const auto& [id, info] : plugin.infos())
        for (int k = 0; k <= 200; ++k) {
            const std::string text = plugin.text(id, k / 200.0);
            double back = kNan;
            REQUIRE(!text.empty() && text.find(',') == text.npos, "%u: '%s'", id, text.c_str());
            REQUIRE(plugin.parse(id, text, &back), "%u: '%s'", id, text.c_str());
            REQUIRE(plugin.text(id, back) == text, "%u: '%s' is '%s' again", id, text.c_str(), plugin.text(id, back).c_str());
            REQUIRE(std::fabs(back - k / 200.0) <= (info.step_count ? 0.5 / info.step_count + 1e-9 : 0.001), "%u: %g", id, back);
            const double plain = plugin.control()->normalised_parameter_to_plain(plugin.controller, id, back);
            const double normal = plugin.control()->plain_parameter_to_normalised(plugin.controller, id, plain);
            REQUIRE(std::fabs(normal - back) < 1e-4, "%u: %g is %g again", id, back, normal);
        }
    for (const char* text : {"", "abc", "1e999", "nan", "inf"}) {
        double value;
        REQUIRE(!plugin.parse(kAzimuth, text, &value), "'%s' is %g", text, value);
    }
}

CHECK(a_change_without_sound_is_not_lost) {
    for (const bool active : {false, true}) {
        Plugin plugin;
        if (active)
            plugin.start();
        plugin.flush(kAzimuth, 0.25);
        REQUIRE(std::fabs(plugin.value(kAzimuth) - 0.25) < 1e-6, "the controller says %g", plugin.value(kAzimuth));
        REQUIRE(plugin.saved().find(std::string("azimuth\0-22.5", 13)) != std::string::npos, "the state lacks it");
        auto changes = std::make_unique<Changes>();
        changes->add(kAzimuth, 0.5);
        changes->add(kAzimuth, 0.75, 64);
        plugin.play(nullptr, nullptr, 0, changes.get());
        REQUIRE(std::fabs(plugin.value(kAzimuth) - 0.75) < 1e-6, "the last of two is %g", plugin.value(kAzimuth));
    }
}

CHECK(of_two_values_at_one_sample_the_later_counts) {
    Plugin plugin;
    plugin.start();
    std::vector<float> row(512);
    float* const rows[] = {row.data(), row.data(), row.data(), row.data()};
    auto jump = std::make_unique<Changes>();
    jump->add(kAzimuth, 0.25);
    jump->add(kAzimuth, 0.75);
    plugin.play(rows, rows, 512, jump.get());
    REQUIRE(std::fabs(plugin.value(kAzimuth) - 0.75) < 1e-6, "it is %g", plugin.value(kAzimuth));
}

CHECK(the_controller_moves_a_control_that_no_automation_holds) {
    Plugin plugin;
    plugin.control()->set_parameter_normalised(plugin.controller, kAzimuth, 0.25);
    REQUIRE(std::fabs(plugin.value(kAzimuth) - 0.25) < 1e-6, "%g", plugin.value(kAzimuth));
    REQUIRE(plugin.saved().find(std::string("azimuth\0-22.5", 13)) != std::string::npos, "the state lacks it");
    plugin.flush(kAzimuth, 0.75);
    plugin.control()->set_parameter_normalised(plugin.controller, kAzimuth, 0.25);  // an echo that comes late
    REQUIRE(std::fabs(plugin.value(kAzimuth) - 0.75) < 1e-6, "an echo moves it to %g", plugin.value(kAzimuth));
}

CHECK(an_unknown_id_ends_nothing) {
    Plugin plugin;
    plugin.start();
    std::vector<float> row(512);
    float* const rows[] = {row.data(), row.data(), row.data(), row.data()};
    auto changes = std::make_unique<Changes>();
    changes->with_null = true;
    for (const v3_param_id id : {9999u, 15u, 100000000u, UINT32_MAX, kLoad, kLatency})
        changes->add(id, 0.9);
    ++changes->count;  // a queue without points
    changes->add(kWidth, 0.5);
    plugin.play(rows, rows, 512, changes.get());
    REQUIRE(std::fabs(plugin.value(kWidth) - 0.5) < 1e-6, "what follows is lost: %g", plugin.value(kWidth));
    REQUIRE(plugin.value(kLoad) == 0, "an output is moved");
}

CHECK(illegal_values_become_legal_or_are_left_out) {
    Plugin plugin;
    for (const auto& [id, info] : plugin.infos())
        for (const double wrong : {kNan, kInfinity, -kInfinity, -1.0, 2.0, 1e300})
            for (const bool by_controller : {false, true}) {
                by_controller ? void(plugin.control()->set_parameter_normalised(plugin.controller, id, wrong))
                              : plugin.flush(id, wrong);
                REQUIRE(plugin.value(id) >= 0 && plugin.value(id) <= 1, "%u: %g gives %g", id, wrong, plugin.value(id));
                v3_str_128 text;
                plugin.control()->get_parameter_string_for_value(plugin.controller, id, wrong, text);
                REQUIRE(std::isfinite(plugin.control()->normalised_parameter_to_plain(plugin.controller, id, wrong)), "plain");
                REQUIRE(std::isfinite(plugin.control()->plain_parameter_to_normalised(plugin.controller, id, wrong)), "normal");
            }
}

CHECK(a_parameter_may_move_with_every_sample) {
    Plugin plugin;
    plugin.start();
    Random random(7);
    auto left = noise(256, 1), right = noise(256, 2), rest = left, rest2 = left;
    float* const rows[] = {left.data(), right.data(), rest.data(), rest2.data()};
    for (int block = 0; block < 200; ++block) {
        auto changes = std::make_unique<Changes>(), told = std::make_unique<Changes>();
        for (int32_t i = 0; i < 256; ++i)
            changes->add(random.below(17), random.unit() * 1.4 - 0.2, i);
        REQUIRE(plugin.play(rows, rows, 256, changes.get(), told.get()) == V3_OK, "process");
        for (const float* row : rows)
            REQUIRE(std::all_of(row, row + 256, [](float x) { return std::fabs(x) < 4; }), "loud or NaN");
    }
}

CHECK(main_and_audio_thread_may_work_at_once) {
    Plugin plugin;
    plugin.start();
    std::thread audio([&plugin] {
        std::vector<float> row(256);
        float* const rows[] = {row.data(), row.data(), row.data(), row.data()};
        for (int i = 0; i < 300; ++i) {
            auto changes = std::make_unique<Changes>(), told = std::make_unique<Changes>();
            changes->add(kWidth, i / 300.0);
            plugin.play(rows, rows, 256, changes.get(), told.get());
        }
    });
    for (int i = 0; i < 200; ++i) {
        for (const auto& [id, info] : plugin.infos())
            plugin.control()->set_parameter_normalised(plugin.controller, id, i / 200.0);
        plugin.inputs();
        REQUIRE(plugin.loaded(plugin.saved()), "state");
    }
    audio.join();
}

// --- state

CHECK(a_state_brings_back_every_value_whatever_the_pieces) {
    for (const size_t piece : {0, 1, 2, 17, 23, 64, 100, 255}) {
        Plugin plugin;
        set_all(plugin, piece + 1);
        const std::string state = plugin.saved();
        REQUIRE(plugin.saved(piece) == state, "saved in pieces of %zu", piece);
        Plugin other;
        set_all(other, 99);
        REQUIRE(other.loaded(state, piece), "loaded in pieces of %zu", piece);
        REQUIRE(other.inputs() == plugin.inputs(), "values, in pieces of %zu", piece);
        REQUIRE(other.handler.value_restarts == 1, "the host is not told");
    }
}

CHECK(a_state_that_is_none_changes_nothing) {
    Plugin plugin;
    set_all(plugin, 5);
    const auto before = plugin.inputs();
    Plugin other;
    set_all(other, 6);
    const std::string state = other.saved();
    for (size_t size = 0; size + 2 < state.size(); size += 3)
        REQUIRE(!plugin.loaded(state.substr(0, size)), "%zu of %zu bytes are taken", size, state.size());
    Random random(3);
    for (int i = 0; i < 200; ++i) {
        std::string bytes(random.below(2000), 0);
        for (char& byte : bytes)
            byte = char(random.bits());
        REQUIRE(!plugin.loaded(bytes), "random bytes are taken");
    }
    ByteStream broken(state);
    broken.answer = V3_INTERNAL_ERR;
    REQUIRE(plugin.comp()->set_state(plugin.component, broken.as<v3_bstream>()) != V3_OK, "a broken stream");
    REQUIRE(plugin.comp()->get_state(plugin.component, broken.as<v3_bstream>()) != V3_OK, "a broken stream");
    REQUIRE(plugin.comp()->set_state(plugin.component, nullptr) != V3_OK, "no stream");
    REQUIRE(plugin.inputs() == before, "a state that was refused was applied in part");
}

// --- the engine

CHECK(activation_waits_for_no_engine) {
    FakeEngine engine;  // listens and never answers: a wait of 0.1 s each would be seen
    std::vector<std::unique_ptr<Plugin>> plugins;
    for (int i = 0; i < 20; ++i)
        plugins.push_back(std::make_unique<Plugin>());
    const double begun_s = now_s();
    for (auto& plugin : plugins)
        plugin->start();
    REQUIRE(now_s() - begun_s < 2, "20 activations took %.2f s", now_s() - begun_s);
}

struct DirtyHandler : Object<v3_component_handler2> {
    int told = 0;

    DirtyHandler() {
        functions.set_dirty = [](void* self, v3_bool state) {
            of<DirtyHandler>(self).told += state;
            return v3_result(V3_OK);
        };
    }
};

CHECK(a_project_is_to_be_saved_again_when_the_engine_has_learned) {
    static DirtyHandler dirty;
    FakeEngine engine;
    Plugin plugin;
    plugin.handler.query_interface = [](void*, const v3_tuid id, void** found) {
        *found = v3_tuid_match(id, v3_component_handler2_iid) ? dirty.as<v3_component_handler2>() : nullptr;
        return v3_result(*found ? V3_OK : V3_NO_INTERFACE);
    };
    plugin.start();
    plugin.latency();
    engine.greeting();
    engine.answer("ok 00112233445566778899aabbccddeeff");
    std::vector<float> row(512);
    float* const rows[] = {row.data(), row.data(), row.data(), row.data()};
    double last = 0;
    for (int news = 1; news <= 3; ++news) {
        engine.answer("keep {}");
        const double* normalized = nullptr;
        auto told = std::make_unique<Changes>();
        for (int i = 0; i < 1000 && !(normalized = told->last(kLatency)); ++i) {
            usleep(5000);
            plugin.play(rows, rows, 512, nullptr, (told = std::make_unique<Changes>()).get());
        }
        REQUIRE(normalized && *normalized != last, "the host's main thread is not called");
        REQUIRE(dirty.told == news - 1, "told in the audio thread");
        plugin.control()->set_parameter_normalised(plugin.controller, kLatency, last = *normalized);
        REQUIRE(dirty.told == news, "told %d times", dirty.told);
        REQUIRE(plugin.text(kLatency, *normalized) == "1024", "%s", plugin.text(kLatency, *normalized).c_str());
    }
    REQUIRE(plugin.handler.latency_restarts == 0, "a restart for nothing");
}

CHECK(points_are_told_with_their_places_in_the_block) {
    FakeEngine engine;
    Plugin plugin;
    plugin.start(44100, 4096);
    engine.greeting();
    std::vector<float> row(4096);
    float* const rows[] = {row.data(), row.data(), row.data(), row.data()};
    auto changes = std::make_unique<Changes>();
    changes->add(kMix, 0.5, 1000);
    changes->add(kMix, 0.25, 3000);
    changes->add(kWidth, 1, 2000);  // in another queue, between
    plugin.play(rows, rows, 4096, changes.get());
    const stemsteer::Ring ring = stemsteer::Ring::at(engine.ring().first);
    REQUIRE(ring.header->recorded == 4, "%d records", int(ring.header->recorded));
    const float kExpected[][2] = {{1, 20}, {0.5, 20}, {0.5, 90}, {0.25, 90}};  // mix and width
    for (int i = 0; i < 4; ++i) {
        const stemsteer::Record& record = ring.records[i];
        REQUIRE(record.position == stemsteer::kOrigin + uint64_t(1000 * i), "record %d is at %lld", i,
                (long long)(record.position - stemsteer::kOrigin));
        REQUIRE(record.values[kMix - 1] == kExpected[i][0] && record.values[kWidth - 1] == kExpected[i][1],
                "record %d has %g and %g", i, record.values[kMix - 1], record.values[kWidth - 1]);
    }
    REQUIRE(std::fabs(plugin.value(kMix) - 0.25) < 1e-6, "the last value is %g", plugin.value(kMix));
}

CHECK(the_engine_is_told_the_name_of_the_track) {
    FakeEngine engine;
    Plugin plugin;
    struct v3_info_listener {
        v3_result(V3_API* set_channel_context_infos)(void* self, v3_attribute_list** infos);
    };
    constexpr v3_tuid id = V3_ID(0x0F194781, 0x8D984ADA, 0xBBA0C1EF, 0xC011D8D0);
    v3_info_listener** listener = nullptr;
    v3_cpp_obj_query_interface(plugin.controller, id, &listener);
    REQUIRE(listener, "no IInfoListener");
    Object<v3_attribute_list> infos;
    infos.functions.get_string = [](void*, const char* key, int16_t* text, uint32_t bytes) {
        static const char16_t kName[] = u"Gitarre \u00e4 \U0001d11e";
        if (std::strcmp(key, "channel name") || bytes < sizeof kName)
            return v3_result(V3_FALSE);
        std::memcpy(text, kName, sizeof kName);
        return v3_result(V3_OK);
    };
    v3_cpp_obj(listener)->set_channel_context_infos(listener, infos.as<v3_attribute_list>());
    plugin.start();
    const std::string hello = engine.greeting();
    REQUIRE(hello.find("\"track\":\"Gitarre \xc3\xa4 \xf0\x9d\x84\x9e\"") != std::string::npos, "%s", hello.c_str());
    v3_cpp_obj_unref(listener);
}

int main(int count, char** words) { return run_checks(count, words); }
