// Energy by azimuth and frequency, and how much of it is taken, as plugin_bridge/panel/picture.py
// and static/picture.js draw it in the browser.
#pragma once

#include <complex>
#include <vector>

#include "link.h"

namespace stemsteer {

constexpr int kColumns = 91;  // one a degree from -45 to 45
constexpr int kRows = 48;     // bands, from low to high
constexpr double kLowest_hz = 50, kHighest_hz = 16000;
constexpr float kSilence_db = -100;

class Field {
public:
    // Take a moment of sound in; `gain_db` is by how much the output is louder than what was taken.
    void add(const Sound& sound, float gain_db);

    // How bright a cell is drawn, 0 to 1, and which share of it is heard.
    float brightness(int row, int column) const;
    float share(int row, int column) const { return shares_[row * kColumns + column]; }

    // RMS of the last moment; an output that is not there is silent.
    float input_db() const { return input_db_; }
    float output_db() const { return output_db_; }

private:
    struct Overlap {  // of a bin and a band
        uint32_t bin, row;
        float weight;
    };

    void prepare(double rate_hz, uint32_t samples);
    void transform(const std::vector<float>& sound);
    void average(const std::vector<float>& levels, const std::vector<float>& taken);

    double rate_hz_ = 0;
    std::vector<float> window_;
    std::vector<Overlap> overlaps_;
    std::vector<std::complex<float>> turns_, spectrum_;
    std::vector<float> means_ = std::vector<float>(kColumns * kRows);
    std::vector<float> peaks_ = means_, shares_ = means_;
    float top_ = 0.5f;
    float input_db_ = kSilence_db, output_db_ = kSilence_db;
};

}  // namespace stemsteer
