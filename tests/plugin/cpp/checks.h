// Checks of a plugin by a small host: each runs in a process of its own, so that a crash is one
// failed check. A program defines checks with CHECK; the file that has `main`, which returns
// `run_checks(count, words)`, defines CHECKS_MAIN before it includes this.
//   PROGRAM PLUGIN [CHECK]...     prints "ok NAME" or "FAILED NAME: why" for each, and counts
// CHECK_LOCALE, if set, is the locale in which they run.
#pragma once

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <dlfcn.h>
#include <pthread.h>
#include <stdexcept>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

struct Check {
    const char* name;
    void (*run)();
};

inline std::vector<Check> all_checks;
inline std::string plugin_path;

#define CHECK(id)                                                               \
    static void check_##id();                                                   \
    static const bool added_##id = (all_checks.push_back({#id, check_##id}), true); \
    static void check_##id()

#define REQUIRE(condition, ...) \
    do {                        \
        if (!(condition))       \
            fail(__VA_ARGS__);  \
    } while (false)

[[noreturn]] __attribute__((format(printf, 1, 2))) inline void fail(const char* format, ...) {
    char text[500];
    va_list values;
    va_start(values, format);
    std::vsnprintf(text, sizeof text, format, values);
    va_end(values);
    throw std::runtime_error(text);
}

inline double now_s() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

// The seconds of the quickest of five tries: what else the machine does is not the plugin's time.
template <typename Action>
inline double quickest_s(Action action) {
    double least_s = 1e9;
    for (int i = 0; i < 5; ++i) {
        const double begun_s = now_s();
        action();
        least_s = std::min(least_s, now_s() - begun_s);
    }
    return least_s;
}

// Do something while the machine has no memory for anything large.
template <typename Action>
inline void without_memory(Action action) {
    rlimit before;
    getrlimit(RLIMIT_AS, &before);
    const rlimit none = {1, before.rlim_max};
    setrlimit(RLIMIT_AS, &none);
    action();
    setrlimit(RLIMIT_AS, &before);
}

// Do something while no thread can be made.
template <typename Action>
inline void without_threads(Action action) {
    pthread_attr_t before, none;
    pthread_getattr_default_np(&before);
    pthread_getattr_default_np(&none);
    pthread_attr_setstacksize(&none, size_t{1} << 60);
    pthread_setattr_default_np(&none);
    action();
    pthread_setattr_default_np(&before);
    pthread_attr_destroy(&before);
    pthread_attr_destroy(&none);
}

// Unload the plugin's library, however often it was loaded.
inline void unload() {
    for (int i = 0; i < 20; ++i)
        if (void* const library = dlopen(plugin_path.c_str(), RTLD_NOW | RTLD_NOLOAD)) {
            dlclose(library);
            dlclose(library);
        }
}

// A small generator of numbers that does not depend on the library.
struct Random {
    uint64_t state;
    explicit Random(uint64_t seed) : state(seed * 2654435761u + 1) {}
    uint32_t bits() {
        state = state * 6364136223846793005u + 1442695040888963407u;
        return uint32_t(state >> 32);
    }
    uint32_t below(uint32_t limit) { return bits() % limit; }
    double unit() { return bits() / 4294967296.0; }
};

// Stereo sound of one run: noise in, and what the plugin gave on each of its channels.
inline std::vector<float> noise(size_t samples, uint64_t seed) {
    Random random(seed);
    std::vector<float> sound(samples);
    for (float& sample : sound)
        sample = float(random.unit() - 0.5);
    return sound;
}

inline constexpr float kUnwritten = 1e9f;  // what lies in a buffer before the plugin writes

// Allocations in the audio thread, counted where no sanitizer has the allocator.
inline thread_local bool in_audio = false;
inline size_t audio_allocations = 0;

#if defined(CHECKS_MAIN) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
extern "C" void* __libc_malloc(size_t);
extern "C" void* malloc(size_t bytes) {
    audio_allocations += in_audio;
    return __libc_malloc(bytes);
}
#endif

// Run one check; its verdict goes through the pipe. Returns what was wrong, empty if nothing.
inline std::string verdict_of(const Check& check) {
    int ends[2];
    if (pipe(ends) != 0)
        return "no pipe";
    std::fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        alarm(60);
        std::string said = ".";
        try {
            check.run();
        } catch (const std::exception& error) {
            said = error.what();
        }
        const bool told = write(ends[1], said.data(), said.size()) == ssize_t(said.size());
        exit(told ? 0 : 3);  // with the exit handlers: they are part of every check
    }
    close(ends[1]);
    std::string said;
    char part[600];
    for (ssize_t got; (got = read(ends[0], part, sizeof part)) > 0;)
        said.append(part, size_t(got));
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status))
        return std::string("died: ") + strsignal(WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        return (said == "." ? "" : said + "; ") + "exit status " + std::to_string(WEXITSTATUS(status));
    return said == "." ? "" : said.empty() ? "said nothing" : said;
}

inline int run_checks(int count, char** words) {
    if (count < 2)
        return std::fprintf(stderr, "%s PLUGIN [CHECK]...\n", words[0]), 2;
    plugin_path = words[1];
    const char* const locale = std::getenv("CHECK_LOCALE");
    if (locale && !std::setlocale(LC_ALL, locale))
        return std::fprintf(stderr, "no locale %s\n", locale), 2;
    int passed = 0, failed = 0;
    for (const Check& check : all_checks) {
        bool wanted = count == 2;
        for (int i = 2; i < count; ++i)
            wanted |= std::strcmp(words[i], check.name) == 0;
        if (!wanted)
            continue;
        const std::string wrong = verdict_of(check);
        std::printf(wrong.empty() ? "ok %s\n" : "FAILED %s: %s\n", check.name, wrong.c_str());
        ++(wrong.empty() ? passed : failed);
    }
    std::printf("%d passed, %d failed\n", passed, failed);
    return failed ? 1 : 0;
}
