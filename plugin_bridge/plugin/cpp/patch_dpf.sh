#!/bin/sh
# Change a copy of DPF's sources in the folder $1 so that plugins learn when a host renders offline:
# VST3's process mode and CLAP's "clap.render" are handed on as the state "process_mode"; the mode
# that a VST3 host tells with every block, in the audio thread, as "block_mode" (Ardour only tells
# it there).
set -eu
cd "$1"

once() {  # once FILE PATTERN: the pattern is there exactly once, or the build fails
    [ "$(grep -c "$2" "$1")" = 1 ] || { echo "DPF has changed: $1 lacks '$2'" >&2; exit 1; }
}

mode='// TODO process_mode can be V3_REALTIME, V3_PREFETCH, V3_OFFLINE'
call='fPlugin.setState("process_mode", setup->process_mode == V3_OFFLINE ? "offline" : "realtime");'
once DistrhoPluginVST3.cpp "$mode"
sed -i "s|$mode|$call|" DistrhoPluginVST3.cpp

before='// d_debug("process %i", data->symbolic_sample_size);'
each='fPlugin.setState("block_mode", data->process_mode == V3_OFFLINE ? "offline" : "realtime");'
once DistrhoPluginVST3.cpp "$before"
sed -i "s|$before|$each|" DistrhoPluginVST3.cpp

# In the class: a way to the plugin. Before the door: the extension. In the door: its name.
class='^    // latency$'
door='^static CLAP_ABI const void\* clap_plugin_get_extension('
once DistrhoPluginCLAP.cpp "$class"
once DistrhoPluginCLAP.cpp "$door"
way='    void setProcessMode(const char* const mode) { fPlugin.setState("process_mode", mode); }'
answer='    if (std::strcmp(id, "clap.render") == 0)\n        return \&clap_plugin_render;'
sed -i -e "s|$class|$way\n\n&|" -e "\|$door|i #include \"clap_render.h\"\n" \
    -e "\|$door|{n;s|\$|\n$answer|}" DistrhoPluginCLAP.cpp
once DistrhoPluginCLAP.cpp 'return &clap_plugin_render;'

# DPF keeps the old place in the song when an LV2 host tells one before its beginning.
if='if (fLastPositionData.frame >= 0)$'
once DistrhoPluginLV2.cpp "$if"
sed -i "/$if/d" DistrhoPluginLV2.cpp

# DPF takes CLAP's steady time, which never goes back, for the place in the song.
steady='process->steady_time >= 0 ? process->steady_time : 0;'
song='static_cast<uint64_t>(std::max<int64_t>(0, transport->song_pos_seconds) * (fPlugin.getSampleRate() / CLAP_SECTIME_FACTOR) + 0.5);'
once DistrhoPluginCLAP.cpp "$steady"
sed -i "s|$steady|$song|" DistrhoPluginCLAP.cpp
