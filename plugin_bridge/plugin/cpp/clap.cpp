// The plugin in CLAP, with the interface's headers as DPF ships them.
#include <clap/entry.h>
#include <clap/ext/audio-ports.h>
#include <clap/ext/latency.h>
#include <clap/ext/params.h>
#include <clap/ext/state.h>
#include <clap/plugin-factory.h>

#include <algorithm>
#include <cstring>

#include "clap_extensions.h"
#include "effect.h"
#include "state.h"
#include "text.h"
#ifdef STEMSTEER_WINDOW
#include "window/clap_gui.h"
#endif

namespace stemsteer {
namespace {

constexpr uint32_t kPairs = kOutputs / 2;  // stereo outputs
constexpr clap_id kMainPort = 0x7ffffffd, kRestPort = 0x80000000;  // as they have always been

const char* const kFeatures[] = {DISTRHO_PLUGIN_CLAP_FEATURES, nullptr};
const clap_plugin_descriptor_t kDescriptor = {
    CLAP_VERSION,  DISTRHO_PLUGIN_CLAP_ID, DISTRHO_PLUGIN_NAME, DISTRHO_PLUGIN_BRAND,
    STEMSTEER_URL, STEMSTEER_URL,          STEMSTEER_URL,       kProductVersion,
    STEMSTEER_DESCRIPTION, const_cast<const char**>(kFeatures),
};

class ClapPlugin {
public:
    explicit ClapPlugin(const clap_host_t* host) : host_(host) {
        interface_ = {&kDescriptor, this,  init,    destroy, activate,      deactivate,
                      start,        stop,  reset,   process, get_extension, on_main_thread};
    }

    const clap_plugin_t* interface() const { return &interface_; }

#ifdef STEMSTEER_WINDOW
    ClapGui& gui() { return gui_; }
#endif

    static ClapPlugin& of(const clap_plugin_t* plugin) {
        return *static_cast<ClapPlugin*>(plugin->plugin_data);
    }

private:
    template <class T>
    const T* host_extension(const char* id) const {
        return static_cast<const T*>(host_->get_extension(host_, id));
    }

    // --- life

    static bool init(const clap_plugin_t* plugin) {
        ClapPlugin& self = of(plugin);
        self.host_latency_ = self.host_extension<clap_host_latency_t>(CLAP_EXT_LATENCY);
        self.host_params_ = self.host_extension<clap_host_params_t>(CLAP_EXT_PARAMS);
        self.host_state_ = self.host_extension<clap_host_state_t>(CLAP_EXT_STATE);
        self.effect_.on_change([&self] {
            self.changed_ = true;
            self.host_->request_callback(self.host_);
        });
        self.host_track_ = self.host_extension<clap_host_track_info_t>(CLAP_EXT_TRACK_INFO);
        if (!self.host_track_)
            self.host_track_ = self.host_extension<clap_host_track_info_t>(CLAP_EXT_TRACK_INFO_DRAFT);
        if (const auto* log = self.host_extension<clap_host_log_t>(CLAP_EXT_LOG); log && log->log)
            self.effect_.on_fault([host = self.host_, log](const std::string& text) {
                log->log(host, CLAP_LOG_ERROR, text.c_str());
            });
#ifdef STEMSTEER_WINDOW
        self.gui_.meet_host();
#endif
        track_changed(plugin);
        return true;
    }

    static void destroy(const clap_plugin_t* plugin) { delete &of(plugin); }

    static bool activate(const clap_plugin_t* plugin, double rate_hz, uint32_t, uint32_t max_block) {
        ClapPlugin& self = of(plugin);
        const uint32_t told = self.effect_.latency();
        if (!self.effect_.activate(rate_hz, max_block))
            return false;
        self.restart_asked_ = false;
        if (self.effect_.latency() != told && self.host_latency_ && self.host_latency_->changed)
            self.host_latency_->changed(self.host_);
        return true;
    }

    static void deactivate(const clap_plugin_t* plugin) { of(plugin).effect_.deactivate(); }
    static bool start(const clap_plugin_t* plugin) { return of(plugin).effect_.active(); }
    static void stop(const clap_plugin_t*) {}

