#include "paths.h"

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <spawn.h>
#include <string>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace stemsteer {

namespace {

#ifndef STEMSTEER_NOTIFIER
#define STEMSTEER_NOTIFIER "/usr/bin/notify-send"
#endif
constexpr char kNotifier[] = STEMSTEER_NOTIFIER;

std::string variable(const char* name) {
    const char* const value = std::getenv(name);
    return value ? value : "";
}

std::string under_home(const char* name, const char* otherwise) {
    const std::string folder = variable(name);
    return folder.empty() ? variable("HOME") + otherwise : folder;
}

std::string runtime_folder() {
    const std::string folder = variable("XDG_RUNTIME_DIR");
    if (!folder.empty())
        return folder + "/stemsteer";
    return "/tmp/stemsteer-" + std::to_string(getuid());
}

std::vector<std::string> lines_of(const std::string& path) {
    std::vector<std::string> lines;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);)
        if (!line.empty())
            lines.push_back(line);
    return lines;
}

// What desktops show of a text, which they take for markup.
std::string escaped(const std::string& text) {
    std::string out;
    for (const char sign : text)
        out += sign == '&' ? "&amp;" : sign == '<' ? "&lt;" : sign == '>' ? "&gt;" : std::string(1, sign);
    return out;
}

// What the autostart file says; nothing if it is not ours.
std::vector<std::string> engine_command(const Settings& settings) {
    return is_ours(settings.autostart) ? lines_of(settings.autostart) : std::vector<std::string>();
}

// Start a program by its absolute path, without waiting for it: with a clean environment, and none of
// the host's files and settings of signals.
bool run_alone(const Settings& given, const std::vector<std::string>& command) {
    if (command[0][0] != '/')
        return false;
    // The shell leaves at once, so that the program belongs to nobody and no zombie stays.
    std::vector<std::string> words = {"/bin/sh", "-c", "\"$@\" </dev/null >/dev/null 2>&1 &", "sh"};
    words.insert(words.end(), command.begin(), command.end());
    std::vector<std::string> settings = given.environment;
    std::vector<char*> argv, environment;
    for (std::string& word : words)
        argv.push_back(&word[0]);
    for (std::string& setting : settings)
        environment.push_back(&setting[0]);
    argv.push_back(nullptr);
    environment.push_back(nullptr);

    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
    // Programs take code from the folder that they are in, and the host's may be anyone's.
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, "/");
#if __GLIBC__ * 100 + __GLIBC_MINOR__ >= 234
    // They outlive the host, whose ports and locked files would stay taken.
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
#endif
    pid_t pid = 0;
    const int failure =
        posix_spawn(&pid, "/bin/sh", &actions, &attributes, argv.data(), environment.data());
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (failure == 0)
        waitpid(pid, nullptr, 0);
    return failure == 0;
}

}  // namespace

Settings::Settings() : environment{"PATH=/usr/local/bin:/usr/bin:/bin"} {
    socket = variable("STEMSTEER_SOCKET");
    if (socket.empty())
        socket = runtime_folder() + "/engine.sock";
    autostart = variable("STEMSTEER_AUTOSTART");
    if (autostart.empty())
        autostart = under_home("XDG_CONFIG_HOME", "/.config") + "/stemsteer/autostart";
    state = under_home("XDG_STATE_HOME", "/.local/state");
    // Hosts export LD_LIBRARY_PATH, PYTHONHOME and the like for themselves: ours get none.
    for (const char* name : {"HOME", "USER", "LOGNAME", "LANG", "XDG_RUNTIME_DIR",
                             "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME",
                             "STEMSTEER_SOCKET", "STEMSTEER_MODELS", "STEMSTEER_DATA",
                             "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "XAUTHORITY",
                             "WAYLAND_DISPLAY"})
        if (std::getenv(name))
            environment.push_back(std::string(name) + "=" + variable(name));
    tzset();  // which localtime_r does not do again
}

std::string log_file(const Settings& settings) {
    mkdir(settings.state.c_str(), 0700);
    mkdir((settings.state + "/stemsteer").c_str(), 0700);
    return settings.state + "/stemsteer/plugin.log";
}

bool is_ours(const std::string& path) {
    struct stat found;
    return lstat(path.c_str(), &found) == 0 && !S_ISLNK(found.st_mode) &&
           found.st_uid == geteuid() && (S_ISSOCK(found.st_mode) || !(found.st_mode & 022));
}

int64_t written_ns(const std::string& path) {
    struct stat found;
    if (lstat(path.c_str(), &found) != 0)
        return 0;
    return int64_t{found.st_mtim.tv_sec} * 1'000'000'000 + found.st_mtim.tv_nsec;
}

bool start_engine(const Settings& settings) {
    const std::vector<std::string> command = engine_command(settings);
    return !command.empty() && run_alone(settings, command);
}

bool open_panel(const Settings& settings) {
    std::vector<std::string> command = engine_command(settings);
    const auto serve = std::find(command.begin(), command.end(), "serve");
    if (serve == command.begin() || serve == command.end())
        return false;
    command.erase(serve, command.end());
    command.insert(command.end(), {"panel", "--open"});
    return run_alone(settings, command);
}

void notify_desktop(const Settings& settings, const std::string& title, const std::string& text) {
    if (access(kNotifier, X_OK) == 0)
        run_alone(settings, {kNotifier, "--app-name=Stemsteer", "--urgency=critical", "--", title,
                             escaped(text)});
}

}  // namespace stemsteer
