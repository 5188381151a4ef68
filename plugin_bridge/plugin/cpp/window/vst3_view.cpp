#include "vst3_view.h"

#include <atomic>
#include <cstring>
#include <iterator>

#include "view.h"
#include "vst3_view_interfaces.h"

namespace stemsteer {

namespace {

constexpr uint64_t kTick_ms = 16;
constexpr int16_t kShift = 1;

// Keys and modifiers as VST3 numbers them. With another modifier than Shift a key is the host's.
Key key_of(int16_t code, int16_t modifiers) {
    constexpr Key keys[] = {Key::kHome,  Key::kLeft,   Key::kUp,      Key::kRight,
                            Key::kDown,  Key::kPageUp, Key::kPageDown};
    constexpr int16_t first = 10;
    const bool known = code >= first && size_t(code - first) < std::size(keys);
    return known && !(modifiers & ~kShift) ? keys[code - first] : Key::kNone;
}

class Vst3View final : public PlugView, public ContentScale, public TimerHandler {
public:
    Vst3View(Unknown& owner, ControlSurface& surface) : owner_(owner), view_(*libraries(), surface) {
        owner_.ref();
    }

    // --- Unknown

    v3_result V3_API query(const v3_tuid id, void** found) override {
        if (v3_tuid_match(id, v3_funknown_iid) || v3_tuid_match(id, v3_plugin_view_iid))
            *found = static_cast<PlugView*>(this);
        else if (v3_tuid_match(id, v3_plugin_view_content_scale_iid))
            *found = static_cast<ContentScale*>(this);
        else if (v3_tuid_match(id, v3_timer_handler_iid))
            *found = static_cast<TimerHandler*>(this);
        else
            return *found = nullptr, V3_NO_INTERFACE;
        ref();
        return V3_OK;
    }

    uint32_t V3_API ref() override { return ++references_; }

    uint32_t V3_API unref() override {
        const uint32_t left = --references_;
        if (left == 0)
            delete this;
        return left;
    }

    // --- PlugView

    v3_result V3_API is_platform_type_supported(const char* type) override {
        return type && !std::strcmp(type, V3_VIEW_PLATFORM_TYPE_X11) ? V3_OK : V3_FALSE;
    }

    // Without a loop of the host's there is no one who would keep the window alive.
    v3_result V3_API attached(void* parent, const char* type) override {
        if (is_platform_type_supported(type) != V3_OK || !frame_ || view_.window())
            return V3_FALSE;
        if (frame_->query(v3_run_loop_iid, reinterpret_cast<void**>(&loop_)) != V3_OK || !loop_)
            return loop_ = nullptr, V3_FALSE;
        if (!view_.open(uint32_t(reinterpret_cast<uintptr_t>(parent))) ||
            loop_->register_timer(this, kTick_ms) != V3_OK)
            return leave_loop(), view_.close(), V3_FALSE;
        ticking_ = true;
        return V3_OK;
    }

    v3_result V3_API removed() override {
        leave_loop();
        view_.close();
        return V3_OK;
    }

    v3_result V3_API on_wheel(float) override { return V3_FALSE; }  // it comes by X

    // A host tells what its own window gets; what has come by X it has not seen.
    v3_result V3_API on_key_down(int16_t, int16_t code, int16_t modifiers) override {
        return view_.key(key_of(code, modifiers), modifiers & kShift) ? V3_OK : V3_FALSE;
    }

    v3_result V3_API on_key_up(int16_t, int16_t code, int16_t modifiers) override {
        return view_.window() && key_of(code, modifiers) != Key::kNone ? V3_OK : V3_FALSE;
    }

    v3_result V3_API get_size(v3_view_rect* size) override {
        if (!size)
            return V3_INVALID_ARG;
        *size = {0, 0, int32_t(view_.width()), int32_t(view_.height())};
        return V3_OK;
    }

    v3_result V3_API on_size(v3_view_rect* size) override {
        if (!size || size->right <= size->left || size->bottom <= size->top)
            return V3_INVALID_ARG;
        view_.resize(uint32_t(size->right - size->left), uint32_t(size->bottom - size->top));
        return V3_OK;
    }

    v3_result V3_API on_focus(v3_bool) override { return V3_OK; }

    v3_result V3_API set_frame(PlugFrame* frame) override {
        if (frame)
            frame->ref();
        if (frame_)
            frame_->unref();
        frame_ = frame;
        return V3_OK;
    }

    v3_result V3_API can_resize() override { return V3_OK; }

    v3_result V3_API check_size_constraint(v3_view_rect* size) override {
        if (!size || size->right <= size->left || size->bottom <= size->top)
            return V3_INVALID_ARG;
        auto width = uint32_t(size->right - size->left), height = uint32_t(size->bottom - size->top);
        view_.adjust(width, height);
        size->right = size->left + int32_t(width);
        size->bottom = size->top + int32_t(height);
        return V3_OK;
    }

    // --- ContentScale, TimerHandler

    v3_result V3_API set_content_scale_factor(float factor) override {
        view_.set_scale(factor);
        if (frame_ && view_.window()) {
            v3_view_rect size = {0, 0, int32_t(view_.width()), int32_t(view_.height())};
            frame_->resize_view(this, &size);
        }
        return V3_OK;
    }

    void V3_API on_timer() override { view_.tick(); }

private:
    ~Vst3View() {
        leave_loop();
        view_.close();
        set_frame(nullptr);
        owner_.unref();
    }

    void leave_loop() {
        if (loop_ && ticking_)
            loop_->unregister_timer(this);
        if (loop_)
            loop_->unref();
        loop_ = nullptr;
        ticking_ = false;
    }

    std::atomic<uint32_t> references_{1};
    Unknown& owner_;
    PlugFrame* frame_ = nullptr;
    RunLoop* loop_ = nullptr;
    bool ticking_ = false;
    View view_;
};

}  // namespace

PlugView* make_vst3_view(Unknown& owner, ControlSurface& surface) {
    return libraries() ? new Vst3View(owner, surface) : nullptr;
}

}  // namespace stemsteer
