// The plugin's window, one for all formats: clap_gui.cpp, vst3_view.cpp and lv2_ui.cpp hand it to
// hosts. It has no thread: its host calls `tick` thirty times a second or more. That takes what X
// has sent (x11_window.h), moves controls through the format's ControlSurface (gestures.h) and
// draws if something has changed (picture.h). Moves go to a CLAP host as events, by a queue of one
// writer and one reader, to the others at once. The sound costs the audio thread nothing:
// Link::copy_sound reads the ring under the link's lock, which that thread never takes.
//
// It is XCB and cairo, by dlopen (libraries.h), so the plugin is linked to neither and stays one
// file a format. DPF's own windows (DGL, on pugl) would have served LV2 alone, and bring Xlib,
// whose errors end the host.
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
