// The functions of XCB and cairo that the window uses. They are looked for when a window is first
// asked for, so a machine without these libraries still loads the plugin, and a scan loads neither.
#pragma once

#include <cairo-xcb.h>
#include <xcb/xcb.h>

#define STEMSTEER_XCB_FUNCTIONS(X)                                                                \
    X(xcb_change_property)                                                                        \
    X(xcb_configure_window)                                                                       \
    X(xcb_connect)                                                                                \
    X(xcb_connection_has_error)                                                                   \
    X(xcb_create_window)                                                                          \
    X(xcb_depth_next)                                                                             \
    X(xcb_depth_visuals_iterator)                                                                 \
    X(xcb_destroy_window)                                                                         \
    X(xcb_disconnect)                                                                             \
    X(xcb_flush)                                                                                  \
    X(xcb_generate_id)                                                                            \
    X(xcb_get_geometry)                                                                           \
    X(xcb_get_geometry_reply)                                                                     \
    X(xcb_get_keyboard_mapping)                                                                   \
    X(xcb_get_keyboard_mapping_keysyms)                                                           \
    X(xcb_get_keyboard_mapping_reply)                                                             \
    X(xcb_get_setup)                                                                              \
    X(xcb_intern_atom)                                                                            \
    X(xcb_intern_atom_reply)                                                                      \
    X(xcb_map_window)                                                                             \
    X(xcb_poll_for_event)                                                                         \
    X(xcb_screen_allowed_depths_iterator)                                                         \
    X(xcb_screen_next)                                                                            \
    X(xcb_send_event)                                                                             \
    X(xcb_set_input_focus)                                                                        \
    X(xcb_setup_roots_iterator)                                                                   \
    X(xcb_unmap_window)                                                                           \
    X(xcb_visualtype_next)

#define STEMSTEER_CAIRO_FUNCTIONS(X)                                                              \
    X(cairo_arc)                                                                                  \
    X(cairo_clip)                                                                                 \
    X(cairo_close_path)                                                                           \
    X(cairo_create)                                                                               \
    X(cairo_destroy)                                                                              \
    X(cairo_device_destroy)                                                                       \
    X(cairo_device_finish)                                                                        \
    X(cairo_device_reference)                                                                     \
    X(cairo_fill)                                                                                 \
    X(cairo_get_source)                                                                           \
    X(cairo_image_surface_create)                                                                 \
    X(cairo_image_surface_get_data)                                                               \
    X(cairo_image_surface_get_stride)                                                             \
    X(cairo_line_to)                                                                              \
    X(cairo_move_to)                                                                              \
    X(cairo_new_path)                                                                             \
    X(cairo_paint)                                                                                \
    X(cairo_pattern_set_filter)                                                                   \
    X(cairo_pop_group_to_source)                                                                  \
    X(cairo_push_group)                                                                           \
    X(cairo_rectangle)                                                                            \
    X(cairo_restore)                                                                              \
    X(cairo_save)                                                                                 \
    X(cairo_scale)                                                                                \
    X(cairo_select_font_face)                                                                     \
    X(cairo_set_font_size)                                                                        \
    X(cairo_set_line_width)                                                                       \
    X(cairo_set_source_rgba)                                                                      \
    X(cairo_set_source_surface)                                                                   \
    X(cairo_show_text)                                                                            \
    X(cairo_stroke)                                                                               \
    X(cairo_surface_destroy)                                                                      \
    X(cairo_surface_flush)                                                                        \
    X(cairo_surface_get_device)                                                                   \
    X(cairo_surface_mark_dirty)                                                                   \
    X(cairo_text_extents)                                                                         \
    X(cairo_translate)                                                                            \
    X(cairo_xcb_surface_create)                                                                   \
    X(cairo_xcb_surface_set_size)

namespace stemsteer {

struct Libraries {
#define STEMSTEER_FUNCTION(name) decltype(&::name) name = nullptr;
    STEMSTEER_XCB_FUNCTIONS(STEMSTEER_FUNCTION)
    STEMSTEER_CAIRO_FUNCTIONS(STEMSTEER_FUNCTION)
#undef STEMSTEER_FUNCTION
};

// Null: this machine lacks one of the libraries. In the main thread.
const Libraries* libraries();

}  // namespace stemsteer
