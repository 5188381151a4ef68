#include "picture.h"

#include <cmath>
#include <cstring>

#include "text.h"

namespace stemsteer {

namespace {

// The colours of the panel's dark theme, plugin_bridge/panel/static/panel.css.
constexpr uint32_t kBack = 0x0c1016, kCard = 0x141a22, kLine = 0x2a3441, kText = 0xe9eef5;
constexpr uint32_t kMuted = 0x9fadbd, kPlot = 0x080b10, kRest = 0x7f97b2, kTaken = 0xffb454;
constexpr uint32_t kGood = 0x6bd697, kBad = 0xff8f80;
constexpr float kUntaken = 0.62f;  // how bright is what is not heard
constexpr double kSmall = 11, kNormal = 12.5;
constexpr double kLeastLevel_db = -60;

// In every locale with a point, and a minus that is as wide as a plus.
std::string decimal(double value, const char* unit) {
    const long tenths = std::lround(std::fabs(value) * 10);
    const std::string number = std::to_string(tenths / 10) + "." + std::to_string(tenths % 10);
    return (value < 0 && tenths ? "\u2212" : "") + number + unit;
}

uint8_t mixed(uint32_t from, uint32_t to, int shift, float share) {
    const float a = float(from >> shift & 255), b = float(to >> shift & 255);
    return uint8_t(a + share * (b - a));
}

void draw_button(Canvas& canvas, const Box& box, const std::string& words, bool on = false) {
    canvas.colour(on ? kTaken : kCard);
    canvas.box(box, 6);
    canvas.colour(on ? kTaken : kLine);
    canvas.frame(box, 6);
    canvas.colour(on ? kBack : kText);
    canvas.text(box.x + box.width / 2, box.middle(), words, kNormal, Align::kCentre);
}

void draw_status(Canvas& canvas, const Layout& layout, const Shown& shown) {
    const Box& box = layout.status;
    const bool connected = shown.values[kConnected] > 0.5f;
    std::string words = shown.notice;
    if (words.empty() && connected)
        words = "Engine connected";
    else if (words.empty() && !shown.refusal.empty())
        words = "Refused: " + shown.refusal;
    else if (words.empty())
        words = "No engine: the sound passes as it is";
    canvas.colour(connected ? kGood : kBad);
    canvas.dot(box.x + 6, box.middle(), 4.5);
    canvas.colour(kText);
    const double left = box.x + 18, width = box.right() - left;
    if (canvas.fitting(words, kNormal, width) == words.size())
        return canvas.text(left, box.middle(), words, kNormal);
    const std::vector<std::string> lines = canvas.wrapped(words, kSmall, width, 2);
    double y = box.middle() - (double(lines.size()) - 1) * kSmall * 0.6;
    for (const std::string& line : lines) {
        canvas.text(left, y, line, kSmall);
        y += kSmall * 1.2;
    }
}

void draw_axes(Canvas& canvas, const Layout& layout) {
    const Box& field = layout.field;
    const double octaves = std::log(kHighest_hz / kLowest_hz);
    for (const auto& [hz, words] : {std::pair{100.0, "100"}, {1000.0, "1k"}, {10000.0, "10k"}}) {
        const double y = field.bottom() - std::log(hz / kLowest_hz) / octaves * field.height;
        canvas.colour(kLine, 0.8);
        canvas.line(field.x, y, field.right(), y);
        canvas.colour(kMuted, 0.9);
        canvas.text(field.x + 4, y - 7, words, 9.5);
    }
    const double below = field.bottom() + 11;
    for (const auto& [azimuth_deg, words] : {std::pair{-45.0, "L"}, {0.0, "C"}, {45.0, "R"}}) {
        const double x = layout.x_of(azimuth_deg);
        canvas.colour(kLine, 0.8);
        canvas.line(x, field.y, x, field.bottom());
        canvas.colour(kMuted);
        canvas.text(x, below, words, kSmall,
                    azimuth_deg < 0   ? Align::kLeft
                    : azimuth_deg > 0 ? Align::kRight
                                      : Align::kCentre);
    }
}

// Centre: azimuth; edges: width; brightness: mix. A ring where the sound is what is taken away.
void draw_handle(Canvas& canvas, const Layout& layout, const Shown& shown) {
    const Box& field = layout.field;
    const float* const values = shown.values;
    const double mix = values[kBypass] > 0.5f ? 0 : values[kMix];
    const double centre = layout.x_of(values[kAzimuth]);
    const double half = values[kWidth] / 2 / 90 * field.width;
    const double left = std::max(field.x, centre - half), right = std::min(field.right(), centre + half);
    canvas.colour(kTaken, 0.03 + 0.13 * mix);
    canvas.box({left, field.y, right - left, field.height});
    canvas.colour(kTaken, 0.3 + 0.5 * mix);
    for (const double edge : {centre - half, centre + half})
        if (edge >= field.x && edge <= field.right())
            canvas.line(edge, field.y, edge, field.bottom());
    canvas.colour(kTaken, 0.4 + 0.6 * mix);
    canvas.line(centre, field.y, centre, field.bottom(), 2);
    if (values[kMode] > 0.5f)
        canvas.ring(centre, field.y + 16, 6, 2.5);
    else
        canvas.dot(centre, field.y + 16, 7);
    const bool on_the_left = centre > field.x + 0.72 * field.width;
    canvas.colour(kText);
    canvas.text(centre + (on_the_left ? -13 : 13), field.y + 16,
                decimal(values[kAzimuth], "\u00b0") + "  \u2194 " + decimal(values[kWidth], "\u00b0"),
                kNormal, on_the_left ? Align::kRight : Align::kLeft, true);
}

void draw_buttons(Canvas& canvas, const Layout& layout, const Shown& shown) {
    const float* const values = shown.values;
    draw_button(canvas, layout.buttons[kPanelButton], "Open panel");
    draw_button(canvas, layout.buttons[kPreviousButton], "\u2039");
    draw_button(canvas, layout.buttons[kNextButton], "\u203a");
    draw_button(canvas, layout.buttons[kLearnButton], "Learn", values[kLearn] > 0.5f);
    const bool removes = values[kMode] > 0.5f;
    draw_button(canvas, layout.buttons[kModeButton], removes ? "Remove" : "Isolate", removes);
    draw_button(canvas, layout.buttons[kBypassButton], "Bypass", values[kBypass] > 0.5f);
    const Box& box = layout.instrument;
    canvas.colour(kText);
    canvas.text(box.x + box.width / 2, box.middle(), value_text(kControls[kInstrument], values[kInstrument], false),
                kNormal, Align::kCentre);
}

void draw_level(Canvas& canvas, const Box& box, const char* name, float level_db, uint32_t colour) {
    const double name_width = 28, number_width = 62;
    const Box bar = {box.x + name_width, box.middle() - 4, box.width - name_width - number_width, 8};
    canvas.colour(kMuted);
    canvas.text(box.x, box.middle(), name, kSmall);
    canvas.colour(kCard);
    canvas.box(bar, 3);
    const double share = std::clamp(1 - level_db / kLeastLevel_db, 0.0, 1.0);
    canvas.colour(colour);
    if (share * bar.width > 6)
        canvas.box({bar.x, bar.y, share * bar.width, bar.height}, 3);
    canvas.colour(kText);
    canvas.text(box.right(), box.middle(),
                level_db > kSilence_db ? decimal(level_db, " dB") : "\u2212\u221e dB", kSmall,
                Align::kRight);
}

void draw_meters(Canvas& canvas, const Layout& layout, const Shown& shown, const Field& field) {
    const Box& box = layout.meters;
    const double words = 124, gap = 12, each = (box.width - words) / 2 - gap;
    draw_level(canvas, {box.x, box.y, each, box.height}, "In", field.input_db(), kRest);
    draw_level(canvas, {box.x + each + gap, box.y, each, box.height}, "Out", field.output_db(), kTaken);
    std::string facts = "load " + std::to_string(std::lround(100 * shown.values[kLoad])) + " %";
    if (shown.latency_ms > 0)
        facts = decimal(shown.latency_ms, " ms") + " \u00b7 " + facts;
    canvas.colour(kMuted);
    canvas.text(box.right(), box.middle(), facts, kSmall, Align::kRight);
}

}  // namespace

bool Shown::operator==(const Shown& other) const {
    return std::equal(values, values + kControlCount, other.values) &&
           latency_ms == other.latency_ms && has_sound == other.has_sound && notice == other.notice &&
           refusal == other.refusal;
}

Picture::Picture(const Libraries& libraries)
    : l_(libraries), cells_(l_.cairo_image_surface_create(CAIRO_FORMAT_ARGB32, kColumns, kRows)) {}

Picture::~Picture() { l_.cairo_surface_destroy(cells_); }

// What is heard in colour, the rest in grey; premultiplied, low frequencies at the bottom.
void Picture::paint_cells(const Field& field) {
    unsigned char* const data = l_.cairo_image_surface_get_data(cells_);
    const int stride = l_.cairo_image_surface_get_stride(cells_);
    if (!data)
        return;
    for (int row = 0; row < kRows; ++row)
        for (int column = 0; column < kColumns; ++column) {
            const float share = std::clamp(field.share(row, column), 0.0f, 1.0f);
            const float alpha = field.brightness(row, column) * (kUntaken + (1 - kUntaken) * share);
            const auto part = [&](int shift) {
                return uint32_t(alpha * mixed(kRest, kTaken, shift, share)) << shift;
            };
            const uint32_t pixel = uint32_t(alpha * 255) << 24 | part(16) | part(8) | part(0);
            std::memcpy(data + (kRows - 1 - row) * stride + 4 * column, &pixel, sizeof pixel);
        }
    l_.cairo_surface_mark_dirty(cells_);
}

void Picture::draw_field(Canvas& canvas, const Layout& layout, const Shown& shown, const Field& field) {
    canvas.colour(kPlot);
    canvas.box(layout.field);
    draw_axes(canvas, layout);
    paint_cells(field);
    canvas.image(cells_, kColumns, kRows, layout.field);
    draw_handle(canvas, layout, shown);
    if (!shown.has_sound) {
        canvas.colour(kMuted);
        canvas.text(layout.field.x + layout.field.width / 2, layout.field.middle(),
                    "This host shows the window apart from the sound", kNormal, Align::kCentre);
    }
    canvas.colour(kLine);
    canvas.frame(layout.field);
}

void Picture::draw(Canvas& canvas, Size size, const Shown& shown, const Field& field) {
    const Layout layout(size);
    canvas.colour(kBack);
    canvas.box({0, 0, size.width, size.height});
    draw_status(canvas, layout, shown);
    draw_field(canvas, layout, shown, field);
    draw_buttons(canvas, layout, shown);
    draw_meters(canvas, layout, shown, field);
}

}  // namespace stemsteer
