/* The origin: the service that everything is measured in front of, as cheap as can be.
 *
 *   origin PORT
 *
 * One thread, on 127.0.0.1. It answers every request with a 200 and a body of a fixed size:
 *   /b10k...  10 KiB     /b1m...  1 MiB     anything else  128 bytes
 * Bodies of requests, with Content-Length or chunked, are read and dropped before the answer.
 * A request to upgrade becomes a WebSocket that sends back each frame of up to 125 bytes.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 65536, EVENTS = 512, MAX_FD = 65536, FRAME_HEAD = 6, FRAME_MAX = 125 };
enum flow { GO_ON, BLOCKED, CLOSED };

struct reply {
    char *bytes;
    size_t length;
};

struct connection {
    char *in;
    size_t in_length;
    long skip;   /* bytes of a body with Content-Length still to come */
    int chunked; /* a chunked body is coming */
    int upgraded; /* to a WebSocket */
    char frame[2 + FRAME_MAX];
    int close;   /* after this reply */
    int blocked; /* the reply waits for room in the socket */
    const char *out;
    size_t out_length;
};

static struct connection *connections[MAX_FD];
static struct reply small, ten_kib, one_mib, switching;
static int epoll;

static struct reply make_reply(size_t body) {
    struct reply r = { .bytes = malloc(body + 256) };
    int n = sprintf(r.bytes, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
                             "Content-Length: %zu\r\n\r\n", body);
    memset(r.bytes + n, 'x', body);
    r.length = n + body;
    return r;
}

/* The clients of a benchmark always send the key of RFC 6455, section 1.3; this is the answer to it. */
static struct reply make_switching(void) {
    static char bytes[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    return (struct reply){ bytes, sizeof bytes - 1 };
}

static const struct reply *reply_for(const char *path) {
    if (!strncmp(path, "/b10k", 5)) return &ten_kib;
    if (!strncmp(path, "/b1m", 4)) return &one_mib;
    return &small;
}

static void watch(int fd, int operation, unsigned events) {
    struct epoll_event interest = { .events = events, .data.fd = fd };
    epoll_ctl(epoll, operation, fd, &interest);
}

static void drop(int fd) {
    free(connections[fd]->in);
    free(connections[fd]);
    connections[fd] = 0;
    close(fd);
}

static enum flow send_reply(int fd, struct connection *c) {
    while (c->out_length) {
        ssize_t n = send(fd, c->out, c->out_length, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            watch(fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            c->blocked = 1;
            return BLOCKED;
        }
        if (n < 0) {
            drop(fd);
            return CLOSED;
        }
        c->out += n;
        c->out_length -= n;
    }
    if (!c->close) return GO_ON;
    drop(fd);
    return CLOSED;
}

/* Takes a head whose last line ends at `end`: prepares the reply, and says what body comes first. */
static void take_head(struct connection *c, char *head, char *end) {
    end[0] = 0;
    char *space = strchr(head, ' ');
    c->upgraded = strcasestr(head, "\r\nupgrade: websocket") != 0;
    const struct reply *reply = c->upgraded ? &switching : reply_for(space ? space + 1 : head);
    c->out = reply->bytes;
    c->out_length = reply->length;
    if (head[0] != 'G') {
        char *length = strcasestr(head, "\r\ncontent-length:");
        if (length) c->skip = atol(length + 17);
        else c->chunked = strcasestr(head, "\r\ntransfer-encoding:") != 0;
    }
    char *connection = strcasestr(head, "\r\nconnection:");
    c->close = connection && !strncasecmp(connection + 13, " close", 6);
}

/* Takes a short frame of a WebSocket, and prepares the same frame without its mask. */
static char *take_websocket_frame(struct connection *c, char *p, char *end) {
    size_t length = end - p < FRAME_HEAD ? 0 : p[1] & 0x7f;
    if (end - p < FRAME_HEAD || (size_t)(end - p) < FRAME_HEAD + length) return p;
    c->close = length > FRAME_MAX || !(p[1] & 0x80);
    c->frame[0] = p[0];
    c->frame[1] = length;
    for (size_t i = 0; i < length && !c->close; i++) c->frame[2 + i] = p[FRAME_HEAD + i] ^ p[2 + i % 4];
    c->out = c->frame;
    c->out_length = c->close ? 0 : 2 + length;
    return p + FRAME_HEAD + length;
}

/* Takes the next piece of input at `p`. Returns what lies behind it, or `p` where more bytes are needed. */
static char *take_piece(struct connection *c, char *p, char *end) {
    if (c->upgraded) return take_websocket_frame(c, p, end);
    if (c->skip) {
        long n = end - p < c->skip ? end - p : c->skip;
        c->skip -= n;
        return p + n;
    }
    if (c->chunked) { /* the last chunk; the bodies of a benchmark do not hold its bytes */
        char *last = memmem(p, end - p, "0\r\n\r\n", 5);
        if (!last) return end - p > 4 ? end - 4 : p;
        c->chunked = 0;
        return last + 5;
    }
    char *head_end = memmem(p, end - p, "\r\n\r\n", 4);
    if (!head_end) return p;
    take_head(c, p, head_end);
    return head_end + 4;
}

/* Answers all requests that are whole in the input. */
static enum flow answer(int fd, struct connection *c) {
    char *p = c->in, *end = c->in + c->in_length;
    enum flow flow = GO_ON;
    while (flow == GO_ON && p < end) {
        char *next = take_piece(c, p, end);
        int waiting = next == p;
        p = next;
        if (waiting) break;
        if (!c->skip && !c->chunked && (c->out_length || c->close)) flow = send_reply(fd, c);
    }
    if (flow == CLOSED) return CLOSED;
    c->in_length = end - p;
    memmove(c->in, p, c->in_length);
    return flow;
}

static void receive(int fd, struct connection *c) {
    for (;;) {
        size_t room = BUFFER - 1 - c->in_length;
        ssize_t n = recv(fd, c->in + c->in_length, room, 0);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) {
            drop(fd);
            return;
        }
        c->in_length += n;
        c->in[c->in_length] = 0;
        if (answer(fd, c) != GO_ON || (size_t)n < room) return; /* a short read: the socket is empty */
    }
}

static void accept_all(int listener) {
    int fd, one = 1;
    while ((fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
        if (fd >= MAX_FD) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        connections[fd] = calloc(1, sizeof *connections[fd]);
        connections[fd]->in = malloc(BUFFER);
        watch(fd, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static void handle_event(int fd, unsigned events) {
    struct connection *c = connections[fd];
    if (!c) return;
    if (events & EPOLLOUT) {
        if (send_reply(fd, c) != GO_ON) return;
        c->blocked = 0;
        watch(fd, EPOLL_CTL_MOD, EPOLLIN);
    }
    if (!c->blocked && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(fd, c);
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
    small = make_reply(128);
    ten_kib = make_reply(10 << 10);
    one_mib = make_reply(1 << 20);
    switching = make_switching();
    epoll = epoll_create1(0);
    watch(listener, EPOLL_CTL_ADD, EPOLLIN);
    struct epoll_event events[EVENTS];
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener) accept_all(listener);
            else handle_event(events[i].data.fd, events[i].events);
        }
    }
}
