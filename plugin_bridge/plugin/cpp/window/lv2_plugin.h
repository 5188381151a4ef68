// What the window in LV2 asks of the plugin, which DPF wraps.
#pragma once

#include "effect.h"

namespace stemsteer {

// The effect of an instance that a host has handed over; null if DPF does not give it.
const Effect* effect_of_lv2(void* instance);

}  // namespace stemsteer
