// What hosts and validators of CLAP ask: library, life, sound, latency. See checks.h.
#define CHECKS_MAIN
#include "clap_checks.h"
#include "fake_engine.h"
#include "ring.h"
#include "starts.h"

using namespace checks;

// --- the library

CHECK(scan_takes_less_than_100_ms) {
    const double took_s = quickest_s([] { Plugin plugin; });
    REQUIRE(took_s < 0.1, "%.0f ms", 1e3 * took_s);
}

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

CHECK(memory_that_could_not_be_shared_once_is_shared_when_there_is_some) {
    FakeEngine engine;
    Plugin plugin;
    plugin.start();
    engine.greeting();
    rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    const rlimit none = {0, files.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    plugin.stop();
    plugin.start(48000);
    require_dry_run(plugin, {512}, 4096, "not shared");
    setrlimit(RLIMIT_NOFILE, &files);
    plugin.stop();
    while (engine.is_greeted())  // of before
        engine.greeting();
    plugin.start(48000);
    REQUIRE(engine.greeting().find("\"rate_hz\":48000,") != std::string::npos, "another rate");
}

CHECK(without_a_thread_a_host_goes_on_and_later_there_may_be_one) {
    FakeEngine engine;
    Plugin plugin;
    const auto* track = plugin.extension<clap_plugin_track_info_t>(CLAP_EXT_TRACK_INFO);
    without_threads([&] {
        REQUIRE(!plugin.plugin->activate(plugin.plugin, 44100, 1, 512), "active without a thread");
        REQUIRE(loaded(plugin, saved(plugin)), "state");
        plugin.host.track = "Bass";
        track->changed(plugin.plugin);
    });
    plugin.start();
    REQUIRE(engine.greeting().find("\"track\":\"Bass\"") != std::string::npos, "another track");
}

// An engine that can be started and ends without a word but a line in a file.
struct Autostart {
    std::string folder = "/tmp/checks-XXXXXX", command, started;
    time_t written_s = 0;

    Autostart() {
        REQUIRE(mkdtemp(&folder[0]), "no folder");
        command = folder + "/autostart";
        started = folder + "/started";
        setenv("STEMSTEER_SOCKET", (folder + "/none").c_str(), 1);
        setenv("STEMSTEER_AUTOSTART", command.c_str(), 1);
        write();
    }

    ~Autostart() {
        for (const std::string& path : {command, started})
            unlink(path.c_str());
        rmdir(folder.c_str());
    }

    // A second after the last time, by the file.
    void write() {
        const std::string part = command + ".part";
        const timespec times[] = {{++written_s, 0}, {written_s, 0}};
        std::FILE* const file = std::fopen(part.c_str(), "w");
        std::fprintf(file, "/bin/sh\n-c\necho >> %s\n", started.c_str());
        std::fclose(file);
        chmod(part.c_str(), 0600);
        utimensat(AT_FDCWD, part.c_str(), times, 0);
        rename(part.c_str(), command.c_str());
    }

    int count() const {
        struct stat found;
        return stat(started.c_str(), &found) ? 0 : int(found.st_size);
    }

    void await(int starts) const {
        while (count() < starts)  // or the check is ended
            usleep(1000);
    }
};

CHECK(of_many_instances_one_starts_an_engine) {
    const Autostart engine;
    std::vector<std::unique_ptr<Plugin>> plugins;
    for (int i = 0; i < 10; ++i) {
        plugins.push_back(std::make_unique<Plugin>());
        plugins.back()->start();
        require_dry_run(*plugins.back(), {512}, 2048, "played");
    }
    engine.await(1);
    usleep(1000000);  // for others
    REQUIRE(engine.count() == 1, "%d are started", engine.count());
}

// With the pauses of a command that stays the same, the fifth would be started after 150 s.
CHECK(a_command_that_is_written_anew_is_tried_at_once) {
    Autostart engine;
    Plugin plugin;
    plugin.start();
    require_dry_run(plugin, {512}, 2048, "played");
    for (int starts = 1; starts < 5; ++starts) {
        engine.await(starts);
        engine.write();
    }
    engine.await(5);
}

CHECK(where_no_engine_answers_the_starts_become_rare) {
    stemsteer::Starts starts;
    std::vector<int> begun_s;
    for (int now_s = 1; now_s <= 1000; ++now_s)
        if (starts.begin(now_s, 5))
            begun_s.push_back(now_s);
    REQUIRE((begun_s == std::vector<int>{1, 11, 31, 71, 151, 311, 631, 951}), "%zu starts", begun_s.size());
    starts.succeed(1000);
    REQUIRE(!starts.begin(1005, 5) && starts.begin(1010, 5) && !starts.begin(1019, 5) && starts.begin(1020, 5),
            "as at first");
    REQUIRE(starts.begin(1021, 6) && !starts.begin(1030, 6) && starts.begin(1031, 6), "not anew");
}

CHECK(the_engine_is_told_the_name_of_the_track) {
    FakeEngine engine;
    Plugin plugin;
    plugin.host.track = "Gitarre \"L\" \\ & \xc3\xa4\xff";
    const auto* track = plugin.extension<clap_plugin_track_info_t>(CLAP_EXT_TRACK_INFO);
    track->changed(plugin.plugin);
    plugin.start();
    const std::string first = engine.greeting();
    REQUIRE(first.find("\"track\":\"Gitarre \\\"L\\\" \\\\ & \xc3\xa4?\"") != std::string::npos, "%s", first.c_str());
    engine.answer("ok 00112233445566778899aabbccddeeff");
    plugin.host.track = "Bass";
    track->changed(plugin.plugin);
    const std::string second = engine.message();  // on the connection that is open
    REQUIRE(second == "{\"rename\":1,\"label\":\"\",\"track\":\"Bass\"}", "%s", second.c_str());
}

CHECK(the_engine_is_told_of_larger_blocks_and_goes_on_with_smaller_ones) {
    FakeEngine engine;
    Plugin plugin;
    plugin.set(kLatencyMode, 4);  // the latency is the same for all of these blocks
    plugin.start(44100, 512);
    REQUIRE(engine.greeting().find("\"block\":512,") != std::string::npos, "not 512");
    engine.answer("ok 00112233445566778899aabbccddeeff");
    while (!plugin.value(11))
        usleep(1000);
    const int first = std::exchange(engine.peer, -1);
    plugin.stop();
    plugin.start(44100, 256);
    REQUIRE(!engine.is_greeted(), "greeted for a smaller block");
    plugin.stop();
    plugin.start(44100, 2048);
    REQUIRE(engine.greeting().find("\"block\":2048,\"latency\":8192,") != std::string::npos, "not 2048");
    engine.answer("ok 00112233445566778899aabbccddeeff");
    std::swap(engine.peer, const_cast<int&>(first));
    REQUIRE(engine.message().empty(), "the first engine is not left");
    std::vector<float> row(4096);
    float* const rows[] = {row.data(), row.data(), row.data(), row.data()};
    Events events;
    plugin.play(rows, rows, 4096, events);  // larger than announced
    REQUIRE(engine.greeting().find("\"block\":4096,\"latency\":8192,") != std::string::npos, "not 4096");
}

CHECK(the_blocks_of_a_render_do_not_count) {
    FakeEngine engine;
    Plugin plugin;
    const auto* render = plugin.extension<clap_plugin_render_t>(CLAP_EXT_RENDER);
    plugin.set(kLatencyMode, 2);
    render->set(plugin.plugin, CLAP_RENDER_OFFLINE);
    plugin.start(44100, 4096);
    REQUIRE(engine.greeting().find("\"block\":0,\"latency\":4096,") != std::string::npos, "not 0");
    engine.answer("ok 00112233445566778899aabbccddeeff");
    render->set(plugin.plugin, CLAP_RENDER_REALTIME);
    plugin.stop();
    plugin.start(44100, 512);
    REQUIRE(engine.greeting().find("\"block\":512,\"latency\":4096,") != std::string::npos, "not 512");
}

CHECK(another_instances_state_is_greeted_at_once_and_the_engine_is_kept_until_the_answer) {
    FakeEngine engine;
    Plugin plugin;
    plugin.start();
    engine.greeting();
    engine.answer("ok 00112233445566778899aabbccddeeff");
    while (!plugin.value(11))
        usleep(1000);
    std::string state = saved(plugin);
    state.replace(state.find("0011"), 4, "ffff");
    const int first = std::exchange(engine.peer, -1);
    REQUIRE(loaded(plugin, state), "refused");
    const std::string hello = engine.greeting();
    REQUIRE(hello.find("\"uuid\":\"ffff2233") != std::string::npos, "%s", hello.c_str());
    char nothing;
    REQUIRE(recv(first, &nothing, 1, MSG_DONTWAIT) < 0, "the first engine is left before an answer");
    REQUIRE(plugin.value(11) == 1, "not connected meanwhile");
    engine.answer("ok ffff2233445566778899aabbccddeeff");
    std::swap(engine.peer, const_cast<int&>(first));
    REQUIRE(engine.message().empty(), "the first engine is not left");
}

CHECK(a_project_is_to_be_saved_again_when_the_engine_has_learned) {
    FakeEngine engine;
    Plugin plugin;
    plugin.start();
    engine.greeting();
    engine.answer("ok 00112233445566778899aabbccddeeff");
    engine.answer("keep {}");
    for (int i = 0; i < 5000 && !plugin.host.callbacks; ++i)
        usleep(1000);
    REQUIRE(plugin.host.callbacks == 1 && plugin.host.dirty == 0, "the host is called beside its main thread");
    plugin.plugin->on_main_thread(plugin.plugin);
    plugin.plugin->on_main_thread(plugin.plugin);  // a host may call without a reason
    REQUIRE(plugin.host.dirty == 1, "told %d times", plugin.host.dirty.load());
}

// The records that an engine finds in the ring.
static std::vector<stemsteer::Record> records_of(FakeEngine& engine) {
    const stemsteer::Ring ring = stemsteer::Ring::at(engine.ring().first);
    return {ring.records, ring.records + ring.header->recorded.load()};
}

CHECK(values_are_told_with_their_places_in_the_block) {
    FakeEngine engine;
    Plugin plugin;
    plugin.start(44100, 4096);
    engine.greeting();
    std::vector<float> row(4096);
    float* const rows[] = {row.data(), row.data(), row.data(), row.data()};
    Events events;
    for (const uint32_t time : {1000u, 1500u, 1510u, 1520u, 4095u})
        events.add(kGain, -double(time) / 100, CLAP_CORE_EVENT_SPACE_ID, time);
    plugin.play(rows, rows, 4096, events);
    REQUIRE(std::fabs(plugin.value(kGain) + 40.95) < 1e-4, "the last value is %g", plugin.value(kGain));
    const auto records = records_of(engine);
    const uint64_t kPlaces[] = {0, 1000, 1500, 1564, 4095};  // two values close to another are one
    const float kGains[] = {0, -10, -15, -15.2f, -40.95f};
    const uint32_t kFrames[] = {1, 882, 500, 64, 882};  // a jump has 20 ms, else up to the last move
    REQUIRE(records.size() == 5, "%zu records", records.size());
    for (size_t i = 0; i < records.size(); ++i) {
        const auto& record = records[i];
        REQUIRE(record.position == stemsteer::kOrigin + kPlaces[i], "record %zu is at %lld", i,
                (long long)(record.position - stemsteer::kOrigin));
        REQUIRE(record.values[kGain] == kGains[i], "record %zu has %g", i, record.values[kGain]);
        REQUIRE(record.samples == kFrames[i], "record %zu takes %u frames", i, record.samples);
    }
}

CHECK(values_that_are_told_by_long_blocks_are_a_curve_of_straight_lines) {
    for (const uint32_t time : {0u, 4095u}) {  // hosts tell the first value of a block, or the last
        FakeEngine engine;
        Plugin plugin;
        plugin.start(44100, 4096);
        engine.greeting();
        std::vector<float> row(4096);
        float* const rows[] = {row.data(), row.data(), row.data(), row.data()};
        for (const int gain : {0, -1, -2, -3, -4, -4, -20}) {
            Events events;
            events.add(kGain, gain, CLAP_CORE_EVENT_SPACE_ID, time);
            plugin.play(rows, rows, 4096, events);
        }
        const uint32_t kFrames[] = {1, 882, 4096, 4096, 4096, 882};  // a jump after a rest has 20 ms
        const auto records = records_of(engine);
        REQUIRE(records.size() == 6, "%zu records", records.size());
        for (size_t i = 0; i < records.size(); ++i)
            REQUIRE(records[i].samples == kFrames[i], "record %zu takes %u", i, records[i].samples);
    }
}

CHECK(values_that_move_with_every_block_of_two_samples_leave_the_records_that_are_needed) {
    FakeEngine engine;
    Plugin plugin;
    plugin.start(44100, 2);
    engine.greeting();
    std::vector<float> row(2);
    float* const rows[] = {row.data(), row.data(), row.data(), row.data()};
    for (int block = 0; block < 8192; ++block) {
        Events events;
        events.add(kGain, -block / 1000.0);
        plugin.play(rows, rows, 2, events);
    }
    const auto records = records_of(engine);
    REQUIRE(records.size() > 200 && records.size() <= 257, "%zu records in 16384 frames", records.size());
    for (size_t i = 1; i < records.size(); ++i)
        REQUIRE(records[i].position - records[i - 1].position == 64, "%zu", i);
    for (int block = 0; block < 64; ++block) {
        Events events;
        plugin.play(rows, rows, 2, events);
    }
    REQUIRE(records_of(engine).back().values[kGain] == -8.191f, "the last value is not told");
}

CHECK(texts_of_any_length_in_a_project_fit_the_greeting_and_stay_in_the_project) {
    for (const char* sign : {"x", "\"", "\x01", "\xc3\xa9", "\xf0\x9f\x8e\xb8"}) {
        std::string text;
        while (text.size() < 70000)
            text += sign;
        FakeEngine engine;
        Plugin plugin;
        const std::string state = strings(
            {"__dpf_state_begin__", "label", text.c_str(), "timbres", text.c_str(), "__dpf_state_end__",
             "__dpf_parameters_begin__", "__dpf_parameters_end__", "\xfe"});
        REQUIRE(loaded(plugin, state), "refused");
        plugin.start();
        const std::string hello = engine.greeting();
        const size_t timbres = hello.find("\"timbres\":\"");
        REQUIRE(timbres != std::string::npos && hello.back() == '}', "%.200s", hello.c_str());
        REQUIRE(hello.size() - timbres > 16384, "timbres that are too long look as if they were not");
        REQUIRE(saved(plugin).find(strings({"timbres", text.c_str()})) != std::string::npos, "not kept");
    }
}

CHECK(an_engine_that_writes_random_bytes_is_not_heard) {
    FakeEngine engine;
    Plugin plugin;
    plugin.start();
    engine.greeting();
    engine.answer("ok 00112233445566778899aabbccddeeff");
    const auto [bytes, size] = engine.ring();
    Random random(5);
    auto left = noise(512, 1), right = noise(512, 2), rest = left, rest2 = left;
    float* const rows[] = {left.data(), right.data(), rest.data(), rest2.data()};
    for (int block = 0; block < 200; ++block) {
        for (size_t i = 0; i + 4 <= size; i += 4) {
            const uint32_t word = random.bits();
            std::memcpy(bytes + i, &word, sizeof word);
        }
        auto* header = reinterpret_cast<stemsteer::Header*>(bytes);
        // All is done, it says; but for some blocks, few, because the plugin would wait for more.
        header->from = block < 6 && block % 2 ? random.bits() : stemsteer::kOrigin;
        header->done = UINT64_MAX / 2;
        Events events;
        for (float* row : {rows[0], rows[1]})
            std::copy_n(noise(512, uint64_t(block)).begin(), 512, row);
        plugin.play(rows, rows, 512, events);
        for (uint32_t channel = 0; channel < 2 * plugin.pairs(); ++channel)
            for (int i = 0; i < 512; ++i)
                REQUIRE(std::fabs(rows[channel][i]) <= 20, "a peak of %g", rows[channel][i]);
        REQUIRE(plugin.value(13) >= 0 && plugin.value(13) <= 1, "load %g", plugin.value(13));
    }
}

int main(int count, char** words) { return run_checks(count, words); }
