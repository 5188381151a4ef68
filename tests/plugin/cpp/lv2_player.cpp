// Renders a file through the LV2. See player.h.
#include "lv2_checks.h"
#include "player.h"

using namespace checks;

int main(int count, char** words) {
    Player player(count, words);
    Plugin plugin(44100, kPlayerBlock);
    for (const auto& [title, value] : player.values) {
        std::string symbol = title;
        for (char& c : symbol)
            c = c == ' ' ? '_' : char(std::tolower(c));
        plugin.controls[symbol] = float(value);
    }
    plugin.controls["offline"] = 1;
    plugin.start();
    player.run(plugin.outputs().size(), [&plugin](float* const* in, float* const* out, uint32_t n) {
        plugin.run(in, out, n);
    });
}
