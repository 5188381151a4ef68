#include "link.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <dlfcn.h>
#include <exception>
#include <fcntl.h>
#include <fstream>
#include <new>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <utility>
#include <vector>

#include "paths.h"
#include "starts.h"
#include "text.h"

namespace stemsteer {

namespace {

constexpr int kRetry_ms = 250;       // between two looks for an engine
constexpr int kSettle_ms = 50;       // without news, after some
constexpr int kMostTurns = 20;       // of news that keeps a greeting waiting
constexpr size_t kMessageBytes = 1 << 16;
constexpr size_t kNameBytes = 512;   // of a name, that the engine is told
constexpr size_t kTimbresBytes = 16384 + 1;  // of timbres: more than 16384 it takes for damaged
constexpr char kError[] = "error ";  // begins an answer that says why the engine refuses
constexpr char kKeep[] = "keep ";  // begins a message with the timbres that the project is to keep
constexpr double kAnswer_s = 30;     // an engine loads its model before it answers
constexpr double kLive_s = 1;        // until a render is known as one
constexpr double kQuiet_s = 10;      // after a message on the desktop
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

Starts starts;

// A descriptor that is closed at the end of its scope.
class Descriptor {
public:
    explicit Descriptor(int fd = -1) : fd_(fd) {}
    ~Descriptor() { reset(); }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    operator int() const { return fd_; }
    int release() { return std::exchange(fd_, -1); }
    void reset(int fd = -1) {
        if (fd_ >= 0)
            close(fd_);
        fd_ = fd;
    }

private:
    int fd_;
};

bool is_control(unsigned char sign) { return sign < 0x20 || sign == 0x7f; }

std::string one_line(std::string text) {
    std::replace_if(text.begin(), text.end(), is_control, ' ');
    return text;
}

// A text for JSON, at most twice as long as it may be: all of a hello has to fit a message. A control
// character is a space to the engine.
std::string quoted(const std::string& text, size_t most_bytes = kNameBytes) {
    std::string out = "\"";
    for (const unsigned char c : valid_utf8(text.substr(0, most_bytes))) {
        if (c == '"' || c == '\\')
            out += '\\';
        out += is_control(c) ? ' ' : char(c);
    }
    return out + "\"";
}

std::string host_name() {
    std::ifstream file("/proc/self/comm");
    std::string name;
    std::getline(file, name);
    return name;
}

std::string to_json(const Hello& hello) {
    char numbers[160];
    std::snprintf(numbers, sizeof numbers,
                  "\"pid\":%d,\"rate_hz\":%u,\"block\":%u,\"latency\":%u,\"outputs\":%u", getpid(),
                  unsigned(hello.rate_hz + 0.5), hello.block, hello.latency, hello.outputs);
    return "{\"hello\":1,\"uuid\":" + quoted(hello.uuid) + ",\"label\":" + quoted(hello.label) +
           ",\"track\":" + quoted(hello.track) + ",\"model\":" + quoted(hello.model) +
           ",\"host\":" + quoted(host_name()) + ",\"format\":" + quoted(hello.format) +
           ",\"timbres\":" + quoted(hello.timbres, kTimbresBytes) + "," + numbers + "}";
}

std::string names_to_json(const Hello& hello) {
    return "{\"rename\":1,\"label\":" + quoted(hello.label) + ",\"track\":" +
           quoted(hello.track) + "}";
}

// Connect to a socket that is ours and is listened to by ourselves. -1: there is none.
int connect_to(const std::string& path) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path || !is_ours(path))
        return -1;
    std::memcpy(address.sun_path, path.c_str(), path.size());
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ucred peer = {};
    socklen_t size = sizeof peer;
    if (fd >= 0 && connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid())
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

bool send_with(int socket, const std::string& text, int passed_fd) {
    iovec part = {const_cast<char*>(text.data()), text.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* const passed = CMSG_FIRSTHDR(&message);
    passed->cmsg_level = SOL_SOCKET;
    passed->cmsg_type = SCM_RIGHTS;
    passed->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(passed), &passed_fd, sizeof(int));
    return sendmsg(socket, &message, MSG_NOSIGNAL) == ssize_t(text.size());
}

// Memory that both sides can map and neither can shrink, so that no one's access can fault.
int shared_memory(size_t bytes) {
    const int fd = memfd_create("stemsteer-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -1;
    if (fchmod(fd, 0600) == 0 && ftruncate(fd, off_t(bytes)) == 0 &&
        posix_fallocate(fd, 0, off_t(bytes)) == 0 && fcntl(fd, F_ADD_SEALS, kSeals) == 0)
        return fd;
    close(fd);
    return -1;
}

void write_header(Header* header, double rate_hz, uint32_t outputs) {
    new (header) Header();
    std::memcpy(header->magic, kMagic, sizeof kMagic);
    header->version = kVersion;
    header->header_bytes = kHeaderBytes;
    header->record_bytes = sizeof(Record);
    header->samples = kCapacity;
    header->records = kRecords;
    header->inputs = kInputs;
    header->outputs = outputs;
    header->rate_hz = rate_hz;
    header->written.store(kOrigin);
    header->start.store(kOrigin);
}

}  // namespace

std::string new_uuid() {
    unsigned char bytes[16];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return "";
    std::string text;
    char pair[3];
    for (const unsigned char byte : bytes) {
        std::snprintf(pair, sizeof pair, "%02x", byte);
        text += pair;
    }
    return text;
}

std::string binary_format() {
    Dl_info info;
    if (!dladdr(reinterpret_cast<void*>(&binary_format), &info) || !info.dli_fname)
        return "?";
    const std::string path = info.dli_fname;
    for (const char* format : {"vst3", "lv2", "clap"})
        if (path.find(std::string(".") + format) != std::string::npos)
            return format;
    return "jack";
}

// By its library, which its programs of any name and version have loaded.
bool host_is_ardour() {
    void* const library = dlopen("libardour.so.3", RTLD_LAZY | RTLD_NOLOAD);
    if (library)
        dlclose(library);
    return library;
}

void Link::log(const std::string& text) const {
    const std::string path = log_file(settings_);
    struct stat found;
    if (stat(path.c_str(), &found) == 0 && found.st_size > 1 << 20)
        rename(path.c_str(), (path + ".1").c_str());
    char when[80];
    const time_t now = time(nullptr);
    tm at;
    localtime_r(&now, &at);
    std::snprintf(when, sizeof when, "%d-%02d-%02d %02d:%02d:%02d ", at.tm_year + 1900, at.tm_mon + 1,
                  at.tm_mday, at.tm_hour, at.tm_min, at.tm_sec);  // strftime reads the environment
    const std::string line = when + host_name() + ": " + one_line(text) + "\n";
    const int fd = open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0 && write(fd, line.data(), line.size()) < 0)
        std::fprintf(stderr, "stemsteer: the log %s cannot be written\n", path.c_str());
    if (fd >= 0)
        close(fd);
    std::fprintf(stderr, "stemsteer: %s\n", text.c_str());
}

