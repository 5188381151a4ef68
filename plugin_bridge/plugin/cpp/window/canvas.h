// Shapes and words, drawn by cairo.
#pragma once

#include <string>
#include <vector>

#include "layout.h"
#include "libraries.h"

namespace stemsteer {

enum class Align { kLeft, kCentre, kRight };

class Canvas {
public:
    Canvas(const Libraries& libraries, cairo_t* cairo) : l_(libraries), cairo_(cairo) {}

    void colour(uint32_t rgb, double alpha = 1);
    void box(const Box& box, double radius = 0);
    void frame(const Box& box, double radius = 0);
    void line(double x0, double y0, double x1, double y1, double width = 1);
    void dot(double x, double y, double radius);
    void ring(double x, double y, double radius, double width);

    // `y` is the middle of small letters.
    void text(double x, double y, const std::string& words, double size, Align align = Align::kLeft,
              bool bold = false);

    // How many bytes of a text are no wider than this, of whole characters of UTF-8.
    size_t fitting(const std::string& words, double size, double width);

    // A text in lines no wider than this, broken between words; what does not fit the last becomes "…".
    std::vector<std::string> wrapped(std::string words, double size, double width, size_t most);

    // Stretch an image so that its part between the centres of the outermost pixels of a row fills
    // the box, as high as it is.
    void image(cairo_surface_t* image, int width, int height, const Box& box);

private:
    void path(const Box& box, double radius);
    void choose_font(double size, bool bold);
    double width_of(const std::string& words);

    const Libraries& l_;
    cairo_t* const cairo_;
};

}  // namespace stemsteer
