// What hosts and validators of VST3 ask: library, life, sound, latency. See checks.h.
#define CHECKS_MAIN
#include "vst3_checks.h"
#include "shared_checks.h"

using namespace checks;

static std::string narrow(const int16_t* text) { return {text, text + std::char_traits<char16_t>::length(reinterpret_cast<const char16_t*>(text))}; }

// --- the library

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

// As Ardour has it, which flags the blocks and announces their size for what is heard.
CHECK(a_larger_block_that_is_flagged_as_offline_leaves_the_latency) {
    Plugin plugin;
    plugin.start(44100, 512);
    const uint32_t latency = plugin.latency();
    std::vector<float> row(8192);
    float* const rows[] = {row.data(), row.data(), row.data(), row.data()};
    for (int i = 0; i < 2; ++i) {
        plugin.play(rows, rows, 8192, nullptr, nullptr, nullptr, V3_OFFLINE);
        REQUIRE(plugin.latency() == latency, "%u with block %d", plugin.latency(), i);
    }
}

int main(int count, char** words) { return run_checks(count, words); }
