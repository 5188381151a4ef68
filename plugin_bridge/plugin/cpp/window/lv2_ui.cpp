// The window in LV2, in the plugin's own library. Hosts that run it in the plugin's process hand over
// the instance (instance-access); in others it shows and moves the controls, without the sound.
#include <lv2/instance-access.h>
#include <lv2/options.h>
#include <lv2/ui.h>

#include <cstring>
#include <memory>

#include "lv2_plugin.h"
#include "view.h"

namespace stemsteer {
namespace {

// Places of the ports as DPF makes them, for hosts without ui:portMap: audio, events in and out, latency.
constexpr uint32_t kFirstControlPort = 2 + kOutputs + 2 + 1;

class Lv2Ui final : public ControlSurface {
public:
    Lv2Ui(LV2UI_Write_Function write, LV2UI_Controller controller, const LV2_Feature* const* features)
        : write_(write), controller_(controller), view_(*libraries(), *this) {
        for (const Control& control : kControls)
            values_[control.id] = control.normal;
        const LV2_URID_Map* map = nullptr;
        const LV2_Options_Option* options = nullptr;
        for (; features && *features; ++features) {
            void* const data = (*features)->data;
            const auto is = [&](const char* uri) { return !std::strcmp((*features)->URI, uri); };
            if (is(LV2_UI__parent))
                parent_ = uint32_t(reinterpret_cast<uintptr_t>(data));
            else if (is(LV2_UI__resize))
                resize_ = static_cast<const LV2UI_Resize*>(data);
            else if (is(LV2_UI__touch))
                touch_ = static_cast<const LV2UI_Touch*>(data);
            else if (is(LV2_UI__portMap))
                ports_ = static_cast<const LV2UI_Port_Map*>(data);
            else if (is(LV2_INSTANCE_ACCESS_URI))
                effect_ = effect_of_lv2(data);
            else if (is(LV2_URID__map))
                map = static_cast<const LV2_URID_Map*>(data);
            else if (is(LV2_OPTIONS__options))
                options = static_cast<const LV2_Options_Option*>(data);
        }
        if (map && options)
            read_scale(*map, options);
    }

    bool open() {
        if (!view_.open(parent_))
            return false;
        if (resize_)
            resize_->ui_resize(resize_->handle, int(view_.width()), int(view_.height()));
        return true;
    }

    uint32_t window() const { return view_.window(); }
    void tick() { view_.tick(); }

    void take(uint32_t port, float value) {
        for (const Control& control : kControls)
            if (port == port_of(control.id))
                values_[control.id] = control.id == kBypass ? 1 - value : value;
    }

    // --- ControlSurface

    float value(uint32_t id) const override {
        return kControls[id].output && effect_ ? effect_->value(id) : values_[id];
    }

    void begin(uint32_t id) override { touch(id, true); }
    void end(uint32_t id) override { touch(id, false); }

    // DPF shows the bypass as LV2's `enabled`, which is its opposite.
    void set(uint32_t id, float value) override {
        values_[id] = value;
        const float told = id == kBypass ? 1 - value : value;
        if (write_)
            write_(controller_, port_of(id), sizeof told, 0, &told);
    }

    const Effect* effect() const override { return effect_; }

private:
    void touch(uint32_t id, bool grabbed) {
        if (touch_ && touch_->touch)
            touch_->touch(touch_->handle, port_of(id), grabbed);
    }

    uint32_t port_of(uint32_t id) const {
        const char* const symbol = id == kBypass ? "lv2_enabled" : kControls[id].symbol;
        const uint32_t told = ports_ && ports_->port_index
                                  ? ports_->port_index(ports_->handle, symbol)
                                  : LV2UI_INVALID_PORT_INDEX;
        return told == LV2UI_INVALID_PORT_INDEX ? kFirstControlPort + id : told;
    }

    void read_scale(const LV2_URID_Map& map, const LV2_Options_Option* option) {
        const LV2_URID scale = map.map(map.handle, LV2_UI__scaleFactor);
        const LV2_URID number = map.map(map.handle, "http://lv2plug.in/ns/ext/atom#Float");
        for (; option->key; ++option)
            if (option->key == scale && option->type == number && option->size == sizeof(float))
                view_.set_scale(*static_cast<const float*>(option->value));
    }

    const LV2UI_Write_Function write_;
    const LV2UI_Controller controller_;
    uint32_t parent_ = 0;
    const LV2UI_Resize* resize_ = nullptr;
    const LV2UI_Touch* touch_ = nullptr;
    const LV2UI_Port_Map* ports_ = nullptr;
    const Effect* effect_ = nullptr;
    float values_[kControlCount];
    View view_;
};

LV2UI_Handle instantiate(const LV2UI_Descriptor*, const char* plugin_uri, const char*,
                         LV2UI_Write_Function write, LV2UI_Controller controller,
                         LV2UI_Widget* widget, const LV2_Feature* const* features) {
    if (!plugin_uri || std::strcmp(plugin_uri, DISTRHO_PLUGIN_URI) != 0 || !libraries())
        return nullptr;
    auto ui = std::make_unique<Lv2Ui>(write, controller, features);
    if (!ui->open())
        return nullptr;
    *widget = reinterpret_cast<LV2UI_Widget>(uintptr_t{ui->window()});
    return ui.release();
}

void cleanup(LV2UI_Handle handle) { delete static_cast<Lv2Ui*>(handle); }

void port_event(LV2UI_Handle handle, uint32_t port, uint32_t bytes, uint32_t format, const void* value) {
    if (format == 0 && bytes == sizeof(float) && value)
        static_cast<Lv2Ui*>(handle)->take(port, *static_cast<const float*>(value));
}

int idle(LV2UI_Handle handle) { return static_cast<Lv2Ui*>(handle)->tick(), 0; }

const void* extension_data(const char* uri) {
    static const LV2UI_Idle_Interface idler = {idle};
    return uri && !std::strcmp(uri, LV2_UI__idleInterface) ? &idler : nullptr;
}

}  // namespace
}  // namespace stemsteer

extern "C" LV2_SYMBOL_EXPORT const LV2UI_Descriptor* lv2ui_descriptor(uint32_t index) {
    using namespace stemsteer;
    static const LV2UI_Descriptor descriptor = {DISTRHO_PLUGIN_URI "#window", instantiate, cleanup,
                                                port_event, extension_data};
    return index == 0 ? &descriptor : nullptr;
}
