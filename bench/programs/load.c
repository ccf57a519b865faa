/* Load generator: as many HTTP/1.1 requests as the other side answers.
 *
 *   load PORT CONNECTIONS SECONDS [-p PATH]... [-H 'Name: value']... [-r FILE] [-s STATUS] [-b BYTES] [-n]
 *
 *   -p PATH   what to ask for; with several, one after the other (default: /)
 *   -H LINE   a header for every request
 *   -r FILE   one more header, which is another one for each request: the lines of the file in turn, each
 *             once; when there are no more, the load ends before its time
 *   -s STATUS what every reply has to be (default: 200)
 *   -b BYTES  POST a body of so many bytes instead of GET
 *   -n        a new connection for every request
 *
 * One thread, made to be cheaper than any gateway, so that one core of load keeps one core of gateway busy.
 * Each connection sends its next request when the last reply is complete. Replies are delimited by their
 * Content-Length; any other status is an error. Prints one line of JSON, and the first error on stderr.
 *
 * Compiled with -DTLS it is load_tls, which does the same over TLS 1.3: with -n a full handshake for each
 * request.
 */
#define _GNU_SOURCE
#include "channel.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

enum { EVENTS = 256, MAX_PATHS = 64, SOURCES = 16 };

struct request {
    char *bytes;
    size_t length;
};

struct connection {
    struct channel channel;
    const struct request *request; /* under way; null before the first */
    size_t sent;                   /* of the request */
    long missing;                  /* bytes of the reply; -1 before its head */
};

/* All that will be sent, made beforehand: one for each path, or for each line of the file. */
static struct request *requests;
static int request_count, next_request;
static int each_once, finished;
static char expected_status[] = " 200";
static char buffer[1 << 18];
static int epoll, port, new_connections;
static long done, errors;

static double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void note_error(const char *what) {
    if (errors++ == 0) fprintf(stderr, "first error: %s\n", what);
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* With a connection per request, one source address would run out of ports that are not in TIME_WAIT. */
static void choose_source(int fd) {
    static unsigned turn;
    int one = 1;
    struct sockaddr_in source = { .sin_family = AF_INET };
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + turn++ % SOURCES);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(fd, (void *)&source, sizeof source)) fail("bind");
}

static void open_connection(struct connection *c) {
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    int one = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0) fail("socket");
    if (new_connections) choose_source(fd);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (void *)&address, sizeof address) && errno != EINPROGRESS) fail("connect");
    struct epoll_event interest = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c };
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &interest);
    open_channel(&c->channel, fd);
    c->request = 0;
    c->sent = 0;
    c->missing = -1;
}

static void reopen(struct connection *c) {
    close_channel(&c->channel);
    open_connection(c);
}

static void reopen_after(struct connection *c, const char *what) {
    note_error(what);
    reopen(c);
}

/* Sends the request under way, or the next one if that has been answered. */
static void send_request(struct connection *c) {
    if (!c->request || c->sent == c->request->length) {
        if (next_request == request_count) {
            if (each_once) {
                finished = 1;
                return;
            }
            next_request = 0;
        }
        c->request = &requests[next_request++];
        c->sent = 0;
        c->missing = -1;
    }
    while (c->sent < c->request->length) {
        ssize_t n = channel_send(&c->channel, c->request->bytes + c->sent, c->request->length - c->sent);
        if (n <= 0) {
            if (n == 0 || (errno != EAGAIN && errno != ENOTCONN)) reopen_after(c, channel_error());
            return;
        }
        c->sent += n;
    }
}

/* Reads how long the reply is from its first bytes; its head is expected to be whole in them. */
static void read_head(struct connection *c, size_t n) {
    buffer[n] = 0;
    char *end = memmem(buffer, n, "\r\n\r\n", 4);
    char *length = strcasestr(buffer, "\r\ncontent-length:");
    if (!end || !length || length > end) {
        fprintf(stderr, "a reply without Content-Length: %.80s\n", buffer);
        exit(1);
    }
    const char *fault = channel_fault(&c->channel);
    if (fault) note_error(fault);
    if (memcmp(buffer + 8, expected_status, 4)) {
        buffer[strcspn(buffer, "\r")] = 0;
        note_error(buffer);
    }
    c->missing = (end - buffer) + 4 + atol(length + 17);
}

