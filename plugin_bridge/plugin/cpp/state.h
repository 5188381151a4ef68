// What a project keeps of the plugin, as text: strings that each end with a zero byte. The form is
// DPF's, in which all projects are: `__dpf_state_begin__`, key and value of every property,
// `__dpf_state_end__`, `__dpf_parameters_begin__`, symbol and number of every control,
// `__dpf_parameters_end__`, byte 254. Numbers have a point in every locale.
#pragma once

#include <map>
#include <string>

#include "controls.h"

namespace stemsteer {

constexpr char kSchema[] = "1";  // of what this plugin writes
constexpr size_t kMaxStateBytes = 1 << 20;

struct State {
    std::map<std::string, std::string> properties;
    float values[kControlCount] = {};  // by id; those of outputs are not kept

    // What a later plugin has put beside these, as it was written.
    std::map<std::string, std::string> later_properties, later_values;
};

// The properties of a new instance: schema, uuid, label, model, offline_policy and timbres.
std::map<std::string, std::string> initial_properties();

std::string write_state(const State& state);

// False if the text is no whole state. What it lacks gets its default; numbers that are none are
// left out.
bool read_state(const std::string& text, State& state);

// Whether a text that is read in pieces has come to its end.
bool is_state_complete(const std::string& text);

// The nearest value that the control can have; `value` is finite.
float legal_value(const Control& control, double value);

}  // namespace stemsteer
