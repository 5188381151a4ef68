#include "clap_gui.h"

#include <cstring>

namespace stemsteer {

namespace {

constexpr uint32_t kTick_ms = 16;

}  // namespace

// Tables of CLAP, whose functions are told the plugin.
struct ClapGuiCalls {
    static bool is_api_supported(const clap_plugin_t* plugin, const char* api, bool floating) {
        return api && !std::strcmp(api, CLAP_WINDOW_API_X11) && !floating && gui_of(plugin).is_possible();
    }

    static bool get_preferred_api(const clap_plugin_t* plugin, const char** api, bool* floating) {
        *api = CLAP_WINDOW_API_X11;
        *floating = false;
        return gui_of(plugin).is_possible();
    }

    static bool create(const clap_plugin_t* plugin, const char* api, bool floating) {
        return is_api_supported(plugin, api, floating) && gui_of(plugin).create();
    }

    static void destroy(const clap_plugin_t* plugin) { gui_of(plugin).destroy(); }

    static bool set_scale(const clap_plugin_t* plugin, double scale) {
        ClapGui& gui = gui_of(plugin);
        if (!gui.view_)
            return false;
        gui.view_->set_scale(scale);
        return true;
    }

    static bool get_size(const clap_plugin_t* plugin, uint32_t* width, uint32_t* height) {
        const View* const view = gui_of(plugin).view();
        if (!view)
            return false;
        *width = view->width();
        *height = view->height();
        return true;
    }

    static bool can_resize(const clap_plugin_t*) { return true; }

    static bool get_resize_hints(const clap_plugin_t*, clap_gui_resize_hints_t* hints) {
        *hints = {true, true, false, 1, 1};
        return true;
    }

    static bool adjust_size(const clap_plugin_t* plugin, uint32_t* width, uint32_t* height) {
        const View* const view = gui_of(plugin).view();
        if (!view)
            return false;
        view->adjust(*width, *height);
        return true;
    }

    static bool set_size(const clap_plugin_t* plugin, uint32_t width, uint32_t height) {
        View* const view = gui_of(plugin).view();
        if (!view)
            return false;
        view->resize(width, height);
        return true;
    }

    static bool set_parent(const clap_plugin_t* plugin, const clap_window_t* window) {
        return window && !std::strcmp(window->api, CLAP_WINDOW_API_X11) &&
               gui_of(plugin).set_parent(uint32_t(window->x11));
    }

    static bool set_transient(const clap_plugin_t*, const clap_window_t*) { return false; }
    static void suggest_title(const clap_plugin_t*, const char*) {}

    static bool show(const clap_plugin_t* plugin) { return set_visible(plugin, true); }
    static bool hide(const clap_plugin_t* plugin) { return set_visible(plugin, false); }

    static bool set_visible(const clap_plugin_t* plugin, bool visible) {
        View* const view = gui_of(plugin).view();
        if (!view || !view->window())
            return false;
        view->show(visible);
        return true;
    }

    static void on_timer(const clap_plugin_t* plugin, clap_id timer) { gui_of(plugin).on_timer(timer); }
};

const void* ClapGui::extension(const char* id) {
    using Calls = ClapGuiCalls;
    static const clap_plugin_gui_t gui = {
        Calls::is_api_supported, Calls::get_preferred_api, Calls::create,        Calls::destroy,
        Calls::set_scale,        Calls::get_size,          Calls::can_resize,    Calls::get_resize_hints,
        Calls::adjust_size,      Calls::set_size,          Calls::set_parent,    Calls::set_transient,
        Calls::suggest_title,    Calls::show,              Calls::hide};
    static const clap_plugin_timer_support_t timers = {Calls::on_timer};
    if (id && !std::strcmp(id, CLAP_EXT_GUI))
        return &gui;
    return id && !std::strcmp(id, CLAP_EXT_TIMER_SUPPORT) ? &timers : nullptr;
}

void ClapGui::meet_host() {
    timers_ = static_cast<const clap_host_timer_support_t*>(
        host_->get_extension(host_, CLAP_EXT_TIMER_SUPPORT));
    params_ = static_cast<const clap_host_params_t*>(host_->get_extension(host_, CLAP_EXT_PARAMS));
}

bool ClapGui::is_possible() const {
    return timers_ && timers_->register_timer && timers_->unregister_timer && libraries();
}

bool ClapGui::create() {
    destroy();
    view_ = std::make_unique<View>(*libraries(), *this);
    return true;
}

void ClapGui::destroy() {
    if (timer_ != CLAP_INVALID_ID)
        timers_->unregister_timer(host_, timer_);
    timer_ = CLAP_INVALID_ID;
    view_.reset();
}

bool ClapGui::set_parent(uint32_t parent) {
    if (!view_ || !view_->open(parent))
        return false;
    if (timer_ == CLAP_INVALID_ID && !timers_->register_timer(host_, kTick_ms, &timer_)) {
        timer_ = CLAP_INVALID_ID;
        view_->close();
        return false;
    }
    return true;
}

void ClapGui::on_timer(clap_id timer) {
    if (view_ && timer == timer_)
        view_->tick();
}

void ClapGui::begin(uint32_t id) { tell({CLAP_EVENT_PARAM_GESTURE_BEGIN, id, 0}); }
void ClapGui::end(uint32_t id) { tell({CLAP_EVENT_PARAM_GESTURE_END, id, 0}); }

void ClapGui::set(uint32_t id, float value) {
    effect_.set_value(id, value);
    tell({CLAP_EVENT_PARAM_VALUE, id, effect_.value(id)});
}

// The value is the effect's already, so what finds no room only fails to be recorded.
void ClapGui::tell(const Move& move) {
    const uint32_t written = written_.load(std::memory_order_relaxed);
    if (written - read_.load(std::memory_order_acquire) < moves_.size()) {
        moves_[written % moves_.size()] = move;
        written_.store(written + 1, std::memory_order_release);
    }
    if (params_ && params_->request_flush)
        params_->request_flush(host_);
}

void ClapGui::push(const clap_output_events_t* events) {
    const uint32_t written = written_.load(std::memory_order_acquire);
    uint32_t read = read_.load(std::memory_order_relaxed);
    for (; events && read != written; ++read) {
        const Move& move = moves_[read % moves_.size()];
        bool taken;
        if (move.kind == CLAP_EVENT_PARAM_VALUE) {
            clap_event_param_value_t event = {};
            event.header = {sizeof event, 0, CLAP_CORE_EVENT_SPACE_ID, move.kind, 0};
            event.param_id = move.id;
            event.note_id = event.port_index = event.channel = event.key = -1;
            event.value = move.value;
            taken = events->try_push(events, &event.header);
        } else {
            clap_event_param_gesture_t event = {};
            event.header = {sizeof event, 0, CLAP_CORE_EVENT_SPACE_ID, move.kind, 0};
            event.param_id = move.id;
            taken = events->try_push(events, &event.header);
        }
        if (!taken)
            break;
    }
    read_.store(read, std::memory_order_release);
}

}  // namespace stemsteer
