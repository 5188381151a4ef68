#include "x11_window.h"

#include <cstdlib>
#include <cstring>
#include <memory>

namespace stemsteer {

namespace {

struct Free {
    void operator()(void* memory) const { std::free(memory); }
};
template <class T>
using Reply = std::unique_ptr<T, Free>;

constexpr uint32_t kEvents = XCB_EVENT_MASK_EXPOSURE | XCB_EVENT_MASK_STRUCTURE_NOTIFY |
                             XCB_EVENT_MASK_BUTTON_PRESS | XCB_EVENT_MASK_BUTTON_RELEASE |
                             XCB_EVENT_MASK_BUTTON_MOTION | XCB_EVENT_MASK_KEY_PRESS |
                             XCB_EVENT_MASK_KEY_RELEASE;
enum { kLeftButton = 1, kWheelUp = 4, kWheelDown = 5 };
constexpr uint32_t kXembedMapped = 1;
// Control, Alt, Super and AltGr; the others are locks, and Shift.
constexpr uint32_t kHostsModifiers =
    XCB_MOD_MASK_CONTROL | XCB_MOD_MASK_1 | XCB_MOD_MASK_4 | XCB_MOD_MASK_5;
constexpr uint8_t kSent = 0x80;  // in an event that a program has sent

}  // namespace

bool X11Window::open(uint32_t parent, uint32_t width, uint32_t height) {
    close();
    connection_ = l_.xcb_connect(nullptr, nullptr);
    const xcb_screen_t* const screen =
        l_.xcb_connection_has_error(connection_) ? nullptr : screen_of(parent);
    xcb_visualtype_t* const visual = screen ? visual_of(*screen) : nullptr;
    if (!visual)
        return close(), false;
    parent_ = parent;
    width_ = width;
    height_ = height;
    resized_ = 0;
    window_ = l_.xcb_generate_id(connection_);
    // The parent may be of another depth, as windows with transparency are: then a border's colour
    // and a map of colours are needed.
    const uint32_t values[] = {screen->black_pixel, kEvents, screen->default_colormap};
    l_.xcb_create_window(connection_, screen->root_depth, window_, parent, 0, 0, uint16_t(width),
                         uint16_t(height), 0, XCB_WINDOW_CLASS_INPUT_OUTPUT, screen->root_visual,
                         XCB_CW_BORDER_PIXEL | XCB_CW_EVENT_MASK | XCB_CW_COLORMAP, values);
    embed();
    read_keys();
    l_.xcb_map_window(connection_, window_);
    surface_ = l_.cairo_xcb_surface_create(connection_, window_, visual, int(width), int(height));
    l_.xcb_flush(connection_);
    return true;
}

void X11Window::close() {
    if (surface_) {
        // What cairo keeps of a connection must end with it: the next may be at the same address.
        cairo_device_t* const device =
            l_.cairo_device_reference(l_.cairo_surface_get_device(surface_));
        l_.cairo_surface_destroy(surface_);
        l_.cairo_device_finish(device);
        l_.cairo_device_destroy(device);
    }
    if (window_)
        l_.xcb_destroy_window(connection_, window_);
    if (connection_)
        l_.xcb_disconnect(connection_);
    surface_ = nullptr;
    connection_ = nullptr;
    window_ = 0;
}

// The screen that the parent is on; null if there is no such window.
const xcb_screen_t* X11Window::screen_of(uint32_t parent) const {
    const Reply<xcb_get_geometry_reply_t> found(l_.xcb_get_geometry_reply(
        connection_, l_.xcb_get_geometry(connection_, parent), nullptr));
    auto screens = l_.xcb_setup_roots_iterator(l_.xcb_get_setup(connection_));
    for (; found && screens.rem; l_.xcb_screen_next(&screens))
        if (screens.data->root == found->root)
            return screens.data;
    return nullptr;
}

xcb_visualtype_t* X11Window::visual_of(const xcb_screen_t& screen) const {
    auto depths = l_.xcb_screen_allowed_depths_iterator(&screen);
    for (; depths.rem; l_.xcb_depth_next(&depths)) {
        auto visuals = l_.xcb_depth_visuals_iterator(depths.data);
        for (; visuals.rem; l_.xcb_visualtype_next(&visuals))
            if (visuals.data->visual_id == screen.root_visual)
                return visuals.data;
    }
    return nullptr;
}

// Say that the window wants to be embedded, and shown, by XEMBED.
void X11Window::embed() {
    constexpr char kName[] = "_XEMBED_INFO";
    const Reply<xcb_intern_atom_reply_t> atom(l_.xcb_intern_atom_reply(
        connection_, l_.xcb_intern_atom(connection_, 0, sizeof kName - 1, kName), nullptr));
    const uint32_t info[] = {0, kXembedMapped};
    if (atom)
        l_.xcb_change_property(connection_, XCB_PROP_MODE_REPLACE, window_, atom->atom, atom->atom,
                               32, 2, info);
}

void X11Window::read_keys() {
    const xcb_setup_t& setup = *l_.xcb_get_setup(connection_);
    first_key_ = setup.min_keycode;
    const auto count = uint8_t(setup.max_keycode - setup.min_keycode + 1);
    const Reply<xcb_get_keyboard_mapping_reply_t> found(l_.xcb_get_keyboard_mapping_reply(
        connection_, l_.xcb_get_keyboard_mapping(connection_, first_key_, count), nullptr));
    keysyms_.assign(count, 0);
    for (size_t i = 0; found && i < count; ++i)
        keysyms_[i] = l_.xcb_get_keyboard_mapping_keysyms(found.get())[i * found->keysyms_per_keycode];
}

// With another modifier than Shift a key is the host's.
Key X11Window::key_of(const xcb_key_press_event_t& key) const {
    const xcb_keycode_t code = key.detail;
    if (key.state & kHostsModifiers)
        return Key::kNone;
    switch (code >= first_key_ && size_t(code - first_key_) < keysyms_.size() ? keysyms_[code - first_key_] : 0) {
    case 0xff50: return Key::kHome;
    case 0xff51: return Key::kLeft;
    case 0xff52: return Key::kUp;
    case 0xff53: return Key::kRight;
    case 0xff54: return Key::kDown;
    case 0xff55: return Key::kPageUp;
    case 0xff56: return Key::kPageDown;
    default: return Key::kNone;
    }
}

// Give the host a key that means nothing here: with the focus in this window it would not get any. What
// it has sent itself does not go back.
void X11Window::hand_on(const xcb_key_press_event_t& key) {
    if (key.response_type & kSent)
        return;
    xcb_key_press_event_t event = key;
    event.event = parent_;
    l_.xcb_send_event(connection_, false, parent_, XCB_EVENT_MASK_NO_EVENT,
                      reinterpret_cast<const char*>(&event));
}

void X11Window::resize(uint32_t width, uint32_t height) {
    const uint32_t values[] = {width, height};
    if (!window_)
        return;
    resized_ = l_.xcb_configure_window(connection_, window_,
                                       XCB_CONFIG_WINDOW_WIDTH | XCB_CONFIG_WINDOW_HEIGHT, values)
                   .sequence;
    l_.xcb_flush(connection_);
    take_size(width, height);  // hosts ask before the server's answer
}

void X11Window::take_size(uint32_t width, uint32_t height) {
    width_ = width;
    height_ = height;
    l_.cairo_xcb_surface_set_size(surface_, int(width), int(height));
}

void X11Window::show(bool visible) {
    if (!window_)
        return;
    if (visible)
        l_.xcb_map_window(connection_, window_);
    else
        l_.xcb_unmap_window(connection_, window_);
    l_.xcb_flush(connection_);
}

bool X11Window::poll(const std::function<void(const Event&)>& handle) {
    if (!connection_)
        return false;
    while (const Reply<xcb_generic_event_t> got{l_.xcb_poll_for_event(connection_)}) {
        Event event = {};
        if (translate(*got, event))
            handle(event);
        if (!connection_)
            return false;
    }
    l_.xcb_flush(connection_);
    return !l_.xcb_connection_has_error(connection_);
}

// False: nothing that is of use, as errors are.
bool X11Window::translate(const xcb_generic_event_t& got, Event& event) {
    switch (got.response_type & ~kSent) {
    case XCB_BUTTON_PRESS: {
        const auto& press = reinterpret_cast<const xcb_button_press_event_t&>(got);
        const bool wheel = press.detail == kWheelUp || press.detail == kWheelDown;
        event.kind = wheel ? Event::kWheel : Event::kPress;
        event.steps = press.detail == kWheelUp ? 1 : -1;
        event.x = press.event_x;
        event.y = press.event_y;
        event.fine = press.state & XCB_MOD_MASK_SHIFT;
        event.time_ms = press.time;
        if (press.detail == kLeftButton)  // or the host would keep the keyboard
            l_.xcb_set_input_focus(connection_, XCB_INPUT_FOCUS_PARENT, window_, press.time);
        return wheel || press.detail == kLeftButton;
    }
    case XCB_BUTTON_RELEASE:
        event.kind = Event::kRelease;
        return reinterpret_cast<const xcb_button_release_event_t&>(got).detail == kLeftButton;
    case XCB_MOTION_NOTIFY: {
        const auto& motion = reinterpret_cast<const xcb_motion_notify_event_t&>(got);
        event.kind = Event::kMotion;
        event.x = motion.event_x;
        event.y = motion.event_y;
        event.fine = motion.state & XCB_MOD_MASK_SHIFT;
        return true;
    }
    case XCB_KEY_PRESS: {
        const auto& key = reinterpret_cast<const xcb_key_press_event_t&>(got);
        event.kind = Event::kKey;
        event.key = key_of(key);
        event.fine = key.state & XCB_MOD_MASK_SHIFT;
        handed_on_[key.detail] = event.key == Key::kNone;
        if (handed_on_[key.detail])
            hand_on(key);
        return !handed_on_[key.detail];
    }
    case XCB_KEY_RELEASE: {
        const auto& key = reinterpret_cast<const xcb_key_release_event_t&>(got);
        if (handed_on_[key.detail])
            hand_on(key);
        return false;
    }
    case XCB_EXPOSE: event.kind = Event::kExpose; return true;
    case XCB_CONFIGURE_NOTIFY: {
        const auto& configured = reinterpret_cast<const xcb_configure_notify_event_t&>(got);
        event.kind = Event::kResize;
        if (int32_t(got.full_sequence - resized_) < 0)  // of before the last size
            return false;
        if (configured.width == width_ && configured.height == height_)
            return false;
        take_size(configured.width, configured.height);
        return true;
    }
    default: return false;
    }
}

void X11Window::draw(const std::function<void(cairo_t*)>& paint) {
    if (!surface_ || l_.xcb_connection_has_error(connection_))
        return;
    cairo_t* const cairo = l_.cairo_create(surface_);
    l_.cairo_push_group(cairo);  // the window is never half drawn
    paint(cairo);
    l_.cairo_pop_group_to_source(cairo);
    l_.cairo_paint(cairo);
    l_.cairo_destroy(cairo);
    l_.cairo_surface_flush(surface_);
    l_.xcb_flush(connection_);
}

}  // namespace stemsteer
