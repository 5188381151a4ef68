// Values as text and back, the same in every locale.
#pragma once

#include <cstdint>
#include <string>

#include "controls.h"

namespace stemsteer {

// A finite decimal number that is all of the text, with a point or a comma. False: it is none.
bool parse_number(const std::string& text, double& value);

// The shortest text that is read back as the same number.
std::string shortest_number(float value);

// How a value is shown: "-30.5 deg", "remove", "on". At most three decimals, never "-0".
std::string value_text(const Control& control, double value, bool with_unit);

// Reads what `value_text` writes, with or without the unit, and what people type: "12,5", " On ".
// False: the text is no value.
bool parse_value(const Control& control, const std::string& text, double& value);

// UTF-8 to UTF-16 and back. What is malformed becomes a question mark.
std::u16string to_utf16(const std::string& text);
std::string to_utf8(const char16_t* text, size_t units);
std::string valid_utf8(const std::string& text);

// As much of a text as there is room for, with a zero byte after it.
void copy_text(char* to, size_t size, const std::string& text);

}  // namespace stemsteer
