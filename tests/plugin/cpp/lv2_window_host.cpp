// Hosts the window of an LV2, and with LV2_APART=1 without access to the instance, as hosts do that
// run it in another process. See window_host.h.
#include <lv2/instance-access.h>
#include <lv2/ui.h>

#include "lv2_checks.h"
#include "window_host.h"

namespace {

using stemsteer::Control;
using stemsteer::kControls;

std::string symbol_of(const Control& control) {
    return control.id == stemsteer::kBypass ? "lv2_enabled" : control.symbol;
}

class Lv2WindowHost final : public WindowHost {
public:
    Lv2WindowHost() {
        void* const library = dlopen(plugin_path.c_str(), RTLD_NOW | RTLD_LOCAL);
        const auto get = reinterpret_cast<LV2UI_DescriptorFunction>(dlsym(library, "lv2ui_descriptor"));
        described_ = get ? get(0) : nullptr;
        plugin_.start();
    }

    bool open(uint32_t parent, double scale) override {
        const float factor = float(scale);
        const LV2_Options_Option options[] = {
            {LV2_OPTIONS_INSTANCE, 0, urid(LV2_UI__scaleFactor), 4, urid(LV2_ATOM__Float), &factor}, {}};
        LV2UI_Resize resize = {this, [](LV2UI_Feature_Handle self, int width, int height) {
                                   static_cast<Lv2WindowHost*>(self)->width_ = uint32_t(width);
                                   static_cast<Lv2WindowHost*>(self)->height_ = uint32_t(height);
                                   return 0;
                               }};
        const LV2_Feature features[] = {
            {LV2_UI__parent, reinterpret_cast<void*>(uintptr_t{parent})},
            {LV2_UI__touch, &touch_},
            {LV2_UI__resize, &resize},
            {LV2_URID__map, &plugin_.map},
            {scale > 0 ? LV2_OPTIONS__options : "urn:none", const_cast<LV2_Options_Option*>(options)},
            {std::getenv("LV2_APART") ? "urn:none" : LV2_INSTANCE_ACCESS_URI, plugin_.handle}};
        const LV2_Feature* heads[7] = {};
        for (size_t i = 0; i < 6; ++i)
            heads[i] = &features[i];
        LV2UI_Widget widget = nullptr;
        if (described_)
            handle_ = described_->instantiate(described_, "urn:stemsteer:stemsteer", "/", write, this,
                                              &widget, heads);
        if (!handle_)
            return false;
        REQUIRE(widget, "no widget");
        idle_ = static_cast<const LV2UI_Idle_Interface*>(described_->extension_data(LV2_UI__idleInterface));
        REQUIRE(idle_, "no idle interface");
        child_ = uint32_t(reinterpret_cast<uintptr_t>(widget));
        for (const Control& control : kControls)
            tell(control);
        return true;
    }

    void close() override {
        described_->cleanup(handle_);
        handle_ = nullptr;
    }

    // Hosts resize the plugin's window.
    void size(uint32_t& width, uint32_t& height) override {
        if (!width) {
            width = width_;
            height = height_;
            return;
        }
        const stemsteer::Libraries& l = *stemsteer::libraries();
        xcb_connection_t* const connection = l.xcb_connect(nullptr, nullptr);
        const uint32_t values[] = {width, height};
        l.xcb_configure_window(connection, child_, XCB_CONFIG_WINDOW_WIDTH | XCB_CONFIG_WINDOW_HEIGHT, values);
        std::free(l.xcb_get_geometry_reply(connection, l.xcb_get_geometry(connection, child_), nullptr));
        l.xcb_disconnect(connection);
    }

    double value(const Control& control) override {
        const double value = plugin_.controls[symbol_of(control)];
        return control.id == stemsteer::kBypass ? 1 - value : value;
    }

    void set(const Control& control, double value) override {
        plugin_.controls[symbol_of(control)] = float(control.id == stemsteer::kBypass ? 1 - value : value);
        tell(control);
    }

    void tick() override {
        if (handle_)
            idle_->idle(handle_);
    }

    void play(float* const* in, float* const* out) override { plugin_.run(in, out, kHostBlock); }

private:
    static LV2_URID urid(const char* uri) { return checks::urid_of(uri); }

    // As the bundle's text tells, not as the window thinks.
    static const Control& control_at(uint32_t port) {
        for (const Control& control : kControls)
            if (checks::ports().at(symbol_of(control)) == port)
                return control;
        fail("no control at port %u", port);
    }

    void tell(const Control& control) {
        const float value = plugin_.controls[symbol_of(control)];
        if (handle_)
            described_->port_event(handle_, checks::ports().at(symbol_of(control)), sizeof value, 0, &value);
    }

    static void write(LV2UI_Controller self, uint32_t port, uint32_t bytes, uint32_t format, const void* data) {
        REQUIRE(bytes == sizeof(float) && format == 0, "%u bytes of format %u", bytes, format);
        Lv2WindowHost& host = *static_cast<Lv2WindowHost*>(self);
        const Control& control = control_at(port);
        host.plugin_.controls[symbol_of(control)] = *static_cast<const float*>(data);
        host.moved(control, host.value(control));
    }

    LV2UI_Touch touch_ = {this, [](LV2UI_Feature_Handle self, uint32_t port, bool grabbed) {
                              static_cast<Lv2WindowHost*>(self)->moved(grabbed ? "begin" : "end", control_at(port));
                          }};
    checks::Plugin plugin_{kHostRate_hz, kHostBlock};
    const LV2UI_Descriptor* described_ = nullptr;
    const LV2UI_Idle_Interface* idle_ = nullptr;
    LV2UI_Handle handle_ = nullptr;
    uint32_t child_ = 0, width_ = 0, height_ = 0;
};

}  // namespace

int main(int count, char** words) { return run_window_host<Lv2WindowHost>(count, words); }
