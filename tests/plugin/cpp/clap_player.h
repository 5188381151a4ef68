// What clap_player is told by its words, and what it tells a plugin as a host.
#pragma once

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

#include <clap/entry.h>
#include <clap/ext/latency.h>
#include <clap/ext/params.h>
#include <clap/ext/state.h>
#include "clap_extensions.h"

namespace player {

struct Change {
    unsigned parameter;
    double value;
    size_t frame;
};

struct Options {
    std::string plugin, id, in, out, load, save;
    double rate_hz = 44100;
    std::vector<unsigned> blocks = {512};
    std::vector<Change> changes;
    std::vector<size_t> restarts;
    bool offline = false, paced = false;
    size_t rename_at = 0, reload_at = 0;  // when the track gets another name, and a state is loaded
    std::string new_name, reload;
    double ahead_s = 0;   // of the sound card, at the pace of which it plays
    double song_s = -1;  // where the song is at the first frame; < 0: the host has none
};

inline bool restart_wanted = false;
inline std::string track_name, logged;  // what the host knows of the track, and was told to show
inline volatile std::sig_atomic_t ended = 0;

inline void nothing(const clap_host_t*) {}
inline void want_restart(const clap_host_t*) { restart_wanted = true; }
inline void flagged(const clap_host_t*, uint32_t) {}

inline bool track_info(const clap_host_t*, clap_track_info_t* info) {
    info->flags = CLAP_TRACK_INFO_HAS_TRACK_NAME;
    std::snprintf(info->name, sizeof info->name, "%s", track_name.c_str());
    return !track_name.empty();
}

inline void log_text(const clap_host_t*, int32_t severity, const char* text) {
    static std::mutex mutex;
    const std::lock_guard<std::mutex> lock(mutex);
    if (severity >= CLAP_LOG_ERROR)
        logged = text;
}

inline const void* host_extension(const clap_host_t*, const char* id) {
    static const clap_host_latency_t latency = {nothing};
    static const clap_host_state_t state = {nothing};
    static const clap_host_params_t params = {
        flagged, [](const clap_host_t*, clap_id, clap_param_clear_flags) {}, nothing};
    static const clap_host_track_info_t track = {track_info};
    static const clap_host_log_t log = {log_text};
    if (!std::strcmp(id, CLAP_EXT_TRACK_INFO))
        return &track;
    if (!std::strcmp(id, CLAP_EXT_LOG))
        return &log;
    if (!std::strcmp(id, CLAP_EXT_LATENCY))
        return &latency;
    if (!std::strcmp(id, CLAP_EXT_STATE))
        return &state;
    return std::strcmp(id, CLAP_EXT_PARAMS) ? nullptr : &params;
}

inline const clap_host_t host = {CLAP_VERSION, nullptr, "clap_player", "Stemsteer", "", "1", host_extension,
                                 want_restart, nothing, nothing};

[[noreturn]] inline void fail(const std::string& what) {
    std::fprintf(stderr, "clap_player: %s\n", what.c_str());
    std::exit(2);
}

inline std::vector<char> read_file(const std::string& path) {
    std::FILE* const file = std::fopen(path.c_str(), "rb");
    if (!file)
        fail("cannot read " + path);
    std::vector<char> bytes;
    char part[65536];
    for (size_t n; (n = std::fread(part, 1, sizeof part, file)) > 0;)
        bytes.insert(bytes.end(), part, part + n);
    std::fclose(file);
    return bytes;
}

inline void write_file(const std::string& path, const void* data, size_t bytes) {
    std::FILE* const file = std::fopen(path.c_str(), "wb");
    if (!file || std::fwrite(data, 1, bytes, file) != bytes || std::fclose(file) != 0)
        fail("cannot write " + path);
}

inline Options parse(int count, char** words) {
    Options options;
    for (int i = 1; i < count; ++i) {
        const std::string word = words[i];
        const size_t at = word.find('=');
        const std::string key = word.substr(0, at), value = word.substr(at + 1);
        if (key == "plugin") options.plugin = value;
        else if (key == "id") options.id = value;
        else if (key == "in") options.in = value;
        else if (key == "out") options.out = value;
        else if (key == "load") options.load = value;
        else if (key == "save") options.save = value;
        else if (key == "rate") options.rate_hz = std::atof(value.c_str());
        else if (key == "offline") options.offline = value == "1";
        else if (key == "paced") options.paced = value == "1";
        else if (key == "ahead") options.ahead_s = std::atof(value.c_str());
        else if (key == "track") track_name = value;
        else if (key == "song") options.song_s = std::atof(value.c_str());
        else if (key == "rename") {
            options.rename_at = std::stoul(value);
            options.new_name = value.substr(value.find(':') + 1);
        } else if (key == "reload") {
            options.reload_at = std::stoul(value);
            options.reload = value.substr(value.find(':') + 1);
        } else if (key == "restart") options.restarts.push_back(std::stoul(value));
        else if (key == "set") {
            Change change;
            if (std::sscanf(value.c_str(), "%u:%lf:%zu", &change.parameter, &change.value,
                            &change.frame) != 3)
                fail("set=" + value);
            options.changes.push_back(change);
        } else if (key == "blocks") {
            options.blocks.clear();
            for (size_t begin = 0; begin < value.size(); begin = value.find(',', begin) + 1) {
                options.blocks.push_back(unsigned(std::stoul(value.substr(begin))));
                if (value.find(',', begin) == std::string::npos)
                    break;
            }
        } else fail("unknown option " + word);
    }
    return options;
}

}  // namespace player
