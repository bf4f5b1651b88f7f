/*
 * staple.c: makes a server staple what no server may. Preloaded into `openssl s_server`, it gives
 * libssl the bytes of the file named in TLSLIFE_STAPLE_FILE for whatever OCSP response the server
 * has. OpenSSL 3.6 staples what answers for its certificate and can be read, and nothing else.
 */
#include <stdio.h>
#include <stdlib.h>

int i2d_OCSP_RESPONSE(const void *response, unsigned char **out);

static unsigned char *bytes;
static long bytes_len;

__attribute__((constructor)) static void read_bytes(void) {
    const char *path = getenv("TLSLIFE_STAPLE_FILE");
    FILE *file = path != NULL ? fopen(path, "rb") : NULL;
    if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (bytes_len = ftell(file)) <= 0) {
        return;
    }
    rewind(file);
    bytes = malloc((size_t)bytes_len);
    if (bytes == NULL || fread(bytes, 1, (size_t)bytes_len, file) != (size_t)bytes_len) {
        bytes_len = -1;
    }
    fclose(file);
}

/* As i2d_X509(3) says. OPENSSL_free is free, unless a program says otherwise. */
int i2d_OCSP_RESPONSE(const void *response, unsigned char **out) {
    (void)response;
    if (out == NULL || bytes_len <= 0) {
        return (int)bytes_len;
    }
    unsigned char *to = *out != NULL ? *out : malloc((size_t)bytes_len);
    if (to == NULL) {
        return -1;
    }
    for (long i = 0; i < bytes_len; i++) {
        to[i] = bytes[i];
    }
    *out = *out != NULL ? to + bytes_len : to;
    return (int)bytes_len;
}
