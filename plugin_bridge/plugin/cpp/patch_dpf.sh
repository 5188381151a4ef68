#!/bin/sh
# Mend a copy of DPF's sources in the folder $1, of which LV2 and JACK are made. Each mend fits in
# exactly one place, or the build fails and names it.
set -eu
cd "$1"

once() {  # once NAME FILE PATTERN: the pattern is in the file exactly once
    [ "$(grep -c "$3" "$2")" = 1 ] ||
        { echo "DPF has changed, the mend '$1' does not fit: $2 lacks '$3'" >&2; exit 1; }
}

# DPF keeps the old place in the song when a host tells one before its beginning.
before='if (fLastPositionData.frame >= 0)$'
once "a place before the song" DistrhoPluginLV2.cpp "$before"
sed -i "/$before/d" DistrhoPluginLV2.cpp

# DPF reads a state's text beyond its end if it has none.
length='std::strlen(value);$'
once "a state without an end" DistrhoPluginLV2.cpp "$length"
sed -i "s/$length/strnlen(value, size);/" DistrhoPluginLV2.cpp

# DPF refuses hosts that have no worker, which plugins without a UI never use, or no options.
worker='if (worker == nullptr)$'
once "no worker" DistrhoPluginLV2.cpp "$worker"
sed -i "s/$worker/if (false)/" DistrhoPluginLV2.cpp
options='^    if (options == nullptr)$'
once "no options" DistrhoPluginLV2.cpp "$options"
sed -i "s/$options/    static const LV2_Options_Option none = {};\n    if (options == nullptr)\n        options = \&none;\n    if (false)/" \
    DistrhoPluginLV2.cpp

# So the manifest calls both optional.
for feature in '"opts:options"' LV2_WORKER__schedule; do
    required='^static const char\* const lv2ManifestPluginRequiredFeatures'
    bounded='^    LV2_BUF_SIZE__boundedBlockLength,$'
    once "$feature is optional" DistrhoPluginLV2export.cpp "$required"
    once "$feature is optional" DistrhoPluginLV2export.cpp "$bounded"
    sed -i -e "/$required/,/^};/{/$feature,/d}" -e "s/$bounded/&\n    $feature,/" \
        DistrhoPluginLV2export.cpp
done
