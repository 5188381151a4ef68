// What hosts and validators of CLAP ask: library, life, sound, latency. See checks.h.
#define CHECKS_MAIN
#include "clap_checks.h"
#include "shared_checks.h"

using namespace checks;

// --- the library

CHECK(descriptor_is_filled_and_that_of_the_instance) {
    const auto* factory = the_factory();
    REQUIRE(factory->get_plugin_count(factory) == 1, "%u plugins", factory->get_plugin_count(factory));
    const auto* d = factory->get_plugin_descriptor(factory, 0);
    for (const char* text : {d->id, d->name, d->vendor, d->url, d->manual_url, d->support_url,
                             d->version, d->description})
        REQUIRE(text && text[0], "an empty field");
    REQUIRE(d->clap_version.major >= 1, "version %u", d->clap_version.major);
    Plugin plugin;
    REQUIRE(!std::strcmp(plugin.plugin->desc->id, d->id), "another id");
    REQUIRE(!factory->get_plugin_descriptor(factory, 1), "a descriptor beyond the count");
}

CHECK(features_have_a_main_category_and_no_doubles) {
    const auto* factory = the_factory();
    std::set<std::string> seen;
    for (const char* const* f = factory->get_plugin_descriptor(factory, 0)->features; *f; ++f)
        REQUIRE(seen.insert(*f).second, "%s twice", *f);
    REQUIRE(seen.count("audio-effect"), "no main category");
}

CHECK(unknown_factories_are_refused) {
    for (const char* id : {"foo-factory", "", "clap.plugin-factory-"})
        REQUIRE(!the_entry()->get_factory(id), "factory '%s'", id);
}

CHECK(unknown_ids_make_no_plugin) {
    const auto* factory = the_factory();
    const std::string id = factory->get_plugin_descriptor(factory, 0)->id;
    Host host;
    for (const std::string& other : {id + "x", id + " ", id.substr(1), std::string(), std::string("none")})
        REQUIRE(!factory->create_plugin(factory, &host.host, other.c_str()), "made '%s'", other.c_str());
    REQUIRE(!factory->create_plugin(factory, &host.host, nullptr), "made a plugin without an id");
}

CHECK(unknown_extensions_are_refused) {
    Plugin plugin;
    for (const char* id : {"", "clap.param", "clap.paramsx", "clap.gu", "org.nobody"})
        REQUIRE(!plugin.plugin->get_extension(plugin.plugin, id), "extension '%s'", id);
}

CHECK(a_host_without_extensions_is_served) {
    Plugin plugin(true);
    plugin.start();
    plugin.set(kLatencyMode, 2);
    require_dry_run(plugin, {512}, 8192, "bare host");
    plugin.stop();
    plugin.start(96000, 4096);
    REQUIRE(loaded(plugin, saved(plugin)), "state");
}

CHECK(ports_are_stereo_and_none_is_beyond_the_count) {
    Plugin plugin;
    for (const bool is_input : {true, false}) {
        const uint32_t count = plugin.ports->count(plugin.plugin, is_input);
        std::set<clap_id> ids;
        clap_audio_port_info_t info;
        for (uint32_t i = 0; i < count; ++i) {
            REQUIRE(plugin.ports->get(plugin.plugin, i, is_input, &info), "port %u", i);
            REQUIRE(info.channel_count == 2 && !std::strcmp(info.port_type, "stereo"), "not stereo");
            REQUIRE(ids.insert(info.id).second && info.name[0], "port %u", i);
            REQUIRE(!!(info.flags & CLAP_AUDIO_PORT_IS_MAIN) == (i == 0), "main port");
        }
        REQUIRE(count && !plugin.ports->get(plugin.plugin, count, is_input, &info), "beyond the count");
    }
}

// --- life

CHECK(activation_twice_and_after_each_other_is_served) {
    Plugin plugin;
    plugin.start();
    plugin.start(48000, 64);  // without stopping
    require_dry_run(plugin, {64}, 4096, "twice");
    for (int i = 0; i < 5; ++i) {
        plugin.stop();
        plugin.start();
        require_dry_run(plugin, {512}, 4096, "again");
    }
    plugin.stop();
    plugin.plugin->deactivate(plugin.plugin);
}

CHECK(absurd_rates_and_blocks_are_refused) {
    Plugin plugin;
    for (const double rate_hz : {0.0, -44100.0, kNan, kInfinity})
        REQUIRE(!plugin.plugin->activate(plugin.plugin, rate_hz, 1, 512), "rate %g", rate_hz);
    REQUIRE(!plugin.plugin->activate(plugin.plugin, 44100, 0, 0), "block 0");
    REQUIRE(!plugin.plugin->start_processing(plugin.plugin), "started while inactive");
}

