// The ring: memory that a plugin shares with its engine. plugin_bridge/engine/shared/ring.py describes the same
// bytes, a test compares the two. plugin_bridge/PROTOCOL.md explains them.
//
// Every counter counts samples (or records) since the ring was made and never goes back; the place
// in a ring is the counter modulo its capacity. Each field has one writer.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace stemsteer {

constexpr char kMagic[8] = {'S', 'T', 'M', 'R', 'I', 'N', 'G', '\n'};
constexpr uint32_t kVersion = 2;
constexpr uint32_t kHeaderBytes = 4096;
constexpr uint32_t kCapacity = 32768;  // capacity of the audio rings
constexpr uint32_t kRecords = 1024;    // capacity of the parameter ring
constexpr uint32_t kValues = 16;       // parameters of a record, by their fixed ids
constexpr uint32_t kInputs = 2;        // channels to the engine
constexpr uint64_t kOrigin = 1 << 20;  // counters begin here, so that position - latency is >= 0

// The parameters from `position` on: they move in a straight line over `samples` samples from the
// values of the record before to these. And where the host's song is at `position`.
struct Record {
    uint64_t position;
    uint32_t samples;
    uint32_t rolling;  // 1: the song goes on sample by sample, 0: it stands
    int64_t song_position;  // samples since the song's beginning
    float values[kValues];
};

struct Header {
    // What the ring is; written before the engine is told of it.
    char magic[8];
    uint32_t version;
    uint32_t header_bytes;
    uint32_t record_bytes;
    uint32_t samples;
    uint32_t records;
    uint32_t inputs;
    uint32_t outputs;
    uint32_t reserved;
    double rate_hz;

    // Written by the plugin.
    alignas(64) std::atomic<uint64_t> written;   // input samples
    std::atomic<uint64_t> recorded;              // parameter records
    std::atomic<uint64_t> start;                 // where the stream begins; moves at activation
    std::atomic<uint32_t> latency;               // samples from input to output
    std::atomic<uint32_t> block;                 // samples of the last block
    std::atomic<uint32_t> offline;               // 1: nobody listens, the plugin waits
    std::atomic<uint32_t> reserved2;
    std::atomic<uint64_t> blocks;                // blocks played since the ring was made
    std::atomic<uint64_t> dropouts;              // of these, blocks the engine was late for
    alignas(64) std::atomic<uint32_t> input_bell;  // futex: rung after `written`
    std::atomic<uint32_t> plugin_sleeps;           // 1: ring `output_bell`

    // Written by the engine.
    alignas(64) std::atomic<uint64_t> from;  // first position processed since the last jump
    std::atomic<uint64_t> done;              // position up to which the output is finished
    std::atomic<uint64_t> jumps;             // times it gave up late audio
    std::atomic<uint64_t> hops;              // model steps
    std::atomic<uint32_t> engine_pid;
    std::atomic<float> load;                 // share of real time, smoothed
    std::atomic<float> worst_hop_ms;
    std::atomic<float> separation;           // of the load, what the separator takes
    std::atomic<uint64_t> model_faults;      // masks that were none, or were bounded
    alignas(64) std::atomic<uint32_t> output_bell;  // futex: rung after `done`
    std::atomic<uint32_t> engine_sleeps;            // 1: ring `input_bell`
};

static_assert(sizeof(Record) == 88, "a record is 88 bytes");
static_assert(sizeof(Header) <= kHeaderBytes, "the header fits its page");
static_assert(std::atomic<uint64_t>::is_always_lock_free, "counters are plain memory");
static_assert(std::atomic<float>::is_always_lock_free, "figures are plain memory");

constexpr size_t ring_bytes(uint32_t outputs) {
    return kHeaderBytes + size_t{kRecords} * sizeof(Record) +
           size_t{kCapacity} * sizeof(float) * (kInputs + outputs);
}

// The four parts of a mapped ring.
struct Ring {
    Header* header = nullptr;
    Record* records = nullptr;
    float* input = nullptr;   // interleaved, one row a frame
    float* output = nullptr;  // interleaved, one row a frame
    uint64_t serial = 0;      // tells rings apart that were mapped at one address after each other

    static Ring at(void* memory) {
        char* const bytes = static_cast<char*>(memory);
        Ring ring;
        ring.header = reinterpret_cast<Header*>(bytes);
        ring.records = reinterpret_cast<Record*>(bytes + kHeaderBytes);
        ring.input = reinterpret_cast<float*>(bytes + kHeaderBytes + kRecords * sizeof(Record));
        ring.output = ring.input + size_t{kCapacity} * kInputs;
        return ring;
    }
};

inline void futex_wake(std::atomic<uint32_t>& word) {
    syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

// Sleep until `word` is no longer `seen`, it is rung, or the time is over.
inline void futex_wait(std::atomic<uint32_t>& word, uint32_t seen, long timeout_ms) {
    const timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000};
    syscall(SYS_futex, &word, FUTEX_WAIT, seen, &timeout, nullptr, 0);
}

// Ring a bell: the system call is spared when nobody sleeps. The increment is a full fence, and
// the kernel compares the bell again before it lets anyone sleep, so that no ring is lost.
inline void ring_bell(std::atomic<uint32_t>& bell, const std::atomic<uint32_t>& sleeps) {
    bell.fetch_add(1, std::memory_order_seq_cst);
    if (sleeps.load(std::memory_order_seq_cst))
        futex_wake(bell);
}

}  // namespace stemsteer