Link::~Link() {
    quit_ = true;
    if (thread_.joinable()) {
        eventfd_write(wake_fd_, 1);
        thread_.join();
    }
    if (wake_fd_ >= 0)
        close(wake_fd_);
    close_ring();
}

void Link::close_ring() {
    if (memory_)
        munmap(memory_, bytes_);
    if (ring_fd_ >= 0)
        close(ring_fd_);
    memory_ = nullptr;
    ring_fd_ = -1;
}

Ring Link::ring(double rate_hz, uint32_t outputs) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (memory_ && ring_fd_ >= 0 && ring_rate_hz_ == rate_hz && ring_outputs_ == outputs)
        return mapped();
    close_ring();
    stale_ = moved_ = true;
    presence_.attached.store(0);
    ring_rate_hz_ = rate_hz;
    ring_outputs_ = outputs;
    bytes_ = ring_bytes(outputs);
    ring_fd_ = shared_memory(bytes_);
    const int flags = ring_fd_ >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
    if (ring_fd_ < 0)
        log("no memory to share with an engine: the track stays dry");
    memory_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, flags | MAP_POPULATE, ring_fd_, 0);
    if (memory_ == MAP_FAILED) {
        memory_ = nullptr;
        throw std::bad_alloc();
    }
    write_header(static_cast<Header*>(memory_), rate_hz, outputs);
    ++ring_serial_;
    return mapped();
}

