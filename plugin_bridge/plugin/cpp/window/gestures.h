// What mouse and keyboard do to the controls.
#pragma once

#include "layout.h"
#include "surface.h"

namespace stemsteer {

enum class Key { kNone, kLeft, kRight, kUp, kDown, kPageUp, kPageDown, kHome };

class Gestures {
public:
    explicit Gestures(ControlSurface& surface) : surface_(surface) {}

    // Places are in the units of the layout; `fine` is with Shift.
    void press(const Layout& layout, double x, double y, bool fine, uint32_t time_ms);
    void drag(const Layout& layout, double x, bool fine);
    void let_go();   // the mouse button
    void release();  // end what has begun, at once
    void tick();     // as time passes
    void wheel(const Layout& layout, double x, double y, int steps, bool fine);
    bool key(Key key, bool fine);  // false: it means nothing here

    bool is_dragging() const { return drag_ != kNothing; }
    const char* notice() const { return notice_; }  // what the user should know, or nothing

private:
    enum Drag { kNothing, kHandle, kEdge, kLearning };

    void grasp(const Layout& layout, double x, bool fine);
    void push(Button button);
    void step_instrument(int steps);
    void move(uint32_t id, double value);
    void reset();

    ControlSurface& surface_;
    Drag drag_ = kNothing;
    double last_x_ = 0, wanted_ = 0, side_ = 1;
    double pressed_x_ = 0, pressed_y_ = 0;
    uint32_t pressed_ms_ = 0;
    double learning_s_ = 0;  // when Learn was pressed
    bool let_go_ = false;    // of it, early
    bool pressed_before_ = false;
    const char* notice_ = "";
};

// Instruments that a model may know; the numbers after them have no name yet.
int instrument_count();

}  // namespace stemsteer
