// Draws the window.
#pragma once

#include <string>

#include "canvas.h"
#include "controls.h"
#include "field.h"
#include "layout.h"

namespace stemsteer {

// All that is drawn but the field. Two that are equal look the same.
struct Shown {
    float values[kControlCount] = {};
    float latency_ms = 0;
    bool has_sound = false;  // the window is where the sound is
    const char* notice = "";
    std::string refusal;  // why the engine does not take the track

    bool operator==(const Shown& other) const;
};

class Picture {
public:
    explicit Picture(const Libraries& libraries);
    ~Picture();
    Picture(const Picture&) = delete;
    Picture& operator=(const Picture&) = delete;

    void draw(Canvas& canvas, Size size, const Shown& shown, const Field& field);

private:
    void draw_field(Canvas& canvas, const Layout& layout, const Shown& shown, const Field& field);
    void paint_cells(const Field& field);

    const Libraries& l_;
    cairo_surface_t* const cells_;
};

}  // namespace stemsteer