Ring Link::mapped() const {
    Ring ring = Ring::at(memory_);
    ring.serial = ring_serial_;
    return ring;
}

void Link::greet(Hello hello) {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (hello.uuid == asked_uuid_)
            hello.uuid = hello_.uuid;  // as the engine answered
        else
            asked_uuid_ = hello.uuid;
        stale_ |= hello.uuid != hello_.uuid || hello.model != hello_.model ||
                  hello.latency != hello_.latency || is_outgrown();
        hello.block = hello_.block;
        renamed_ |= hello.label != hello_.label || hello.track != hello_.track;
        if (stale_)
            presence_.outdated.store(1);
        hello_ = hello;
    }
    presence_.expected.store(is_expected());  // a host that renders may play at once
    if (thread_.joinable()) {
        eventfd_write(wake_fd_, 1);
        return;
    }
    if (wake_fd_ < 0)  // else there was no thread
        wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    thread_ = std::thread([this] { work(); });
}

std::string Link::uuid() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return hello_.uuid;
}

std::string Link::refusal() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return refusal_.compare(0, sizeof kError - 1, kError) == 0 ? refusal_.substr(sizeof kError - 1)
                                                               : refusal_;
}

std::string Link::timbres() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return timbres_;
}

void Link::set_timbres(const std::string& text) {
    const std::lock_guard<std::mutex> lock(mutex_);
    stale_ |= text != timbres_;
    timbres_ = text;
}

bool Link::copy_sound(Sound& sound) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!memory_)
        return false;
    // With the latency there is in the ring, and far from where it is written meanwhile.
    const uint32_t samples = ring_rate_hz_ <= 50000 ? 4096 : 8192;
    const Ring ring = mapped();
    const Header& header = *ring.header;
    const uint64_t end = header.written.load(std::memory_order_acquire) -
                         header.latency.load(std::memory_order_relaxed);
    const uint64_t first = end - samples;
    if (first < header.start.load() || end < kOrigin + samples ||
        header.offline.load(std::memory_order_relaxed))
        return false;
    sound.end = end;
    sound.rate_hz = ring_rate_hz_;
    sound.processed = presence_.attached.load() && header.done.load(std::memory_order_acquire) >= end &&
                      header.from.load(std::memory_order_acquire) <= first;
    sound.input.resize(size_t{samples} * 2);
    sound.output.resize(size_t{samples} * 2);
    for (uint32_t i = 0; i < samples; ++i)
        for (uint32_t channel = 0; channel < 2; ++channel) {
            const size_t at = (first + i) % kCapacity;
            sound.input[2 * i + channel] = ring.input[at * kInputs + channel];
            sound.output[2 * i + channel] = ring.output[at * ring_outputs_ + channel];
        }
    return true;
}

void Link::work() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);  // signals are the host's business
    for (bool last = false; !last;) {
        last = quit_;
        try {
            last ? report_losses() : attempt();
        } catch (const std::exception&) {  // no memory, say: the host goes on, and later there may be some
            leave();
        }
        if (!last && !quit_ && pause(kRetry_ms))
            settle();
    }
}

