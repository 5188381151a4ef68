// A small CLAP host: runs one plugin over a raw file and prints what it saw as JSON.
//   clap_player plugin=X.clap id=NAME in=F out=F [rate=44100] [blocks=512,1,0] [offline=1] [paced=1]
//             [set=PARAM:VALUE:FRAME]... [restart=FRAME]... [load=F] [save=F] [track=NAME]
//             [rename=FRAME:NAME] [reload=FRAME:F] [ahead=SECONDS]
// Files are 32-bit floats, interleaved: 2 channels in, as many out as the plugin has. With paced=1 it
// keeps the pace of a sound card, at real-time priority where that is permitted, or stays so much
// ahead of it; `margin_s` is how far ahead it was at the least after the start. SIGTERM ends it.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <dlfcn.h>
#include <sched.h>
#include <string>
#include <vector>

#include <clap/entry.h>
#include <clap/ext/audio-ports.h>
#include <clap/ext/latency.h>
#include <clap/ext/params.h>
#include <clap/ext/state.h>
#include <clap/plugin-factory.h>
#include "clap_extensions.h"
#include "clap_player.h"

using namespace player;

namespace {

struct Events {
    std::vector<clap_event_param_value_t> list;
    clap_input_events_t in;
    clap_output_events_t out;
    double values[64] = {};  // of output parameters

    Events() {
        in = {this,
              [](const clap_input_events_t* self) {
                  return uint32_t(static_cast<Events*>(self->ctx)->list.size());
              },
              [](const clap_input_events_t* self, uint32_t i) -> const clap_event_header_t* {
                  return &static_cast<Events*>(self->ctx)->list[i].header;
              }};
        out = {this, [](const clap_output_events_t* self, const clap_event_header_t* event) {
                   if (event->type == CLAP_EVENT_PARAM_VALUE) {
                       const auto* value = reinterpret_cast<const clap_event_param_value_t*>(event);
                       if (value->param_id < 64)
                           static_cast<Events*>(self->ctx)->values[value->param_id] = value->value;
                   }
                   return true;
               }};
    }

    void add(unsigned parameter, double value, size_t time) {
        clap_event_param_value_t event = {};
        event.header = {sizeof event, uint32_t(time), CLAP_CORE_EVENT_SPACE_ID, CLAP_EVENT_PARAM_VALUE, 0};
        event.param_id = parameter;
        event.note_id = event.port_index = event.channel = event.key = -1;
        event.value = value;
        list.push_back(event);
    }
};

double now_s() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

void sleep_until(double time_s) {
    timespec until;
    until.tv_sec = time_t(time_s);
    until.tv_nsec = long((time_s - double(until.tv_sec)) * 1e9);
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
}

void load_state(const clap_plugin_t* plugin, const std::string& path);

class Session {
public:
    Session(const clap_plugin_t* plugin, const Options& options)
        : plugin_(plugin), options_(options) {
        const auto* ports = static_cast<const clap_plugin_audio_ports_t*>(
            plugin->get_extension(plugin, CLAP_EXT_AUDIO_PORTS));
        for (uint32_t i = 0; i < ports->count(plugin, false); ++i) {
            clap_audio_port_info_t info;
            ports->get(plugin, i, false, &info);
            groups_.push_back(info.channel_count);
            channels_ += info.channel_count;
        }
    }

