/* Load generator for HTTP/2: as many requests as the other side answers, many of them at once.
 *
 *   load_h2 PORT CONNECTIONS SECONDS [-m STREAMS] [-g]
 *
 *   -m STREAMS  requests under way on each connection (default: 8)
 *   -g          unary gRPC calls with a message of 128 bytes instead of GET /
 *
 * It speaks HTTP/2 at once, without an upgrade. Compiled with -DTLS it is load_h2_tls, which agrees on it by
 * ALPN over TLS 1.3. Every reply is checked: its status and the size of its body; of a gRPC reply also that it
 * is one whole message of the right type, and that the trailers say grpc-status 0. Anything else is an error.
 * Prints one line of JSON, and the first error on stderr.
 */
#define _GNU_SOURCE
#include "channel.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

enum { EVENTS = 256, BODY = 128, PREFIX = 5, OUT = 65536, FRAME = 16384 + 9, WINDOW = 1 << 24 };

struct stream {
    int ok, typed, grpc_ok; /* status 200, content-type application/grpc, grpc-status 0 */
    size_t body;
    size_t sent; /* of the message of a gRPC call */
};

struct connection {
    struct channel channel;
    nghttp2_session *session;
    struct stream *streams;
    char *out; /* what the socket has not taken yet */
    size_t out_length;
    const char *broken; /* why it has to be opened anew */
};

/* A gRPC message: not compressed, its length in four bytes, its bytes. */
static uint8_t message[PREFIX + BODY] = { 0, 0, 0, 0, BODY };
static uint8_t in[1 << 18];
static nghttp2_session_callbacks *callbacks;
static int epoll, port, grpc, stream_count = 8;
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

#define HEADER(name, value) \
    { (uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, sizeof(value) - 1, \
      NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE }
#ifdef TLS
#define SCHEME "https"
#else
#define SCHEME "http"
#endif

static const nghttp2_nv get_head[] = {
    HEADER(":method", "GET"), HEADER(":scheme", SCHEME), HEADER(":authority", "localhost"), HEADER(":path", "/"),
};
static const nghttp2_nv grpc_head[] = {
    HEADER(":method", "POST"), HEADER(":scheme", SCHEME), HEADER(":path", "/bench.Echo/Unary"),
    HEADER(":authority", "localhost"), HEADER("content-type", "application/grpc"), HEADER("te", "trailers"),
};

static ssize_t read_message(nghttp2_session *session, int32_t id, uint8_t *bytes, size_t room, uint32_t *flags,
                            nghttp2_data_source *source, void *user) {
    (void)session, (void)id, (void)user;
    struct stream *s = source->ptr;
    size_t n = sizeof message - s->sent;
    if (n > room) n = room;
    memcpy(bytes, message + s->sent, n);
    s->sent += n;
    if (s->sent == sizeof message) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return n;
}

static void submit(struct connection *c, struct stream *s) {
    nghttp2_data_provider body = { .source = { .ptr = s }, .read_callback = read_message };
    *s = (struct stream){ 0 };
    int32_t id = grpc ? nghttp2_submit_request(c->session, 0, grpc_head, sizeof grpc_head / sizeof *grpc_head, &body, s)
                      : nghttp2_submit_request(c->session, 0, get_head, sizeof get_head / sizeof *get_head, 0, s);
    if (id < 0) c->broken = nghttp2_strerror(id);
}

static int is(const uint8_t *bytes, size_t n, const char *text) {
    return n == strlen(text) && !memcmp(bytes, text, n);
}

static int take_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_length,
                       const uint8_t *value, size_t value_length, uint8_t flags, void *user) {
    (void)flags, (void)user;
    struct stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!s) return 0;
    if (is(name, name_length, ":status")) s->ok = is(value, value_length, "200");
    if (is(name, name_length, "content-type")) s->typed = is(value, value_length, "application/grpc");
    if (is(name, name_length, "grpc-status"))
        s->grpc_ok = frame->headers.cat != NGHTTP2_HCAT_RESPONSE && is(value, value_length, "0");
    return 0;
}

static int take_body(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t n, void *user) {
    (void)flags, (void)user;
    struct stream *s = nghttp2_session_get_stream_user_data(session, id);
    if (!s) return 0;
    for (size_t i = 0; grpc && i < n && s->body + i < PREFIX; i++)
        if (bytes[i] != message[s->body + i]) s->typed = 0;
    s->body += n;
    return 0;
}

