// What hosts and validators of CLAP ask: controls, texts, states. See checks.h.
#include "clap_checks.h"

using namespace checks;

// --- controls

CHECK(parameters_are_described_and_none_is_beyond_the_count) {
    Plugin plugin;
    std::set<std::string> names;
    for (const auto& [id, info] : plugin.infos()) {
        REQUIRE(info.name[0] && names.insert(info.name).second, "name '%s'", info.name);
        REQUIRE(info.min_value < info.max_value, "%s: an empty range", info.name);
        REQUIRE(info.default_value >= info.min_value && info.default_value <= info.max_value, "%s", info.name);
        REQUIRE(plugin.value(id) == info.default_value, "%s is %g", info.name, plugin.value(id));
    }
    clap_param_info_t info;
    const uint32_t count = plugin.params->count(plugin.plugin);
    for (const uint32_t index : {count, count + 1, 1000000u, UINT32_MAX})
        REQUIRE(!plugin.params->get_info(plugin.plugin, index, &info), "index %u", index);
}

CHECK(unknown_parameters_are_refused_everywhere) {
    Plugin plugin;
    char text[64];
    double value;
    for (const clap_id id : {15u, 100u, 100000000u, UINT32_MAX}) {
        REQUIRE(!plugin.params->get_value(plugin.plugin, id, &value), "get_value(%u)", id);
        REQUIRE(!plugin.params->value_to_text(plugin.plugin, id, 0, text, sizeof text), "text of %u", id);
        REQUIRE(!plugin.params->text_to_value(plugin.plugin, id, "1", &value), "value of %u", id);
        plugin.set(id, 40);
    }
}

CHECK(values_are_the_same_after_text_and_back) {
    Plugin plugin;
    for (const auto& [id, info] : plugin.infos())
        for (int k = 0; k <= 200; ++k) {
            const double value = info.min_value + (info.max_value - info.min_value) * k / 200;
            char text[128], again[128];
            double back = kNan;
            REQUIRE(plugin.params->value_to_text(plugin.plugin, id, value, text, sizeof text), "%s", info.name);
            REQUIRE(text[0] && !std::strchr(text, ',') && std::strcmp(text, "-0"), "%s: '%s'", info.name, text);
            REQUIRE(plugin.params->text_to_value(plugin.plugin, id, text, &back), "%s: '%s'", info.name, text);
            plugin.params->value_to_text(plugin.plugin, id, back, again, sizeof again);
            REQUIRE(!std::strcmp(text, again), "%s: '%s' is '%s' again", info.name, text, again);
            REQUIRE(std::fabs(back - value) <= (info.flags & CLAP_PARAM_IS_STEPPED ? 0.5 : 0.0006),
                    "%s: %g is %g again", info.name, value, back);
        }
}

CHECK(texts_are_those_that_people_read) {
    Plugin plugin;
    const struct { clap_id id; double value; const char* text; } kTexts[] = {
        {0, -30.5, "-30.5 deg"}, {0, 0, "0 deg"},   {kGain, -0.000001, "0 dB"}, {kMix, 0.75, "0.75"},
        {kBypass, 1, "on"},      {kBypass, 0, "off"}, {2, 8, "guitar"},          {2, 40, "unnamed 40"},
        {6, 1, "remove"},        {9, 3, "512"},      {11, 1, "yes"},            {12, 1000000, "1000000"},
        {0, kNan, "0 deg"},      {0, 1e30, "45 deg"}};
    for (const auto& [id, value, text] : kTexts) {
        char shown[64] = "";
        plugin.params->value_to_text(plugin.plugin, id, value, shown, sizeof shown);
        REQUIRE(!std::strcmp(shown, text), "'%s', expected '%s'", shown, text);
        char tight[3];
        plugin.params->value_to_text(plugin.plugin, id, value, tight, sizeof tight);
        REQUIRE(std::strlen(tight) <= 2, "more than the room");
    }
}

