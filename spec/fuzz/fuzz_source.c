/*
 * fuzz_source: loads a certificate or a key from names of files and URIs that have a secret in them
 * (a PIN, a password, or a key that was pasted). The first byte chooses the secret, the second its
 * place in the rest.
 *
 * The secret is in no message and in no entry of OpenSSL's error queue, whatever is around it. A
 * file is found by its path and by each form of its "file:" URI (RFC 8089).
 *
 * floor: src/values/source.c 28
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "fuzz.h"
#include "tlslife.h"
#include "values/source.h"

#include <openssl/err.h>
#include <unistd.h>

#define SECRET "S3cr3tW0rd"
#define NAME_MAX_LEN 2048

static void must_not_tell(const void *bytes, size_t len) {
    must(memmem(bytes, len, SECRET, sizeof SECRET - 1) == NULL);
}

/* As a key's source: by the file's reader alone, and by the context that hands it to OpenSSL. */
static void open_name(const char *name) {
    static tlslife_context *context;
    tlsl_source source;
    tlslife_error err;
    memset(&err, 0, sizeof err);
    tlslife_status status = tlsl_source_open(name, &source, &err);
    must_not_tell(source.name, sizeof source.name);
    if (status == TLSLIFE_OK) {
        must(source.bytes != NULL || (source.uri == name && strchr(name, ':') != NULL));
    } else {
        must(err.message[0] != '\0');
    }
    must_not_tell(&err, sizeof err);
    tlsl_source_close(&source);
    context = context != NULL ? context : tlslife_context_new(TLSLIFE_SERVER, NULL);
    must(context != NULL);
    memset(&err, 0, sizeof err);
    must(tlslife_context_set_private_key_file(context, name, NULL, &err) == TLSLIFE_ERROR);
    must(err.message[0] != '\0' && ERR_peek_error() == 0);
    must_not_tell(&err, sizeof err);
}

/* A key in base64, without the lines of PEM; all of it is secret. */
#define PASTED "MC4CAQAwBQYDK2VwBCIEIJ" SECRET "AAAAAAAAAAAAAAAA"

static void name_with_secret(unsigned how, const char *before, const char *behind) {
    static const char *const forms[][2] = {
        {"pin-value=", ""}, {"PIN-Value=", ";"}, {"://user:", "@"}, {"://:", "@"}};
    char name[NAME_MAX_LEN + 128];
    if (how % 5 == 4) {
        (void)snprintf(name, sizeof name, "%s", PASTED);
    } else {
        (void)snprintf(name, sizeof name, "%s%s" SECRET "%s%s", before, forms[how % 5][0],
                       forms[how % 5][1], behind);
    }
    open_name(name);
}

static void find_file(unsigned how, const uint8_t *bytes, size_t len) {
    static const char *const forms[] = {"", "file:", "file://", "file://localhost", "FILE:"};
    static char path[] = "/tmp/fuzz_source.XXXXXX";
    static int fd = -1;
    char name[128];
    tlsl_source source;
    fd = fd >= 0 ? fd : mkstemp(path);
    must(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, bytes, len, 0) == (ssize_t)len);
    (void)snprintf(name, sizeof name, "%s%s", forms[how % 5], path);
    must(tlsl_source_open(name, &source, NULL) == TLSLIFE_OK);
    must(source.len == len && (len == 0 || memcmp(source.bytes, bytes, len) == 0));
    tlsl_source_close(&source);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    fuzz_input input = {bytes, len};
    unsigned how = take_byte(&input), at = take_byte(&input);
    if (input.left > NAME_MAX_LEN ||
        memmem(bytes, len, SECRET, sizeof SECRET - 1) != NULL) { /* it was told, then */
        return 0;
    }
    if ((how & 0x80) != 0) {
        find_file(how, input.at, input.left);
        return 0;
    }
    fuzz_input first = take_bytes(&input, at);
    char *before = text_of(first.at, first.left), *behind = text_of(input.at, input.left);
    name_with_secret(how, before, behind);
    free(before);
    free(behind);
    ERR_clear_error();
    return 0;
}

/* ------------------------------------------------------------------------------------ the seeds */

static void make_seeds(void) {
    static const char *const seeds[] = {
        "\4\1x",
        "\1\25pkcs11:token=t;object?&module-name=m",
        "\2\5https@a.example/key?pin-value=1",
        "\1\22https://a:b@c.d/?xpin-value=2",
        "\3\3ftp/@",
        "\2\11file:/tmp:/x#y",
        "\200\1content",
        "\201\1content",
        "\202\1content",
        "\203\1content",
        "\204\1content",
    };
    for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%zu", i);
        write_seed(name, seeds[i], strlen(seeds[i]));
    }
    write_seed("first", "\0\6store:", 8);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    seeds_if_asked(make_seeds);
    return 0;
}
