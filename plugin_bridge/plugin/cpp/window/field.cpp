#include "field.h"

#include <algorithm>
#include <cmath>

namespace stemsteer {

namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr float kFloor_db = -100, kTop_db = 0;  // levels of a cell that count as 0 and as 1
constexpr double kTilt_db = 3, kTiltedAround_hz = 1000;  // music falls by that an octave
constexpr float kBlur[] = {0.403f, 0.244f, 0.0545f};  // a Gaussian with a deviation of 1 degree
constexpr float kRise = 0.4f, kSink = 0.035f;  // of a mean: about the last second counts
constexpr float kFall = 0.985f;                // of a peak that is held
constexpr float kRange = 0.4f;                 // of the level that is drawn below the loudest cell
constexpr float kTiny = 1e-20f;

struct Powers {
    float left, right, cross;  // |L|², |R|², Re(L R*)

    float sum() const { return left + right; }
};

// The spectrum is that of left + i right: both are taken out of it by their symmetry.
Powers powers_of(const std::vector<std::complex<float>>& spectrum, uint32_t bin) {
    const std::complex<float> one = spectrum[bin];
    const std::complex<float> other = std::conj(spectrum[(spectrum.size() - bin) % spectrum.size()]);
    const std::complex<float> left = 0.5f * (one + other);
    const std::complex<float> right = std::complex<float>(0, -0.5f) * (one - other);
    return {std::norm(left), std::norm(right), (left * std::conj(right)).real()};
}

// What is out of phase goes to its louder side.
int column_of(float s1, float s2) {
    const float place = std::atan2(s2, s1) * float(90 / kPi);
    if (place < 0)
        return s1 > 0 ? 0 : kColumns - 1;
    return std::clamp(int(std::lround(place)), 0, kColumns - 1);
}

float rms_db(const std::vector<float>& sound) {
    double power = 0;
    for (const float value : sound)
        power += double(value) * value;
    const double mean = power / std::max<size_t>(1, sound.size() / 2);
    return float(std::max<double>(kSilence_db, 10 * std::log10(mean + 1e-30)));
}

void blur(std::vector<float>& grid) {
    for (int row = 0; row < kRows; ++row) {
        float* const cells = grid.data() + row * kColumns;
        const std::vector<float> sharp(cells, cells + kColumns);
        for (int column = 0; column < kColumns; ++column) {
            cells[column] = kBlur[0] * sharp[column];
            for (int reach = 1; reach <= 2; ++reach)
                cells[column] += kBlur[reach] * ((column >= reach ? sharp[column - reach] : 0) +
                                                 (column + reach < kColumns ? sharp[column + reach] : 0));
        }
    }
}

}  // namespace

void Field::prepare(double rate_hz, uint32_t samples) {
    rate_hz_ = rate_hz;
    window_.resize(samples);
    turns_.resize(samples / 2);
    for (uint32_t i = 0; i < samples; ++i)
        window_[i] = float((1 - std::cos(2 * kPi * i / samples)) * 2 / samples);
    for (uint32_t i = 0; i < samples / 2; ++i)
        turns_[i] = std::polar(1.0f, float(-2 * kPi * i / samples));
    overlaps_.clear();
    const double bin_hz = rate_hz / samples;
    for (uint32_t row = 0; row < kRows; ++row) {
        const double low = kLowest_hz * std::pow(kHighest_hz / kLowest_hz, double(row) / kRows);
        const double high = kLowest_hz * std::pow(kHighest_hz / kLowest_hz, (row + 1.0) / kRows);
        const double density = std::max(bin_hz / (high - low), 1.0);  // or narrow bands were dark
        const double tilt = std::pow(10, kTilt_db / 10 * std::log2(low / kTiltedAround_hz));
        for (uint32_t bin = uint32_t(low / bin_hz); bin < samples / 2; ++bin) {
            const double from = std::max(low, (bin - 0.5) * bin_hz), to = std::min(high, (bin + 0.5) * bin_hz);
            if (from >= high)
                break;
            if (to > from)
                overlaps_.push_back({bin, row, float((to - from) / bin_hz * density * tilt)});
        }
    }
}

