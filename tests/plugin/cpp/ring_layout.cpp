// Prints the layout of the ring as the plugin sees it: one "name number" a line.
#include <cstdio>

#include "ring.h"

using stemsteer::Header;
using stemsteer::Record;

#define FIELD(name, python) std::printf(python " %zu %zu\n", offsetof(Header, name), sizeof(Header::name))

int main() {
    FIELD(magic, "magic");
    FIELD(version, "version");
    FIELD(header_bytes, "header_bytes");
    FIELD(record_bytes, "record_bytes");
    FIELD(samples, "capacity");
    FIELD(records, "records");
    FIELD(inputs, "inputs");
    FIELD(outputs, "outputs");
    FIELD(rate_hz, "rate_hz");
    FIELD(written, "written");
    FIELD(recorded, "recorded");
    FIELD(start, "start");
    FIELD(latency, "latency");
    FIELD(block, "block");
    FIELD(offline, "offline");
    FIELD(blocks, "blocks");
    FIELD(dropouts, "dropouts");
    FIELD(input_bell, "input_bell");
    FIELD(plugin_sleeps, "plugin_sleeps");
    FIELD(from, "from");
    FIELD(done, "done");
    FIELD(jumps, "jumps");
    FIELD(hops, "hops");
    FIELD(engine_pid, "engine_pid");
    FIELD(load, "load");
    FIELD(separation, "separation");
    FIELD(model_faults, "model_faults");
    FIELD(worst_hop_ms, "worst_hop_ms");
    FIELD(output_bell, "output_bell");
    FIELD(engine_sleeps, "engine_sleeps");
    std::printf("VERSION %u 0\n", stemsteer::kVersion);
    std::printf("HEADER_BYTES %u 0\n", stemsteer::kHeaderBytes);
    std::printf("CAPACITY %u 0\n", stemsteer::kCapacity);
    std::printf("RECORDS %u 0\n", stemsteer::kRecords);
    std::printf("VALUES %u 0\n", stemsteer::kValues);
    std::printf("INPUTS %u 0\n", stemsteer::kInputs);
    std::printf("ORIGIN %llu 0\n", (unsigned long long)stemsteer::kOrigin);
    std::printf("record.position %zu 8\n", offsetof(Record, position));
    std::printf("record.samples %zu 4\n", offsetof(Record, samples));
    std::printf("record.rolling %zu 4\n", offsetof(Record, rolling));
    std::printf("record.song_position %zu 8\n", offsetof(Record, song_position));
    std::printf("record.values %zu %zu\n", offsetof(Record, values), sizeof(Record::values));
    std::printf("record %zu 0\n", sizeof(Record));
    std::printf("bytes2 %zu 0\n", stemsteer::ring_bytes(2));
    std::printf("bytes4 %zu 0\n", stemsteer::ring_bytes(4));
}
