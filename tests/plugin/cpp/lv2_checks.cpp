// What hosts of LV2 ask of a plugin, beside what lv2_validate and sord_validate say of its texts.
// See checks.h.
#define CHECKS_MAIN
#include "lv2_checks.h"
#include "shared_checks.h"

using namespace checks;

namespace {

using Properties = std::map<LV2_URID, std::string>;

uint32_t pause_us = 0;  // that the host makes before each property it tells

Properties saved(Plugin& plugin) {
    const auto* state = static_cast<const LV2_State_Interface*>(plugin.described->extension_data(LV2_STATE__interface));
    REQUIRE(state, "no state");
    Properties properties;
    const auto store = [](LV2_State_Handle handle, uint32_t key, const void* value, size_t size, uint32_t type, uint32_t) {
        if (type != urid_of(LV2_ATOM__String))
            return LV2_STATE_ERR_BAD_TYPE;
        (*static_cast<Properties*>(handle))[key] = std::string(static_cast<const char*>(value), size);
        return LV2_STATE_SUCCESS;
    };
    REQUIRE(state->save(plugin.handle, store, &properties, 0, nullptr) == LV2_STATE_SUCCESS, "save");
    return properties;
}

void load(Plugin& plugin, const Properties& properties) {
    const auto* state = static_cast<const LV2_State_Interface*>(plugin.described->extension_data(LV2_STATE__interface));
    const auto retrieve = [](LV2_State_Handle handle, uint32_t key, size_t* size, uint32_t* type, uint32_t*) -> const void* {
        const auto& known = *static_cast<const Properties*>(handle);
        const auto found = known.find(key);
        if (found == known.end())
            return nullptr;
        usleep(pause_us);
        *size = found->second.size();
        *type = urid_of(LV2_ATOM__String);
        return found->second.data();
    };
    state->restore(plugin.handle, retrieve, const_cast<Properties*>(&properties), 0, nullptr);
}

}  // namespace

CHECK(one_plugin_is_described_and_none_is_beyond_it) {
    REQUIRE(!std::strncmp(descriptor()->URI, "urn:stemsteer:", 14), "%s", descriptor()->URI);
    REQUIRE(!descriptor(1) && !descriptor(1000), "another plugin");
    Plugin plugin;
    REQUIRE(!plugin.described->extension_data("urn:nothing"), "an unknown extension");
}

CHECK(a_small_host_has_no_worker_and_no_options) {
    Plugin plugin(44100, 512, false);
    plugin.start();
    require_dry_run(plugin, {512}, 4096, "small host");
}

CHECK(a_host_without_identifiers_is_refused) {
    const LV2_Feature* const none[] = {nullptr};
    REQUIRE(!descriptor()->instantiate(descriptor(), 44100, "/", none), "instantiated");
}

CHECK(activation_twice_and_after_each_other_is_served) {
    Plugin plugin;
    plugin.start();
    for (int i = 0; i < 5; ++i) {
        plugin.start();
        require_dry_run(plugin, {512}, 4096, "again");
        plugin.stop();
    }
}

CHECK(an_activation_that_fails_leaves_silence) {
    Plugin plugin;
    without_memory([&] { plugin.start(); });
    std::vector<float> row(512, 1);
    float* const rows[] = {row.data(), row.data(), row.data(), row.data()};
    plugin.run(rows, rows, 512);
    REQUIRE(std::count(row.begin(), row.end(), 0.0f) == 512, "not silent");
}

CHECK(exit_with_an_instance_that_plays_is_clean) {
    static Plugin* const plugin = new Plugin;
    plugin->start();
    usleep(50000);  // the thread that looks for an engine runs
    std::atexit([] {
        unload();
        usleep(600000);  // longer than the thread's naps
    });
}

CHECK(every_output_is_written_apart_and_in_place) {
    for (const bool in_place : {false, true}) {
        Plugin plugin;
        plugin.start();
        require_dry_run(plugin, {512, 0, 64}, 8192, "placement", in_place);
    }
}

CHECK(every_rate_and_block_gives_the_input_at_the_latency) {
    for (const double rate_hz : {22050.0, 44100.0, 48000.0, 96000.0, 192000.0})
        for (const int32_t block : {1, 2, 64, 441, 512, 1024, 4096}) {
            Plugin plugin(rate_hz, block);
            plugin.start();
            require_dry_run(plugin, {uint32_t(block), 1, uint32_t(block)}, 12000, "rate and block");
        }
}

CHECK(the_audio_thread_allocates_nothing) {
    Plugin plugin;
    plugin.start();
    audio_allocations = 0;
    require_dry_run(plugin, {512, 64, 1, 0}, 65536, "audio");
    REQUIRE(audio_allocations == 0, "%zu allocations", audio_allocations);
}

