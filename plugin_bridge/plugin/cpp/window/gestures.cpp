#include "gestures.h"

#include <cmath>
#include <cstring>

#include "paths.h"

namespace stemsteer {

namespace {

constexpr double kStep_deg = 0.5;  // of the arrow keys
constexpr double kPage_deg = 5;
constexpr double kFine = 0.2;      // of a movement with Shift
constexpr double kWheel_deg = 2;   // of the width
constexpr double kGrasp = 7;       // so near a handle or an edge is meant
constexpr double kLeastPush_s = 0.3;  // of Learn: sound is told of it with its next block
constexpr uint32_t kDoubleClick_ms = 400;
constexpr double kDoubleClickReach = 4;

double half_width(const ControlSurface& surface, const Layout& layout) {
    return surface.value(kWidth) / 2 / 90 * layout.field.width;
}

}  // namespace

int instrument_count() {
    int count = 0;
    for (const char* const name : kInstrumentChoices)
        count += std::strncmp(name, "unnamed", 7) != 0;
    return count;
}

void Gestures::press(const Layout& layout, double x, double y, bool fine, uint32_t time_ms) {
    release();  // of a press whose end was not told
    notice_ = "";
    const bool again = pressed_before_ && time_ms - pressed_ms_ < kDoubleClick_ms &&
                       std::fabs(x - pressed_x_) < kDoubleClickReach &&
                       std::fabs(y - pressed_y_) < kDoubleClickReach;
    pressed_before_ = !again;
    pressed_x_ = x;
    pressed_y_ = y;
    pressed_ms_ = time_ms;
    for (int button = 0; button < kButtonCount; ++button)
        if (layout.buttons[button].holds(x, y))
            return push(Button(button));
    if (layout.field.holds(x, y))
        again ? reset() : grasp(layout, x, fine);
}

// Take the handle, or an edge of it, or bring it to where it was pressed.
void Gestures::grasp(const Layout& layout, double x, bool fine) {
    const double centre = layout.x_of(surface_.value(kAzimuth)), half = half_width(surface_, layout);
    const double aside = std::fabs(x - centre);
    drag_ = aside > kGrasp && std::fabs(aside - half) < kGrasp ? kEdge : kHandle;
    side_ = x < centre ? -1 : 1;
    last_x_ = x;
    const uint32_t id = drag_ == kEdge ? kWidth : kAzimuth;
    surface_.begin(id);
    wanted_ = surface_.value(id);
    if (drag_ == kHandle && aside > std::max(kGrasp, half) && !fine) {
        wanted_ = layout.azimuth_of(x);
        move(kAzimuth, wanted_);
    }
}

void Gestures::drag(const Layout& layout, double x, bool fine) {
    if (drag_ != kHandle && drag_ != kEdge)
        return;
    const double moved_deg = (x - last_x_) / layout.field.width * 90 * (fine ? kFine : 1);
    last_x_ = x;
    wanted_ += drag_ == kEdge ? 2 * side_ * moved_deg : moved_deg;
    move(drag_ == kEdge ? kWidth : kAzimuth, wanted_);
}

void Gestures::let_go() {
    let_go_ = true;
    if (drag_ != kLearning)
        release();
}

void Gestures::tick() {
    if (drag_ == kLearning && let_go_ && seconds() - learning_s_ >= kLeastPush_s)
        release();
}

void Gestures::release() {
    if (drag_ == kLearning)
        surface_.set(kLearn, 0);
    if (drag_ != kNothing)
        surface_.end(drag_ == kLearning ? kLearn : drag_ == kEdge ? kWidth : kAzimuth);
    drag_ = kNothing;
}

void Gestures::wheel(const Layout& layout, double x, double y, int steps, bool fine) {
    if (layout.instrument.holds(x, y))
        return step_instrument(-steps);
    if (!layout.field.holds(x, y) || drag_ == kEdge)
        return;
    surface_.begin(kWidth);
    move(kWidth, surface_.value(kWidth) + steps * kWheel_deg * (fine ? kFine : 1));
    surface_.end(kWidth);
}

bool Gestures::key(Key key, bool fine) {
    if (key == Key::kNone || is_dragging())
        return false;
    if (key == Key::kHome)
        return reset(), true;
    const bool width = key == Key::kUp || key == Key::kDown;
    const bool page = key == Key::kPageUp || key == Key::kPageDown;
    const bool less = key == Key::kLeft || key == Key::kDown || key == Key::kPageDown;
    const double step_deg = page ? kPage_deg : kStep_deg * (fine ? kFine : 1) * (width ? 2 : 1);
    const uint32_t id = width ? kWidth : kAzimuth;
    surface_.begin(id);
    move(id, surface_.value(id) + (less ? -step_deg : step_deg));
    surface_.end(id);
    return true;
}

void Gestures::push(Button button) {
    switch (button) {
    case kPreviousButton: return step_instrument(-1);
    case kNextButton: return step_instrument(1);
    case kLearnButton:
        drag_ = kLearning;
        learning_s_ = seconds();
        let_go_ = false;
        surface_.begin(kLearn);
        if (surface_.value(kLearn) > 0.5f)  // as a project has kept it
            surface_.set(kLearn, 0);
        return surface_.set(kLearn, 1);
    case kModeButton: return surface_.touch(kMode, surface_.value(kMode) > 0.5f ? 0 : 1);
    case kBypassButton: return surface_.touch(kBypass, surface_.value(kBypass) > 0.5f ? 0 : 1);
    case kPanelButton:
        notice_ = open_panel(Settings()) ? "The panel opens in the browser"
                                         : "No panel to start: run stemsteer plugin install";
        return;
    }
}

void Gestures::step_instrument(int steps) {
    const int count = instrument_count();
    const int wanted = (int(surface_.value(kInstrument) + 0.5f) + steps) % count;
    surface_.touch(kInstrument, float(wanted < 0 ? wanted + count : wanted));
}

// Tenths of a degree do; what is wanted may be beyond the range, so that a drag comes back there.
void Gestures::move(uint32_t id, double value) {
    const Control& control = kControls[id];
    const double rounded = std::round(value * 10) / 10;
    surface_.set(id, std::clamp(float(rounded), control.low, control.high));
}

void Gestures::reset() {
    for (const uint32_t id : {kAzimuth, kWidth})
        surface_.touch(id, kControls[id].normal);
}

}  // namespace stemsteer
