/* Latency at a fixed rate.
 *
 *   pace PORT RATE CONNECTIONS SECONDS
 *
 * Sends GET requests on a fixed schedule over keep-alive connections, and measures each from the moment it
 * was due to the last byte of its reply: a request that had to wait for a free connection counts with its
 * wait (no coordinated omission). The first second is not counted. Prints one line of JSON, in microseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256, BUFFER = 65536 };
static const long SECOND = 1000000000L;
static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

struct connection {
    int fd;
    long due;     /* when its request should have been sent, in nanoseconds */
    int counts;   /* whether that was after the first second */
    long missing; /* bytes of the reply; -1 before its head */
};

static struct connection *connections;
static int *free_list, free_count;
static long *latencies, latency_count;
static long sent, done, total;
static long start;
static double gap; /* nanoseconds between two requests */

static long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static long due_time(long request_number) {
    return start + (long)(request_number * gap);
}

static void fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void open_connections(int epoll, int port, int count) {
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    int one = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < count; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (void *)&address, sizeof address)) fail(strerror(errno));
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event interest = { .events = EPOLLIN, .data.u32 = i };
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &interest);
        connections[i].fd = fd;
        free_list[free_count++] = i;
    }
}

static void send_request(struct connection *c) {
    c->due = due_time(sent++);
    c->counts = c->due >= start + SECOND;
    c->missing = -1;
    ssize_t length = sizeof request - 1;
    if (send(c->fd, request, length, MSG_NOSIGNAL) != length) fail("a request was not taken");
}

static void send_what_is_due(void) {
    while (sent < total && free_count && due_time(sent) <= now())
        send_request(&connections[free_list[--free_count]]);
}

/* Reads how long the reply is from its first bytes; its head is expected to be whole in them. */
static void read_head(struct connection *c, char *bytes, ssize_t n) {
    bytes[n] = 0;
    char *end = strstr(bytes, "\r\n\r\n"), *length = strcasestr(bytes, "\r\ncontent-length:");
    if (!end || !length || memcmp(bytes + 8, " 200", 4)) fail("a reply without 200 or Content-Length");
    c->missing = (end - bytes) + 4 + atol(length + 17);
}

static void receive(int index) {
    static char bytes[BUFFER];
    struct connection *c = &connections[index];
    ssize_t n = recv(c->fd, bytes, sizeof bytes - 1, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) fail("a connection was closed");
    if (c->missing < 0) read_head(c, bytes, n);
    c->missing -= n;
    if (c->missing > 0) return;
    if (c->counts) latencies[latency_count++] = now() - c->due;
    done++;
    free_list[free_count++] = index;
}

/* Waits until the next request is due, or for replies if all are sent or no connection is free. */
static void wait_and_receive(int epoll) {
    struct epoll_event events[EVENTS];
    long wait = sent < total && free_count ? due_time(sent) - now() : SECOND / 10;
    if (wait < 0) wait = 0;
    struct timespec limit = { wait / SECOND, wait % SECOND };
    int n = epoll_pwait2(epoll, events, EVENTS, &limit, 0);
    for (int i = 0; i < n; i++) receive(events[i].data.u32);
}

static int ascending(const void *a, const void *b) {
    long x = *(const long *)a, y = *(const long *)b;
    return (x > y) - (x < y);
}

static double share(double part) {
    return latencies[(long)(part * (latency_count - 1))] / 1e3;
}

int main(int argc, char **argv) {
    if (argc < 5) return 2;
    int count = atoi(argv[3]), seconds = atoi(argv[4]);
    double rate = atof(argv[2]);
    gap = SECOND / rate;
    total = (long)(rate * seconds);
    latencies = calloc(total + 1, sizeof *latencies);
    connections = calloc(count, sizeof *connections);
    free_list = calloc(count, sizeof *free_list);
    int epoll = epoll_create1(0);
    prctl(PR_SET_TIMERSLACK, 1); /* wake when due, not up to 50 microseconds later */
    open_connections(epoll, atoi(argv[1]), count);

    start = now() + SECOND / 100;
    long limit = start + (seconds + 5) * SECOND;
    while (done < total) {
        send_what_is_due();
        wait_and_receive(epoll);
        if (now() > limit) fail("replies are missing");
    }
    if (!latency_count) fail("nothing was measured: give more than one second");
    qsort(latencies, latency_count, sizeof *latencies, ascending);
    printf("{\"requests\": %ld, \"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f}\n",
           latency_count, share(0.5), share(0.99), share(0.999), share(1));
    return 0;
}