    void run() {
        const std::vector<char> bytes = read_file(options_.in);
        const size_t frames = bytes.size() / (2 * sizeof(float));
        const float* const samples = reinterpret_cast<const float*>(bytes.data());
        std::vector<float> written(frames * channels_);
        largest_ = std::max(1u, *std::max_element(options_.blocks.begin(), options_.blocks.end()));
        activate();
        const sched_param priority = {20};
        if (options_.paced)
            sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &priority);
        const double begun_s = now_s();
        size_t turn = 0, at = 0;
        for (; at < frames && !ended; ++turn) {
            const unsigned wanted = options_.blocks[turn % options_.blocks.size()];
            const unsigned n = unsigned(std::min<size_t>(wanted, frames - at));
            for (const size_t restart : options_.restarts)
                if (at <= restart && restart < at + n)
                    restart_plugin();
            if (!options_.new_name.empty() && at <= options_.rename_at && options_.rename_at < at + n)
                rename_track();
            if (!options_.reload.empty() && at <= options_.reload_at && options_.reload_at < at + n)
                load_state(plugin_, options_.reload);
            block(samples + 2 * at, written.data() + channels_ * at, n, at);
            at += n;
            const double due_s = begun_s + double(at) / options_.rate_hz;
            if (at > options_.ahead_s * options_.rate_hz)
                margin_s_ = std::min(margin_s_, due_s - now_s());
            if (options_.paced)
                sleep_until(due_s - options_.ahead_s);
        }
        deactivate();
        write_file(options_.out, written.data(), at * channels_ * sizeof(float));
    }

    void report() {
        std::sort(costs_us_.begin(), costs_us_.end());
        const auto at = [&](double share) {
            return costs_us_.empty() ? 0.0 : costs_us_[size_t(share * double(costs_us_.size() - 1))];
        };
        std::printf("{\"latency\": %u, \"channels\": %u, \"cost_us\": {\"median\": %.1f, "
                    "\"p99\": %.1f, \"max\": %.1f}, \"margin_s\": %g, \"restart_wanted\": %s, \"outputs\": [",
                    latency_, channels_, at(0.5), at(0.99), at(1), margin_s_, restart_wanted ? "true" : "false");
        for (int i = 0; i < 16; ++i)
            std::printf("%s%g", i ? ", " : "", events_.values[i]);
        std::printf("], ");
    }

private:
    void activate() {
        if (!plugin_->activate(plugin_, options_.rate_hz, 1, largest_) ||
            !plugin_->start_processing(plugin_))
            fail("the plugin does not start");
        const auto* latency = static_cast<const clap_plugin_latency_t*>(
            plugin_->get_extension(plugin_, CLAP_EXT_LATENCY));
        latency_ = latency->get(plugin_);
    }

    void deactivate() {
        plugin_->stop_processing(plugin_);
        plugin_->deactivate(plugin_);
    }

    void rename_track() {
        track_name = options_.new_name;
        const auto* track = static_cast<const clap_plugin_track_info_t*>(
            plugin_->get_extension(plugin_, CLAP_EXT_TRACK_INFO));
        track->changed(plugin_);
    }

    void restart_plugin() {
        deactivate();
        activate();
    }

    void block(const float* from, float* to, unsigned frames, size_t position) {
        std::vector<std::vector<float>> in(2, std::vector<float>(frames)),
            out(channels_, std::vector<float>(frames, 1e9f));
        std::vector<float*> in_rows, out_rows;
        for (unsigned channel = 0; channel < 2; ++channel) {
            for (unsigned i = 0; i < frames; ++i)
                in[channel][i] = from[2 * i + channel];
            in_rows.push_back(in[channel].data());
        }
        for (auto& row : out)
            out_rows.push_back(row.data());
        events_.list.clear();
        for (const Change& change : options_.changes)
            if (position <= change.frame && change.frame < position + std::max(frames, 1u))
                events_.add(change.parameter, change.value, change.frame - position);

        const clap_audio_buffer_t input = {in_rows.data(), nullptr, 2, 0, 0};
        std::vector<clap_audio_buffer_t> outputs;
        unsigned channel = 0;
        for (const unsigned size : groups_) {
            outputs.push_back({out_rows.data() + channel, nullptr, size, 0, 0});
            channel += size;
        }
        clap_process_t process = {};
        process.steady_time = int64_t(position);
        process.frames_count = frames;
        clap_event_transport_t transport = {};
        if (options_.song_s >= 0) {
            const double song_s = options_.song_s + position / options_.rate_hz;
            transport.flags = CLAP_TRANSPORT_IS_PLAYING | CLAP_TRANSPORT_HAS_SECONDS_TIMELINE;
            transport.song_pos_seconds = clap_sectime(song_s * CLAP_SECTIME_FACTOR + 0.5);
            process.transport = &transport;
        }
        process.audio_inputs = &input;
        process.audio_outputs = outputs.data();
        process.audio_inputs_count = 1;
        process.audio_outputs_count = uint32_t(outputs.size());
        process.in_events = &events_.in;
        process.out_events = &events_.out;
        const double begun_s = now_s();
        if (plugin_->process(plugin_, &process) == CLAP_PROCESS_ERROR)
            fail("process failed");
        costs_us_.push_back(1e6 * (now_s() - begun_s));
        for (channel = 0; channel < channels_; ++channel)
            for (unsigned i = 0; i < frames; ++i)
                to[channels_ * i + channel] = out[channel][i];
    }