CHECK(any_value_of_any_control_is_taken) {
    Plugin plugin;
    plugin.start();
    Random random(7);
    auto left = noise(64, 1), right = noise(64, 2), rest = left, rest2 = left;
    float* const rows[] = {left.data(), right.data(), rest.data(), rest2.data()};
    const float kValues[] = {kNan, kInfinity, -kInfinity, 1e30f, -1e30f, 0.5f, 0, 1, 1000};
    for (int i = 0; i < 2000; ++i) {
        for (auto& [symbol, value] : plugin.controls)
            value = kValues[random.below(9)];
        plugin.controls["offline"] = 0;
        plugin.run(rows, rows, 64);
        for (const float* row : rows)
            REQUIRE(std::all_of(row, row + 64, [](float x) { return std::fabs(x) < 4; }), "loud or NaN");
        REQUIRE(plugin.controls["lv2_latency"] >= 512 && plugin.controls["load"] >= 0, "outputs");
    }
}

CHECK(any_transport_is_taken) {
    Plugin plugin;
    plugin.start();
    Random random(11);
    std::vector<float> row(64);
    float* const rows[] = {row.data(), row.data(), row.data(), row.data()};
    const double kNumbers[] = {0, -1, 1e-30, 3, 120, 1e30, kNan, kInfinity};
    for (int i = 0; i < 2000; ++i) {
        plugin.clear_events();
        LV2_Atom_Forge forge;
        lv2_atom_forge_init(&forge, &plugin.map);
        lv2_atom_forge_set_buffer(&forge, reinterpret_cast<uint8_t*>(plugin.events_in.data()), 4096);
        LV2_Atom_Forge_Frame sequence, object;
        lv2_atom_forge_sequence_head(&forge, &sequence, 0);
        lv2_atom_forge_frame_time(&forge, 0);
        lv2_atom_forge_object(&forge, &object, 0, urid_of(LV2_TIME__Position));
        for (const char* key : {LV2_TIME__frame, LV2_TIME__speed, LV2_TIME__bar, LV2_TIME__barBeat, LV2_TIME__beatUnit,
                                LV2_TIME__beatsPerBar, LV2_TIME__beatsPerMinute}) {
            lv2_atom_forge_key(&forge, urid_of(key));
            const double number = kNumbers[random.below(8)];
            switch (random.below(4)) {
            case 0: lv2_atom_forge_double(&forge, number); break;
            case 1: lv2_atom_forge_float(&forge, float(number)); break;
            case 2: lv2_atom_forge_int(&forge, int32_t(random.bits())); break;
            default: lv2_atom_forge_long(&forge, int64_t(random.bits()) - (1LL << 31)); break;
            }
        }
        lv2_atom_forge_pop(&forge, &object);
        lv2_atom_forge_pop(&forge, &sequence);
        plugin.run(rows, rows, 64);
    }
}

CHECK(a_state_brings_back_every_property) {
    Plugin plugin;
    Properties properties = saved(plugin);
    REQUIRE(properties.size() == 6, "%zu properties", properties.size());
    const LV2_URID label = urid_of("urn:distrho:label"), policy = urid_of("urn:distrho:offline_policy");
    REQUIRE(properties.count(label) && properties.count(policy), "another key");
    properties[label] = std::string("Gitarre \xc3\xa4\0", 11);
    properties[policy] = std::string("dry\0", 4);
    Plugin other;
    load(other, properties);
    REQUIRE(saved(other) == properties, "another state");
}

CHECK(a_state_is_one_greeting_though_its_properties_come_one_by_one) {
    FakeEngine engine;
    Plugin plugin;
    plugin.start();
    engine.greeting();
    engine.answer("ok 00112233445566778899aabbccddeeff");
    std::vector<float> row(512);
    float* const rows[] = {row.data(), row.data(), row.data(), row.data()};
    while (plugin.controls["connected"] != 1) {  // or the check is ended
        plugin.run(rows, rows, 512);
        usleep(1000);
    }
    const int first = std::exchange(engine.peer, -1);
    Properties properties = saved(plugin);
    for (const auto& [key, text] : {std::pair{"label", "Gitarre"}, {"model", "panorama"}, {"timbres", "{}"},
                                    {"uuid", "ffff2233445566778899aabbccddeeff"}})
        properties[urid_of((std::string("urn:distrho:") + key).c_str())] = std::string(text) + '\0';
    pause_us = 2000;
    load(plugin, properties);
    const std::string hello = engine.greeting();
    for (const char* told : {"Gitarre", "panorama", "\"{}\"", "ffff2233"})
        REQUIRE(hello.find(told) != std::string::npos, "%s lacks %s", hello.c_str(), told);
    REQUIRE(!engine.is_greeted(), "greeted again");
    close(first);
}

CHECK(a_state_that_is_none_does_no_harm) {
    Plugin plugin;
    const Properties before = saved(plugin);
    load(plugin, {});
    REQUIRE(saved(plugin) == before, "an empty state changes something");
    Random random(3);
    for (int i = 0; i < 200; ++i) {
        Properties wild = before;
        for (auto& [key, text] : wild) {
            text.assign(random.below(3000), 0);
            for (char& byte : text)
                byte = char(random.bits());
        }
        load(plugin, wild);
        saved(plugin);
    }
}

int main(int count, char** words) { return run_checks(count, words); }
