// A window within a host's window, on a connection of its own. XCB, since an error there is an
// event, where Xlib would end the host.
#pragma once

#include <bitset>
#include <functional>
#include <vector>

#include "canvas.h"
#include "gestures.h"

namespace stemsteer {

class X11Window {
public:
    explicit X11Window(const Libraries& libraries) : l_(libraries) {}
    ~X11Window() { close(); }
    X11Window(const X11Window&) = delete;
    X11Window& operator=(const X11Window&) = delete;

    // Sizes are in pixels.
    bool open(uint32_t parent, uint32_t width, uint32_t height);
    void close();
    void resize(uint32_t width, uint32_t height);
    void show(bool visible);

    uint32_t id() const { return window_; }
    uint32_t width() const { return width_; }
    uint32_t height() const { return height_; }

    struct Event {
        enum Kind { kPress, kRelease, kMotion, kWheel, kKey, kExpose, kResize } kind;
        double x = 0, y = 0;
        int steps = 0;
        bool fine = false;
        Key key = Key::kNone;
        uint32_t time_ms = 0;
    };

    // Handle what has come. False: the connection has ended.
    bool poll(const std::function<void(const Event&)>& handle);

    // Draw all of it, at once.
    void draw(const std::function<void(cairo_t*)>& paint);

private:
    const xcb_screen_t* screen_of(uint32_t parent) const;
    xcb_visualtype_t* visual_of(const xcb_screen_t& screen) const;
    void embed();
    void take_size(uint32_t width, uint32_t height);
    void read_keys();
    Key key_of(const xcb_key_press_event_t& key) const;
    void hand_on(const xcb_key_press_event_t& key);
    bool translate(const xcb_generic_event_t& got, Event& event);

    const Libraries& l_;
    xcb_connection_t* connection_ = nullptr;
    uint32_t window_ = 0, parent_ = 0, width_ = 0, height_ = 0;
    uint32_t resized_ = 0;  // number of the request for the last size
    cairo_surface_t* surface_ = nullptr;
    std::vector<xcb_keysym_t> keysyms_;  // of each key code, without modifiers
    xcb_keycode_t first_key_ = 0;
    std::bitset<256> handed_on_;         // keys that the host got when they were pressed
};

}  // namespace stemsteer
