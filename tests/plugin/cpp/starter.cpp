// Has the plugin start programs: the autostart file's command, and the one that notifies.
#include <cstdio>

#include "paths.h"

int main() {
    std::printf("%d\n", stemsteer::start_engine());
    stemsteer::notify_desktop("a title", "--a text with \"quotes\"; $(false) and 'more'");
}
