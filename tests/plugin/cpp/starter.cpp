// With a file that programs inherit and a signal that is ignored, as hosts have them: has the plugin
// start programs: the autostart file's command and the one that notifies; with an argument, the panel.
#include <csignal>
#include <cstdio>
#include <fcntl.h>

#include "paths.h"

int main(int count, char**) {
    open("/proc/self/exe", O_RDONLY);
    std::signal(SIGTERM, SIG_IGN);
    const stemsteer::Settings settings;
    if (count > 1)
        return std::printf("%d\n", stemsteer::open_panel(settings)), 0;
    std::printf("%d\n", stemsteer::start_engine(settings));
    stemsteer::notify_desktop(settings, "a title", "--a text with \"quotes\"; $(false) and 'more', <b>R&B</b>");
}
