// Checks that are the same in every format, on the `Plugin` of its host. The file that has `main`
// includes them, after that host.
#pragma once

#include <memory>
#include <vector>

#include "checks.h"
#include "fake_engine.h"

namespace checks {

CHECK(scan_takes_less_than_100_ms) {
    const double took_s = quickest_s([] { Plugin plugin; });
    REQUIRE(took_s < 0.1, "%.0f ms", 1e3 * took_s);
}

CHECK(a_hundred_instances_come_and_go) {
    std::vector<std::unique_ptr<Plugin>> plugins;
    for (int i = 0; i < 100; ++i)
        plugins.push_back(std::make_unique<Plugin>());
    plugins.erase(plugins.begin(), plugins.begin() + 50);
    for (size_t i = 0; i < plugins.size(); i += 10)
        plugins[i]->start();
}

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

}  // namespace checks
