// The window in VST3.
#pragma once

#include "surface.h"
#include "vst3_interfaces.h"

namespace stemsteer {

struct PlugView;

// With one reference, the caller's; it keeps one of `owner`, whose the surface is. Null: this machine
// has no windows.
PlugView* make_vst3_view(Unknown& owner, ControlSurface& surface);

}  // namespace stemsteer
