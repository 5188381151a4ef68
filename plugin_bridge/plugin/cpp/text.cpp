#include "text.h"

#include <charconv>
#include <cmath>

#include "state.h"

namespace stemsteer {

namespace {

constexpr int kDecimals = 3;
constexpr const char* kOff[] = {"off", "no", "false"};
constexpr const char* kOn[] = {"on", "yes", "true"};
constexpr char32_t kNoCharacter = '?';

std::string lower(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z')
            c += 'a' - 'A';
    return text;
}

std::string trimmed(const std::string& text) {
    const size_t begin = text.find_first_not_of(" \t\r\n"), end = text.find_last_not_of(" \t\r\n");
    return begin == text.npos ? "" : text.substr(begin, end - begin + 1);
}

std::string without_suffix(const std::string& text, const std::string& suffix) {
    if (suffix.empty() || text.size() <= suffix.size() ||
        text.compare(text.size() - suffix.size(), suffix.size(), suffix) != 0)
        return text;
    return trimmed(text.substr(0, text.size() - suffix.size()));
}

std::string decimal(double value) {
    char digits[64];
    const auto end = std::to_chars(digits, digits + sizeof digits, value, std::chars_format::fixed,
                                   kDecimals);
    std::string text(digits, end.ptr);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.')
        text.pop_back();
    return text == "-0" ? "0" : text;
}

// The character at `at`, which moves behind it.
char32_t next_character(const std::string& text, size_t& at) {
    const auto byte = [&](size_t i) { return i < text.size() ? (unsigned char)text[i] : 0u; };
    const unsigned first = byte(at++);
    const int more = first < 0x80 ? 0 : first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2
                     : first >= 0xf0 && first < 0xf5                                                   ? 3
                                                                                                       : -1;
    if (more < 0)
        return kNoCharacter;
    char32_t code = more == 0 ? first : first & (0x3f >> more);
    for (int i = 0; i < more; ++i) {
        if ((byte(at + i) & 0xc0) != 0x80)
            return kNoCharacter;
        code = code << 6 | (byte(at + i) & 0x3f);
    }
    constexpr char32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
    if (code < kLeast[more] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return kNoCharacter;
    at += more;
    return code;
}

void append_utf8(std::string& text, char32_t code) {
    const int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    constexpr unsigned char kFirst[] = {0, 0xc0, 0xe0, 0xf0};
    text += char(kFirst[more] | code >> (6 * more));
    for (int i = more - 1; i >= 0; --i)
        text += char(0x80 | (code >> (6 * i) & 0x3f));
}

}  // namespace

bool parse_number(const std::string& text, double& value) {
    std::string number = text;
    if (number.find('.') == number.npos && number.find(',') == number.rfind(','))
        for (char& c : number)
            if (c == ',')
                c = '.';
    const char* const begin = number.data() + (number[0] == '+' && number[1] != '-');
    const char* const end = number.data() + number.size();
    double read;
    const auto done = std::from_chars(begin, end, read);
    if (done.ec != std::errc() || done.ptr != end || !std::isfinite(read))
        return false;
    value = read;
    return true;
}

std::string shortest_number(float value) {
    char digits[64];
    return std::string(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

std::string value_text(const Control& control, double value, bool with_unit) {
    value = std::isfinite(value) ? legal_value(control, value) : control.normal;
    if (control.choice_count)
        return control.choices[unsigned(value - control.low)];
    if (control.toggle)
        return (control.output ? value > 0.5 ? kOn[1] : kOff[1] : value > 0.5 ? kOn[0] : kOff[0]);
    const bool has_unit = with_unit && control.unit[0];
    return decimal(value) + (has_unit ? std::string(" ") + control.unit : "");
}

bool parse_value(const Control& control, const std::string& text, double& value) {
    const std::string word = lower(trimmed(text));
    for (unsigned i = 0; i < control.choice_count; ++i)
        if (word == lower(control.choices[i])) {
            value = control.low + i;
            return true;
        }
    if (control.toggle)
        for (unsigned i = 0; i < 3; ++i)
            if (word == kOff[i] || word == kOn[i]) {
                value = word == kOn[i];
                return true;
            }
    if (!parse_number(without_suffix(word, lower(control.unit)), value))
        return false;
    value = legal_value(control, value);
    return true;
}

std::u16string to_utf16(const std::string& text) {
    std::u16string units;
    for (size_t at = 0; at < text.size();) {
        const char32_t code = next_character(text, at);
        if (code >= 0x10000)
            units += {char16_t(0xd7c0 + (code >> 10)), char16_t(0xdc00 + (code & 0x3ff))};
        else
            units += char16_t(code);
    }
    return units;
}

std::string to_utf8(const char16_t* text, size_t units) {
    std::string out;
    for (size_t i = 0; i < units && text[i]; ++i) {
        char32_t code = text[i];
        const bool is_pair = code >= 0xd800 && code < 0xdc00 && i + 1 < units &&
                             text[i + 1] >= 0xdc00 && text[i + 1] < 0xe000;
        if (is_pair)
            code = ((code - 0xd7c0) << 10) + (text[++i] & 0x3ff);
        else if (code >= 0xd800 && code < 0xe000)
            code = kNoCharacter;
        append_utf8(out, code);
    }
    return out;
}

std::string valid_utf8(const std::string& text) {
    std::string out;
    for (size_t at = 0; at < text.size();)
        append_utf8(out, next_character(text, at));
    return out;
}

void copy_text(char* to, size_t size, const std::string& text) {
    if (size)
        to[text.copy(to, size - 1)] = '\0';
}

}  // namespace stemsteer
