#include "canvas.h"

namespace stemsteer {

namespace {

constexpr double kPi = 3.14159265358979323846;

}  // namespace

void Canvas::colour(uint32_t rgb, double alpha) {
    l_.cairo_set_source_rgba(cairo_, (rgb >> 16) / 255.0, (rgb >> 8 & 255) / 255.0,
                             (rgb & 255) / 255.0, alpha);
}

void Canvas::path(const Box& box, double radius) {
    l_.cairo_new_path(cairo_);
    if (radius <= 0)
        return l_.cairo_rectangle(cairo_, box.x, box.y, box.width, box.height);
    const double left = box.x + radius, right = box.right() - radius;
    const double top = box.y + radius, bottom = box.bottom() - radius;
    l_.cairo_arc(cairo_, right, top, radius, -kPi / 2, 0);
    l_.cairo_arc(cairo_, right, bottom, radius, 0, kPi / 2);
    l_.cairo_arc(cairo_, left, bottom, radius, kPi / 2, kPi);
    l_.cairo_arc(cairo_, left, top, radius, kPi, 1.5 * kPi);
    l_.cairo_close_path(cairo_);
}

void Canvas::box(const Box& box, double radius) {
    path(box, radius);
    l_.cairo_fill(cairo_);
}

void Canvas::frame(const Box& box, double radius) {
    path({box.x + 0.5, box.y + 0.5, box.width - 1, box.height - 1}, radius);
    l_.cairo_set_line_width(cairo_, 1);
    l_.cairo_stroke(cairo_);
}

void Canvas::line(double x0, double y0, double x1, double y1, double width) {
    l_.cairo_new_path(cairo_);
    l_.cairo_move_to(cairo_, x0, y0);
    l_.cairo_line_to(cairo_, x1, y1);
    l_.cairo_set_line_width(cairo_, width);
    l_.cairo_stroke(cairo_);
}

void Canvas::dot(double x, double y, double radius) {
    l_.cairo_new_path(cairo_);
    l_.cairo_arc(cairo_, x, y, radius, 0, 2 * kPi);
    l_.cairo_fill(cairo_);
}

void Canvas::ring(double x, double y, double radius, double width) {
    l_.cairo_new_path(cairo_);
    l_.cairo_arc(cairo_, x, y, radius, 0, 2 * kPi);
    l_.cairo_set_line_width(cairo_, width);
    l_.cairo_stroke(cairo_);
}

void Canvas::choose_font(double size, bool bold) {
    l_.cairo_select_font_face(cairo_, "Sans", CAIRO_FONT_SLANT_NORMAL,
                              bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    l_.cairo_set_font_size(cairo_, size);
}

double Canvas::width_of(const std::string& words) {
    cairo_text_extents_t extents = {};
    l_.cairo_text_extents(cairo_, words.c_str(), &extents);
    return extents.x_advance;
}

void Canvas::text(double x, double y, const std::string& words, double size, Align align,
                  bool bold) {
    choose_font(size, bold);
    const double share = align == Align::kLeft ? 0 : align == Align::kCentre ? 0.5 : 1;
    l_.cairo_move_to(cairo_, x - share * width_of(words), y + 0.36 * size);
    l_.cairo_show_text(cairo_, words.c_str());
}

size_t Canvas::fitting(const std::string& words, double size, double width) {
    choose_font(size, false);
    if (width_of(words) <= width)
        return words.size();
    const auto whole = [&words](size_t bytes) {
        while (bytes > 0 && (words[bytes] & 0xc0) == 0x80)
            --bytes;
        return bytes;
    };
    size_t fits = 0, too_many = words.size();
    while (too_many - fits > 1) {
        const size_t middle = (fits + too_many) / 2;
        (width_of(words.substr(0, whole(middle))) <= width ? fits : too_many) = middle;
    }
    return whole(fits);
}

std::vector<std::string> Canvas::wrapped(std::string words, double size, double width, size_t most) {
    constexpr char kMore[] = "\u2026";
    std::vector<std::string> lines;
    for (size_t bytes; (bytes = fitting(words, size, width)) < words.size();) {
        if (lines.size() + 1 == most) {
            bytes = fitting(words, size, width - width_of(kMore));
            words = words.substr(0, bytes) + kMore;
            break;
        }
        const size_t space = words.rfind(' ', bytes);
        if (space != words.npos && space > 0)
            bytes = space;
        lines.push_back(words.substr(0, bytes));
        words.erase(0, bytes + (words[bytes] == ' '));
    }
    lines.push_back(words);
    return lines;
}

void Canvas::image(cairo_surface_t* image, int width, int height, const Box& box) {
    const double across = box.width / (width - 1), down = box.height / height;
    l_.cairo_save(cairo_);
    path(box, 0);
    l_.cairo_clip(cairo_);
    l_.cairo_translate(cairo_, box.x - across / 2, box.y);
    l_.cairo_scale(cairo_, across, down);
    l_.cairo_set_source_surface(cairo_, image, 0, 0);
    l_.cairo_pattern_set_filter(l_.cairo_get_source(cairo_), CAIRO_FILTER_BILINEAR);
    l_.cairo_paint(cairo_);
    l_.cairo_restore(cairo_);
}

}  // namespace stemsteer
