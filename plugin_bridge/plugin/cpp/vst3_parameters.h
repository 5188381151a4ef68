// The controls as parameters of VST3: numbers from 0 to 1, by id, and texts in UTF-16.
#pragma once

#include <string>

#include "controls.h"
#include "vst3_interfaces.h"

namespace stemsteer {

// Parameter 0 is hidden: with it the audio thread tells the host's main thread that the latency has
// changed. A control's parameter is its id + 1. Projects refer to these numbers.
constexpr v3_param_id kLatencyParameter = 0, kFirstParameter = 1;
constexpr v3_param_id kParameterCount = kFirstParameter + kControlCount;

// The control of a parameter; null if it is the hidden one, or none.
const Control* control_of(v3_param_id id);

// Between the value of a control and its share of the range. `to_plain` may be between whole values.
double to_plain(const Control& control, double normalized);
double to_normalized(const Control& control, double plain);

// The same for any parameter, as hosts ask; what is no number, or no parameter, is 0.
double plain_of(v3_param_id id, double normalized);
double normalized_of(v3_param_id id, double plain);

v3_result describe(v3_param_id id, v3_param_info& info);
v3_result write_text(v3_param_id id, double normalized, int16_t* text);
v3_result read_text(v3_param_id id, const int16_t* text, double& normalized);

// Copy a text into a field of `size` characters.
void copy_text(int16_t* to, size_t size, const std::string& text);

}  // namespace stemsteer
