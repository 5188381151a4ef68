#include "vst3_parameters.h"

#include <algorithm>
#include <cmath>

#include "effect.h"
#include "state.h"
#include "text.h"

namespace stemsteer {

namespace {

constexpr double kLatencyRange = 1 << 16;  // what 1 means for the hidden parameter

bool is_parameter(v3_param_id id) { return id < kParameterCount; }

}  // namespace

const Control* control_of(v3_param_id id) {
    return id >= kFirstParameter && is_parameter(id) ? &kControls[id - kFirstParameter] : nullptr;
}

double to_plain(const Control& control, double normalized) {
    return control.low + std::clamp(normalized, 0.0, 1.0) * (control.high - control.low);
}

double to_normalized(const Control& control, double plain) {
    return std::clamp((plain - control.low) / (control.high - control.low), 0.0, 1.0);
}

double plain_of(v3_param_id id, double normalized) {
    const Control* const control = control_of(id);
    if (!std::isfinite(normalized) || !is_parameter(id))
        return 0;
    return control ? legal_value(*control, to_plain(*control, normalized))
                   : std::clamp(normalized, 0.0, 1.0) * kLatencyRange;
}

double normalized_of(v3_param_id id, double plain) {
    const Control* const control = control_of(id);
    if (!std::isfinite(plain) || !is_parameter(id))
        return 0;
    return control ? to_normalized(*control, legal_value(*control, plain))
                   : std::clamp(plain / kLatencyRange, 0.0, 1.0);
}

v3_result describe(v3_param_id id, v3_param_info& info) {
    if (!is_parameter(id))
        return V3_INVALID_ARG;
    const Control* const control = control_of(id);
    info = {};
    info.param_id = id;
    copy_text(info.title, 128, control ? control->title : "Latency");
    copy_text(info.short_title, 128, control ? control->title : "Latency");
    copy_text(info.units, 128, control ? control->unit : "samples");
    if (!control) {
        info.flags = V3_PARAM_READ_ONLY | V3_PARAM_IS_HIDDEN;
        return V3_OK;
    }
    info.flags = (is_automatable(*control) ? V3_PARAM_CAN_AUTOMATE : 0) |
                 (control->output ? V3_PARAM_READ_ONLY : 0) |
                 (control->choice_count ? V3_PARAM_IS_LIST : 0) |
                 (control->id == kBypass ? V3_PARAM_IS_BYPASS : 0);
    info.step_count = control->whole ? int32_t(control->high - control->low) : 0;
    info.default_normalised_value = to_normalized(*control, control->normal);
    return V3_OK;
}

v3_result write_text(v3_param_id id, double normalized, int16_t* text) {
    if (!std::isfinite(normalized) || !is_parameter(id) || !text)
        return V3_INVALID_ARG;
    const Control* const control = control_of(id);
    copy_text(text, 128,
              control ? value_text(*control, to_plain(*control, normalized), false)
                      : std::to_string(std::lround(plain_of(id, normalized))));
    return V3_OK;
}

v3_result read_text(v3_param_id id, const int16_t* text, double& normalized) {
    if (!is_parameter(id) || !text)
        return V3_INVALID_ARG;
    const Control* const control = control_of(id);
    const std::string words = to_utf8(reinterpret_cast<const char16_t*>(text), 128);
    double plain;
    if (!(control ? parse_value(*control, words, plain) : parse_number(words, plain)))
        return V3_FALSE;
    normalized = normalized_of(id, plain);
    return V3_OK;
}

void copy_text(int16_t* to, size_t size, const std::string& text) {
    const std::u16string units = to_utf16(text);
    const size_t count = std::min(size - 1, units.size());
    std::copy_n(units.begin(), count, to);
    to[count] = 0;
}

}  // namespace stemsteer
