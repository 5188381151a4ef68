// What hosts and validators of VST3 ask: controls, texts, states. See checks.h.
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