CHECK(processing_without_activation_is_an_error_and_no_crash) {
    Plugin plugin;
    std::vector<float> row(512);
    float* const rows[] = {row.data(), row.data(), row.data(), row.data()};
    Events events;
    REQUIRE(plugin.play(rows, rows, 512, events) == CLAP_PROCESS_ERROR, "no error");
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

// --- sound

CHECK(every_output_is_written_apart_in_place_and_crossed) {
    for (const Placement placement : {kApart, kInPlace, kCrossed}) {
        Plugin plugin;
        plugin.start();
        const auto left = noise(8192, 1), right = noise(8192, 2);
        const auto out = through(plugin, left, right, {512}, placement);
        require_dry(out, left, right, plugin.latency->get(plugin.plugin), "placement");
    }
}

CHECK(every_rate_and_block_gives_the_input_at_the_latency) {
    for (const double rate_hz : {1000.0, 22050.0, 44100.0, 48000.0, 88200.0, 96000.0, 192000.0, 768000.0})
        for (const uint32_t block : {1u, 2u, 32u, 64u, 441u, 512u, 1024u, 4096u}) {
            Plugin plugin;
            plugin.start(rate_hz, block);
            require_dry_run(plugin, {block, 1, block}, 12000, "rate and block");
        }
}

CHECK(blocks_larger_than_announced_do_no_harm) {
    Plugin plugin;
    plugin.start(44100, 64);
    require_dry_run(plugin, {64, 9000, 0, 1}, 30000, "large");
    REQUIRE(plugin.host.restarts == 1, "%d restarts asked", plugin.host.restarts.load());
}

CHECK(missing_buffers_are_silence_and_are_not_written) {
    Plugin plugin;
    plugin.start();
    std::vector<float> row(512, kUnwritten);
    float* null_rows[] = {nullptr, nullptr, nullptr, nullptr};
    float* half_rows[] = {row.data(), nullptr, nullptr, row.data()};
    Events events;
    for (int i = 0; i < 8; ++i) {
        plugin.play(null_rows, null_rows, 512, events);
        plugin.play(half_rows, half_rows, 512, events);
        clap_process_t data = {};
        data.frames_count = 512;
        REQUIRE(plugin.plugin->process(plugin.plugin, &data) != CLAP_PROCESS_ERROR, "nothing at all");
        clap_audio_buffer_t no_rows = {nullptr, nullptr, 2, 0, 0}, mono = {half_rows, nullptr, 1, 0, 0};
        data.audio_inputs = &no_rows;
        data.audio_outputs = &mono;
        data.audio_inputs_count = data.audio_outputs_count = 1;
        REQUIRE(plugin.plugin->process(plugin.plugin, &data) != CLAP_PROCESS_ERROR, "mono");
    }
}

CHECK(what_is_no_number_in_the_input_is_silence) {
    Plugin plugin;
    plugin.start();
    auto left = noise(4096, 1), right = left;
    left[100] = float(kNan);
    right[200] = float(kInfinity);
    const auto out = through(plugin, left, right, {512});
    left[100] = right[200] = 0;
    require_dry(out, left, right, plugin.latency->get(plugin.plugin), "NaN");
}

CHECK(reset_forgets_what_was_under_way) {
    Plugin plugin;
    plugin.start();
    require_dry_run(plugin, {512}, 5120, "before");
    plugin.plugin->reset(plugin.plugin);
    require_dry_run(plugin, {512}, 5120, "after");
}

CHECK(the_audio_thread_allocates_nothing) {
    Plugin plugin;
    plugin.start();
    audio_allocations = 0;
    const auto left = noise(65536, 1);
    through(plugin, left, left, {512, 64, 1, 0, 4000});
    REQUIRE(audio_allocations == 0, "%zu allocations", audio_allocations);
}

// --- latency

CHECK(the_latency_is_told_in_activate_alone_and_constant_while_active) {
    Plugin plugin;
    plugin.start();
    const uint32_t first = plugin.latency->get(plugin.plugin);
    require_dry_run(plugin, {512}, 2048, "first");
    REQUIRE(plugin.host.restarts == 0, "a restart is asked for at the first block");
    plugin.set(kLatencyMode, 2);
    plugin.plugin->reset(plugin.plugin);
    require_dry_run(plugin, {512}, 512 * 40, "asked");
    REQUIRE(plugin.host.restarts == 1, "%d restarts asked", plugin.host.restarts.load());
    REQUIRE(plugin.latency->get(plugin.plugin) == first, "the latency changes while active");
    plugin.stop();
    plugin.start();
    REQUIRE(plugin.latency->get(plugin.plugin) == 4096, "%u", plugin.latency->get(plugin.plugin));
    REQUIRE(plugin.host.latency_changes == 1, "%d changes told", plugin.host.latency_changes.load());
    REQUIRE(plugin.host.wrong_latency_changes == 0, "told outside activate()");
    require_dry_run(plugin, {512}, 20480, "second");
    REQUIRE(plugin.host.restarts == 1, "%d restarts asked", plugin.host.restarts.load());
}

CHECK(the_latency_has_room_for_the_block_and_for_a_synthesis_window) {
    Plugin plugin;
    for (const double rate_hz : {44100.0, 48000.0, 88200.0, 96000.0, 176400.0, 192000.0})
        for (const uint32_t block : {64u, 512u, 1024u, 4096u, 7680u, 8192u, 14336u})
            for (const unsigned mode : {0u, 1u, 2u, 3u, 4u}) {
                const uint32_t scale = rate_hz <= 50000 ? 1 : rate_hz <= 100000 ? 2 : 4;
                const uint32_t synthesis = scale * (mode == 3 ? 256 : 512);
                plugin.set(kLatencyMode, mode);
                plugin.start(rate_hz, block);
                const uint32_t latency = plugin.latency->get(plugin.plugin);
                plugin.stop();
                REQUIRE(latency >= block + synthesis, "%u samples of latency for blocks of %u at %.0f Hz",
                        latency, block, rate_hz);
            }
}

CHECK(offline_rendering_can_be_set_and_other_modes_are_refused) {
    Plugin plugin;
    const auto* render = plugin.extension<clap_plugin_render_t>(CLAP_EXT_RENDER);
    REQUIRE(!render->has_hard_realtime_requirement(plugin.plugin), "hard real time");
    REQUIRE(render->set(plugin.plugin, 1) && render->set(plugin.plugin, 0), "modes");
    REQUIRE(!render->set(plugin.plugin, 7), "mode 7");
}

int main(int count, char** words) { return run_checks(count, words); }
