// What a host loads of the VST3: entry points, and the factory that describes and makes the plugin.
#include <cstring>

#include "DistrhoPluginInfo.h"
#include "text.h"
#include "vst3_parameters.h"

namespace stemsteer {

Unknown* make_vst3_plugin();  // with one reference, the caller's

namespace {

constexpr char kSdkVersion[] = "VST 3.7.4";

// The class's identity is the one that DPF makes: "DPF ", "clas" and the number of the plugin, each
// with its last byte first.
void class_id(v3_tuid id) {
    constexpr uint32_t kWords[] = {0x44504620, 0x636c6173, STEMSTEER_UNIQUE_ID, 0};
    for (int i = 0; i < 16; ++i)
        id[i] = uint8_t(kWords[i / 4] >> (8 * (i % 4)));
}

class Factory final : public PluginFactory {
public:
    v3_result V3_API query(const v3_tuid id, void** found) override {
        const bool known = v3_tuid_match(id, v3_funknown_iid) ||
                           v3_tuid_match(id, v3_plugin_factory_iid) ||
                           v3_tuid_match(id, v3_plugin_factory_2_iid) ||
                           v3_tuid_match(id, v3_plugin_factory_3_iid);
        *found = known ? this : nullptr;
        return known ? V3_OK : V3_NO_INTERFACE;
    }

    uint32_t V3_API ref() override { return 1; }  // it is there as long as the library
    uint32_t V3_API unref() override { return 1; }

    v3_result V3_API get_factory_info(v3_factory_info* info) override {
        *info = {};
        copy_text(info->vendor, sizeof info->vendor, DISTRHO_PLUGIN_BRAND);
        copy_text(info->url, sizeof info->url, STEMSTEER_URL);
        copy_text(info->email, sizeof info->email, STEMSTEER_MAIL);
        info->flags = 0x10;  // unicode
        return V3_OK;
    }

    int32_t V3_API num_classes() override { return 1; }

    v3_result V3_API get_class_info(int32_t index, v3_class_info* info) override {
        if (index != 0)
            return V3_INVALID_ARG;
        *info = {};
        fill(*info);
        copy_text(info->name, sizeof info->name, DISTRHO_PLUGIN_NAME);
        return V3_OK;
    }

    v3_result V3_API get_class_info_2(int32_t index, v3_class_info_2* info) override {
        if (index != 0)
            return V3_INVALID_ARG;
        *info = {};
        fill(*info);
        copy_text(info->sub_categories, sizeof info->sub_categories, DISTRHO_PLUGIN_VST3_CATEGORIES);
        copy_text(info->name, sizeof info->name, DISTRHO_PLUGIN_NAME);
        copy_text(info->vendor, sizeof info->vendor, DISTRHO_PLUGIN_BRAND);
        copy_text(info->version, sizeof info->version, kProductVersion);
        copy_text(info->sdk_version, sizeof info->sdk_version, kSdkVersion);
        return V3_OK;
    }

    v3_result V3_API get_class_info_utf16(int32_t index, v3_class_info_3* info) override {
        if (index != 0)
            return V3_INVALID_ARG;
        *info = {};
        fill(*info);
        copy_text(info->sub_categories, sizeof info->sub_categories, DISTRHO_PLUGIN_VST3_CATEGORIES);
        copy_text(info->name, 64, DISTRHO_PLUGIN_NAME);
        copy_text(info->vendor, 64, DISTRHO_PLUGIN_BRAND);
        copy_text(info->version, 64, kProductVersion);
        copy_text(info->sdk_version, 64, kSdkVersion);
        return V3_OK;
    }

    v3_result V3_API create_instance(const v3_tuid wanted, const v3_tuid id, void** made) override {
        v3_tuid ours;
        class_id(ours);
        *made = nullptr;
        if (!v3_tuid_match(wanted, ours))
            return V3_NO_INTERFACE;
        Unknown* const plugin = make_vst3_plugin();
        const v3_result done = plugin->query(id, made);
        plugin->unref();
        return done;
    }

    v3_result V3_API set_host_context(Unknown*) override { return V3_OK; }

private:
    template <class Info>
    void fill(Info& info) {
        class_id(info.class_id);
        info.cardinality = 0x7fffffff;
        copy_text(info.category, sizeof info.category, "Audio Module Class");
    }
};

}  // namespace
}  // namespace stemsteer

extern "C" {

__attribute__((visibility("default"))) void* GetPluginFactory() {
    static stemsteer::Factory factory;
    return &factory;
}

__attribute__((visibility("default"))) bool ModuleEntry(void*) { return true; }
__attribute__((visibility("default"))) bool ModuleExit() { return true; }
}
