// Hosts the window of a CLAP. See window_host.h.
#include <clap/ext/gui.h>
#include <clap/ext/timer-support.h>

#include "clap_checks.h"
#include "window_host.h"

namespace {

using stemsteer::Control;
using stemsteer::kControls;

class ClapWindowHost final : public WindowHost {
public:
    ClapWindowHost() {
        plugin_.start(kHostRate_hz, kHostBlock);
        gui_ = static_cast<const clap_plugin_gui_t*>(of().get_extension(&of(), CLAP_EXT_GUI));
        timers_ = static_cast<const clap_plugin_timer_support_t*>(
            of().get_extension(&of(), CLAP_EXT_TIMER_SUPPORT));
    }

    bool open(uint32_t parent, double scale) override {
        const char* api = nullptr;
        bool floating = true;
        if (!gui_ || !gui_->is_api_supported(&of(), CLAP_WINDOW_API_X11, false))
            return false;
        REQUIRE(gui_->get_preferred_api(&of(), &api, &floating) && !floating, "preferred api");
        REQUIRE(!gui_->is_api_supported(&of(), CLAP_WINDOW_API_X11, true), "floating");
        REQUIRE(!gui_->is_api_supported(&of(), CLAP_WINDOW_API_WAYLAND, false), "wayland");
        REQUIRE(gui_->create(&of(), api, floating), "create");
        REQUIRE(scale <= 0 || gui_->set_scale(&of(), scale), "set_scale");
        clap_window_t window = {CLAP_WINDOW_API_X11, {}};
        window.x11 = parent;
        REQUIRE(gui_->set_parent(&of(), &window), "set_parent");
        return gui_->show(&of());
    }

    void close() override {
        gui_->destroy(&of());
        REQUIRE(timer == CLAP_INVALID_ID, "a timer is left");
    }

    void size(uint32_t& width, uint32_t& height) override {
        if (width) {
            REQUIRE(gui_->can_resize(&of()) && gui_->adjust_size(&of(), &width, &height), "adjust");
            REQUIRE(gui_->set_size(&of(), width, height), "set_size");
        } else {
            REQUIRE(gui_->get_size(&of(), &width, &height), "get_size");
        }
    }

    void scale(double scale) override { REQUIRE(gui_->set_scale(&of(), scale), "set_scale"); }
    double value(const Control& control) override { return plugin_.value(control.id); }
    void set(const Control& control, double value) override { automation_.add(control.id, value); }

    void tick() override {
        if (timer != CLAP_INVALID_ID)
            timers_->on_timer(&of(), timer);
    }

    void play(float* const* in, float* const* out) override {
        automation_.out = {this, take};
        plugin_.play(in, out, kHostBlock, automation_);
        automation_.list.clear();
    }

    static const void* extension(const char* id) {
        static const clap_host_timer_support_t timers = {
            [](const clap_host_t*, uint32_t, clap_id* id) { return *id = timer = 7, true; },
            [](const clap_host_t*, clap_id) { return timer = CLAP_INVALID_ID, true; }};
        return std::strcmp(id, CLAP_EXT_TIMER_SUPPORT) ? nullptr : &timers;
    }

private:
    const clap_plugin_t& of() { return *plugin_.plugin; }

    static bool take(const clap_output_events_t* self, const clap_event_header_t* event) {
        ClapWindowHost& host = *static_cast<ClapWindowHost*>(self->ctx);
        if (event->type == CLAP_EVENT_PARAM_VALUE) {
            const auto& told = *reinterpret_cast<const clap_event_param_value_t*>(event);
            if (!kControls[told.param_id].output)
                host.moved(kControls[told.param_id], told.value);
        } else {
            const auto& told = *reinterpret_cast<const clap_event_param_gesture_t*>(event);
            REQUIRE(event->size == sizeof told, "a gesture of %u bytes", event->size);
            host.moved(event->type == CLAP_EVENT_PARAM_GESTURE_BEGIN ? "begin" : "end",
                       kControls[told.param_id]);
        }
        return true;
    }

    static inline clap_id timer = CLAP_INVALID_ID;
    checks::Plugin plugin_;
    checks::Events automation_;
    const clap_plugin_gui_t* gui_ = nullptr;
    const clap_plugin_timer_support_t* timers_ = nullptr;
};

}  // namespace

int main(int count, char** words) {
    checks::more_extensions = ClapWindowHost::extension;
    return run_window_host<ClapWindowHost>(count, words);
}