static void receive_reply(struct connection *c) {
    for (;;) {
        ssize_t n = channel_receive(&c->channel, buffer, sizeof buffer - 1);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) {
            reopen_after(c, n < 0 ? channel_error() : "the connection was closed before the reply was whole");
            return;
        }
        if (c->missing < 0) read_head(c, n);
        c->missing -= n;
        if (c->missing <= 0) {
            done++;
            if (new_connections) reopen(c);
            else send_request(c);
            return; /* edge-triggered: what comes next makes an event */
        }
        if (is_drained(n, sizeof buffer - 1)) return;
    }
}

static void handle_event(struct connection *c) {
    if (c->request && c->sent == c->request->length) receive_reply(c);
    else send_request(c);
}

static struct request make_request(const char *path, const char *headers, int body) {
    struct request r;
    char *head;
    const char *method = body ? "POST" : "GET";
    int n = asprintf(&head, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", method, path, headers);
    r.length = n + body;
    r.bytes = realloc(head, r.length);
    memset(r.bytes + n, 'x', body);
    return r;
}

static void append(char *headers, size_t room, const char *line) {
    size_t used = strlen(headers);
    snprintf(headers + used, room - used, "%s\r\n", line);
}

static void add_request(struct request r) {
    requests = reallocarray(requests, request_count + 1, sizeof *requests);
    if (!requests) fail("reallocarray");
    requests[request_count++] = r;
}

/* A request for each line of a file. */
static void add_lines(const char *path, const char **paths, int path_count, const char *headers, int body) {
    char all[16384], *line = 0;
    size_t room = 0;
    FILE *file = fopen(path, "r");
    if (!file) fail(path);
    while (getline(&line, &room, file) > 0) {
        line[strcspn(line, "\n")] = 0;
        strcpy(all, headers);
        append(all, sizeof all, line);
        add_request(make_request(paths[request_count % path_count], all, body));
    }
    free(line);
    fclose(file);
    each_once = 1;
}

static void read_options(int argc, char **argv) {
    const char *paths[MAX_PATHS] = { "/" }, *lines = 0;
    char headers[8192] = "", line[64];
    int option, path_count = 0, body = 0;
    optind = 4;
    while ((option = getopt(argc, argv, "p:H:r:s:b:n")) > 0) {
        if (option == 'p' && path_count < MAX_PATHS) paths[path_count++] = optarg;
        if (option == 'H') append(headers, sizeof headers, optarg);
        if (option == 'r') lines = optarg;
        if (option == 's') snprintf(expected_status, sizeof expected_status, " %s", optarg);
        if (option == 'b') body = atoi(optarg);
        if (option == 'n') new_connections = 1;
        if (option == '?') exit(2);
    }
    if (new_connections) append(headers, sizeof headers, "Connection: close");
    if (body) {
        snprintf(line, sizeof line, "Content-Length: %d", body);
        append(headers, sizeof headers, "Content-Type: application/octet-stream");
        append(headers, sizeof headers, line);
    }
    if (!path_count) path_count = 1;
    if (lines) add_lines(lines, paths, path_count, headers, body);
    else for (int i = 0; i < path_count; i++) add_request(make_request(paths[i], headers, body));
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    port = atoi(argv[1]);
    int count = atoi(argv[2]);
    double seconds = atof(argv[3]);
    read_options(argc, argv);

    prepare_channels(0);
    epoll = epoll_create1(0);
    struct connection *connections = calloc(count, sizeof *connections);
    double start = seconds_now();
    for (int i = 0; i < count; i++) open_connection(&connections[i]);
    struct epoll_event events[EVENTS];
    while (!finished && seconds_now() - start < seconds) {
        int n = epoll_wait(epoll, events, EVENTS, 100);
        for (int i = 0; i < n; i++) handle_event(events[i].data.ptr);
    }
    double elapsed = seconds_now() - start;
    printf("{\"requests\": %ld, \"errors\": %ld, \"seconds\": %.4f}\n", done, errors, elapsed);
    return 0;
}
