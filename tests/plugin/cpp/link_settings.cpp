// A link beside a host that sets variables all the time: its thread reads none of them, for the
// environment may move while it is read. Prints what is wrong.
#include <atomic>
#include <dlfcn.h>
#include <fstream>

#include "fake_engine.h"
#include "link.h"

using namespace stemsteer;

namespace {

thread_local bool is_hosts = false;  // this thread may read the environment
std::atomic<int> reads{0};

}  // namespace

extern "C" char* getenv(const char* name) noexcept {
    static const auto real = reinterpret_cast<char* (*)(const char*)>(dlsym(RTLD_NEXT, "getenv"));
    reads += !is_hosts;
    return real(name);
}

int main() {
    is_hosts = true;
    FakeEngine engine;
    const std::string autostart = engine.folder + "/autostart";
    setenv("STEMSTEER_AUTOSTART", autostart.c_str(), 1);
    std::ofstream(autostart) << "/bin/true\n";
    chmod(autostart.c_str(), 0600);
    Presence presence;
    presence.used = 1;
    Stream stream(presence);
    Link link(stream, presence);
    stream.begin(link.ring(44100, 2), 2, 44100, 1024);
    link.greet(Hello());
    engine.greeting();
    engine.answer("error no such model");
    close(std::exchange(engine.listener, -1));  // it has gone: another is started
    for (double end_s = now_s() + 1; now_s() < end_s; usleep(10))
        setenv(("HOST_" + std::to_string(now_s())).c_str(), "some value", 1);
    if (reads)
        std::printf("the link's thread has read %d variables\n", reads.load());
    unlink(autostart.c_str());
}