CHECK(texts_that_people_write_are_read_and_others_refused) {
    Plugin plugin;
    const struct { clap_id id; const char* text; double value; } kTexts[] = {
        {0, "12,5", 12.5},  {0, " -30.5 ", -30.5}, {0, "-30.5deg", -30.5}, {0, "+5", 5},  {0, "1000", 45},
        {kGain, "-6 db", -6}, {kBypass, "On", 1},  {kBypass, "FALSE", 0},  {kBypass, "1", 1},
        {2, "Guitar", 8},   {2, "8", 8},           {6, " REMOVE", 1},      {9, "4096", 2}, {kMix, ".5", 0.5}};
    for (const auto& [id, text, value] : kTexts) {
        double read = kNan;
        REQUIRE(plugin.params->text_to_value(plugin.plugin, id, text, &read) && read == value, "'%s': %g", text, read);
    }
    for (const char* text : {"", " ", "abc", "1e999", "-1e999", "nan", "inf", "-infinity", "1.2.3", "1,2,3",
                             "0x10", "5 %", "--5", "+-5", "- 5", "deg"}) {
        double read;
        REQUIRE(!plugin.params->text_to_value(plugin.plugin, 0, text, &read), "'%s' is %g", text, read);
    }
}

CHECK(illegal_values_become_legal_or_are_left_out) {
    Plugin plugin;
    for (const auto& [id, info] : plugin.infos())
        for (const double wrong : {kNan, kInfinity, -kInfinity, 1e30, -1e30, 1e-320, 0.4999, 1.5}) {
            plugin.set(id, wrong);
            const double value = plugin.value(id);
            REQUIRE(value >= info.min_value && value <= info.max_value, "%s: %g gives %g", info.name, wrong, value);
            if (info.flags & CLAP_PARAM_IS_STEPPED)
                REQUIRE(value == std::round(value), "%s is %g", info.name, value);
        }
    plugin.set(kWidth, 1e30);
    REQUIRE(plugin.value(kWidth) == 90, "%g", plugin.value(kWidth));
    plugin.set(kWidth, kNan);
    REQUIRE(plugin.value(kWidth) == 90, "NaN moved it to %g", plugin.value(kWidth));
}

CHECK(events_that_are_not_ours_are_left_out_and_end_nothing) {
    Plugin plugin;
    for (const bool active : {false, true}) {
        if (active)
            plugin.start();
        plugin.set(0, 5);
        Events events;
        events.add(0, 40, 0xb33f);                                           // another space
        events.add(0, 40, CLAP_CORE_EVENT_SPACE_ID, 0, CLAP_EVENT_PARAM_MOD);  // not for us
        events.add(0, 40, CLAP_CORE_EVENT_SPACE_ID, 0, 999);
        events.add(99, 40);
        events.add(UINT32_MAX, 40);
        events.list.emplace_back();  // null
        events.add(0, 40);
        reinterpret_cast<clap_event_header_t*>(events.list.back().data())->size = 8;  // cut off
        events.add(kWidth, 33);
        std::vector<float> row(64);
        float* const rows[] = {row.data(), row.data(), row.data(), row.data()};
        active ? void(plugin.play(rows, rows, 64, events)) : plugin.flush(events);
        REQUIRE(plugin.value(0) == 5, "azimuth is %g", plugin.value(0));
        REQUIRE(plugin.value(kWidth) == 33, "what follows is lost");
        plugin.set(kWidth, 20);
    }
}

CHECK(a_parameter_may_move_with_every_sample) {
    Plugin plugin;
    plugin.start();
    Random random(7);
    const auto infos = plugin.infos();
    auto left = noise(256, 1), right = noise(256, 2), rest = left, rest2 = left;
    float* const rows[] = {left.data(), right.data(), rest.data(), rest2.data()};
    for (int block = 0; block < 300; ++block) {
        Events events;
        for (uint32_t i = 0; i < 256; ++i) {
            const auto& info = std::next(infos.begin(), random.below(uint32_t(infos.size())))->second;
            events.add(info.id, info.min_value + (random.unit() * 1.4 - 0.2) * (info.max_value - info.min_value), 0, i);
        }
        REQUIRE(plugin.play(rows, rows, 256, events) != CLAP_PROCESS_ERROR, "process");
        for (const float* row : rows)
            REQUIRE(std::all_of(row, row + 256, [](float x) { return std::fabs(x) < 4; }), "loud or NaN");
    }
    for (const auto& [id, info] : infos)
        REQUIRE(plugin.value(id) >= info.min_value && plugin.value(id) <= info.max_value, "%s", info.name);
}