    const clap_plugin_t* plugin_;
    const Options& options_;
    std::vector<unsigned> groups_;
    unsigned channels_ = 0, largest_ = 0, latency_ = 0;
    Events events_;
    std::vector<double> costs_us_;
    double margin_s_ = 1e9;
};

void load_state(const clap_plugin_t* plugin, const std::string& path) {
    struct Source {
        std::vector<char> bytes;
        size_t at = 0;
    } source = {read_file(path)};
    const clap_istream_t stream = {
        &source, [](const clap_istream_t* self, void* buffer, uint64_t size) -> int64_t {
            Source& from = *static_cast<Source*>(self->ctx);
            const size_t n = std::min<size_t>(size, from.bytes.size() - from.at);
            std::memcpy(buffer, from.bytes.data() + from.at, n);
            from.at += n;
            return int64_t(n);
        }};
    const auto* state =
        static_cast<const clap_plugin_state_t*>(plugin->get_extension(plugin, CLAP_EXT_STATE));
    if (!state->load(plugin, &stream))
        fail("the state is refused");
}

void save_state(const clap_plugin_t* plugin, const std::string& path) {
    std::vector<char> bytes;
    const clap_ostream_t stream = {
        &bytes, [](const clap_ostream_t* self, const void* buffer, uint64_t size) -> int64_t {
            auto& to = *static_cast<std::vector<char>*>(self->ctx);
            const char* const from = static_cast<const char*>(buffer);
            to.insert(to.end(), from, from + size);
            return int64_t(size);
        }};
    const auto* state =
        static_cast<const clap_plugin_state_t*>(plugin->get_extension(plugin, CLAP_EXT_STATE));
    if (!state->save(plugin, &stream))
        fail("the state cannot be saved");
    write_file(path, bytes.data(), bytes.size());
}

}  // namespace

int main(int count, char** words) {
    const Options options = parse(count, words);
    std::signal(SIGTERM, [](int) { ended = 1; });
    void* const library = dlopen(options.plugin.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library)
        fail(dlerror());
    const auto* entry = static_cast<const clap_plugin_entry_t*>(dlsym(library, "clap_entry"));
    if (!entry || !entry->init(options.plugin.c_str()))
        fail("no CLAP plugin");
    const auto* factory =
        static_cast<const clap_plugin_factory_t*>(entry->get_factory(CLAP_PLUGIN_FACTORY_ID));
    const clap_plugin_t* plugin = factory->create_plugin(factory, &host, options.id.c_str());
    if (!plugin || !plugin->init(plugin))
        fail("no plugin " + options.id);
    const auto* render = static_cast<const clap_plugin_render_t*>(plugin->get_extension(plugin, CLAP_EXT_RENDER));
    if (!render || !render->set(plugin, options.offline))
        fail("no clap.render");
    if (!options.load.empty())
        load_state(plugin, options.load);
    {
        Session session(plugin, options);
        session.run();
        if (!options.save.empty())
            save_state(plugin, options.save);
        session.report();
    }
    plugin->destroy(plugin);  // which tells what is still to tell
    std::printf("\"log\": \"%s\"}\n", logged.substr(0, logged.find('"')).c_str());
    entry->deinit();
    return 0;
}