static const char *fault_of(const struct stream *s, uint32_t code) {
    if (code) return nghttp2_http2_strerror(code);
    if (!s->ok) return "a reply that is no 200";
    if (s->body != (grpc ? sizeof message : BODY)) return "a body of another size";
    if (grpc && !s->typed) return "a reply that is no gRPC message";
    if (grpc && !s->grpc_ok) return "a reply without grpc-status 0 in its trailers";
    return 0;
}

static int end_stream(nghttp2_session *session, int32_t id, uint32_t code, void *user) {
    struct connection *c = user;
    struct stream *s = nghttp2_session_get_stream_user_data(session, id);
    if (!s) return 0;
    const char *fault = fault_of(s, code);
    if (!fault) fault = channel_fault(&c->channel);
    if (fault) note_error(fault);
    done++;
    submit(c, s);
    return 0;
}

static int take_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    (void)session;
    struct connection *c = user;
    if (frame->hd.type == NGHTTP2_GOAWAY) c->broken = "the other side sent GOAWAY";
    return 0;
}

static void make_callbacks(void) {
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, take_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, take_body);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, end_stream);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, take_frame);
}

/* A session with its first requests. Its windows are so large that they hardly need to be opened again. */
static void start_session(struct connection *c) {
    nghttp2_settings_entry settings[] = { { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
                                          { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW } };
    if (nghttp2_session_client_new(&c->session, callbacks, c)) fail("nghttp2");
    nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, WINDOW);
    for (int i = 0; i < stream_count; i++) submit(c, &c->streams[i]);
}

static void open_connection(struct connection *c) {
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0) fail("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (void *)&address, sizeof address) && errno != EINPROGRESS) fail("connect");
    struct epoll_event interest = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c };
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &interest);
    open_channel(&c->channel, fd);
    c->out_length = 0;
    c->broken = 0;
    start_session(c);
}

/* Collects frames, so that what is ready goes out in one piece. */
static void collect(struct connection *c) {
    while (c->out_length + FRAME <= OUT) {
        const uint8_t *bytes;
        ssize_t n = nghttp2_session_mem_send(c->session, &bytes);
        if (n < 0) c->broken = nghttp2_strerror(n);
        if (n <= 0) return;
        memcpy(c->out + c->out_length, bytes, n);
        c->out_length += n;
    }
}

static void send_frames(struct connection *c) {
    for (collect(c); c->out_length && !c->broken; collect(c)) {
        ssize_t n = channel_send(&c->channel, c->out, c->out_length);
        if (n < 0 && (errno == EAGAIN || errno == ENOTCONN)) return;
        if (n <= 0) {
            c->broken = channel_error();
            return;
        }
        c->out_length -= n;
        memmove(c->out, c->out + n, c->out_length);
    }
}

static void receive_frames(struct connection *c) {
    while (!c->broken) {
        ssize_t n = channel_receive(&c->channel, in, sizeof in);
        if (n < 0 && (errno == EAGAIN || errno == ENOTCONN)) return;
        if (n <= 0) {
            c->broken = n < 0 ? channel_error() : "the connection was closed";
            return;
        }
        ssize_t taken = nghttp2_session_mem_recv(c->session, in, n);
        if (taken < 0) c->broken = nghttp2_strerror(taken);
        if (is_drained(n, sizeof in)) return;
    }
}

static void handle_event(struct connection *c) {
    receive_frames(c);
    if (!c->broken) send_frames(c);
    if (!c->broken) return;
    note_error(c->broken);
    nghttp2_session_del(c->session);
    close_channel(&c->channel);
    open_connection(c);
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    port = atoi(argv[1]);
    int option, count = atoi(argv[2]);
    double seconds = atof(argv[3]);
    optind = 4;
    while ((option = getopt(argc, argv, "m:g")) > 0) {
        if (option == 'm') stream_count = atoi(optarg);
        if (option == 'g') grpc = 1;
        if (option == '?') return 2;
    }
    memset(message + PREFIX, 'x', BODY);
    prepare_channels("h2");
    make_callbacks();
    epoll = epoll_create1(0);
    struct connection *connections = calloc(count, sizeof *connections);
    double start = seconds_now();
    for (int i = 0; i < count; i++) {
        connections[i].streams = calloc(stream_count, sizeof(struct stream));
        connections[i].out = malloc(OUT);
        open_connection(&connections[i]);
    }
    struct epoll_event events[EVENTS];
    while (seconds_now() - start < seconds) {
        int n = epoll_wait(epoll, events, EVENTS, 100);
        for (int i = 0; i < n; i++) handle_event(events[i].data.ptr);
    }
    double elapsed = seconds_now() - start;
    printf("{\"requests\": %ld, \"errors\": %ld, \"seconds\": %.4f}\n", done, errors, elapsed);
    return 0;
}