    static void on_main_thread(const clap_plugin_t* plugin) {
        const ClapPlugin& self = of(plugin);
        if (of(plugin).changed_.exchange(false) && self.host_state_ && self.host_state_->mark_dirty)
            self.host_state_->mark_dirty(self.host_);
    }

    static void reset(const clap_plugin_t* plugin) {
        if (of(plugin).effect_.active())
            of(plugin).effect_.reset();
    }

    // --- sound

    static clap_process_status process(const clap_plugin_t* plugin, const clap_process_t* data) {
        ClapPlugin& self = of(plugin);
        if (!self.effect_.active())
            return CLAP_PROCESS_ERROR;
        self.take_events(data->in_events, data->frames_count);
        const float* inputs[kInputs] = {};
        float* outputs[kOutputs] = {};
        if (data->audio_inputs_count)
            for (uint32_t i = 0; i < std::min(kInputs, data->audio_inputs[0].channel_count); ++i)
                inputs[i] = data->audio_inputs[0].data32 ? data->audio_inputs[0].data32[i] : nullptr;
        for (uint32_t pair = 0; pair < std::min(kPairs, data->audio_outputs_count); ++pair) {
            clap_audio_buffer_t& to = data->audio_outputs[pair];
            to.constant_mask = 0;
            for (uint32_t i = 0; i < std::min(2u, to.channel_count); ++i)
                outputs[2 * pair + i] = to.data32 ? to.data32[i] : nullptr;
        }
        if (data->frames_count)
            self.effect_.process(inputs, outputs, data->frames_count,
                                 self.transport(data->transport));
        self.push_outputs(data->out_events);
        self.check_latency();
        return CLAP_PROCESS_CONTINUE;
    }

    Transport transport(const clap_event_transport_t* told) const {
        if (!told)
            return {};
        const double rate_hz = effect_.rate_hz();
        double song_s = 0;
        if (told->flags & CLAP_TRANSPORT_HAS_SECONDS_TIMELINE)
            song_s = double(told->song_pos_seconds) / CLAP_SECTIME_FACTOR;
        else if (told->flags & CLAP_TRANSPORT_HAS_BEATS_TIMELINE &&
                 told->flags & CLAP_TRANSPORT_HAS_TEMPO && told->tempo >= 1)
            song_s = double(told->song_pos_beats) / CLAP_BEATTIME_FACTOR * 60 / told->tempo;
        const bool rolling = told->flags & CLAP_TRANSPORT_IS_PLAYING &&
                             !(told->flags & CLAP_TRANSPORT_IS_WITHIN_PRE_ROLL);
        return {whole_samples(song_s * rate_hz), rolling};
    }

    // Each value holds from its place in the block on; without a block, at once.
    void take_events(const clap_input_events_t* events, uint32_t frames) {
        for (uint32_t i = 0, count = events ? events->size(events) : 0; i < count; ++i) {
            const clap_event_header_t* const event = events->get(events, i);
            if (!event || event->space_id != CLAP_CORE_EVENT_SPACE_ID ||
                event->type != CLAP_EVENT_PARAM_VALUE || event->size < sizeof(clap_event_param_value_t))
                continue;
            const auto* change = reinterpret_cast<const clap_event_param_value_t*>(event);
            const uint32_t offset = frames ? std::min(event->time, frames - 1) : 0;
            effect_.move(change->param_id, change->value, offset);
        }
    }

    void push_outputs(const clap_output_events_t* events) {
#ifdef STEMSTEER_WINDOW
        gui_.push(events);
#endif
        for (const Control& control : kControls) {
            const float value = effect_.value(control.id);
            if (!control.output || !events || value == told_[control.id])
                continue;
            clap_event_param_value_t event = {};
            event.header = {sizeof event, 0, CLAP_CORE_EVENT_SPACE_ID, CLAP_EVENT_PARAM_VALUE, 0};
            event.param_id = control.id;
            event.note_id = event.port_index = event.channel = event.key = -1;
            event.value = value;
            if (events->try_push(events, &event.header))
                told_[control.id] = value;
        }
    }