// The spectrum of left + i right, in place: decimation in time, radix two.
void Field::transform(const std::vector<float>& sound) {
    const size_t size = window_.size();
    spectrum_.resize(size);
    for (size_t i = 0, reversed = 0; i < size; ++i) {
        spectrum_[reversed] = {sound[2 * i] * window_[i], sound[2 * i + 1] * window_[i]};
        size_t bit = size >> 1;
        for (; reversed & bit; bit >>= 1)
            reversed ^= bit;
        reversed |= bit;
    }
    for (size_t half = 1; half < size; half *= 2)
        for (size_t begin = 0; begin < size; begin += 2 * half)
            for (size_t i = 0; i < half; ++i) {
                std::complex<float>& a = spectrum_[begin + i];
                std::complex<float>& b = spectrum_[begin + i + half];
                const std::complex<float> turn = turns_[i * (size / 2 / half)];
                const std::complex<float> turned = {b.real() * turn.real() - b.imag() * turn.imag(),
                                                    b.real() * turn.imag() + b.imag() * turn.real()};
                b = a - turned;
                a += turned;
            }
}

void Field::add(const Sound& sound, float gain_db) {
    const auto samples = uint32_t(sound.input.size() / 2);
    if (rate_hz_ != sound.rate_hz || window_.size() != samples)
        prepare(sound.rate_hz, samples);
    std::vector<float> outputs(samples / 2);  // power by bin
    if (sound.processed) {
        const float undo = std::pow(10.0f, -gain_db / 10);
        transform(sound.output);
        for (const Overlap& overlap : overlaps_)
            outputs[overlap.bin] = undo * powers_of(spectrum_, overlap.bin).sum();
    }
    transform(sound.input);
    std::vector<float> levels(kColumns * kRows), taken(kColumns * kRows);
    for (const Overlap& overlap : overlaps_) {
        const Powers powers = powers_of(spectrum_, overlap.bin);
        const float s1 = powers.left - powers.right, s2 = 2 * powers.cross, power = powers.sum();
        float sure = (s1 * s1 + s2 * s2) / (power * power + kTiny);  // P², see picture.py
        sure *= sure * sure;
        const float weight = overlap.weight * sure * sure;
        const int cell = int(overlap.row) * kColumns + column_of(s1, s2);
        levels[cell] += weight * power;
        taken[cell] += weight * std::min(outputs[overlap.bin], power);
    }
    blur(levels);
    blur(taken);
    average(levels, taken);
    input_db_ = rms_db(sound.input);
    output_db_ = sound.processed ? rms_db(sound.output) : kSilence_db;
}

void Field::average(const std::vector<float>& levels, const std::vector<float>& taken) {
    float highest = 0;
    for (size_t i = 0; i < levels.size(); ++i) {
        const float level_db = 10 * std::log10(levels[i] + kTiny);
        const float level = std::clamp((level_db - kFloor_db) / (kTop_db - kFloor_db), 0.0f, 1.0f);
        means_[i] += (level > means_[i] ? kRise : kSink) * (level - means_[i]);
        peaks_[i] = std::max(peaks_[i] * kFall, level);
        if (level > 0)
            shares_[i] += 0.3f * (std::min(1.0f, taken[i] / (levels[i] + kTiny)) - shares_[i]);
        highest = std::max(highest, means_[i]);
    }
    // the range that is drawn follows the loudest cell, quickly up and slowly down
    top_ += (highest > top_ ? 0.2f : 0.01f) * (std::max(highest, 0.35f) - top_);
}

float Field::brightness(int row, int column) const {
    const auto bright = [](float level, float top) {
        const float share = 1 + (level - top) / kRange;
        return share <= 0 ? 0 : std::pow(std::min(share, 1.15f), 1.25f);
    };
    const int cell = row * kColumns + column;
    return std::min(1.0f, std::max(bright(means_[cell], top_), 0.4f * bright(peaks_[cell], top_ + 0.08f)));
}

}  // namespace stemsteer