void Link::attempt() {
    presence_.expected.store(is_expected());
    if (shake_hands())
        stay();
    leave();
    if (quit_)
        return;
    if (presence_.used.load() && is_ours(settings_.autostart) && !is_engine_there() &&
        starts.begin(seconds(), written_ns(settings_.autostart)) && start_engine(settings_))
        log("no engine was running: started one");
    report_losses();
    report_blocks();
}

bool Link::is_engine_there() const { return Descriptor(connect_to(settings_.socket)) >= 0; }

bool Link::is_expected() const { return is_ours(settings_.socket) || is_ours(settings_.autostart); }

void Link::leave() {
    presence_.attached.store(0);
    presence_.greeted.store(0);
    if (socket_ >= 0)
        close(socket_);
    socket_ = -1;
}

// Offer the ring to an engine, anew whenever the offer has changed meanwhile. True: it was taken.
bool Link::shake_hands() {
    Meeting meeting = meet();
    while (meeting == kOutdated && !quit_) {
        settle();
        meeting = meet();
    }
    return meeting == kAccepted;
}

// The connection that is there stays open until a new one is accepted, so that its sound goes on.
Link::Meeting Link::meet() {
    std::string hello;
    Descriptor ring;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (ring_fd_ < 0)
            return kRefused;
        hello_.latency = stream_.latency();
        hello_.block = presence_.block.load();
        hello_.timbres = timbres_;
        hello = to_json(hello_);
        ring.reset(fcntl(ring_fd_, F_DUPFD_CLOEXEC, 0));
        stale_ = renamed_ = moved_ = false;
        presence_.outdated.store(1);
    }
    // Another engine, on a socket of its own, may take what one has refused.
    const std::string offer = hello + std::to_string(written_ns(settings_.socket));
    if (refusals_.hold(offer, seconds()))
        return kRefused;
    Descriptor peer(connect_to(settings_.socket));
    const bool sent = peer >= 0 && send_with(peer, hello, ring);
    ring.reset();
    char answer[512] = {};
    presence_.greeted.store(sent);
    const bool answered = sent && is_answered(peer, answer, sizeof answer - 1);
    if (answered)
        starts.succeed(seconds());
    const bool accepted = answered && std::strncmp(answer, "ok ", 3) == 0;
    const std::string refusal = answered && !accepted ? one_line(valid_utf8(answer)) : "";
    if (!refusal.empty()) {
        if (refusal != told_refusal_)
            log("the engine refuses: " + refusal);
        told_refusal_ = refusal;
        refusals_.add(offer, seconds());
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    refusal_ = refusal;
    presence_.greeted.store(0);
    if (accepted && !stale_) {
        if (socket_ >= 0)
            close(socket_);
        socket_ = peer.release();
        refusals_.clear();
        hello_.uuid = answer + 3;
        presence_.outdated.store(0);
        presence_.encounters.fetch_add(1);
        presence_.attached.store(1);
        return kAccepted;
    }
    return stale_ && !moved_ ? kOutdated : kRefused;
}

// Wait for the engine's answer, as long as what it was told is true.
bool Link::is_answered(int socket, char* answer, size_t bytes) {
    const double until_s = seconds() + kAnswer_s;
    while (!quit_ && seconds() < until_s) {
        pollfd events[] = {{socket, POLLIN, 0}, {wake_fd_, POLLIN, 0}};
        poll(events, 2, 100);
        eventfd_t ignored;
        eventfd_read(wake_fd_, &ignored);
        const ssize_t got = recv(socket, answer, bytes, MSG_DONTWAIT);
        if (got >= 0 || errno != EAGAIN)
            return got > 0;
        const std::lock_guard<std::mutex> lock(mutex_);
        if (stale_)
            return false;
    }
    return false;
}

// Whether live blocks have grown since the engine chose a tier for them. Smaller ones, and a render,
// go on with it.
bool Link::is_outgrown() const { return presence_.block.load() > hello_.block; }