CHECK(any_transport_is_taken) {
    Plugin plugin;
    plugin.start();
    Random random(11);
    std::vector<float> row(64);
    float* const rows[] = {row.data(), row.data(), row.data(), row.data()};
    const uint16_t kBeats[] = {0, 1, 2, 3, 5, 7, 16, 65535};
    const double kTempi[] = {0, -1, 1e-300, 120, 1e300, kNan, kInfinity};
    for (int i = 0; i < 2000; ++i) {
        clap_event_transport_t transport = {};
        transport.header = {sizeof transport, 0, 0, CLAP_EVENT_TRANSPORT, 0};
        transport.flags = random.bits() & 0xff;
        transport.tempo = kTempi[random.below(7)];
        transport.tsig_num = kBeats[random.below(8)];
        transport.tsig_denom = kBeats[random.below(8)];
        transport.song_pos_beats = int64_t(uint64_t(random.bits()) << random.below(33));
        transport.song_pos_seconds = random.below(3) ? int64_t(random.bits()) - (1 << 31) : INT64_MIN;
        Events events;
        REQUIRE(plugin.play(rows, rows, 64, events, &transport) != CLAP_PROCESS_ERROR, "process");
    }
}

CHECK(main_and_audio_thread_may_work_at_once) {
    Plugin plugin;
    plugin.start();
    std::thread audio([&plugin] {
        const auto sound = noise(200 * 256, 1);
        through(plugin, sound, sound, {256});
    });
    for (int i = 0; i < 200; ++i) {
        set_all(plugin, uint64_t(i));  // not allowed by CLAP, but hosts do it
        plugin.inputs();
        REQUIRE(loaded(plugin, saved(plugin)), "state");
    }
    audio.join();
}

// --- state

CHECK(a_state_brings_back_every_value_whatever_the_pieces) {
    for (const size_t piece : {0, 1, 2, 17, 23, 64, 100, 255}) {
        Plugin plugin;
        set_all(plugin, piece + 1);
        const std::string state = saved(plugin);
        REQUIRE(saved(plugin, piece) == state, "saved in pieces of %zu", piece);
        Plugin other;
        set_all(other, 99);
        const int rescans = other.host.rescans;
        REQUIRE(loaded(other, state, piece), "loaded in pieces of %zu", piece);
        REQUIRE(other.inputs() == plugin.inputs(), "values, in pieces of %zu", piece);
        REQUIRE(other.host.rescans == rescans + 1, "the host is not told");
        REQUIRE(saved(other) == state, "another state");
    }
}

CHECK(a_state_of_an_earlier_version_is_read) {
    const std::string state = strings(
        {"__dpf_state_begin__", "label", "Gitarre", "model", "", "offline_policy", "dry", "schema", "1", "uuid",
         "00112233445566778899aabbccddeeff", "__dpf_state_end__", "__dpf_parameters_begin__", "azimuth", "-30.5",
         "width", "12.25", "instrument", "8", "timbre_morph", "0.300000011921", "strength", "0.899999976158", "mix", "0.75", "mode", "1",
         "gain", "-6.5", "dpf_bypass", "1", "latency_mode", "2", "offline", "1", "__dpf_parameters_end__", "\xfe"});
    Plugin plugin;
    REQUIRE(loaded(plugin, state), "refused");
    const double kExpected[] = {-30.5, 12.25, 8, 0.3f, 0.9f, 0.75, 1, -6.5, 1, 2, 1};
    for (clap_id id = 0; id < 11; ++id)
        REQUIRE(plugin.value(id) == kExpected[id], "parameter %u is %g", id, plugin.value(id));
    REQUIRE(saved(plugin).find("Gitarre") != std::string::npos, "the label is lost");
}