    // The latency is constant while the plugin is active: ask, once, to be activated again.
    void check_latency() {
        if (effect_.wanted_latency() == effect_.latency())
            restart_asked_ = false;
        else if (!restart_asked_ && effect_.active()) {
            restart_asked_ = true;
            host_->request_restart(host_);
        }
    }

    // --- controls

    static const Control* control(clap_id id) { return id < kControlCount ? &kControls[id] : nullptr; }

    static uint32_t params_count(const clap_plugin_t*) { return kControlCount; }

    static bool params_info(const clap_plugin_t*, uint32_t index, clap_param_info_t* info) {
        const Control* const found = control(index);
        if (!found)
            return false;
        *info = {};
        info->id = found->id;
        info->flags = (found->whole ? CLAP_PARAM_IS_STEPPED : 0) |
                      (found->output ? CLAP_PARAM_IS_READONLY : 0) |
                      (is_automatable(*found) ? CLAP_PARAM_IS_AUTOMATABLE : 0) |
                      (found->id == kBypass ? CLAP_PARAM_IS_BYPASS : 0);
        copy_text(info->name, sizeof info->name, found->title);
        info->min_value = found->low;
        info->max_value = found->high;
        info->default_value = found->normal;
        return true;
    }

    static bool params_value(const clap_plugin_t* plugin, clap_id id, double* value) {
        if (!control(id))
            return false;
        *value = of(plugin).effect_.value(id);
        return true;
    }

    static bool params_to_text(const clap_plugin_t*, clap_id id, double value, char* text,
                               uint32_t size) {
        if (!control(id) || !text || !size)
            return false;
        copy_text(text, size, value_text(*control(id), value, true));
        return true;
    }

    static bool params_from_text(const clap_plugin_t*, clap_id id, const char* text, double* value) {
        return control(id) && text && parse_value(*control(id), text, *value);
    }

    static void params_flush(const clap_plugin_t* plugin, const clap_input_events_t* in,
                             const clap_output_events_t* out) {
        ClapPlugin& self = of(plugin);
        self.take_events(in, 0);
        self.push_outputs(out);
        self.check_latency();
    }

    // --- ports, latency, offline rendering, track

    static uint32_t ports_count(const clap_plugin_t*, bool input) { return input ? 1 : kPairs; }

    static bool ports_info(const clap_plugin_t*, uint32_t index, bool input,
                           clap_audio_port_info_t* info) {
        if (index >= (input ? 1 : kPairs))
            return false;
        *info = {};
        info->id = index ? kRestPort : kMainPort;
        copy_text(info->name, sizeof info->name,
                  index ? "Rest" : input ? "Audio Input" : "Audio Output");
        info->flags = index ? 0 : CLAP_AUDIO_PORT_IS_MAIN;
        info->channel_count = 2;
        info->port_type = CLAP_PORT_STEREO;
        info->in_place_pair = index ? CLAP_INVALID_ID : kMainPort;
        return true;
    }

    static uint32_t latency(const clap_plugin_t* plugin) { return of(plugin).effect_.latency(); }

    static bool render_is_hard(const clap_plugin_t*) { return false; }

    static bool render_set(const clap_plugin_t* plugin, int32_t mode) {
        of(plugin).effect_.set_host_offline(mode == CLAP_RENDER_OFFLINE);
        return mode == CLAP_RENDER_OFFLINE || mode == CLAP_RENDER_REALTIME;
    }

    static void track_changed(const clap_plugin_t* plugin) {
        ClapPlugin& self = of(plugin);
        clap_track_info_t info = {};
        if (!self.host_track_ || !self.host_track_->get ||
            !self.host_track_->get(self.host_, &info))
            return;
        info.name[sizeof info.name - 1] = '\0';
        self.effect_.set_track(info.flags & CLAP_TRACK_INFO_HAS_TRACK_NAME ? info.name : "");
    }

    // --- state

    static bool state_save(const clap_plugin_t* plugin, const clap_ostream_t* stream) {
        const std::string text = of(plugin).effect_.save();
        for (size_t done = 0; done < text.size();) {
            const int64_t wrote = stream->write(stream, text.data() + done, text.size() - done);
            if (wrote <= 0 || uint64_t(wrote) > text.size() - done)
                return false;
            done += size_t(wrote);
        }
        return true;
    }

