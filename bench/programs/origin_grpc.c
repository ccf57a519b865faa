/* The origin for gRPC: a service behind cleartext HTTP/2, as cheap as can be.
 *
 *   origin_grpc PORT
 *
 * One thread, on 127.0.0.1, HTTP/2 by prior knowledge. It answers every stream with a message of 128 bytes and
 * grpc-status 0 in the trailers, or with grpc-status 13 alone if what came was not one message of 128 bytes.
 * It never looks into header blocks, and writes its own without the table that both sides would have to keep:
 * so it needs no HPACK. Streams are told apart by the low bits of their number; a clash makes a wrong answer,
 * which the load counts as an error.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IN = 65536, EVENTS = 512, MAX_FD = 65536, SLOTS = 4096, HEAD = 9, MESSAGE = 5 + 128, WINDOW = 1 << 30 };
enum { DATA = 0, HEADERS = 1, SETTINGS = 4, PING = 6, WINDOW_UPDATE = 8 };
enum { ACK = 1, END_STREAM = 1, END_HEADERS = 4, PADDED = 8 };
static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

struct buffer {
    uint8_t *bytes;
    size_t length, room;
};

struct connection {
    uint8_t *in;
    size_t in_length;
    int greeted; /* the preface has come */
    struct buffer out;
    long window;   /* what may be sent in DATA */
    long consumed; /* of what the other side may send, since it was told last */
    uint32_t waiting[SLOTS]; /* streams that wait for the window, a ring */
    unsigned waiting_from, waiting_to;
    uint16_t received[SLOTS]; /* of the body of each stream */
};

static struct connection *connections[MAX_FD];
static struct buffer good, bad; /* the frames of a reply; the numbers of streams are filled in */
static int epoll;

static void put(struct buffer *b, const void *bytes, size_t n) {
    if (b->length + n > b->room) {
        b->room = 2 * (b->length + n);
        b->bytes = realloc(b->bytes, b->room);
    }
    memcpy(b->bytes + b->length, bytes, n);
    b->length += n;
}

static void put_frame(struct buffer *b, int type, int flags, uint32_t stream, const void *bytes, size_t n) {
    uint8_t head[HEAD] = { n >> 16, n >> 8, n, type, flags, stream >> 24, stream >> 16, stream >> 8, stream };
    put(b, head, HEAD);
    put(b, bytes, n);
}

