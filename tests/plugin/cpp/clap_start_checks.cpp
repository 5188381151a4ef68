// When a plugin of CLAP starts an engine or asks one again, and how often. See checks.h.
#include <fcntl.h>
#include <sys/stat.h>

#include "clap_checks.h"
#include "fake_engine.h"
#include "refusals.h"
#include "starts.h"

using namespace checks;

// An engine that can be started and ends without a word but a line in a file.
struct Autostart {
    std::string folder = "/tmp/checks-XXXXXX", command, started;
    time_t written_s = 0;

    Autostart() {
        REQUIRE(mkdtemp(&folder[0]), "no folder");
        command = folder + "/autostart";
        started = folder + "/started";
        setenv("STEMSTEER_SOCKET", (folder + "/none").c_str(), 1);
        setenv("STEMSTEER_AUTOSTART", command.c_str(), 1);
        write();
    }

    ~Autostart() {
        for (const std::string& path : {command, started})
            unlink(path.c_str());
        rmdir(folder.c_str());
    }

    // A second after the last time, by the file.
    void write() {
        const std::string part = command + ".part";
        const timespec times[] = {{++written_s, 0}, {written_s, 0}};
        std::FILE* const file = std::fopen(part.c_str(), "w");
        std::fprintf(file, "/bin/sh\n-c\necho >> %s\n", started.c_str());
        std::fclose(file);
        chmod(part.c_str(), 0600);
        utimensat(AT_FDCWD, part.c_str(), times, 0);
        rename(part.c_str(), command.c_str());
    }

    int count() const {
        struct stat found;
        return stat(started.c_str(), &found) ? 0 : int(found.st_size);
    }

    void await(int starts) const {
        while (count() < starts)  // or the check is ended
            usleep(1000);
    }
};

CHECK(of_many_instances_one_starts_an_engine) {
    const Autostart engine;
    std::vector<std::unique_ptr<Plugin>> plugins;
    for (int i = 0; i < 10; ++i) {
        plugins.push_back(std::make_unique<Plugin>());
        plugins.back()->start();
        require_dry_run(*plugins.back(), {512}, 2048, "played");
    }
    engine.await(1);
    usleep(1000000);  // for others
    REQUIRE(engine.count() == 1, "%d are started", engine.count());
}

// With the pauses of a command that stays the same, the fifth would be started after 150 s.
CHECK(a_command_that_is_written_anew_is_tried_at_once) {
    Autostart engine;
    Plugin plugin;
    plugin.start();
    require_dry_run(plugin, {512}, 2048, "played");
    for (int starts = 1; starts < 5; ++starts) {
        engine.await(starts);
        engine.write();
    }
    engine.await(5);
}

CHECK(where_no_engine_answers_the_starts_become_rare) {
    stemsteer::Starts starts;
    std::vector<int> begun_s;
    for (int now_s = 1; now_s <= 1000; ++now_s)
        if (starts.begin(now_s, 5))
            begun_s.push_back(now_s);
    REQUIRE((begun_s == std::vector<int>{1, 11, 31, 71, 151, 311, 631, 951}), "%zu starts", begun_s.size());
    starts.succeed(1000);
    REQUIRE(!starts.begin(1005, 5) && starts.begin(1010, 5) && !starts.begin(1019, 5) && starts.begin(1020, 5),
            "as at first");
    REQUIRE(starts.begin(1021, 6) && !starts.begin(1030, 6) && starts.begin(1031, 6), "not anew");
}

CHECK(an_engine_that_refuses_is_asked_ever_less_often) {
    stemsteer::Refusals refusals;
    std::vector<double> asked_s;
    for (double now_s = 0; now_s < 100; now_s += 0.25)
        if (!refusals.hold("one", now_s)) {
            asked_s.push_back(now_s);
            refusals.add("one", now_s);
        }
    REQUIRE((asked_s == std::vector<double>{0, 0.25, 0.75, 1.75, 3.75, 7.75, 15.75, 31.75, 61.75, 91.75}),
            "%zu times", asked_s.size());
    REQUIRE(!refusals.hold("other", 100), "another offer waits");
    refusals.add("other", 100);
    REQUIRE(refusals.hold("other", 100.2) && !refusals.hold("other", 100.25), "its pause is not the first");
}

CHECK(a_refused_instance_asks_at_once_when_it_offers_something_else) {
    FakeEngine engine;
    Plugin plugin;
    plugin.start();
    int asked = 0;
    for (const double end_s = now_s() + 4; now_s() < end_s;)
        if (engine.is_greeted()) {
            engine.greeting();
            engine.answer("error no such model");
            ++asked;
        }
    REQUIRE(asked >= 3 && asked <= 6, "%d times in 4 s", asked);
    plugin.stop();
    plugin.start();  // the same again
    REQUIRE(!engine.is_greeted(), "an activation asks again");
    std::string state = saved(plugin);
    state.replace(state.find("model") + 6, 0, "panorama");
    REQUIRE(loaded(plugin, state), "refused");
    REQUIRE(engine.greeting().find("\"model\":\"panorama\"") != std::string::npos, "another model");
    engine.answer("ok 00112233445566778899aabbccddeeff");
    while (!plugin.value(11))  // or the check is ended
        usleep(1000);
}
