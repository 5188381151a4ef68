#include "view.h"

#include <cmath>

namespace stemsteer {

namespace {

constexpr double kMoment_s = 0.03;  // between two pictures of the sound

}  // namespace

View::View(const Libraries& libraries, ControlSurface& surface)
    : l_(libraries), surface_(surface), window_(libraries), gestures_(surface), picture_(libraries),
      width_(uint32_t(kNormalSize.width)), height_(uint32_t(kNormalSize.height)) {}

bool View::open(uint32_t parent) {
    stale_ = true;
    return window_.open(parent, width_, height_);
}

void View::close() {
    gestures_.release();
    if (window_.id()) {
        width_ = window_.width();
        height_ = window_.height();
    }
    window_.close();
}

void View::set_scale(double scale) {
    if (!(scale >= 0.5 && scale <= 8) || scale == scale_)
        return;
    const double change = scale / scale_;
    scale_ = scale;
    resize(uint32_t(std::lround(width() * change)), uint32_t(std::lround(height() * change)));
}

void View::resize(uint32_t width, uint32_t height) {
    adjust(width, height);
    width_ = width;
    height_ = height;
    window_.resize(width, height);
    stale_ = true;
}

void View::adjust(uint32_t& width, uint32_t& height) const {
    width = uint32_t(std::clamp<double>(width, kLeastSize.width * scale_, kLargestSize.width * scale_));
    height = uint32_t(std::clamp<double>(height, kLeastSize.height * scale_, kLargestSize.height * scale_));
}

void View::tick() {
    if (!window_.poll([this](const X11Window::Event& event) { handle(event); }))
        return;
    gestures_.tick();
    const bool moved = look(), sounded = listen();
    if (!(moved || sounded || stale_))
        return;
    stale_ = false;
    window_.draw([this](cairo_t* cairo) {
        l_.cairo_scale(cairo, scale_, scale_);
        Canvas canvas(l_, cairo);
        picture_.draw(canvas, size(), shown_, field_);
    });
}

void View::handle(const X11Window::Event& event) {
    const Layout layout(size());
    const double x = event.x / scale_, y = event.y / scale_;
    switch (event.kind) {
    case X11Window::Event::kPress: return gestures_.press(layout, x, y, event.fine, event.time_ms);
    case X11Window::Event::kRelease: return gestures_.let_go();
    case X11Window::Event::kMotion: return gestures_.drag(layout, x, event.fine);
    case X11Window::Event::kWheel: return gestures_.wheel(layout, x, y, event.steps, event.fine);
    case X11Window::Event::kKey: gestures_.key(event.key, event.fine); return;
    case X11Window::Event::kExpose:
    case X11Window::Event::kResize: stale_ = true; return;
    }
}

// Look at the controls. False: nothing has changed.
bool View::look() {
    Shown shown;
    for (uint32_t id = 0; id < kControlCount; ++id)
        shown.values[id] = surface_.value(id);
    const Effect* const effect = surface_.effect();
    shown.has_sound = effect;
    if (effect && sound_.rate_hz > 0)
        shown.latency_ms = float(1000 * effect->latency() / sound_.rate_hz);
    shown.notice = gestures_.notice();
    if (effect)
        shown.refusal = effect->refusal();
    const bool changed = !(shown == shown_);
    shown_ = shown;
    return changed;
}

// Take the newest moment of sound in. False: there is none.
bool View::listen() {
    const double now_s = seconds();
    const Effect* const effect = surface_.effect();
    if (!effect || now_s - listened_s_ < kMoment_s)
        return false;
    listened_s_ = now_s;
    const uint64_t heard = sound_.end;
    if (!effect->copy_sound(sound_) || sound_.end == heard)
        return false;
    field_.add(sound_, surface_.value(kGain));
    return true;
}

}  // namespace stemsteer
