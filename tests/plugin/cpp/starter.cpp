// Has the plugin start programs: the autostart file's command and the one that notifies; with an
// argument, the panel.
#include <cstdio>

#include "paths.h"

int main(int count, char**) {
    if (count > 1)
        return std::printf("%d\n", stemsteer::open_panel()), 0;
    std::printf("%d\n", stemsteer::start_engine());
    stemsteer::notify_desktop("a title", "--a text with \"quotes\"; $(false) and 'more'");
}
