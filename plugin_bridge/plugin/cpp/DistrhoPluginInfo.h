// Facts about the plugin that every format asks for, by the macros of DPF. Two plugins are made of
// the same source; STEMSTEER_SPLIT is the one with a second stereo output.
#pragma once

#define DISTRHO_PLUGIN_BRAND "Stemsteer"
#define DISTRHO_PLUGIN_BRAND_ID Stst

#ifdef STEMSTEER_SPLIT
#define DISTRHO_PLUGIN_NAME "Stemsteer Split"
#define DISTRHO_PLUGIN_URI "urn:stemsteer:split"
#define DISTRHO_PLUGIN_CLAP_ID "stemsteer.split"
#define DISTRHO_PLUGIN_UNIQUE_ID StSp
#define STEMSTEER_UNIQUE_ID 0x53745370  // the same as a number
#define DISTRHO_PLUGIN_NUM_OUTPUTS 4
#else
#define DISTRHO_PLUGIN_NAME "Stemsteer"
#define DISTRHO_PLUGIN_URI "urn:stemsteer:stemsteer"
#define DISTRHO_PLUGIN_CLAP_ID "stemsteer.stemsteer"
#define DISTRHO_PLUGIN_UNIQUE_ID Stem
#define STEMSTEER_UNIQUE_ID 0x5374656d
#define DISTRHO_PLUGIN_NUM_OUTPUTS 2
#endif

#define DISTRHO_PLUGIN_NUM_INPUTS 2
#define DISTRHO_PLUGIN_HAS_UI 0  // not by DPF: window/
#define DISTRHO_PLUGIN_WANT_DIRECT_ACCESS 1  // for the window in LV2, window/lv2_plugin.cpp
#define DISTRHO_PLUGIN_IS_RT_SAFE 1
#define DISTRHO_PLUGIN_WANT_LATENCY 1
#define DISTRHO_PLUGIN_WANT_STATE 1
#define DISTRHO_PLUGIN_WANT_FULL_STATE 1
#define DISTRHO_PLUGIN_WANT_TIMEPOS 1
#define DISTRHO_PLUGIN_CLAP_FEATURES "audio-effect", "utility", "stereo"
#define DISTRHO_PLUGIN_LV2_CATEGORY "lv2:SpatialPlugin"
#define DISTRHO_PLUGIN_VST3_CATEGORIES "Fx|Spatial"

#define STEMSTEER_DESCRIPTION "Takes the sound you point at out of a stereo mix, or leaves it out."
// Who packages the plugin may name a web page and an address: make URL=... MAIL=...
#ifndef STEMSTEER_URL
#define STEMSTEER_URL DISTRHO_PLUGIN_URI
#endif
#ifndef STEMSTEER_MAIL
#define STEMSTEER_MAIL ""
#endif
