/* The floor: a forwarder of bytes that knows no HTTP. What the kernel alone costs on this machine.
 *
 *   floor PORT ORIGIN_PORT
 *
 * One thread, one connection to the origin for each connection of a client. A request costs it two calls of
 * recv, two of send and a share of an epoll_wait; a gateway cannot do with less unless it batches.
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

enum { EVENTS = 512 };

/* One of the two ends of a pair. What could not be sent to it yet is pending. */
struct end {
    int fd;
    struct end *other;
    char *pending;
    size_t pending_length;
    struct end *next_closed;
};

static int epoll, origin_port;
static struct end *closed; /* freed when no event of this round can name them any more */

static void watch(int operation, struct end *e, unsigned events) {
    struct epoll_event interest = { .events = events, .data.ptr = e };
    epoll_ctl(epoll, operation, e->fd, &interest);
}

static void close_pair(struct end *e) {
    struct end *pair = e < e->other ? e : e->other; /* both ends are one allocation */
    close(e->fd);
    close(e->other->fd);
    e->fd = e->other->fd = -1;
    pair->next_closed = closed;
    closed = pair;
}

static void free_closed(void) {
    while (closed) {
        struct end *pair = closed;
        closed = pair->next_closed;
        free(pair[0].pending);
        free(pair[1].pending);
        free(pair);
    }
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void accept_all(int listener) {
    struct sockaddr_in origin = loopback(origin_port);
    int fd, one = 1;
    while ((fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
        int to_origin = socket(AF_INET, SOCK_STREAM, 0);
        if (to_origin < 0 || connect(to_origin, (void *)&origin, sizeof origin)) {
            perror("origin");
            close(to_origin);
            close(fd);
            continue;
        }
        struct end *pair = calloc(2, sizeof *pair);
        pair[0] = (struct end){ .fd = fd, .other = &pair[1] };
        pair[1] = (struct end){ .fd = to_origin, .other = &pair[0] };
        for (int i = 0; i < 2; i++) {
            setsockopt(pair[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            watch(EPOLL_CTL_ADD, &pair[i], EPOLLIN);
        }
    }
}

/* Sends what is pending for this end; when all is sent, both ends are read from again. */
static void send_pending(struct end *e) {
    ssize_t n = send(e->fd, e->pending, e->pending_length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
        if (errno != EAGAIN) close_pair(e);
        return;
    }
    e->pending_length -= n;
    memmove(e->pending, e->pending + n, e->pending_length);
    if (e->pending_length) return;
    free(e->pending);
    e->pending = 0;
    watch(EPOLL_CTL_MOD, e, EPOLLIN);
    watch(EPOLL_CTL_MOD, e->other, EPOLLIN);
}

static void forward(struct end *e) {
    static char buffer[1 << 18];
    if (e->other->pending_length) { /* not read from now, so the event is a hang-up */
        close_pair(e);
        return;
    }
    ssize_t n = recv(e->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        close_pair(e);
        return;
    }
    struct end *to = e->other;
    ssize_t taken = send(to->fd, buffer, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (taken < 0 && errno != EAGAIN) {
        close_pair(e);
        return;
    }
    if (taken < 0) taken = 0;
    if (taken == n) return;
    to->pending_length = n - taken;
    to->pending = malloc(to->pending_length);
    memcpy(to->pending, buffer + taken, to->pending_length);
    watch(EPOLL_CTL_MOD, to, EPOLLOUT);
    watch(EPOLL_CTL_MOD, e, 0);
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    struct sockaddr_in address = loopback(atoi(argv[1]));
    origin_port = atoi(argv[2]);
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096)) {
        perror("listen");
        return 1;
    }
    epoll = epoll_create1(0);
    struct epoll_event interest = { .events = EPOLLIN, .data.ptr = 0 }, events[EVENTS];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &interest);
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct end *e = events[i].data.ptr;
            if (!e) accept_all(listener);
            else if (e->fd < 0) continue;
            else if (e->pending_length) send_pending(e);
            else forward(e);
        }
        free_closed();
    }
}