CHECK(a_state_of_a_later_version_is_saved_as_ours_with_what_is_unknown) {
    const auto with = [](const char* schema, const char* azimuth) {
        return strings({"__dpf_state_begin__", "label", "Gitarre", "later", "kept, with \"signs\"", "schema", schema,
                        "__dpf_state_end__", "__dpf_parameters_begin__", "azimuth", azimuth, "dropouts", "3",
                        "later_control", "7", "__dpf_parameters_end__", "\xfe"});
    };
    Plugin plugin;
    REQUIRE(loaded(plugin, with("2", "12")), "refused");
    const std::string state = saved(plugin);
    REQUIRE(state.find(strings({"schema", "1"})) != state.npos, "it is saved as what it is not");
    REQUIRE(state.find(strings({"later", "kept, with \"signs\""})) != state.npos, "a property is lost");
    REQUIRE(state.find(strings({"later_control", "7"})) != state.npos, "a value is lost");
    REQUIRE(state.find("dropouts") == state.npos, "an output is kept");
    REQUIRE(plugin.value(0) == 12, "azimuth is %g", plugin.value(0));
    Plugin other;
    REQUIRE(loaded(other, state) && saved(other) == state, "another state");
    Plugin fresh;
    REQUIRE(loaded(other, saved(fresh)) && saved(other).find("later") == std::string::npos,
            "what another state has kept stays");
}

CHECK(a_state_that_is_none_changes_nothing) {
    Plugin plugin;
    set_all(plugin, 5);
    const auto before = plugin.inputs();
    set_all(plugin, 6);
    const std::string state = saved(plugin);
    set_all(plugin, 5);
    for (size_t size = 0; size + 2 < state.size(); ++size)
        REQUIRE(!loaded(plugin, state.substr(0, size)), "%zu of %zu bytes are taken", size, state.size());
    Random random(3);
    for (int i = 0; i < 500; ++i) {
        std::string bytes(random.below(2000), 0);
        for (char& byte : bytes)
            byte = char(random.bits());
        REQUIRE(!loaded(plugin, bytes), "random bytes are taken");
    }
    for (const std::string& text : {std::string("\xfe", 2), std::string(1 << 22, 'x'), std::string(1 << 22, '\0'),
                                    std::string("{\"json\": 1}"), state.substr(20), state.substr(0, state.size() / 2) + "\xfe"})
        REQUIRE(!loaded(plugin, text), "%zu other bytes are taken", text.size());
    REQUIRE(plugin.inputs() == before, "a state that was refused was applied in part");
}

CHECK(what_is_wrong_in_a_state_gets_its_default) {
    const auto with = [](const char* number) {
        return strings({"__dpf_state_begin__", "later", "x", "__dpf_state_end__", "__dpf_parameters_begin__",
                        "azimuth", number, "mix", "0.25", "later", "1", "__dpf_parameters_end__", "\xfe"});
    };
    for (const char* number : {"nan", "inf", "-inf", "1e999", "", "abc", "0x10"}) {
        Plugin plugin;
        set_all(plugin, 2);
        REQUIRE(loaded(plugin, with(number)), "'%s'", number);
        REQUIRE(plugin.value(0) == 0 && plugin.value(kMix) == 0.25, "'%s': %g", number, plugin.value(0));
    }
    Plugin plugin;
    REQUIRE(loaded(plugin, with("1000")) && plugin.value(0) == 45, "%g", plugin.value(0));
}

CHECK(streams_that_fail_are_told) {
    Plugin plugin;
    for (const int64_t answer : {int64_t(0), int64_t(-1), INT64_MIN, INT64_MAX}) {
        static int64_t said;
        said = answer;
        const clap_ostream_t out = {nullptr, [](const clap_ostream_t*, const void*, uint64_t) { return said; }};
        const clap_istream_t in = {nullptr, [](const clap_istream_t*, void*, uint64_t) { return said; }};
        REQUIRE(!plugin.state->save(plugin.plugin, &out), "saved, at %lld", (long long)answer);
        REQUIRE(!plugin.state->load(plugin.plugin, &in), "loaded, at %lld", (long long)answer);
    }
}
