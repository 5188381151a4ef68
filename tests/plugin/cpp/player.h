// What the players of each format share: the same sound, blocks and values for all of them.
//   PLAYER PLUGIN IN OUT [CONTROL=VALUE]...
// Files are 32-bit floats, interleaved: 2 channels in, as many out as the plugin has. The host
// renders: it says that nobody listens, and plays as fast as it can.
#pragma once

#include <algorithm>
#include <functional>
#include <map>

#include "checks.h"

inline constexpr uint32_t kPlayerBlock = 512;

struct Player {
    std::vector<float> in, out;
    std::map<std::string, double> values;
    std::string out_path;

    Player(int count, char** words) : out_path(words[3]) {
        plugin_path = words[1];
        std::FILE* const file = std::fopen(words[2], "rb");
        float part[4096];
        for (size_t n; (n = std::fread(part, sizeof *part, 4096, file)) > 0;)
            in.insert(in.end(), part, part + n);
        std::fclose(file);
        for (int i = 4; i < count; ++i) {
            const std::string word = words[i];
            values[word.substr(0, word.find('='))] = std::atof(word.c_str() + word.find('=') + 1);
        }
    }

    // `play` is given rows of input and of as many outputs as there are channels.
    void run(size_t channels, const std::function<void(float* const*, float* const*, uint32_t)>& play) {
        for (size_t at = 0; at < in.size() / 2; at += kPlayerBlock) {
            const size_t n = std::min<size_t>(kPlayerBlock, in.size() / 2 - at);
            std::vector<std::vector<float>> rows(2 + channels, std::vector<float>(n, kUnwritten));
            std::vector<float*> heads;
            for (auto& row : rows)
                heads.push_back(row.data());
            for (size_t i = 0; i < n; ++i)
                for (size_t c = 0; c < 2; ++c)
                    rows[c][i] = in[2 * (at + i) + c];
            play(heads.data(), heads.data() + 2, uint32_t(n));
            for (size_t i = 0; i < n; ++i)
                for (size_t c = 0; c < channels; ++c)
                    out.push_back(rows[2 + c][i]);
        }
        std::FILE* const file = std::fopen(out_path.c_str(), "wb");
        REQUIRE(std::fwrite(out.data(), sizeof(float), out.size(), file) == out.size(), "not written");
        std::fclose(file);
    }
};
