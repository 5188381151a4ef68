// Where things are on this machine, and programs of it that the plugin starts, by the rules of
// plugin_bridge/paths.py.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace stemsteer {

// What the environment says, read when this is made: hosts may change it meanwhile, so only threads in
// which they call the plugin may read it. Programs that are started get a clean one.
struct Settings {
    Settings();

    std::string socket;     // of the engine: STEMSTEER_SOCKET, else in the user's runtime folder
    std::string autostart;  // a file: STEMSTEER_AUTOSTART, else in the user's configuration folder
    std::string state;      // the user's folder for what programs keep
    std::vector<std::string> environment;  // of programs, NAME=VALUE
};

// The file of the log; its folder is made.
std::string log_file(const Settings& settings);

// Whether a file is there, is ours, and nobody else may write to it.
bool is_ours(const std::string& path);

// When a file was written last; 0: there is none.
int64_t written_ns(const std::string& path);

// Start the command in the autostart file, one argument a line, the first an absolute path: with a
// clean environment, in the root folder, without the host's open files, and without waiting for it.
// Two that start at once are no harm: the second engine leaves.
bool start_engine(const Settings& settings);

// Open the panel in the browser by the same program: its command line up to `serve`, then
// `panel --open`. Without waiting for it; false: there is no such program.
bool open_panel(const Settings& settings);

// Show a message on the user's desktop, where there is one that can.
void notify_desktop(const Settings& settings, const std::string& title, const std::string& text);

}  // namespace stemsteer
