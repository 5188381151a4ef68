#!/bin/sh
# Finish the LV2 texts of the plugin $1 that DPF has written, in the bundle: which control is set
# while the host renders offline; how many decimals an angle is shown with; that some are not to be
# automated, by a word of LV2's own; and nothing of which lv2_validate finds no definition. With $2
# "true" the plugin has a window, in its own library.
set -eu
texts=$1_dsp.ttl
own='<http://lv2plug.in/ns/ext/port-props#notAutomatic>'
sed -i -e '/^@prefix lv2:/!s/\(lv2:symbol "offline" ;\)/\1\n        lv2:designation lv2:freeWheeling ;/' \
    -e 's/"%f deg"/"%.1f deg"/' -e '/^    mod:/d' \
    -e "s|<http://kxstudio.sf.net/ns/lv2ext/props#NonAutomatable>|$own|" "$texts"
grep -q 'lv2:designation lv2:freeWheeling' "$texts"
grep -q '"%.1f deg"' "$texts"
grep -qF "$own" "$texts"

[ "$2" = true ] || exit 0
plugin=$(sed -n 's/^<\(urn:[^>]*\)>$/\1/p' manifest.ttl)
cat >>manifest.ttl <<TTL
@prefix ui: <http://lv2plug.in/ns/extensions/ui#> .

<$plugin>
    ui:ui <$plugin#window> .

<$plugin#window>
    a ui:X11UI ;
    ui:binary <$1_dsp.so> ;
    lv2:extensionData ui:idleInterface ;
    lv2:requiredFeature ui:idleInterface ;
    lv2:optionalFeature ui:parent , ui:resize , ui:touch , ui:portMap ,
        <http://lv2plug.in/ns/ext/instance-access> ,
        <http://lv2plug.in/ns/ext/urid#map> ,
        <http://lv2plug.in/ns/ext/options#options> .
TTL
