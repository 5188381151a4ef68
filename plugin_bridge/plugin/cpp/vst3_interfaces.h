// The interfaces of VST3 as C++ classes whose tables of functions are those that hosts expect; types
// and identities are those of DPF's "travesty". Functions are in the order of the interface.
#pragma once

#include <travesty/audio_processor.h>
#include <travesty/component.h>
#include <travesty/edit_controller.h>
#include <travesty/factory.h>
#include <travesty/host.h>

namespace stemsteer {

constexpr v3_tuid kInfoListenerId = V3_ID(0x0F194781, 0x8D984ADA, 0xBBA0C1EF, 0xC011D8D0);

// No virtual destructor: it would be in the table.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

struct Unknown {
    virtual v3_result V3_API query(const v3_tuid id, void** found) = 0;
    virtual uint32_t V3_API ref() = 0;
    virtual uint32_t V3_API unref() = 0;
};

// --- what the plugin is to the host

struct PluginBase : Unknown {
    virtual v3_result V3_API initialize(Unknown* context) = 0;
    virtual v3_result V3_API terminate() = 0;
};

struct ByteStream : Unknown {
    virtual v3_result V3_API read(void* bytes, int32_t size, int32_t* done) = 0;
    virtual v3_result V3_API write(void* bytes, int32_t size, int32_t* done) = 0;
    virtual v3_result V3_API seek(int64_t position, int32_t mode, int64_t* result) = 0;
    virtual v3_result V3_API tell(int64_t* position) = 0;
};

struct Component : PluginBase {
    virtual v3_result V3_API get_controller_class_id(v3_tuid id) = 0;
    virtual v3_result V3_API set_io_mode(int32_t mode) = 0;
    virtual int32_t V3_API get_bus_count(int32_t media, int32_t direction) = 0;
    virtual v3_result V3_API get_bus_info(int32_t media, int32_t direction, int32_t index,
                                          v3_bus_info* info) = 0;
    virtual v3_result V3_API get_routing_info(v3_routing_info* in, v3_routing_info* out) = 0;
    virtual v3_result V3_API activate_bus(int32_t media, int32_t direction, int32_t index,
                                          v3_bool state) = 0;
    virtual v3_result V3_API set_active(v3_bool state) = 0;
    virtual v3_result V3_API set_state(ByteStream* stream) = 0;
    virtual v3_result V3_API get_state(ByteStream* stream) = 0;
};

struct AudioProcessor : Unknown {
    virtual v3_result V3_API set_bus_arrangements(v3_speaker_arrangement* inputs, int32_t input_count,
                                                  v3_speaker_arrangement* outputs,
                                                  int32_t output_count) = 0;
    virtual v3_result V3_API get_bus_arrangement(int32_t direction, int32_t index,
                                                 v3_speaker_arrangement* arrangement) = 0;
    virtual v3_result V3_API can_process_sample_size(int32_t size) = 0;
    virtual uint32_t V3_API get_latency_samples() = 0;
    virtual v3_result V3_API setup_processing(v3_process_setup* setup) = 0;
    virtual v3_result V3_API set_processing(v3_bool state) = 0;
    virtual v3_result V3_API process(v3_process_data* data) = 0;
    virtual uint32_t V3_API get_tail_samples() = 0;
};

struct ComponentHandler;

struct EditController : PluginBase {
    virtual v3_result V3_API set_component_state(ByteStream* stream) = 0;
    virtual v3_result V3_API set_controller_state(ByteStream* stream) = 0;
    virtual v3_result V3_API get_controller_state(ByteStream* stream) = 0;
    virtual int32_t V3_API get_parameter_count() = 0;
    virtual v3_result V3_API get_parameter_info(int32_t index, v3_param_info* info) = 0;
    virtual v3_result V3_API get_parameter_string_for_value(v3_param_id id, double normalized,
                                                            v3_str_128 text) = 0;
    virtual v3_result V3_API get_parameter_value_for_string(v3_param_id id, int16_t* text,
                                                            double* normalized) = 0;
    virtual double V3_API normalized_parameter_to_plain(v3_param_id id, double normalized) = 0;
    virtual double V3_API plain_parameter_to_normalized(v3_param_id id, double plain) = 0;
    virtual double V3_API get_parameter_normalized(v3_param_id id) = 0;
    virtual v3_result V3_API set_parameter_normalized(v3_param_id id, double normalized) = 0;
    virtual v3_result V3_API set_component_handler(ComponentHandler* handler) = 0;
    virtual void* V3_API create_view(const char* name) = 0;
};

struct ContextRequirements : Unknown {
    virtual uint32_t V3_API get_process_context_requirements() = 0;
};

struct AttributeList;

struct InfoListener : Unknown {
    virtual v3_result V3_API set_channel_context_infos(AttributeList* infos) = 0;
};

struct PluginFactory : Unknown {
    virtual v3_result V3_API get_factory_info(v3_factory_info* info) = 0;
    virtual int32_t V3_API num_classes() = 0;
    virtual v3_result V3_API get_class_info(int32_t index, v3_class_info* info) = 0;
    virtual v3_result V3_API create_instance(const v3_tuid class_id, const v3_tuid id,
                                             void** instance) = 0;
    virtual v3_result V3_API get_class_info_2(int32_t index, v3_class_info_2* info) = 0;
    virtual v3_result V3_API get_class_info_utf16(int32_t index, v3_class_info_3* info) = 0;
    virtual v3_result V3_API set_host_context(Unknown* context) = 0;
};

// --- what the host is to the plugin

struct ComponentHandler : Unknown {
    virtual v3_result V3_API begin_edit(v3_param_id id) = 0;
    virtual v3_result V3_API perform_edit(v3_param_id id, double normalized) = 0;
    virtual v3_result V3_API end_edit(v3_param_id id) = 0;
    virtual v3_result V3_API restart_component(int32_t flags) = 0;
};

struct ComponentHandler2 : Unknown {
    virtual v3_result V3_API set_dirty(v3_bool state) = 0;
    virtual v3_result V3_API request_open_editor(const char* name) = 0;
    virtual v3_result V3_API start_group_edit() = 0;
    virtual v3_result V3_API finish_group_edit() = 0;
};

struct ValueQueue : Unknown {
    virtual v3_param_id V3_API get_param_id() = 0;
    virtual int32_t V3_API get_point_count() = 0;
    virtual v3_result V3_API get_point(int32_t index, int32_t* offset, double* normalized) = 0;
    virtual v3_result V3_API add_point(int32_t offset, double normalized, int32_t* index) = 0;
};

struct ParameterChanges : Unknown {
    virtual int32_t V3_API get_param_count() = 0;
    virtual ValueQueue* V3_API get_param_data(int32_t index) = 0;
    virtual ValueQueue* V3_API add_param_data(const v3_param_id* id, int32_t* index) = 0;
};

struct AttributeList : Unknown {
    virtual v3_result V3_API set_int(const char* id, int64_t value) = 0;
    virtual v3_result V3_API get_int(const char* id, int64_t* value) = 0;
    virtual v3_result V3_API set_float(const char* id, double value) = 0;
    virtual v3_result V3_API get_float(const char* id, double* value) = 0;
    virtual v3_result V3_API set_string(const char* id, const int16_t* text) = 0;
    virtual v3_result V3_API get_string(const char* id, int16_t* text, uint32_t bytes) = 0;
    virtual v3_result V3_API set_binary(const char* id, const void* data, uint32_t bytes) = 0;
    virtual v3_result V3_API get_binary(const char* id, const void** data, uint32_t* bytes) = 0;
};

#pragma GCC diagnostic pop

}  // namespace stemsteer
