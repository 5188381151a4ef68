#!/bin/sh
# Finish the LV2 texts $1 that DPF has written: which control is set while the host renders offline;
# how many decimals an angle is shown with; that some are not to be automated, by a word of LV2's
# own; and nothing of which lv2_validate finds no definition.
set -eu
own='<http://lv2plug.in/ns/ext/port-props#notAutomatic>'
sed -i -e '/^@prefix lv2:/!s/\(lv2:symbol "offline" ;\)/\1\n        lv2:designation lv2:freeWheeling ;/' \
    -e 's/"%f deg"/"%.1f deg"/' -e '/^    mod:/d' \
    -e "s|<http://kxstudio.sf.net/ns/lv2ext/props#NonAutomatable>|$own|" "$1"
grep -q 'lv2:designation lv2:freeWheeling' "$1"
grep -q '"%.1f deg"' "$1"
grep -qF "$own" "$1"
