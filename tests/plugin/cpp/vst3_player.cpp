// Renders a file through the VST3. See player.h.
#include "player.h"
#include "vst3_checks.h"

using namespace checks;

int main(int count, char** words) {
    Player player(count, words);
    Plugin plugin;
    for (const auto& [id, info] : plugin.infos()) {
        const std::string title(info.title, info.title + std::char_traits<char16_t>::length(
                                                             reinterpret_cast<const char16_t*>(info.title)));
        if (const auto found = player.values.find(title); found != player.values.end())
            plugin.flush(id, plugin.control()->plain_parameter_to_normalised(plugin.controller, id, found->second));
    }
    plugin.start(44100, kPlayerBlock, V3_OFFLINE);
    player.run(2 * size_t(plugin.buses(V3_OUTPUT)), [&plugin](float* const* in, float* const* out, uint32_t n) {
        plugin.play(in, out, int32_t(n), nullptr, nullptr, nullptr, V3_OFFLINE);
    });
}