static uint32_t number_at(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

static void put_number(struct buffer *b, int type, uint32_t stream, uint32_t number) {
    uint8_t bytes[4] = { number >> 24, number >> 16, number >> 8, number };
    put_frame(b, type, 0, stream, bytes, 4);
}

/* RFC 7541: 0x88 is `:status: 200`; 0x0f 0x10 a literal with the name `content-type`; 0x00 one with its name. */
static void make_replies(void) {
    static const char head[] = "\x88\x0f\x10\x10" "application/grpc";
    static const char trailers[] = "\x00\x0bgrpc-status\x01" "0", failed[] = "\x00\x0bgrpc-status\x02" "13";
    uint8_t message[MESSAGE] = { 0, 0, 0, 0, 128 }, both[sizeof head + sizeof failed];
    memset(message + 5, 'x', MESSAGE - 5);
    put_frame(&good, HEADERS, END_HEADERS, 0, head, sizeof head - 1);
    put_frame(&good, DATA, 0, 0, message, MESSAGE);
    put_frame(&good, HEADERS, END_HEADERS | END_STREAM, 0, trailers, sizeof trailers - 1);
    memcpy(both, head, sizeof head - 1);
    memcpy(both + sizeof head - 1, failed, sizeof failed - 1);
    put_frame(&bad, HEADERS, END_HEADERS | END_STREAM, 0, both, sizeof head + sizeof failed - 2);
}

static void put_reply(struct buffer *out, const struct buffer *reply, uint32_t stream) {
    size_t at = out->length;
    put(out, reply->bytes, reply->length);
    while (at < out->length) {
        uint8_t *head = out->bytes + at;
        for (int i = 0; i < 4; i++) head[5 + i] = stream >> (24 - 8 * i);
        at += HEAD + (head[0] << 16 | head[1] << 8 | head[2]);
    }
}

static void answer(struct connection *c, uint32_t stream) {
    if (c->received[stream / 2 % SLOTS] != MESSAGE) put_reply(&c->out, &bad, stream);
    else c->waiting[c->waiting_to++ % SLOTS] = stream;
}

/* Writes the replies that the window has room for. */
static void answer_waiting(struct connection *c) {
    while (c->waiting_from != c->waiting_to && c->window >= MESSAGE) {
        c->window -= MESSAGE;
        put_reply(&c->out, &good, c->waiting[c->waiting_from++ % SLOTS]);
    }
}

static void take_data(struct connection *c, uint32_t stream, int flags, const uint8_t *payload, size_t n) {
    size_t padding = flags & PADDED && n ? payload[0] + 1u : 0;
    c->received[stream / 2 % SLOTS] += n - padding;
    c->consumed += n;
    if (c->consumed < WINDOW / 2) return;
    put_number(&c->out, WINDOW_UPDATE, 0, c->consumed);
    c->consumed = 0;
}

static void take_frame(struct connection *c, const uint8_t *frame, size_t n) {
    int type = frame[3], flags = frame[4];
    uint32_t stream = number_at(frame + 5) & 0x7fffffff;
    const uint8_t *payload = frame + HEAD;
    if (type == HEADERS && !(flags & END_STREAM)) c->received[stream / 2 % SLOTS] = 0;
    if (type == DATA) take_data(c, stream, flags, payload, n);
    if (type == SETTINGS && !(flags & ACK)) put_frame(&c->out, SETTINGS, ACK, 0, "", 0);
    if (type == PING && !(flags & ACK)) put_frame(&c->out, PING, ACK, 0, payload, n);
    if (type == WINDOW_UPDATE && !stream && n == 4) c->window += number_at(payload);
    /* A call without a body cannot be whole; trailers of a request do not exist in gRPC. */
    if (type == DATA && flags & END_STREAM) answer(c, stream);
    if (type == HEADERS && flags & END_STREAM) put_reply(&c->out, &bad, stream);
}

/* Takes what is whole of the input; returns 0 if it is not HTTP/2. */
static int take_input(struct connection *c) {
    uint8_t *p = c->in, *end = c->in + c->in_length;
    if (!c->greeted) {
        if (c->in_length < sizeof preface - 1) return 1;
        if (memcmp(p, preface, sizeof preface - 1)) return 0;
        p += sizeof preface - 1;
        c->greeted = 1;
    }
    while (end - p >= HEAD) {
        size_t n = p[0] << 16 | p[1] << 8 | p[2];
        if (n > IN - HEAD) return 0;
        if ((size_t)(end - p) < HEAD + n) break;
        take_frame(c, p, n);
        p += HEAD + n;
    }
    c->in_length = end - p;
    memmove(c->in, p, c->in_length);
    answer_waiting(c);
    return 1;
}

static void watch(int fd, int operation, unsigned events) {
    struct epoll_event interest = { .events = events, .data.fd = fd };
    epoll_ctl(epoll, operation, fd, &interest);
}

static void drop(int fd) {
    free(connections[fd]->in);
    free(connections[fd]->out.bytes);
    free(connections[fd]);
    connections[fd] = 0;
    close(fd);
}

/* Sends what is there. While the socket is full, nothing is read either. */
static void send_out(int fd, struct connection *c, int was_blocked) {
    ssize_t n = c->out.length ? send(fd, c->out.bytes, c->out.length, MSG_NOSIGNAL) : 0;
    if (n < 0 && errno != EAGAIN) {
        drop(fd);
        return;
    }
    if (n < 0) n = 0;
    c->out.length -= n;
    memmove(c->out.bytes, c->out.bytes + n, c->out.length);
    if (c->out.length) watch(fd, EPOLL_CTL_MOD, EPOLLOUT);
    else if (was_blocked) watch(fd, EPOLL_CTL_MOD, EPOLLIN);
}

static void receive(int fd, struct connection *c) {
    ssize_t n = recv(fd, c->in + c->in_length, IN - c->in_length, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n > 0) c->in_length += n;
    if (n <= 0 || !take_input(c)) drop(fd);
    else send_out(fd, c, 0);
}

static struct connection *greet(void) {
    static const uint8_t settings[] = { 0, 3, 0, 0, 4, 0 }; /* at most 1,024 streams */
    struct connection *c = calloc(1, sizeof *c);
    c->in = malloc(IN);
    c->window = 65535;
    put_frame(&c->out, SETTINGS, 0, 0, settings, sizeof settings);
    put_number(&c->out, WINDOW_UPDATE, 0, WINDOW);
    return c;
}

static void accept_all(int listener) {
    int fd, one = 1;
    while ((fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
        if (fd >= MAX_FD) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        connections[fd] = greet();
        watch(fd, EPOLL_CTL_ADD, EPOLLIN);
        send_out(fd, connections[fd], 0);
    }
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096)) {
        perror("listen");
        return 1;
    }
    make_replies();
    epoll = epoll_create1(0);
    watch(listener, EPOLL_CTL_ADD, EPOLLIN);
    struct epoll_event events[EVENTS];
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) accept_all(listener);
            else if (connections[fd] && events[i].events & EPOLLOUT) send_out(fd, connections[fd], 1);
            else if (connections[fd]) receive(fd, connections[fd]);
        }
    }
}
