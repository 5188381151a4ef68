// The plugin in VST3: one object is processor and controller. vst3_factory.cpp makes it.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "effect.h"
#include "state.h"
#include "text.h"
#include "vst3_parameters.h"
#ifdef STEMSTEER_WINDOW
#include "window/vst3_view.h"
#endif

namespace stemsteer {
namespace {

constexpr int32_t kPairs = kOutputs / 2;  // stereo outputs
constexpr v3_speaker_arrangement kStereo = V3_SPEAKER_L | V3_SPEAKER_R;
constexpr double kEcho_s = 1;  // after a move in process(), the same told otherwise is late
constexpr double kSame = 1e-9;

class Vst3Plugin final : public Component,
                         public AudioProcessor,
                         public EditController,
                         public ContextRequirements,
                         public InfoListener {
public:
    Vst3Plugin() {
        effect_.on_change([this] { is_changed_ = is_change_untold_ = true; });
    }

    // --- Unknown

    v3_result V3_API query(const v3_tuid id, void** found) override {
        const auto is = [id](const v3_tuid other) { return v3_tuid_match(id, other); };
        if (is(v3_funknown_iid) || is(v3_plugin_base_iid) || is(v3_component_iid))
            *found = static_cast<Component*>(this);
        else if (is(v3_audio_processor_iid))
            *found = static_cast<AudioProcessor*>(this);
        else if (is(v3_edit_controller_iid))
            *found = static_cast<EditController*>(this);
        else if (is(v3_process_context_requirements_iid))
            *found = static_cast<ContextRequirements*>(this);
        else if (is(kInfoListenerId))
            *found = static_cast<InfoListener*>(this);
        else
            return *found = nullptr, V3_NO_INTERFACE;
        ref();
        return V3_OK;
    }

    uint32_t V3_API ref() override { return ++references_; }

    uint32_t V3_API unref() override {
        const uint32_t left = --references_;
        if (left == 0) {
            set_component_handler(nullptr);
            delete this;
        }
        return left;
    }

    // --- PluginBase: there is nothing that could not be asked before

    v3_result V3_API initialize(Unknown*) override { return V3_OK; }

    v3_result V3_API terminate() override {
        effect_.deactivate();
        return set_component_handler(nullptr);
    }

    // --- Component

    v3_result V3_API get_controller_class_id(v3_tuid) override { return V3_NOT_IMPLEMENTED; }
    v3_result V3_API set_io_mode(int32_t) override { return V3_NOT_IMPLEMENTED; }

    int32_t V3_API get_bus_count(int32_t media, int32_t direction) override {
        if (media != V3_AUDIO || (direction != V3_INPUT && direction != V3_OUTPUT))
            return 0;
        return direction == V3_INPUT ? 1 : kPairs;
    }

    bool is_bus(int32_t media, int32_t direction, int32_t index) {
        return index >= 0 && index < get_bus_count(media, direction);
    }

    v3_result V3_API get_bus_info(int32_t media, int32_t direction, int32_t index,
                                  v3_bus_info* info) override {
        if (!is_bus(media, direction, index))
            return V3_INVALID_ARG;
        *info = {};
        info->media_type = media;
        info->direction = direction;
        info->channel_count = 2;
        copy_text(info->bus_name, 128,
                  direction == V3_INPUT ? "Audio Input" : index ? "Rest" : "Audio Output");
        info->bus_type = V3_MAIN;
        info->flags = V3_DEFAULT_ACTIVE;
        return V3_OK;
    }

    v3_result V3_API get_routing_info(v3_routing_info*, v3_routing_info*) override {
        return V3_NOT_IMPLEMENTED;
    }

    v3_result V3_API activate_bus(int32_t media, int32_t direction, int32_t index, v3_bool) override {
        return is_bus(media, direction, index) ? V3_OK : V3_INVALID_ARG;
    }

    v3_result V3_API set_active(v3_bool state) override {
        if (state)
            return activate() ? V3_OK : V3_INTERNAL_ERR;
        effect_.deactivate();
        return V3_OK;
    }

    // A host asks for the latency now, or keeps the one that it has asked for.
    bool activate() {
        if (!effect_.activate(rate_hz_, max_block_))
            return false;
        told_latency_ = asked_latency_ ? asked_latency_.load() : effect_.latency();
        return true;
    }

    v3_result V3_API set_state(ByteStream* stream) override {
        std::string text;
        char piece[4096];
        while (!is_state_complete(text)) {
            int32_t got = 0;
            if (!stream || stream->read(piece, sizeof piece, &got) != V3_OK || got <= 0 ||
                got > int32_t(sizeof piece))
                break;
            text.append(piece, size_t(got));
        }
        if (!effect_.load(text))
            return V3_FALSE;
        return restart(V3_RESTART_PARAM_VALUES_CHANGED), V3_OK;
    }

    v3_result V3_API get_state(ByteStream* stream) override {
        std::string text = effect_.save();
        for (size_t done = 0; done < text.size();) {
            int32_t wrote = 0;
            const auto left = int32_t(text.size() - done);
            if (!stream || stream->write(&text[done], left, &wrote) != V3_OK || wrote <= 0 ||
                wrote > left)
                return V3_INTERNAL_ERR;
            done += size_t(wrote);
        }
        return V3_OK;
    }

    // --- AudioProcessor

    v3_result V3_API set_bus_arrangements(v3_speaker_arrangement* inputs, int32_t input_count,
                                          v3_speaker_arrangement* outputs,
                                          int32_t output_count) override {
        if (input_count != 1 || output_count < 1 || output_count > kPairs || !inputs || !outputs)
            return V3_FALSE;
        const bool fits = inputs[0] == kStereo &&
                          std::count(outputs, outputs + output_count, kStereo) == output_count;
        return fits ? V3_OK : V3_FALSE;
    }

    v3_result V3_API get_bus_arrangement(int32_t direction, int32_t index,
                                         v3_speaker_arrangement* arrangement) override {
        if (!is_bus(V3_AUDIO, direction, index) || !arrangement)
            return V3_INVALID_ARG;
        *arrangement = kStereo;
        return V3_OK;
    }

    v3_result V3_API can_process_sample_size(int32_t size) override {
        return size == V3_SAMPLE_32 ? V3_OK : V3_FALSE;
    }

    uint32_t V3_API get_latency_samples() override {
        return told_latency_ = asked_latency_ = effect_.latency();
    }

    v3_result V3_API setup_processing(v3_process_setup* setup) override {
        if (!setup || setup->symbolic_sample_size != V3_SAMPLE_32 || setup->max_block_size < 1 ||
            !std::isfinite(setup->sample_rate) || setup->sample_rate <= 0)
            return V3_INVALID_ARG;
        effect_.set_host_offline(setup->process_mode == V3_OFFLINE);
        rate_hz_ = setup->sample_rate;
        max_block_ = uint32_t(setup->max_block_size);
        return effect_.active() ? set_active(true) : V3_OK;
    }

    v3_result V3_API set_processing(v3_bool state) override {
        if (state && effect_.active())
            effect_.reset();
        return V3_OK;
    }

    v3_result V3_API process(v3_process_data* data) override {
        if (!data || data->symbolic_sample_size != V3_SAMPLE_32)
            return V3_INVALID_ARG;
        auto* const changes = reinterpret_cast<ParameterChanges*>(data->input_params);
        const bool plays = data->nframes > 0;
        take_changes(changes, plays && effect_.active() ? data->nframes : 1);
        if (plays)
            play(*data);
        if (auto* const told = reinterpret_cast<ParameterChanges*>(data->output_params))
            tell_outputs(*told);
        return V3_OK;
    }

    uint32_t V3_API get_tail_samples() override { return 0; }

    // --- EditController

    v3_result V3_API set_component_state(ByteStream*) override { return V3_OK; }  // it is ours
    v3_result V3_API set_controller_state(ByteStream*) override { return V3_NOT_IMPLEMENTED; }
    v3_result V3_API get_controller_state(ByteStream*) override { return V3_NOT_IMPLEMENTED; }
    int32_t V3_API get_parameter_count() override { return kParameterCount; }

    v3_result V3_API get_parameter_info(int32_t index, v3_param_info* info) override {
        return info ? describe(v3_param_id(index), *info) : V3_INVALID_ARG;
    }

    v3_result V3_API get_parameter_string_for_value(v3_param_id id, double normalized,
                                                    v3_str_128 text) override {
        return write_text(id, normalized, text);
    }

    v3_result V3_API get_parameter_value_for_string(v3_param_id id, int16_t* text,
                                                    double* normalized) override {
        return normalized ? read_text(id, text, *normalized) : V3_INVALID_ARG;
    }

    double V3_API normalized_parameter_to_plain(v3_param_id id, double normalized) override {
        return plain_of(id, normalized);
    }

    double V3_API plain_parameter_to_normalized(v3_param_id id, double plain) override {
        return normalized_of(id, plain);
    }

    double V3_API get_parameter_normalized(v3_param_id id) override {
        const Control* const control = control_of(id);
        return normalized_of(id, control ? effect_.value(control->id) : effect_.latency());
    }

    // In the main thread. Where a host automates, it tells the controller of values some time after
    // the processor has had them: those are old.
    v3_result V3_API set_parameter_normalized(v3_param_id id, double normalized) override {
        const Control* const control = control_of(id);
        if (!std::isfinite(normalized) || (!control && id != kLatencyParameter))
            return V3_INVALID_ARG;
        if (!control)
            return take_news(), V3_OK;
        if (seconds() - moved_s_[control->id].load() > kEcho_s)
            effect_.set_value(control->id, to_plain(*control, normalized));
        return V3_OK;
    }

    v3_result V3_API set_component_handler(ComponentHandler* handler) override {
        if (handler)
            handler->ref();
        if (handler_)
            handler_->unref();
        handler_ = handler;
        return V3_OK;
    }

    void* V3_API create_view(const char* name) override {
#ifdef STEMSTEER_WINDOW
        if (name && std::strcmp(name, "editor") == 0)
            return make_vst3_view(*static_cast<Component*>(this), window_controls_);
#endif
        return nullptr;
    }

    // --- ContextRequirements, InfoListener

    uint32_t V3_API get_process_context_requirements() override {
        return V3_PROCESS_CTX_NEED_TRANSPORT_STATE;  // the place in the song is always told
    }

    v3_result V3_API set_channel_context_infos(AttributeList* infos) override {
        int16_t name[128] = {};
        if (!infos)
            return V3_INVALID_ARG;
        if (infos->get_string("channel name", name, sizeof name) == V3_OK)
            effect_.set_track(to_utf8(reinterpret_cast<const char16_t*>(name), 127));
        return V3_OK;
    }

private:
    // Each value holds from its place in the block on. A jump is two values at one place.
    void take_changes(ParameterChanges* changes, int32_t frames) {
        for (int32_t i = 0, count = changes ? changes->get_param_count() : 0; i < count; ++i) {
            ValueQueue* const queue = changes->get_param_data(i);
            const Control* const control = queue ? control_of(queue->get_param_id()) : nullptr;
            if (control)
                take_points(*queue, *control, frames);
        }
    }

    void take_points(ValueQueue& queue, const Control& control, int32_t frames) {
        for (int32_t at = 0, count = queue.get_point_count(); at < count; ++at) {
            int32_t offset = 0;
            double normalized = 0;
            if (queue.get_point(at, &offset, &normalized) != V3_OK || !std::isfinite(normalized))
                continue;
            moved_s_[control.id] = seconds();
            effect_.move(control.id, to_plain(control, normalized),
                         uint32_t(std::clamp(offset, 0, frames - 1)));
        }
    }

    void play(const v3_process_data& data) {
        const float* inputs[kInputs] = {};
        float* outputs[kOutputs] = {};
        if (data.inputs && data.num_input_buses > 0 && data.inputs[0].channel_buffers_32)
            for (int32_t i = 0; i < std::min<int32_t>(kInputs, data.inputs[0].num_channels); ++i)
                inputs[i] = data.inputs[0].channel_buffers_32[i];
        for (int32_t bus = 0; data.outputs && bus < std::min(kPairs, data.num_output_buses); ++bus) {
            v3_audio_bus_buffers& to = data.outputs[bus];
            to.channel_silence_bitset = 0;
            for (int32_t i = 0; to.channel_buffers_32 && i < std::min(2, to.num_channels); ++i)
                outputs[2 * bus + i] = to.channel_buffers_32[i];
        }
        effect_.set_block_offline(data.process_mode == V3_OFFLINE);
        Transport transport;
        if (data.ctx)
            transport = {data.ctx->project_time_in_samples,
                         (data.ctx->state & V3_PROCESS_CTX_PLAYING) != 0};
        effect_.process(inputs, outputs, uint32_t(data.nframes), transport);
    }

    void tell_outputs(ParameterChanges& changes) {
        tell_news(changes);
        for (v3_param_id id = kFirstParameter; id < kParameterCount; ++id) {
            const double normalized = get_parameter_normalized(id);
            if (control_of(id)->output && std::fabs(normalized - told_[id]) >= kSame &&
                tell(changes, id, normalized))
                told_[id] = normalized;
        }
    }

    static bool tell(ParameterChanges& changes, v3_param_id id, double normalized) {
        int32_t index = 0;
        ValueQueue* const queue = changes.add_param_data(&id, &index);
        return queue && queue->add_point(0, normalized, &index) == V3_OK;
    }

    // By the hidden parameter the host comes to `take_news` in its main thread. It may leave out a
    // value that it has, so where only something else is new, a fraction of a sample comes or goes.
    void tell_news(ParameterChanges& changes) {
        const uint32_t latency = effect_.latency();
        const bool is_other = latency != told_latency_;
        if (!is_other && !is_change_untold_.exchange(false))
            return;
        fraction_ = is_other || fraction_ > 0 ? 0 : 0.25;
        if (tell(changes, kLatencyParameter, normalized_of(kLatencyParameter, latency + fraction_)))
            told_latency_ = latency;
        else
            is_change_untold_ = is_changed_.load();
    }

    void take_news() {
        if (is_changed_.exchange(false))
            mark_dirty();
        if (effect_.latency() != asked_latency_)
            restart(V3_RESTART_LATENCY_CHANGED);
    }

    void mark_dirty() {
        void* found = nullptr;
        if (!handler_ || handler_->query(v3_component_handler2_iid, &found) != V3_OK || !found)
            return;
        auto* const handler = static_cast<ComponentHandler2*>(found);
        handler->set_dirty(true);
        handler->unref();
    }

    void restart(int32_t flags) {
        if (handler_)
            handler_->restart_component(flags);
    }

#ifdef STEMSTEER_WINDOW
    // What is moved in the window goes to the host, which sends it on to process() and records it.
    class WindowControls final : public ControlSurface {
    public:
        explicit WindowControls(Vst3Plugin& plugin) : plugin_(plugin) {}

        float value(uint32_t id) const override { return plugin_.effect_.value(id); }
        const Effect* effect() const override { return &plugin_.effect_; }

        void begin(uint32_t id) override {
            if (plugin_.handler_)
                plugin_.handler_->begin_edit(kFirstParameter + id);
        }

        void set(uint32_t id, float value) override {
            plugin_.effect_.set_value(id, value);
            if (plugin_.handler_)
                plugin_.handler_->perform_edit(kFirstParameter + id,
                                               to_normalized(kControls[id], value));
        }

        void end(uint32_t id) override {
            if (plugin_.handler_)
                plugin_.handler_->end_edit(kFirstParameter + id);
        }

    private:
        Vst3Plugin& plugin_;
    };

    WindowControls window_controls_{*this};
#endif
    std::atomic<uint32_t> references_{1};
    ComponentHandler* handler_ = nullptr;
    double rate_hz_ = 44100;
    uint32_t max_block_ = 1024;
    std::atomic<double> moved_s_[kControlCount] = {};  // when process() has last moved a control
    double told_[kParameterCount] = {};       // outputs as the host knows them
    std::atomic<bool> is_changed_{false}, is_change_untold_{false};  // what the project is to keep
    double fraction_ = 0;                     // of a sample, beside the latency that was told last
    std::atomic<uint32_t> asked_latency_{0};  // as the host was answered last; 0: it has not asked
    std::atomic<uint32_t> told_latency_{0};   // the same, or by the hidden parameter
    Effect effect_{Effect::kAtOnce};
};

}  // namespace

Unknown* make_vst3_plugin() { return static_cast<Component*>(new Vst3Plugin); }

}  // namespace stemsteer
