// A link whose thread has no memory from any of its allocations on: nothing of it stays open, and no
// audio thread waits for an answer. Prints what is wrong.
#include <atomic>
#include <csignal>
#include <filesystem>
#include <new>
#include <sys/prctl.h>

#include "fake_engine.h"
#include "link.h"

using namespace stemsteer;

namespace {

thread_local bool is_spared = false;  // this thread has memory
std::atomic<int> left{0};             // allocations that succeed in another

}  // namespace

void* operator new(size_t bytes) {
    void* const memory = is_spared || left-- > 0 ? std::malloc(bytes) : nullptr;
    return memory ? memory : throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace {

std::ptrdiff_t open_files() {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
}

// In a process of its own, whose files do not count.
[[noreturn]] void refuse(FakeEngine& engine, std::atomic<int>& refusals) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::signal(SIGPIPE, SIG_IGN);
    for (;;) {
        try {
            engine.greeting();
            engine.answer(("no " + std::to_string(++refusals)).c_str());
        } catch (const std::exception&) {  // who asked has gone
        }
    }
}

}  // namespace

int main() {
    is_spared = true;
    FakeEngine engine;
    auto& refusals = *static_cast<std::atomic<int>*>(
        mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    const pid_t child = fork();
    if (child == 0)
        refuse(engine, refusals);
    // Until it has met the engine twice; once more for one that is still greeted of the last.
    for (int allowed = 0, met = 0; met < 3; ++allowed) {
        const int before = refusals;
        const std::ptrdiff_t files = open_files();
        Presence presence;
        left = allowed;
        {
            Stream stream(presence);
            Link link(stream, presence);
            stream.begin(link.ring(44100, 2), 2, 44100, 1024);
            Hello hello;
            for (int turn = 0; left >= 0; ++turn) {
                hello.label = std::to_string(turn);  // another offer, which is refused at once
                link.greet(hello);
                usleep(1000);
            }
        }
        met = refusals - before;
        if (presence.greeted)
            std::printf("after %d allocations an answer is waited for\n", allowed);
        if (const std::ptrdiff_t more = open_files() - files)
            std::printf("after %d allocations %td files stay open\n", allowed, more);
    }
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
}
