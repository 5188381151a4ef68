// What a window shows and moves: the controls of one plugin, as its format hands them to a host.
#pragma once

#include "effect.h"

namespace stemsteer {

// Everything happens in the host's main thread. A host records what is set between `begin` and `end`.
class ControlSurface {
public:
    virtual float value(uint32_t id) const = 0;
    virtual void begin(uint32_t id) = 0;
    virtual void set(uint32_t id, float value) = 0;
    virtual void end(uint32_t id) = 0;

    // Null where the host runs the window in another process: there is no sound to be shown then.
    virtual const Effect* effect() const = 0;

    void touch(uint32_t id, float value) {  // a gesture of one move
        begin(id);
        set(id, value);
        end(id);
    }

protected:
    ~ControlSurface() = default;
};

}  // namespace stemsteer