    static bool state_load(const clap_plugin_t* plugin, const clap_istream_t* stream) {
        ClapPlugin& self = of(plugin);
        std::string text;
        char piece[4096];
        while (!is_state_complete(text)) {
            const int64_t got = stream->read(stream, piece, sizeof piece);
            if (got < 0 || got > int64_t(sizeof piece))
                return false;
            if (got == 0)
                break;
            text.append(piece, size_t(got));
        }
        if (!self.effect_.load(text))
            return false;
        if (self.host_params_ && self.host_params_->rescan)
            self.host_params_->rescan(self.host_,
                                      CLAP_PARAM_RESCAN_VALUES | CLAP_PARAM_RESCAN_TEXT);
        self.check_latency();
        return true;
    }

    static const void* get_extension(const clap_plugin_t*, const char* id) {
        static const clap_plugin_params_t params = {params_count,   params_info,      params_value,
                                                    params_to_text, params_from_text, params_flush};
        static const clap_plugin_audio_ports_t ports = {ports_count, ports_info};
        static const clap_plugin_latency_t latency = {ClapPlugin::latency};
        static const clap_plugin_state_t state = {state_save, state_load};
        static const clap_plugin_render_t render = {render_is_hard, render_set};
        static const clap_plugin_track_info_t track = {track_changed};
        const struct {
            const char* id;
            const void* extension;
        } all[] = {{CLAP_EXT_PARAMS, &params},         {CLAP_EXT_AUDIO_PORTS, &ports},
                   {CLAP_EXT_LATENCY, &latency},       {CLAP_EXT_STATE, &state},
                   {CLAP_EXT_RENDER, &render},         {CLAP_EXT_TRACK_INFO, &track},
                   {CLAP_EXT_TRACK_INFO_DRAFT, &track}};
        for (const auto& known : all)
            if (id && std::strcmp(id, known.id) == 0)
                return known.extension;
#ifdef STEMSTEER_WINDOW
        return ClapGui::extension(id);
#else
        return nullptr;
#endif
    }

    clap_plugin_t interface_;
    const clap_host_t* const host_;
    const clap_host_latency_t* host_latency_ = nullptr;
    const clap_host_params_t* host_params_ = nullptr;
    const clap_host_state_t* host_state_ = nullptr;
    const clap_host_track_info_t* host_track_ = nullptr;
    std::atomic<bool> changed_{false};  // the project is to be saved again
    std::atomic<bool> restart_asked_{false};
    std::atomic<float> told_[kControlCount] = {};  // outputs as the host knows them
    Effect effect_{Effect::kWhenActivated};
#ifdef STEMSTEER_WINDOW
    ClapGui gui_{host_, effect_};
#endif
};

uint32_t plugin_count(const clap_plugin_factory_t*) { return 1; }

const clap_plugin_descriptor_t* plugin_descriptor(const clap_plugin_factory_t*, uint32_t index) {
    return index == 0 ? &kDescriptor : nullptr;
}

const clap_plugin_t* create_plugin(const clap_plugin_factory_t*, const clap_host_t* host,
                                   const char* id) {
    if (!host || !id || std::strcmp(id, kDescriptor.id) != 0 ||
        !clap_version_is_compatible(host->clap_version))
        return nullptr;
    return (new ClapPlugin(host))->interface();
}

bool entry_init(const char*) { return true; }
void entry_deinit() {}

const void* entry_factory(const char* id) {
    static const clap_plugin_factory_t factory = {plugin_count, plugin_descriptor, create_plugin};
    return id && std::strcmp(id, CLAP_PLUGIN_FACTORY_ID) == 0 ? &factory : nullptr;
}

}  // namespace

#ifdef STEMSTEER_WINDOW
ClapGui& gui_of(const clap_plugin_t* plugin) { return ClapPlugin::of(plugin).gui(); }
#endif

}  // namespace stemsteer

extern "C" CLAP_EXPORT const clap_plugin_entry_t clap_entry = {
    CLAP_VERSION, stemsteer::entry_init, stemsteer::entry_deinit, stemsteer::entry_factory};
