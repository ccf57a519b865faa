/* Requests that arrive when they are due, whatever has become of those before them (an open loop).
 *
 *   arrivals PORT EPOCH RATE:SECONDS[,RATE:SECONDS...] PATIENCE CONNECTIONS OUTPUT
 *
 * The schedule begins at EPOCH, in nanoseconds of CLOCK_MONOTONIC, and is fixed before it begins. Requests
 * go over keep-alive connections, CONNECTIONS of them at first; when none is free another one is opened, so
 * replies that do not come hold nothing up. A request that is not answered PATIENCE milliseconds after it
 * was due is given up with its connection. None is repeated: what a client sees is what is counted.
 *
 * OUTPUT gets a `struct record` for each request. Prints one line of JSON.
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
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256, REPLY = 4096, PLACES = 18000, NONE = -1 };
/* What became of a request that got no whole reply; exchanges.py has the same numbers. */
enum { REFUSED = -1, CLOSED = -2, GIVEN_UP = -3, MALFORMED = -4, NO_CONNECTION = -5 };
static const long SECOND = 1000000000L;
static const char request[] = "GET / HTTP/1.1\r\nHost: service.test\r\n\r\n";

struct record {
    int32_t due, begun, ended; /* microseconds since the epoch */
    int32_t outcome;           /* the status of the reply, or one of the numbers above */
};

struct connection {
    int fd;
    int connecting;
    long request;       /* which one it carries */
    int previous, next; /* among those that carry none */
    size_t length;      /* bytes of the reply */
    char reply[REPLY + 1];
};

static struct connection *connections;
static int first_idle = NONE, last_idle = NONE; /* in turn, so that none is unused for long and closed for that */
static int free_places[PLACES], free_count;
static struct record *records;
static int *carriers; /* of each request: the connection that carries it */
static long total, sent, oldest; /* requests: all, begun, the first one that may still be under way */
static long epoch, patience, opened;
static struct sockaddr_in gateway = { .sin_family = AF_INET };
static int epoll;

static long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static long due_time(long number) {
    return epoch + records[number].due * 1000L;
}

static void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

/* Writes down when each request is due. */
static void make_schedule(char *phases) {
    double begin = 0;
    for (char *phase = strtok(phases, ","); phase; phase = strtok(0, ",")) {
        double rate, seconds;
        if (sscanf(phase, "%lf:%lf", &rate, &seconds) != 2) exit(2);
        long count = rate * seconds + 0.5;
        records = realloc(records, (total + count) * sizeof *records);
        for (long i = 0; i < count; i++) records[total++] = (struct record){ .due = (begin + i / rate) * 1e6 };
        begin += seconds;
    }
    carriers = malloc(total * sizeof *carriers);
}

static void make_idle(int place) {
    struct connection *c = &connections[place];
    c->request = NONE;
    c->previous = last_idle;
    c->next = NONE;
    *(last_idle == NONE ? &first_idle : &connections[last_idle].next) = place;
    last_idle = place;
}

static void leave_idle(int place) {
    struct connection *c = &connections[place];
    *(c->previous == NONE ? &first_idle : &connections[c->previous].next) = c->next;
    *(c->next == NONE ? &last_idle : &connections[c->next].previous) = c->previous;
}

static void drop(int place) {
    if (connections[place].request == NONE) leave_idle(place);
    close(connections[place].fd);
    free_places[free_count++] = place;
}

static void end_request(long number, int outcome) {
    records[number].ended = (now() - epoch) / 1000;
    records[number].outcome = outcome;
    carriers[number] = NONE;
}

static void give_up(int place, int outcome) {
    if (connections[place].request != NONE) end_request(connections[place].request, outcome);
    drop(place);
}

static void watch(int place, int operation, unsigned events) {
    struct epoll_event interest = { .events = events, .data.u32 = place };
    epoll_ctl(epoll, operation, connections[place].fd, &interest);
}

static void send_request(int place) {
    ssize_t length = sizeof request - 1;
    connections[place].length = 0;
    if (send(connections[place].fd, request, length, MSG_NOSIGNAL) != length) give_up(place, CLOSED);
}

/* Opens a connection for a request; it is sent when the connection is there. */
static void open_connection(long number) {
    int one = 1, fd = free_count ? socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0) : -1;
    if (fd < 0) {
        end_request(number, NO_CONNECTION);
        return;
    }
    int place = free_places[--free_count];
    struct connection *c = &connections[place];
    opened++;
    c->fd = fd;
    c->connecting = 1;
    c->request = number;
    carriers[number] = place;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (void *)&gateway, sizeof gateway) && errno != EINPROGRESS) {
        give_up(place, REFUSED);
        return;
    }
    watch(place, EPOLL_CTL_ADD, EPOLLOUT);
}

