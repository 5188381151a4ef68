// Hosts the window of a VST3. See window_host.h.
#include <travesty/view.h>

#include "vst3_checks.h"
#include "window_host.h"

namespace {

using stemsteer::Control;
using stemsteer::kControls;

struct RunLoop : checks::Object<v3_run_loop> {
    v3_timer_handler** timer = nullptr;

    RunLoop() {
        functions.register_timer = [](void* self, v3_timer_handler** handler, uint64_t time_ms) {
            of<RunLoop>(self).timer = handler;
            return time_ms > 0 ? v3_result(V3_OK) : v3_result(V3_INVALID_ARG);
        };
        functions.unregister_timer = [](void* self, v3_timer_handler** handler) {
            const bool known = of<RunLoop>(self).timer == handler;
            of<RunLoop>(self).timer = nullptr;
            return known ? v3_result(V3_OK) : v3_result(V3_INVALID_ARG);
        };
    }
};

RunLoop the_loop;

struct Frame : checks::Object<v3_plugin_frame> {
    Frame() {
        query_interface = [](void*, const v3_tuid id, void** found) {
            const bool known = v3_tuid_match(id, v3_run_loop_iid);
            *found = known ? the_loop.as<v3_run_loop>() : nullptr;
            return known ? v3_result(V3_OK) : v3_result(V3_NO_INTERFACE);
        };
        functions.resize_view = [](void*, v3_plugin_view** view, v3_view_rect* size) {
            v3_view_rect now = {};
            REQUIRE(v3_cpp_obj(view)->get_size(view, &now) == V3_OK, "get_size");
            REQUIRE(now.right == size->right && now.bottom == size->bottom, "another size than is asked for");
            return v3_cpp_obj(view)->on_size(view, size);
        };
    }
};

class Vst3WindowHost;
Vst3WindowHost* only = nullptr;

class Vst3WindowHost final : public WindowHost {
public:
    Vst3WindowHost() {
        only = this;
        auto& told = plugin_.handler.functions;
        told.begin_edit = [](void*, v3_param_id id) { return only->moved("begin", of(id)), v3_result(V3_OK); };
        told.end_edit = [](void*, v3_param_id id) { return only->moved("end", of(id)), v3_result(V3_OK); };
        told.perform_edit = [](void*, v3_param_id id, double value) {
            only->moved(of(id), of(id).low + value * (of(id).high - of(id).low));
            only->automation_->add(id, value);  // as hosts do: to the processor with the next block
            return v3_result(V3_OK);
        };
        plugin_.start(kHostRate_hz, kHostBlock);
    }

    bool open(uint32_t parent, double scale) override {
        view_ = static_cast<v3_plugin_view**>(plugin_.control()->create_view(plugin_.controller, "editor"));
        if (!view_)
            return false;
        REQUIRE(view()->is_platform_type_supported(view_, V3_VIEW_PLATFORM_TYPE_X11) == V3_OK, "X11");
        REQUIRE(view()->is_platform_type_supported(view_, "HWND") != V3_OK, "HWND");
        if (scale > 0)
            this->scale(scale);
        REQUIRE(view()->set_frame(view_, frame_.as<v3_plugin_frame>()) == V3_OK, "set_frame");
        REQUIRE(view()->attached(view_, reinterpret_cast<void*>(uintptr_t{parent}),
                                 V3_VIEW_PLATFORM_TYPE_X11) == V3_OK, "attached");
        return true;
    }

    void close() override {
        view()->set_frame(view_, nullptr);
        REQUIRE(view()->removed(view_) == V3_OK && !the_loop.timer, "a timer is left");
        v3_cpp_obj_unref(view_);
        view_ = nullptr;
    }

    void size(uint32_t& width, uint32_t& height) override {
        v3_view_rect rect = {0, 0, int32_t(width), int32_t(height)};
        if (width) {
            REQUIRE(view()->can_resize(view_) == V3_OK, "can_resize");
            REQUIRE(view()->check_size_constraint(view_, &rect) == V3_OK, "check_size_constraint");
            REQUIRE(view()->on_size(view_, &rect) == V3_OK, "on_size");
        } else {
            REQUIRE(view()->get_size(view_, &rect) == V3_OK, "get_size");
        }
        width = uint32_t(rect.right);
        height = uint32_t(rect.bottom);
    }

    void scale(double scale) override {
        v3_plugin_view_content_scale** scaled = nullptr;
        v3_cpp_obj_query_interface(view_, v3_plugin_view_content_scale_iid, &scaled);
        REQUIRE(scaled, "no content scale");
        v3_cpp_obj(scaled)->set_content_scale_factor(scaled, float(scale));
        v3_cpp_obj_unref(scaled);
    }

    double value(const Control& control) override {
        return control.low + plugin_.value(control.id + 1) * (control.high - control.low);
    }

    void set(const Control& control, double value) override {
        automation_->add(control.id + 1, (value - control.low) / (control.high - control.low));
    }

    bool key(int code, int modifiers) override {
        const auto down = view()->on_key_down(view_, 0, int16_t(code), int16_t(modifiers));
        const auto up = view()->on_key_up(view_, 0, int16_t(code), int16_t(modifiers));
        REQUIRE(down == up && (down == V3_OK || down == V3_FALSE), "a key of which half is taken");
        return down == V3_OK;
    }

    void tick() override {
        if (the_loop.timer)
            v3_cpp_obj(the_loop.timer)->on_timer(the_loop.timer);
    }

    void play(float* const* in, float* const* out) override {
        plugin_.play(in, out, kHostBlock, automation_.get());
        automation_ = std::make_unique<checks::Changes>();
    }

private:
    static const Control& of(v3_param_id id) { return kControls[id - 1]; }
    v3_plugin_view* view() { return v3_cpp_obj(view_); }

    checks::Plugin plugin_;
    std::unique_ptr<checks::Changes> automation_ = std::make_unique<checks::Changes>();
    Frame frame_;
    v3_plugin_view** view_ = nullptr;
};

}  // namespace

int main(int count, char** words) { return run_window_host<Vst3WindowHost>(count, words); }
