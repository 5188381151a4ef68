// What the hosts of a plugin's window share: a window of their own, sound at the pace of a sound card
// and commands, one a line of standard input, each answered by a line.
//   HOST PLUGIN [SOUND]
//   open [SCALE]        "window ID", or "no window"      close            "closed"
//   orphan              end the host's window alone, "orphaned"
//   size WIDTH HEIGHT   "size W H" as they are then      get CONTROL      its value
//   scale SCALE         "size W H" as they are then
//   sizes W H W H       "size W H" where the X server has answered the first and not yet the second
//   set CONTROL VALUE   as automation does               moves            what the window has moved since
//                                                                         the last time
//   key CODE MODIFIERS  as the format numbers them: "taken", or "left", when it is pressed and let go
//   keys                the key codes that the host's window has got since: "press 65;release 65;"
// SOUND holds 32-bit floats, interleaved, two channels; it is played again and again.
#pragma once

#include <algorithm>
#include <iostream>
#include <poll.h>
#include <sstream>
#include <string>
#include <vector>

#include "checks.h"
#include "controls.h"
#include "window/libraries.h"

inline constexpr uint32_t kHostBlock = 512;
inline constexpr double kHostRate_hz = 44100;

inline const stemsteer::Control& control_called(const std::string& symbol) {
    for (const stemsteer::Control& control : stemsteer::kControls)
        if (symbol == control.symbol)
            return control;
    fail("no control %s", symbol.c_str());
}

// One format's window. Moves are told as words: "begin azimuth", "azimuth 3.5", "end azimuth".
class WindowHost {
public:
    virtual ~WindowHost() = default;

    virtual bool open(uint32_t parent, double scale) = 0;  // false: the plugin has none
    virtual void close() = 0;
    virtual void size(uint32_t& width, uint32_t& height) = 0;  // ask for it, and tell what it is
    virtual void scale(double) { fail("the format has no scale but the first"); }  // of the open window
    virtual double value(const stemsteer::Control& control) = 0;
    virtual void set(const stemsteer::Control& control, double value) = 0;
    virtual bool key(int, int) { fail("the format has no keys"); }  // true: the window takes it
    virtual void tick() = 0;
    virtual void play(float* const* in, float* const* out) = 0;  // a block

    std::string moves;

    void moved(const char* kind, const stemsteer::Control& control) {
        moves += std::string(kind) + " " + control.symbol + ";";
    }
    void moved(const stemsteer::Control& control, double value) {
        std::ostringstream words;
        words << control.symbol << " " << value << ";";
        moves += words.str();
    }
};

class HostLoop {
public:
    HostLoop(WindowHost& host, const char* sound) : host_(host), l_(*stemsteer::libraries()) {
        if (std::FILE* const file = sound ? std::fopen(sound, "rb") : nullptr) {
            float part[4096];
            for (size_t n; (n = std::fread(part, sizeof *part, 4096, file)) > 0;)
                sound_.insert(sound_.end(), part, part + n);
            std::fclose(file);
        }
        sound_.resize(std::max<size_t>(sound_.size() / 2 / kHostBlock, 1) * 2 * kHostBlock);
        connection_ = l_.xcb_connect(nullptr, nullptr);
        REQUIRE(!l_.xcb_connection_has_error(connection_), "no X server");
    }

    ~HostLoop() { l_.xcb_disconnect(connection_); }

    // Until standard input ends.
    void run() {
        double due_s = now_s();  // when the next block is
        std::string text;
        for (double ticked_s = 0;;) {
            pollfd input = {0, POLLIN, 0};
            poll(&input, 1, 4);
            if (input.revents) {
                char part[4096];
                const ssize_t n = read(0, part, sizeof part);
                if (n <= 0)
                    return;
                text.append(part, size_t(n));
            }
            for (size_t end; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1))
                std::cout << answer(text.substr(0, end)) << std::endl;
            if (now_s() - ticked_s >= 0.016) {
                ticked_s = now_s();
                host_.tick();
            }
            if (now_s() < due_s)
                continue;
            play();
            // What was late is left out, as a sound card does: a host that catches up would render.
            due_s = std::max(due_s + kHostBlock / kHostRate_hz, now_s() - kHostBlock / kHostRate_hz);
        }
    }