// Stay while the engine is there. Its death closes the socket.
void Link::stay() {
    std::vector<char> text(kMessageBytes);
    while (!quit_) {
        pollfd events[] = {{socket_, POLLIN, 0}, {wake_fd_, POLLIN, 0}};
        poll(events, 2, kRetry_ms);
        eventfd_t ignored;
        eventfd_read(wake_fd_, &ignored);
        const ssize_t got = recv(socket_, text.data(), text.size() - 1, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            return;
        if (got > 0) {
            text[got] = 0;
            hear(text.data());
        }
        report_losses();
        report_blocks();
        if (!tell_news())
            return;
    }
}

// Tell the engine what has changed. False: none takes it. For another ring the connection ends
// first: an engine that still has the old one would take the instance for a copy.
bool Link::tell_news() {
    bool is_stale;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (moved_)
            return false;
        is_stale = stale_ || stream_.latency() != hello_.latency || is_outgrown();
    }
    if (!is_stale)
        return tell_names();
    settle();
    return shake_hands();
}

bool Link::tell_names() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!renamed_)
        return true;
    const std::string names = names_to_json(hello_);
    const ssize_t sent = send(socket_, names.data(), names.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    renamed_ = sent < 0;  // the engine has not read yet: told later
    return sent >= 0 || errno == EAGAIN || errno == EINTR;
}

// Take what the engine says: timbres for the project, else something to be read by people.
void Link::hear(const char* text) {
    constexpr size_t begin = sizeof kKeep - 1;
    if (std::strncmp(text, kKeep, begin) != 0)
        return log(std::string("engine: ") + text);
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        timbres_ = valid_utf8(text + begin);
    }
    if (tell_change_)
        tell_change_();
}

// Wait, or until there is news: true.
bool Link::pause(int time_ms) {
    pollfd event = {wake_fd_, POLLIN, 0};
    poll(&event, 1, time_ms);
    eventfd_t ignored;
    return eventfd_read(wake_fd_, &ignored) == 0;
}

// Wait until all news has come: hosts of LV2 set the properties of a state one after another.
void Link::settle() {
    for (int turn = 0; turn < kMostTurns && !quit_ && pause(kSettle_ms); ++turn) {
    }
}

// What the user calls the instance, as far as it is known.
std::string Link::called() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return one_line(hello_.label.empty() ? hello_.track : hello_.label);
}

void Link::report_blocks() {
    const uint32_t block = presence_.oversized.load();
    if (block == told_block_ || stream_.offline())
        return;
    if (oversized_s_ == 0)
        oversized_s_ = seconds();
    if (seconds() - oversized_s_ < kLive_s)
        return;
    told_block_ = block;
    log("blocks of " + std::to_string(block) +
             " samples are too large for sound that is heard at once, most of which stays dry: "
             "choose 8192 or fewer in the host");
}

// An offline render with holes must not pass in silence. Told when it has come to rest: by the log,
// by the host where that has a way, on the desktop.
void Link::report_losses() {
    const uint64_t lost = stream_.lost_offline();
    const bool grows = lost != seen_losses_;
    seen_losses_ = lost;
    if (lost == told_losses_ || (grows && !quit_))
        return;
    const std::string name = called();
    const std::string text =
        (name.empty() ? "an offline render" : "the offline render of " + name) + " has " +
        std::to_string(lost - told_losses_) +
        " blocks that were not processed, because the engine was missing or had failed; "
        "run `stemsteer doctor`, then render again";
    log("ERROR: " + text);
    if (tell_)
        tell_(text);
    static std::atomic<double> quiet_until_s{0};  // one message for all tracks of a render
    if (seconds() > quiet_until_s.exchange(seconds() + kQuiet_s))
        notify_desktop(settings_, "Stemsteer: a bounce is not complete", text);
    told_losses_ = lost;
}

}  // namespace stemsteer
