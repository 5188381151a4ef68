// What an engine is told by a plugin of VST3, and what the host is told of it. See checks.h.
#include "fake_engine.h"
#include "ring.h"
#include "vst3_checks.h"

using namespace checks;

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

// A host that keeps the latency that it has asked for would shift the bounce, and another tier sounds
// otherwise.
CHECK(a_bounce_has_the_latency_and_the_blocks_of_what_was_heard) {
    for (const int32_t block : {512, 1024, 4096}) {
        FakeEngine engine;
        Plugin plugin;
        plugin.start(44100, block);
        const uint32_t latency = plugin.latency();
        engine.greeting();
        engine.answer("ok 00112233445566778899aabbccddeeff");
        plugin.stop();
        plugin.start(44100, block / 2, V3_OFFLINE);
        REQUIRE(plugin.latency() == latency, "%u after %u", plugin.latency(), latency);
        REQUIRE(!engine.is_greeted(), "greeted for a bounce");
        plugin.stop();
        plugin.start(48000, block, V3_OFFLINE);
        REQUIRE(engine.greeting().find("\"block\":0,") != std::string::npos, "another rate is none that was heard");
    }
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
