/* JSON Web Tokens with RS256, in one process: a signature takes most of a millisecond, and many are needed.
 *
 *   tokens KEY FIRST COUNT
 *
 * KEY is a private RSA key, PEM. Prints COUNT lines `Authorization: Bearer TOKEN`, for the users with the
 * numbers FIRST, FIRST + 1 and so on. All tokens are equally long.
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 4096 };

static const char head[] = "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"bench\"}";
/* They end with the year 2099. */
static const char claims[] = "{\"iss\":\"bench\",\"sub\":\"user-%07ld\",\"aud\":\"api\",\"exp\":4102444800}";

static void fail(void) {
    ERR_print_errors_fp(stderr);
    exit(1);
}

/* Base64 as URLs have it, without padding (RFC 4648, section 5). Returns how long it is. */
static size_t encode(char *out, const void *bytes, size_t n) {
    EVP_EncodeBlock((unsigned char *)out, bytes, n);
    for (char *p = out; *p; p++) {
        if (*p == '+') *p = '-';
        if (*p == '/') *p = '_';
    }
    size_t length = strcspn(out, "=");
    out[length] = 0;
    return length;
}

static void print_token(EVP_PKEY *key, EVP_MD_CTX *context, long number) {
    char token[MOST], text[256];
    unsigned char signature[512];
    size_t signed_length = sizeof signature;
    size_t n = encode(token, head, strlen(head));
    token[n++] = '.';
    int length = snprintf(text, sizeof text, claims, number);
    n += encode(token + n, text, length);
    int ok = EVP_DigestSignInit(context, 0, EVP_sha256(), 0, key)
             && EVP_DigestSign(context, signature, &signed_length, (unsigned char *)token, n);
    if (!ok) fail();
    token[n++] = '.';
    encode(token + n, signature, signed_length);
    printf("Authorization: Bearer %s\n", token);
    EVP_MD_CTX_reset(context);
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    FILE *file = fopen(argv[1], "r");
    if (!file) {
        perror(argv[1]);
        return 1;
    }
    EVP_PKEY *key = PEM_read_PrivateKey(file, 0, 0, 0);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    /* `signature` has room for 4096 bits. */
    if (!key || !context || EVP_PKEY_size(key) > 512) fail();
    long first = atol(argv[2]), count = atol(argv[3]);
    for (long number = first; number < first + count; number++) print_token(key, context, number);
    return fflush(stdout) ? 1 : 0;
}
