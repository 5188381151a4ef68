// The plugin's window. It has no thread: its host calls `tick` thirty times a second or more.
#pragma once

#include "field.h"
#include "gestures.h"
#include "picture.h"
#include "x11_window.h"

namespace stemsteer {

class View {
public:
    // The libraries must outlive the view.
    View(const Libraries& libraries, ControlSurface& surface);
    ~View() { close(); }

    // Sizes are in pixels, and those of the scale before a window is open. `parent` is an X window.
    bool open(uint32_t parent);
    void close();
    void set_scale(double scale);
    void resize(uint32_t width, uint32_t height);
    void show(bool visible) { window_.show(visible); }
    uint32_t width() const { return window_.id() ? window_.width() : width_; }
    uint32_t height() const { return window_.id() ? window_.height() : height_; }
    uint32_t window() const { return window_.id(); }  // 0: it is not open

    void tick();

    // A key that the host has taken. False: it means nothing here.
    bool key(Key key, bool fine) { return window_.id() && gestures_.key(key, fine); }

    // Bring a size in pixels into the range that there may be.
    void adjust(uint32_t& width, uint32_t& height) const;

private:
    void handle(const X11Window::Event& event);
    bool look();
    bool listen();
    Size size() const { return {width() / scale_, height() / scale_}; }

    const Libraries& l_;
    ControlSurface& surface_;
    X11Window window_;
    Gestures gestures_;
    Picture picture_;
    Field field_;
    Sound sound_;
    Shown shown_;
    double scale_ = 1, listened_s_ = 0;
    uint32_t width_, height_;
    bool stale_ = true;
};

}  // namespace stemsteer