static void open_first_connections(int count) {
    int one = 1;
    for (int i = 0; i < count; i++, opened++) {
        int place = free_places[--free_count];
        int fd = connections[place].fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (void *)&gateway, sizeof gateway)) fail("connect");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(place, EPOLL_CTL_ADD, EPOLLIN);
        make_idle(place);
    }
}

static void send_what_is_due(void) {
    for (long moment = now(); sent < total && due_time(sent) <= moment; sent++) {
        records[sent].begun = (moment - epoch) / 1000;
        int place = first_idle;
        if (place == NONE) {
            open_connection(sent);
            continue;
        }
        leave_idle(place);
        connections[place].request = sent;
        carriers[sent] = place;
        send_request(place);
    }
}

static void give_up_what_is_late(void) {
    long moment = now();
    for (; oldest < sent; oldest++) {
        if (carriers[oldest] == NONE) continue;
        if (due_time(oldest) + patience > moment) return;
        give_up(carriers[oldest], GIVEN_UP);
    }
}

/* Whether a reply is whole. One without a length ends with its connection, unless it comes in chunks. */
static int is_whole(const struct connection *c, const char *head_end, int closed) {
    const char *body = head_end + 4, *end = c->reply + c->length;
    const char *length = strcasestr(c->reply, "\r\ncontent-length:");
    if (length && length < head_end) return end - body >= atol(length + 17);
    const char *chunked = strcasestr(c->reply, "\r\ntransfer-encoding: chunked");
    if (chunked && chunked <= head_end) return end - body >= 5 && !memcmp(end - 5, "0\r\n\r\n", 5);
    return closed;
}

static void take_reply(int place, int closed) {
    struct connection *c = &connections[place];
    c->reply[c->length] = 0;
    char *head_end = strstr(c->reply, "\r\n\r\n");
    if (!head_end || !is_whole(c, head_end, closed)) {
        if (closed) give_up(place, CLOSED);
        else if (c->length == REPLY) give_up(place, MALFORMED);
        return;
    }
    int status = memcmp(c->reply, "HTTP/1.", 7) ? 0 : atoi(c->reply + 9);
    char *close = strcasestr(c->reply, "\r\nconnection: close");
    end_request(c->request, status ? status : MALFORMED);
    if (closed || !status || (close && close <= head_end)) drop(place); /* nothing looks at c->request any more */
    else make_idle(place);
}

static void handle_event(int place) {
    struct connection *c = &connections[place];
    if (c->connecting) {
        int error = 0;
        socklen_t size = sizeof error;
        c->connecting = 0;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error) {
            give_up(place, REFUSED);
            return;
        }
        watch(place, EPOLL_CTL_MOD, EPOLLIN);
        send_request(place);
        return;
    }
    ssize_t n = recv(c->fd, c->reply + c->length, REPLY - c->length, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (c->request == NONE || n < 0) {
        give_up(place, CLOSED); /* nobody asked for anything, or the connection was reset */
        return;
    }
    c->length += n;
    take_reply(place, n == 0);
}

/* Waits for what comes first: a reply, the next request, or the end of patience. */
static void wait_and_handle(void) {
    struct epoll_event events[EVENTS];
    long wait = SECOND / 10, moment = now();
    if (sent < total && due_time(sent) - moment < wait) wait = due_time(sent) - moment;
    if (oldest < sent && due_time(oldest) + patience - moment < wait) wait = due_time(oldest) + patience - moment;
    struct timespec limit = { 0, wait > 0 ? wait : 0 };
    int n = epoll_pwait2(epoll, events, EVENTS, &limit, 0);
    for (int i = 0; i < n; i++) handle_event(events[i].data.u32);
}

int main(int argc, char **argv) {
    if (argc < 7) return 2;
    gateway.sin_port = htons(atoi(argv[1]));
    gateway.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    epoch = atol(argv[2]);
    make_schedule(argv[3]);
    patience = atol(argv[4]) * (SECOND / 1000);
    connections = calloc(PLACES, sizeof *connections);
    while (free_count < PLACES) {
        free_places[free_count] = PLACES - 1 - free_count;
        free_count++;
    }
    epoll = epoll_create1(0);
    prctl(PR_SET_TIMERSLACK, 1); /* wake when due, not up to 50 microseconds later */
    open_first_connections(atoi(argv[5]));
    while (oldest < total) {
        send_what_is_due();
        wait_and_handle();
        give_up_what_is_late();
    }
    FILE *output = fopen(argv[6], "wb");
    if (!output || fwrite(records, sizeof *records, total, output) != (size_t)total || fclose(output)) fail(argv[6]);
    printf("{\"requests\": %ld, \"connections\": %ld}\n", total, opened);
    return 0;
}
