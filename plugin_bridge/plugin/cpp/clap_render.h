// CLAP's extension "clap.render" (its ABI, as published with CLAP 1.0), which DPF does not offer:
// the host says that it renders offline. Included into DPF's CLAP source by patch_dpf.sh.
typedef struct clap_plugin_render {
    bool(CLAP_ABI* has_hard_realtime_requirement)(const clap_plugin_t* plugin);
    bool(CLAP_ABI* set)(const clap_plugin_t* plugin, int32_t mode);  // 0: realtime, 1: offline
} clap_plugin_render_t;

static CLAP_ABI bool clap_plugin_render_is_hard(const clap_plugin_t*) { return false; }

static CLAP_ABI bool clap_plugin_render_set(const clap_plugin_t* const plugin, const int32_t mode) {
    PluginCLAP* const instance = static_cast<PluginCLAP*>(plugin->plugin_data);
    instance->setProcessMode(mode == 1 ? "offline" : "realtime");
    return true;
}

static const clap_plugin_render_t clap_plugin_render = {
    clap_plugin_render_is_hard,
    clap_plugin_render_set,
};
