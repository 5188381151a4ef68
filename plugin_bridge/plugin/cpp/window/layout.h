// Where things are in the window, in units that a scale makes pixels.
#pragma once

#include <algorithm>

namespace stemsteer {

struct Size {
    double width, height;
};

constexpr Size kNormalSize = {560, 420}, kLeastSize = {420, 260}, kLargestSize = {4000, 3000};

struct Box {
    double x = 0, y = 0, width = 0, height = 0;

    bool holds(double at_x, double at_y) const {
        return at_x >= x && at_x < x + width && at_y >= y && at_y < y + height;
    }
    double right() const { return x + width; }
    double bottom() const { return y + height; }
    double middle() const { return y + height / 2; }
};

enum Button { kPreviousButton, kNextButton, kLearnButton, kModeButton, kBypassButton, kPanelButton };
constexpr int kButtonCount = 6;

struct Layout {
    Box field, status, instrument, meters;
    Box buttons[kButtonCount];

    explicit Layout(Size size) {
        constexpr double kEdge = 10, kRow = 26, kGap = 8, kAxis = 20;
        const double inner = size.width - 2 * kEdge;
        buttons[kPanelButton] = {size.width - kEdge - 96, kEdge, 96, kRow};
        status = {kEdge, kEdge, inner - 96 - kGap, kRow};
        meters = {kEdge, size.height - kEdge - kRow, inner, kRow};
        const double row = meters.y - kGap - kRow;
        const double top = kEdge + kRow + kGap;
        field = {kEdge, top, inner, std::max(40.0, row - kGap - kAxis - top)};
        buttons[kPreviousButton] = {kEdge, row, kRow, kRow};
        const double end = size.width - kEdge;
        buttons[kBypassButton] = {end - 70, row, 70, kRow};
        buttons[kModeButton] = {end - 70 - kGap - 76, row, 76, kRow};
        buttons[kLearnButton] = {end - 2 * (70 + kGap) - 76, row, 70, kRow};
        buttons[kNextButton] = {buttons[kLearnButton].x - kGap - kRow, row, kRow, kRow};
        const double after = buttons[kPreviousButton].right();
        instrument = {after, row, buttons[kNextButton].x - after, kRow};
    }

    // Azimuths lie between the edges of the field: hard left and hard right.
    double x_of(double azimuth_deg) const {
        return field.x + (azimuth_deg + 45) / 90 * field.width;
    }
    double azimuth_of(double x) const { return (x - field.x) / field.width * 90 - 45; }
};

}  // namespace stemsteer
