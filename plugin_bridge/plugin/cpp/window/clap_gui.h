// The window in CLAP, and the moves in it on their way to the host.
#pragma once

#include <clap/ext/gui.h>
#include <clap/ext/params.h>
#include <clap/ext/timer-support.h>

#include <array>
#include <memory>

#include "view.h"

namespace stemsteer {

class ClapGui final : public ControlSurface {
public:
    ClapGui(const clap_host_t* host, Effect& effect) : host_(host), effect_(effect) {}
    ~ClapGui() { destroy(); }

    void meet_host();  // in `init`

    // What a host asks for by that name; null: it is none of a window's.
    static const void* extension(const char* id);

    // Hand over what was moved; where the host takes events. The audio thread may call it.
    void push(const clap_output_events_t* events);

    float value(uint32_t id) const override { return effect_.value(id); }
    void begin(uint32_t id) override;
    void set(uint32_t id, float value) override;
    void end(uint32_t id) override;
    const Effect* effect() const override { return &effect_; }

    // What hosts call, in the main thread.
    bool is_possible() const;
    bool create();
    void destroy();
    bool set_parent(uint32_t parent);
    View* view() { return view_.get(); }
    void on_timer(clap_id timer);

private:
    struct Move {
        uint16_t kind;
        uint32_t id;
        float value;
    };

    void tell(const Move& move);

    const clap_host_t* const host_;
    Effect& effect_;
    const clap_host_timer_support_t* timers_ = nullptr;
    const clap_host_params_t* params_ = nullptr;
    clap_id timer_ = CLAP_INVALID_ID;
    std::unique_ptr<View> view_;

    // From the main thread to wherever the host takes events: one writer, one reader.
    std::array<Move, 256> moves_;
    std::atomic<uint32_t> written_{0}, read_{0};

    friend struct ClapGuiCalls;
};

ClapGui& gui_of(const clap_plugin_t* plugin);

}  // namespace stemsteer
