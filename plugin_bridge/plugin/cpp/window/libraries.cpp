#include "libraries.h"

#include <dlfcn.h>

namespace stemsteer {

namespace {

bool find_all(Libraries& found) {
    void* const xcb = dlopen("libxcb.so.1", RTLD_NOW | RTLD_LOCAL);
    void* const cairo = dlopen("libcairo.so.2", RTLD_NOW | RTLD_LOCAL);
    bool complete = xcb && cairo;
#define STEMSTEER_FIND(library, name)                                                             \
    if (complete) {                                                                               \
        found.name = reinterpret_cast<decltype(found.name)>(dlsym(library, #name));               \
        complete = found.name;                                                                    \
    }
#define STEMSTEER_FIND_XCB(name) STEMSTEER_FIND(xcb, name)
#define STEMSTEER_FIND_CAIRO(name) STEMSTEER_FIND(cairo, name)
    STEMSTEER_XCB_FUNCTIONS(STEMSTEER_FIND_XCB)
    STEMSTEER_CAIRO_FUNCTIONS(STEMSTEER_FIND_CAIRO)
#undef STEMSTEER_FIND_XCB
#undef STEMSTEER_FIND_CAIRO
#undef STEMSTEER_FIND
    return complete;  // the libraries stay loaded: cairo keeps things per process
}

}  // namespace

const Libraries* libraries() {
    static Libraries found;
    static const bool complete = find_all(found);
    return complete ? &found : nullptr;
}

}  // namespace stemsteer
