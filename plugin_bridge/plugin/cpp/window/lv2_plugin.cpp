#include "lv2_plugin.h"

#include <lv2/lv2.h>

#include "DistrhoPlugin.hpp"

extern "C" const LV2_Descriptor* lv2_descriptor(uint32_t index);

START_NAMESPACE_DISTRHO

const stemsteer::Effect& effect_of(const Plugin& plugin);  // plugin.cpp

END_NAMESPACE_DISTRHO

namespace stemsteer {

const Effect* effect_of_lv2(void* instance) {
    struct DirectAccess {  // DPF's, in DistrhoPluginLV2.cpp
        void* (*get_instance_pointer)(LV2_Handle handle);
    };
    const auto* const access = static_cast<const DirectAccess*>(
        lv2_descriptor(0)->extension_data("urn:distrho:direct-access"));
    if (!access || !instance)
        return nullptr;
    const void* const plugin = access->get_instance_pointer(instance);
    return &DISTRHO_NAMESPACE::effect_of(*static_cast<const DISTRHO_NAMESPACE::Plugin*>(plugin));
}

}  // namespace stemsteer
