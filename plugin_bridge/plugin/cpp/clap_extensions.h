// Extensions of CLAP that DPF's headers lack: their binary interface, as published with CLAP 1.2.
#pragma once

#include <clap/plugin.h>
#include <clap/string-sizes.h>

static const char CLAP_EXT_RENDER[] = "clap.render";
enum { CLAP_RENDER_REALTIME = 0, CLAP_RENDER_OFFLINE = 1 };

struct clap_plugin_render_t {
    bool(CLAP_ABI* has_hard_realtime_requirement)(const clap_plugin_t* plugin);
    bool(CLAP_ABI* set)(const clap_plugin_t* plugin, int32_t mode);
};

static const char CLAP_EXT_LOG[] = "clap.log";
enum { CLAP_LOG_WARNING = 2, CLAP_LOG_ERROR = 3 };

struct clap_host_log_t {
    void(CLAP_ABI* log)(const clap_host_t* host, int32_t severity, const char* text);  // any thread
};

static const char CLAP_EXT_TRACK_INFO[] = "clap.track-info/1";
static const char CLAP_EXT_TRACK_INFO_DRAFT[] = "clap.track-info.draft/1";
enum { CLAP_TRACK_INFO_HAS_TRACK_NAME = 1 };

struct clap_track_info_t {
    uint64_t flags;
    char name[CLAP_NAME_SIZE];
    uint8_t color[4];
    int32_t audio_channel_count;
    const char* audio_port_type;
};

struct clap_host_track_info_t {
    bool(CLAP_ABI* get)(const clap_host_t* host, clap_track_info_t* info);
};

struct clap_plugin_track_info_t {
    void(CLAP_ABI* changed)(const clap_plugin_t* plugin);
};
