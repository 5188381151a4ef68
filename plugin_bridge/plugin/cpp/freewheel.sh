#!/bin/sh
# Tell LV2 hosts that the control `offline` is the one to set while they render offline.
set -eu
sed -i '/^@prefix lv2:/!s/\(lv2:symbol "offline" ;\)/\1\n        lv2:designation lv2:freeWheeling ;/' "$1"
grep -q 'lv2:designation lv2:freeWheeling' "$1"
