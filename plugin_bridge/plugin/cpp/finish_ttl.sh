#!/bin/sh
# Finish the LV2 texts $1 that DPF has written: which control is set while the host renders offline,
# and how many decimals an angle is shown with.
set -eu
sed -i -e '/^@prefix lv2:/!s/\(lv2:symbol "offline" ;\)/\1\n        lv2:designation lv2:freeWheeling ;/' \
    -e 's/"%f deg"/"%.1f deg"/' "$1"
grep -q 'lv2:designation lv2:freeWheeling' "$1"
grep -q '"%.1f deg"' "$1"
