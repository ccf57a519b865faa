/* A service that can be made slow, faulty or too small, while it runs.
 *
 *   service PORT BOARD
 *
 * One thread, on 127.0.0.1. It answers requests without bodies with 128 bytes, over HTTP/1.1 with keep-alive.
 * A request holds one of a fixed number of slots for as long as it is served, as in a pool of workers; the
 * others wait in line, so latency grows with the line. A request whose client has gone is served all the
 * same, as services do that notice only when they answer: work that was given up is not got back.
 *
 * BOARD is a file that holds a `struct board`. The benchmark maps it as well. So it can change settings and
 * read counts at any time, and the counts of a service that was stopped or killed are still there.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD = 4096, BODY = 128, EVENTS = 256, MAX_FD = 65536, MAX_SLOTS = 1024, LINE = 65536, WINDOWS = 2000 };
static const long SECOND = 1000000000L, WINDOW = 100000000L;

/* board.py has the same layout. */
struct board {
    uint64_t epoch;             /* when the first window begins, in nanoseconds of CLOCK_MONOTONIC */
    uint32_t slots;             /* how many requests are served at a time */
    uint32_t service_us;        /* how long one takes, on average */
    uint32_t varying_permille;  /* the part of that which is drawn anew for each, from an exponential distribution */
    uint32_t failing_permille;  /* how many of the answers are a 500 */
    uint32_t arrived[WINDOWS];  /* requests in each window */
};

struct connection {
    unsigned generation; /* counts the connections that had this descriptor, so that no other gets a late answer */
    int open, busy, close;
    size_t length;
    char *in;
};

struct job {
    long done_at;
    int fd;
    unsigned generation;
};

static struct connection connections[MAX_FD];
static struct job serving[MAX_SLOTS]; /* a heap: what is done first is at its top */
static struct job line[LINE];
static unsigned serving_count, line_begin, line_count;
static volatile struct board *board;
static uint64_t random_state;
static int epoll;

static long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

/* A number in (0, 1): xorshift64*, seeded with the port, so that each service draws the same ones in each run. */
static double draw(void) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return ((random_state * 0x2545F4914F6CDD1DULL >> 11) + 0.5) / 9007199254740992.0;
}

static long time_of_service(void) {
    double varying = board->varying_permille / 1e3;
    return board->service_us * 1e3 * (1 - varying - varying * log(draw()));
}

/* The window of a moment, or -1 before the first and after the last. */
static long window_at(long moment) {
    long since = moment - (long)board->epoch;
    return since >= 0 && since / WINDOW < WINDOWS ? since / WINDOW : -1;
}

static void swap_jobs(unsigned a, unsigned b) {
    struct job kept = serving[a];
    serving[a] = serving[b];
    serving[b] = kept;
}

static void add_to_heap(struct job job) {
    unsigned at = serving_count++;
    serving[at] = job;
    for (; at && serving[at].done_at < serving[(at - 1) / 2].done_at; at = (at - 1) / 2) swap_jobs(at, (at - 1) / 2);
}

static struct job take_from_heap(void) {
    struct job first = serving[0];
    serving[0] = serving[--serving_count];
    for (unsigned at = 0;;) {
        unsigned least = at, left = 2 * at + 1, right = left + 1;
        if (left < serving_count && serving[left].done_at < serving[least].done_at) least = left;
        if (right < serving_count && serving[right].done_at < serving[least].done_at) least = right;
        if (least == at) return first;
        swap_jobs(at, least);
        at = least;
    }
}

static void drop(int fd) {
    struct connection *c = &connections[fd];
    c->open = 0;
    c->generation++;
    free(c->in);
    close(fd);
}

/* Fills free slots from the line. */
static void serve(long moment) {
    unsigned slots = board->slots < MAX_SLOTS ? board->slots : MAX_SLOTS;
    while (line_count && serving_count < slots) {
        struct job job = line[line_begin];
        line_begin = (line_begin + 1) % LINE;
        line_count--;
        job.done_at = moment + time_of_service();
        add_to_heap(job);
    }
}

/* Takes a request if a whole one is there; the next one of this connection waits until it is answered. */
static void take_request(int fd, long moment) {
    struct connection *c = &connections[fd];
    char *end = c->busy ? 0 : memmem(c->in, c->length, "\r\n\r\n", 4);
    if (!end) {
        if (c->length == HEAD) drop(fd);
        return;
    }
    if (line_count == LINE) {
        drop(fd);
        return;
    }
    end[2] = 0;
    c->close = strcasestr(c->in, "\r\nconnection: close\r\n") || strstr(c->in, " HTTP/1.0\r\n");
    c->busy = 1;
    c->length -= end + 4 - c->in;
    memmove(c->in, end + 4, c->length);
    long window = window_at(moment);
    if (window >= 0) board->arrived[window]++;
    line[(line_begin + line_count++) % LINE] = (struct job){ .fd = fd, .generation = c->generation };
    serve(moment);
}

static void answer(struct job job, long moment) {
    struct connection *c = &connections[job.fd];
    int failing = draw() * 1000 < board->failing_permille;
    if (!c->open || c->generation != job.generation) return;
    char reply[512];
    int n = sprintf(reply, "HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n",
                    failing ? "500 Internal Server Error" : "200 OK", BODY, c->close ? "Connection: close\r\n" : "");
    memset(reply + n, 'x', BODY);
    n += BODY;
    if (send(job.fd, reply, n, MSG_NOSIGNAL) != n || c->close) {
        drop(job.fd);
        return;
    }
    c->busy = 0;
    take_request(job.fd, moment);
}

static void answer_what_is_done(void) {
    long moment = now();
    while (serving_count && serving[0].done_at <= moment) {
        answer(take_from_heap(), moment);
        serve(moment);
    }
}

static void receive(int fd) {
    struct connection *c = &connections[fd];
    ssize_t n = recv(fd, c->in + c->length, HEAD - c->length, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        drop(fd);
        return;
    }
    c->length += n;
    take_request(fd, now());
}

static void accept_all(int listener) {
    int fd, one = 1;
    while ((fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
        if (fd >= MAX_FD) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct connection *c = &connections[fd];
        *c = (struct connection){ .generation = c->generation, .open = 1, .in = malloc(HEAD + 1) };
        struct epoll_event interest = { .events = EPOLLIN, .data.fd = fd };
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &interest);
    }
}

static int listen_on(int port) {
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096)) {
        perror("listen");
        exit(1);
    }
    return listener;
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* the only signal that ends a stopped process too */
    prctl(PR_SET_TIMERSLACK, 1);
    int file = open(argv[2], O_RDWR);
    board = mmap(0, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (file < 0 || board == MAP_FAILED) {
        perror(argv[2]);
        return 1;
    }
    random_state = 0x9E3779B97F4A7C15ULL * (unsigned)atoi(argv[1]);
    int listener = listen_on(atoi(argv[1]));
    epoll = epoll_create1(0);
    struct epoll_event events[EVENTS], interest = { .events = EPOLLIN, .data.fd = listener };
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &interest);
    for (;;) {
        long wait = serving_count ? serving[0].done_at - now() : SECOND;
        struct timespec limit = { wait > 0 ? wait / SECOND : 0, wait > 0 ? wait % SECOND : 0 };
        int n = epoll_pwait2(epoll, events, EVENTS, &limit, 0);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener) accept_all(listener);
            else if (connections[events[i].data.fd].open) receive(events[i].data.fd);
        }
        answer_what_is_done();
    }
}
