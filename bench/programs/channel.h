/* How a load generator reaches the other side: over TCP, or compiled with -DTLS over TLS 1.3 on it.
 *
 * The functions work like send and recv on a socket that does not block. The handshake happens inside the
 * first of them, so a caller need not know of it. All peers get the same offer: one cipher, one group, no
 * session to resume.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef TLS

struct channel {
    int fd;
};

static inline void prepare_channels(const char *protocol) {
    (void)protocol;
}

static inline void open_channel(struct channel *c, int fd) {
    c->fd = fd;
}

static inline void close_channel(struct channel *c) {
    close(c->fd);
}

static inline ssize_t channel_send(struct channel *c, const void *bytes, size_t n) {
    return send(c->fd, bytes, n, MSG_NOSIGNAL);
}

static inline ssize_t channel_receive(struct channel *c, void *bytes, size_t room) {
    return recv(c->fd, bytes, room, 0);
}

/* Whether nothing more is there after a read of `n` bytes where there was room for more. */
static inline int is_drained(size_t n, size_t room) {
    return n < room;
}

static inline const char *channel_error(void) {
    return strerror(errno);
}

/* What is wrong with the connection as it was negotiated; null if nothing is. */
static inline const char *channel_fault(struct channel *c) {
    (void)c;
    return 0;
}

#else

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

struct channel {
    int fd;
    SSL *tls;
};

static SSL_CTX *tls_settings;
static const char *tls_protocol; /* to be agreed on by ALPN; null where none is offered */
static char tls_error[256];

static void prepare_channels(const char *protocol) {
    tls_settings = SSL_CTX_new(TLS_client_method());
    /* What every implementation of TLS 1.3 has to know, so that no peer chooses differently. */
    int ok = tls_settings && SSL_CTX_set_min_proto_version(tls_settings, TLS1_3_VERSION)
             && SSL_CTX_set_ciphersuites(tls_settings, "TLS_AES_128_GCM_SHA256")
             && SSL_CTX_set1_groups_list(tls_settings, "X25519")
             && SSL_CTX_set1_sigalgs_list(tls_settings, "ECDSA+SHA256");
    if (protocol) {
        unsigned char offer[32];
        size_t n = strlen(protocol);
        offer[0] = n;
        memcpy(offer + 1, protocol, n);
        ok = ok && !SSL_CTX_set_alpn_protos(tls_settings, offer, n + 1);
    }
    if (!ok) {
        ERR_print_errors_fp(stderr);
        exit(1);
    }
    tls_protocol = protocol;
    /* The signature of the handshake is checked all the same; only the chain is not. */
    SSL_CTX_set_verify(tls_settings, SSL_VERIFY_NONE, 0);
    SSL_CTX_set_session_cache_mode(tls_settings, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(tls_settings, 1);
    SSL_CTX_set_mode(tls_settings, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    signal(SIGPIPE, SIG_IGN);
}

static void open_channel(struct channel *c, int fd) {
    c->fd = fd;
    c->tls = SSL_new(tls_settings);
    if (!c->tls || !SSL_set_fd(c->tls, fd) || !SSL_set_tlsext_host_name(c->tls, "localhost")) {
        ERR_print_errors_fp(stderr);
        exit(1);
    }
    SSL_set_connect_state(c->tls);
}

static void close_channel(struct channel *c) {
    SSL_free(c->tls);
    close(c->fd);
}

/* The result of an SSL function as send and recv would give it. */
static ssize_t tls_result(struct channel *c, int n) {
    if (n > 0) return n;
    int kind = SSL_get_error(c->tls, n);
    tls_error[0] = 0;
    if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) {
        errno = EAGAIN;
        return -1;
    }
    if (kind == SSL_ERROR_ZERO_RETURN) return 0;
    if (kind == SSL_ERROR_SSL) {
        ERR_error_string_n(ERR_peek_error(), tls_error, sizeof tls_error);
        errno = EPROTO;
    }
    ERR_clear_error();
    return errno ? -1 : 0;
}

static ssize_t channel_send(struct channel *c, const void *bytes, size_t n) {
    errno = 0;
    return tls_result(c, SSL_write(c->tls, bytes, n));
}

static ssize_t channel_receive(struct channel *c, void *bytes, size_t room) {
    errno = 0;
    return tls_result(c, SSL_read(c->tls, bytes, room));
}

/* A read gives one record, and more may wait behind it. */
static int is_drained(size_t n, size_t room) {
    (void)n, (void)room;
    return 0;
}

static const char *channel_error(void) {
    if (tls_error[0]) return tls_error;
    return errno ? strerror(errno) : "the connection was closed in the handshake";
}

static const char *channel_fault(struct channel *c) {
    const unsigned char *chosen;
    unsigned n;
    if (SSL_version(c->tls) != TLS1_3_VERSION) return "the connection does not speak TLS 1.3";
    if (SSL_session_reused(c->tls)) return "a session was resumed";
    if (!tls_protocol) return 0;
    SSL_get0_alpn_selected(c->tls, &chosen, &n);
    if (n == strlen(tls_protocol) && !memcmp(chosen, tls_protocol, n)) return 0;
    return "the protocol was not agreed on by ALPN";
}

#endif