private:
    void play() {
        const size_t at = blocks_++ * 2 * kHostBlock % sound_.size();
        std::vector<std::vector<float>> rows(6, std::vector<float>(kHostBlock));
        float* heads[6];
        for (size_t i = 0; i < 6; ++i)
            heads[i] = rows[i].data();
        for (size_t i = 0; i < kHostBlock; ++i)
            for (size_t c = 0; c < 2; ++c)
                rows[c][i] = sound_[at + 2 * i + c];
        host_.play(heads, heads + 2);
    }

    std::string answer(const std::string& line) {
        std::istringstream words(line);
        std::ostringstream said;
        std::string verb, symbol;
        words >> verb;
        if (verb == "open") {
            double scale = 0;
            words >> scale;
            make_window();
            uint32_t width = 0, height = 0;
            if (!host_.open(window_, scale))
                return close_window(), "no window";
            host_.size(width, height);
            resize(width, height);
            said << "window " << window_;
        } else if (verb == "close") {
            host_.close();
            close_window();
            said << "closed";
        } else if (verb == "orphan") {
            close_window();
            said << "orphaned";
        } else if (verb == "size") {
            uint32_t width = 0, height = 0;
            words >> width >> height;
            host_.size(width, height);
            resize(width, height);
            said << "size " << width << " " << height;
        } else if (verb == "sizes") {
            uint32_t sizes[4] = {}, width = 0, height = 0;
            for (uint32_t& size : sizes)
                words >> size;
            host_.size(sizes[0], sizes[1]);
            while (child_width_ != sizes[0])
                wait();
            call<decltype(xcb_grab_server)>("xcb_grab_server");
            wait();
            host_.size(sizes[2], sizes[3]);
            host_.tick();
            host_.size(width, height);
            call<decltype(xcb_ungrab_server)>("xcb_ungrab_server");
            wait();
            said << "size " << width << " " << height;
        } else if (verb == "scale") {
            double scale = 0;
            uint32_t width = 0, height = 0;
            words >> scale;
            host_.scale(scale);
            host_.size(width, height);
            resize(width, height);
            said << "size " << width << " " << height;
        } else if (verb == "get") {
            words >> symbol;
            said << host_.value(control_called(symbol));
        } else if (verb == "set") {
            double value = 0;
            words >> symbol >> value;
            host_.set(control_called(symbol), value);
            said << "set";
        } else if (verb == "key") {
            int code = 0, modifiers = 0;
            words >> code >> modifiers;
            said << (host_.key(code, modifiers) ? "taken" : "left");
        } else if (verb == "keys") {
            wait();
            said << keys_;
            keys_.clear();
        } else if (verb == "moves") {
            said << host_.moves;
            host_.moves.clear();
        } else {
            fail("no command %s", line.c_str());
        }
        return said.str();
    }

    void make_window() {
        const xcb_screen_t& screen = *l_.xcb_setup_roots_iterator(l_.xcb_get_setup(connection_)).data;
        window_ = l_.xcb_generate_id(connection_);
        const uint32_t events = XCB_EVENT_MASK_SUBSTRUCTURE_NOTIFY;
        l_.xcb_create_window(connection_, screen.root_depth, window_, screen.root, 0, 0, 100, 100, 0,
                             XCB_WINDOW_CLASS_INPUT_OUTPUT, screen.root_visual, XCB_CW_EVENT_MASK, &events);
        l_.xcb_map_window(connection_, window_);
        wait();
    }

    void resize(uint32_t width, uint32_t height) {
        const uint32_t values[] = {width, height};
        l_.xcb_configure_window(connection_, window_,
                                XCB_CONFIG_WINDOW_WIDTH | XCB_CONFIG_WINDOW_HEIGHT, values);
        wait();
    }

    void close_window() {
        l_.xcb_destroy_window(connection_, window_);
        wait();
    }

    // Until the server has done what it was asked.
    void wait() {
        std::free(l_.xcb_get_geometry_reply(connection_, l_.xcb_get_geometry(connection_, window_),
                                            nullptr));
        while (xcb_generic_event_t* const event = l_.xcb_poll_for_event(connection_)) {
            note_key(*reinterpret_cast<const xcb_key_press_event_t*>(event));
            if ((event->response_type & 0x7f) == XCB_CONFIGURE_NOTIFY)
                child_width_ = reinterpret_cast<const xcb_configure_notify_event_t*>(event)->width;
            std::free(event);
        }
    }

    // A request that the plugin's window does not make.
    template <class Request>
    void call(const char* name) {
        void* const library = dlopen("libxcb.so.1", RTLD_NOW);
        reinterpret_cast<Request*>(dlsym(library, name))(connection_);
        dlclose(library);
    }

    void note_key(const xcb_key_press_event_t& key) {
        const int kind = key.response_type & 0x7f;
        if ((kind == XCB_KEY_PRESS || kind == XCB_KEY_RELEASE) && key.event == window_)
            keys_ += (kind == XCB_KEY_PRESS ? "press " : "release ") + std::to_string(key.detail) + ";";
    }

    WindowHost& host_;
    const stemsteer::Libraries& l_;
    xcb_connection_t* connection_ = nullptr;
    uint32_t window_ = 0, child_width_ = 0;
    std::string keys_;
    std::vector<float> sound_;
    size_t blocks_ = 0;
};

template <class Host>
int run_window_host(int count, char** words) {
    REQUIRE(count >= 2, "usage: %s PLUGIN [SOUND]", words[0]);
    plugin_path = words[1];
    Host host;
    HostLoop(host, count > 2 ? words[2] : nullptr).run();
    return 0;
}
