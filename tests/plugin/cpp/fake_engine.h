// An engine for checks.h that takes a plugin's greeting and ring, and does with them what it likes.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "checks.h"

struct FakeEngine {
    std::string folder = "/tmp/checks-XXXXXX";
    int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), peer = -1, ring_fd = -1;

    FakeEngine() {
        sockaddr_un address = {};
        address.sun_family = AF_UNIX;
        REQUIRE(mkdtemp(&folder[0]), "no folder");
        std::snprintf(address.sun_path, sizeof address.sun_path, "%s/s", folder.c_str());
        REQUIRE(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
                    listen(listener, 64) == 0, "no socket");
        setenv("STEMSTEER_SOCKET", address.sun_path, 1);
    }

    ~FakeEngine() {
        forget();
        close(listener);
        unlink((folder + "/s").c_str());
        rmdir(folder.c_str());
    }

    void forget() {
        for (int* fd : {&peer, &ring_fd})
            if (*fd >= 0)
                close(std::exchange(*fd, -1));
    }

    // Wait for the next greeting: its text; the ring's descriptor is kept.
    std::string greeting() {
        forget();
        pollfd event = {listener, POLLIN, 0};
        REQUIRE(poll(&event, 1, 20000) == 1, "no greeting");
        peer = accept(listener, nullptr, nullptr);
        char text[1 << 16] = {};
        alignas(cmsghdr) char control[64] = {};
        iovec part = {text, sizeof text - 1};
        msghdr message = {};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        REQUIRE(recvmsg(peer, &message, 0) > 0 && CMSG_FIRSTHDR(&message), "no hello with a ring");
        std::memcpy(&ring_fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof ring_fd);
        REQUIRE(!(message.msg_flags & MSG_TRUNC), "a greeting that no engine takes");
        return text;
    }

    // Whether somebody greets within half a second.
    bool is_greeted() {
        pollfd event = {listener, POLLIN, 0};
        return poll(&event, 1, 500) > 0;
    }

    // The next message on the connection, empty at its end.
    std::string message() {
        pollfd event = {peer, POLLIN, 0};
        REQUIRE(poll(&event, 1, 20000) == 1, "no message");
        char text[1 << 16];
        const ssize_t got = recv(peer, text, sizeof text, 0);
        return {text, size_t(got < 0 ? 0 : got)};
    }

    void answer(const char* text) { REQUIRE(send(peer, text, std::strlen(text), 0) > 0, "no answer"); }

    // The ring, for reading and writing.
    std::pair<char*, size_t> ring() {
        struct stat facts;
        fstat(ring_fd, &facts);
        void* const memory = mmap(nullptr, size_t(facts.st_size), PROT_READ | PROT_WRITE, MAP_SHARED, ring_fd, 0);
        REQUIRE(memory != MAP_FAILED, "no ring");
        return {static_cast<char*>(memory), size_t(facts.st_size)};
    }
};
