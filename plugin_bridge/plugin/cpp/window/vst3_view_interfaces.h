// The interfaces of VST3 that concern a window, as those in vst3_interfaces.h.
#pragma once

#include <travesty/view.h>

#include "vst3_interfaces.h"

namespace stemsteer {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

struct PlugFrame;

// --- what the window is to the host

struct PlugView : Unknown {
    virtual v3_result V3_API is_platform_type_supported(const char* type) = 0;
    virtual v3_result V3_API attached(void* parent, const char* type) = 0;
    virtual v3_result V3_API removed() = 0;
    virtual v3_result V3_API on_wheel(float distance) = 0;
    virtual v3_result V3_API on_key_down(int16_t key, int16_t code, int16_t modifiers) = 0;
    virtual v3_result V3_API on_key_up(int16_t key, int16_t code, int16_t modifiers) = 0;
    virtual v3_result V3_API get_size(v3_view_rect* size) = 0;
    virtual v3_result V3_API on_size(v3_view_rect* size) = 0;
    virtual v3_result V3_API on_focus(v3_bool state) = 0;
    virtual v3_result V3_API set_frame(PlugFrame* frame) = 0;
    virtual v3_result V3_API can_resize() = 0;
    virtual v3_result V3_API check_size_constraint(v3_view_rect* size) = 0;
};

struct ContentScale : Unknown {
    virtual v3_result V3_API set_content_scale_factor(float factor) = 0;
};

struct TimerHandler : Unknown {
    virtual void V3_API on_timer() = 0;
};

// --- what the host is to the window

struct PlugFrame : Unknown {
    virtual v3_result V3_API resize_view(PlugView* view, v3_view_rect* size) = 0;
};

struct EventHandler;

struct RunLoop : Unknown {
    virtual v3_result V3_API register_event_handler(EventHandler* handler, int fd) = 0;
    virtual v3_result V3_API unregister_event_handler(EventHandler* handler) = 0;
    virtual v3_result V3_API register_timer(TimerHandler* handler, uint64_t time_ms) = 0;
    virtual v3_result V3_API unregister_timer(TimerHandler* handler) = 0;
};

#pragma GCC diagnostic pop

}  // namespace stemsteer
