#include "state.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "text.h"

namespace stemsteer {

namespace {

constexpr char kStateBegin[] = "__dpf_state_begin__", kStateEnd[] = "__dpf_state_end__";
constexpr char kValuesBegin[] = "__dpf_parameters_begin__", kValuesEnd[] = "__dpf_parameters_end__";
constexpr char kLast = '\xfe';

void put(std::string& text, const std::string& word) { text.append(word.c_str(), word.size() + 1); }

std::vector<std::string> words_of(const std::string& text) {
    std::vector<std::string> words;
    for (size_t begin = 0, end; (end = text.find('\0', begin)) != text.npos; begin = end + 1)
        words.push_back(text.substr(begin, end - begin));
    return words;
}

// DPF has a symbol of its own for the control that is the host's bypass.
const char* symbol_of(const Control& control) {
    return control.id == kBypass ? "dpf_bypass" : control.symbol;
}

void put_all(std::string& text, const std::map<std::string, std::string>& words) {
    for (const auto& [key, value] : words) {
        put(text, key);
        put(text, value.c_str());
    }
}

void take_value(const std::string& symbol, const std::string& number, State& state) {
    double value;
    for (const Control& control : kControls) {
        if (symbol != symbol_of(control))
            continue;
        if (!control.output && parse_number(number, value))
            state.values[control.id] = legal_value(control, value);
        return;
    }
    state.later_values[symbol] = number;
}

}  // namespace

std::map<std::string, std::string> initial_properties() {
    return {{"schema", kSchema}, {"uuid", ""},  {"label", ""},
            {"model", ""},       {"timbres", ""}, {"offline_policy", "wait"}};
}

float legal_value(const Control& control, double value) {
    value = std::clamp<double>(value, control.low, control.high);
    return float(control.whole ? std::round(value) : value) + 0.0f;  // no -0
}

std::string write_state(const State& state) {
    std::string text;
    put(text, kStateBegin);
    put_all(text, state.properties);
    put_all(text, state.later_properties);
    put(text, kStateEnd);
    put(text, kValuesBegin);
    for (const Control& control : kControls)
        if (!control.output) {
            put(text, symbol_of(control));
            put(text, shortest_number(state.values[control.id]));
        }
    put_all(text, state.later_values);
    put(text, kValuesEnd);
    put(text, {kLast});
    return text;
}

bool is_state_complete(const std::string& text) {
    return text.size() >= kMaxStateBytes || text.find(kLast) != text.npos;
}

bool read_state(const std::string& text, State& state) {
    const size_t last = text.find(kLast);
    if (last == text.npos || text.size() > kMaxStateBytes)
        return false;
    const std::vector<std::string> words = words_of(text.substr(0, last));
    state = {};
    state.properties = initial_properties();
    for (const Control& control : kControls)
        state.values[control.id] = control.normal;

    size_t at = 0;
    const auto section = [&](const char* begin, const char* end, auto take) {
        if (at >= words.size() || words[at] != begin)
            return false;
        for (++at; at < words.size() && words[at] != end; at += 2)
            if (at + 1 < words.size())
                take(words[at], words[at + 1]);
        return at++ < words.size();
    };
    return section(kStateBegin, kStateEnd,
                   [&](const std::string& key, const std::string& value) {
                       if (const auto known = state.properties.find(key);
                           known != state.properties.end())
                           known->second = value;
                       else
                           state.later_properties[key] = value;
                   }) &&
           section(kValuesBegin, kValuesEnd,
                   [&](const std::string& symbol, const std::string& number) {
                       take_value(symbol, number, state);
                   }) &&
           at == words.size();
}

}  // namespace stemsteer
