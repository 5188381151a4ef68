// What an engine is told by a plugin of CLAP, and what it may do to it. See checks.h.
#include "clap_checks.h"
#include "fake_engine.h"
#include "ring.h"

using namespace checks;

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

// The switch is an action; with that of a state a track would lose the timbre that the state has.
CHECK(a_state_with_learn_on_does_not_let_the_engine_learn) {
    FakeEngine engine;
    Plugin plugin;
    const auto play = [&plugin](std::initializer_list<std::pair<uint32_t, double>> moves) {
        std::vector<float> row(512);
        float* const rows[] = {row.data(), row.data(), row.data(), row.data()};
        Events events;
        for (const auto& [time, value] : moves)
            events.add(kLearn, value, CLAP_CORE_EVENT_SPACE_ID, time);
        plugin.play(rows, rows, 512, events);
    };
    plugin.set(kLearn, 1);
    const std::string state = saved(plugin);
    plugin.set(kLearn, 0);
    plugin.start();
    engine.greeting();
    play({});
    REQUIRE(loaded(plugin, state), "refused");
    play({});
    play({{0, 1}, {100, 1}});  // a host tells what it has read
    for (const auto& record : records_of(engine))
        REQUIRE(record.values[kLearn] == 0, "it learns");
    REQUIRE(plugin.value(kLearn) == 1, "a value of the state is lost");
    play({{100, 0}, {300, 1}});
    const auto records = records_of(engine);
    REQUIRE(records.back().values[kLearn] == 1 && records[records.size() - 2].values[kLearn] == 0,
            "it does not learn when it is switched on");
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
