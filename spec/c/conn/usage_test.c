/*
 * usage_test.c: tests that the library refuses what tlslife.h calls a mistake of the program, with
 * TLSLIFE_ERR_USAGE and a text, and that nothing changes.
 *
 * Examples are settings of a context that has connections, arguments out of range, and calls at the
 * wrong time. The Lua module checks most of these before the library sees them, so they need a test
 * in C.
 */
#include "tlslife.h"
#include "tlslife_openssl.h"

#include "check.h"
#include "identity.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <unistd.h>

static test_identity identity;
static tlslife_error err;

static void begin(void) {
    memset(&err, 0, sizeof err);
}

/* Whether the call failed with this kind of error and a message. */
static bool refused(bool failed, tlslife_error_kind kind) {
    bool right = failed && err.kind == kind && err.message[0] != '\0';
    if (!right) {
        fprintf(stderr, "failed %d, kind %d: \"%s\"\n", failed, (int)err.kind, err.message);
    }
    return right;
}

#define REFUSED(call) (begin(), CHECK(refused((call) == TLSLIFE_ERROR, TLSLIFE_ERR_USAGE)))
#define REFUSED_AS(kind, call) (begin(), CHECK(refused((call) == TLSLIFE_ERROR, kind)))
#define REFUSED_NEW(call) (begin(), CHECK(refused((call) == NULL, TLSLIFE_ERR_USAGE)))

static bool usage(const tlslife_conn *conn, tlslife_status status) {
    err = *tlslife_conn_error(conn);
    return refused(status == TLSLIFE_ERROR, TLSLIFE_ERR_USAGE);
}

#define REFUSED_BY(conn, call) CHECK(usage(conn, call))

static tlslife_context *new_context(tlslife_role role) {
    tlslife_context *context = tlslife_context_new(role, NULL);
    const char *pem = identity.certificate;
    bool good = context != NULL;
    if (role == TLSLIFE_SERVER) {
        good = good &&
               tlslife_context_set_certificate_pem(context, pem, strlen(pem), NULL) == TLSLIFE_OK &&
               tlslife_context_set_private_key_pem(context, identity.key, strlen(identity.key),
                                                   NULL, NULL) == TLSLIFE_OK;
    } else {
        good = good && tlslife_context_add_ca_pem(context, pem, strlen(pem), NULL) == TLSLIFE_OK;
    }
    if (!good) {
        abort();
    }
    return context;
}

static tlslife_conn *new_conn(tlslife_context *context) {
    tlslife_conn *conn = tlslife_conn_new(context, NULL);
    if (conn == NULL) {
        abort();
    }
    return conn;
}

/* ------------------------------------------------------------------- a context in use is frozen */

static void our_certificate_is_frozen(tlslife_context *used) {
    const char *pem = identity.certificate, *key = identity.key;
    REFUSED(tlslife_context_set_certificate_file(used, "cert.pem", &err));
    REFUSED(tlslife_context_set_certificate_pem(used, pem, strlen(pem), &err));
    REFUSED(tlslife_context_set_private_key_file(used, "key.pem", NULL, &err));
    REFUSED(tlslife_context_set_private_key_pem(used, key, strlen(key), NULL, &err));
    REFUSED(tlslife_context_set_ocsp_response(used, (const unsigned char *)"x", 1, &err));
    REFUSED(tlslife_context_set_ocsp_response_file(used, "response.der", &err));
    REFUSED(tlslife_context_set_ocsp_request(used, true, &err));
}

static void verification_is_frozen(tlslife_context *used) {
    const char *pem = identity.certificate;
    REFUSED(tlslife_context_add_ca_file(used, "ca.pem", &err));
    REFUSED(tlslife_context_add_ca_directory(used, "/", &err));
    REFUSED(tlslife_context_add_ca_pem(used, pem, strlen(pem), &err));
    REFUSED(tlslife_context_use_system_ca(used, &err));
    REFUSED(tlslife_context_set_client_ca_file(used, "ca.pem", &err));
    REFUSED(tlslife_context_set_client_ca_pem(used, pem, strlen(pem), &err));
    REFUSED(tlslife_context_set_verify(used, TLSLIFE_VERIFY_NONE, &err));
    REFUSED(tlslife_context_set_verify_depth(used, 1, &err));
    REFUSED(tlslife_context_set_verify_host(used, false, &err));
    REFUSED(tlslife_context_set_questions(used, 0, &err));
}

static void the_protocol_is_frozen(tlslife_context *used, tlslife_context *other) {
    const char *const protocols[] = {"h2"};
    REFUSED(tlslife_context_set_versions(used, 0, 0, &err));
    REFUSED(tlslife_context_set_cipher_list(used, "DEFAULT", &err));
    REFUSED(tlslife_context_set_ciphersuites(used, "TLS_AES_128_GCM_SHA256", &err));
    REFUSED(tlslife_context_set_groups(used, "X25519", &err));
    REFUSED(tlslife_context_set_signature_algorithms(used, "ed25519", &err));
    REFUSED(tlslife_context_set_alpn(used, protocols, 1, &err));
    REFUSED(tlslife_context_add_server_name(used, "a.example", other, &err));
    REFUSED(tlslife_context_add_psk(used, "identity", (const unsigned char *)"key", 3, &err));
    REFUSED(tlslife_context_set_option(used, "NO_TICKET", true, &err));
    REFUSED(tlslife_context_set_mode(used, "AUTO_RETRY", true, &err));
    REFUSED(tlslife_context_conf(used, "MinProtocol", "TLSv1.2", &err));
    REFUSED(tlslife_context_set_quiet_shutdown(used, true, &err));
    REFUSED(tlslife_context_set_keylog(used, NULL, &err));
    REFUSED(tlslife_context_set_post_handshake_auth(used, true, &err));
}

static void sessions_are_frozen(tlslife_context *used) {
    const tlslife_cache_options options = tlslife_cache_defaults();
    tlslife_cache *cache = tlslife_cache_new(&options, NULL);
    tlslife_ticket_keys *keys = tlslife_ticket_keys_random(3600, 1, NULL);
    REFUSED(tlslife_context_set_resumption(used, TLSLIFE_RESUMPTION_OFF, &err));
    REFUSED(tlslife_context_set_num_tickets(used, 1, &err));
    REFUSED(tlslife_context_set_session_timeout(used, 60, &err));
    REFUSED(tlslife_context_set_session_id_context(used, (const unsigned char *)"id", 2, &err));
    REFUSED(tlslife_context_set_max_early_data(used, 1, &err));
    REFUSED(tlslife_context_set_cache(used, cache, &err));
    REFUSED(tlslife_context_set_ticket_keys(used, keys, &err));
    CHECK(tlslife_context_get0_cache(used) == NULL);
    tlslife_cache_free(cache);
    tlslife_ticket_keys_free(keys);
}

/* A context of each role, since some setters judge the role first. */
static void a_context_in_use_is_frozen(tlslife_role role) {
    unsigned char before[32], after[32];
    tlslife_context *used = new_context(role), *other = new_context(TLSLIFE_SERVER);
    tlslife_conn *conn = new_conn(used);
    size_t len = tlslife_context_session_id_context(used, before);
    our_certificate_is_frozen(used);
    verification_is_frozen(used);
    the_protocol_is_frozen(used, other);
    sessions_are_frozen(used);
    CHECK(tlslife_context_session_id_context(used, after) == len &&
          memcmp(before, after, len) == 0);
    tlslife_conn_free(conn);
    conn = new_conn(used);
    tlslife_conn_free(conn);
    tlslife_context_free(used);
    tlslife_context_free(other);
}

/* ----------------------------------------------------------------------- arguments out of range */

static void numbers_of_a_context_have_ranges(void) {
    tlslife_context *server = new_context(TLSLIFE_SERVER), *client = new_context(TLSLIFE_CLIENT);
    REFUSED_NEW(tlslife_context_new((tlslife_role)7, &err));
    REFUSED(tlslife_context_set_verify_depth(server, -1, &err));
    REFUSED(tlslife_context_set_verify_depth(server, 101, &err));
    CHECK(tlslife_context_set_verify_depth(server, 100, &err) == TLSLIFE_OK);
    REFUSED(tlslife_context_set_verify(client, TLSLIFE_VERIFY_OPTIONAL, &err));
    REFUSED(tlslife_context_set_questions(client, TLSLIFE_ASK_HELLO, &err));
    CHECK(tlslife_context_set_questions(client, TLSLIFE_ASK_PSK, &err) == TLSLIFE_OK);
    REFUSED(tlslife_context_add_psk(client, "identity", (const unsigned char *)"key", 3, &err));
    CHECK(tlslife_context_set_questions(client, 0, &err) == TLSLIFE_OK);
    REFUSED(tlslife_context_set_questions(server, 1u << 20, &err));
    REFUSED(tlslife_context_set_versions(server, 0x0305, 0, &err));
    REFUSED(tlslife_context_set_versions(server, TLSLIFE_TLS1_3, TLSLIFE_TLS1_2, &err));
    REFUSED(tlslife_context_set_resumption(server, (tlslife_resumption)4, &err));
    REFUSED(tlslife_context_set_num_tickets(server, 17, &err));
    REFUSED(tlslife_context_set_session_timeout(server, 0, &err));
    REFUSED(tlslife_context_set_session_timeout(server, 604801, &err));
    REFUSED(tlslife_context_set_ocsp_request(server, true, &err));
    REFUSED(tlslife_context_set_dh_params_pem(client, "", 0, &err));
    REFUSED(tlslife_context_set_dane(server, false, &err));
    REFUSED(tlslife_context_set_crl_check(server, (tlslife_crl_check)7, &err));
    REFUSED(tlslife_context_set_max_cert_list(server, 0, &err));
    REFUSED(tlslife_context_set_max_send_fragment(server, 511, &err));
    REFUSED(tlslife_context_set_max_send_fragment(server, 16385, &err));
    REFUSED(tlslife_context_set_option(server, "NO_SUCH", true, &err));
    REFUSED(tlslife_context_set_mode(server, "NO_SUCH", true, &err));
    REFUSED(tlslife_context_set_mode(server, "ASYNC", true, &err));
    REFUSED(tlslife_context_set_mode(server, "ENABLE_PARTIAL_WRITE", false, &err));
    REFUSED_AS(TLSLIFE_ERR_INPUT, tlslife_context_add_ca_directory(client, "/dev/null", &err));
    REFUSED_AS(TLSLIFE_ERR_INPUT, tlslife_context_add_ca_directory(client, "/no/such", &err));
    CHECK((SSL_CTX_get_mode(tlslife_context_ssl_ctx(server)) & SSL_MODE_ENABLE_PARTIAL_WRITE) != 0);
    tlslife_conn_free(new_conn(server));
    tlslife_conn_free(new_conn(client));
    tlslife_context_free(server);
    tlslife_context_free(client);
}

/* A setting for the other role has no effect, and says so. */
static void settings_of_the_other_role_are_refused(void) {
    const char *pem = identity.certificate;
    tlslife_context *server = new_context(TLSLIFE_SERVER), *client = new_context(TLSLIFE_CLIENT);
    REFUSED(tlslife_context_set_num_tickets(client, 1, &err));
    REFUSED(tlslife_context_set_client_ca_file(client, "/no/such", &err));
    REFUSED(tlslife_context_set_client_ca_pem(client, pem, strlen(pem), &err));
    REFUSED(tlslife_context_set_post_handshake_auth(server, true, &err));
    REFUSED(tlslife_context_set_verify_host(server, true, &err));
    REFUSED(tlslife_context_set_dh_auto(client, true, &err));
    REFUSED(tlslife_context_set_ocsp_request(server, true, &err));
    REFUSED(tlslife_context_set_session_id_context(client, (const unsigned char *)"id", 2, &err));
    REFUSED(tlslife_context_add_server_name(client, "a.example", server, &err));
    tlslife_conn *conn = new_conn(client);
    REFUSED_BY(conn, tlslife_conn_set_num_tickets(conn, 1));
    tlslife_conn_free(conn);
    tlslife_conn_free(new_conn(server));
    tlslife_context_free(server);
    tlslife_context_free(client);
}

/* What a setter may have changed before it failed. */
typedef struct snapshot {
    uint64_t options;
    long min, max;
    size_t num_tickets;
    uint32_t early, recv_early;
    int verify_mode;
    const tlslife_cache *cache;
} snapshot;

static snapshot take_snapshot(tlslife_context *context) {
    SSL_CTX *ctx = tlslife_context_ssl_ctx(context);
    return (snapshot){SSL_CTX_get_options(ctx),           SSL_CTX_get_min_proto_version(ctx),
                      SSL_CTX_get_max_proto_version(ctx), SSL_CTX_get_num_tickets(ctx),
                      SSL_CTX_get_max_early_data(ctx),    SSL_CTX_get_recv_max_early_data(ctx),
                      SSL_CTX_get_verify_mode(ctx),       tlslife_context_get0_cache(context)};
}

static bool is_as_it_was(tlslife_context *context, const snapshot *before) {
    snapshot now = take_snapshot(context);
    return now.options == before->options && now.min == before->min && now.max == before->max &&
           now.num_tickets == before->num_tickets && now.early == before->early &&
           now.recv_early == before->recv_early && now.verify_mode == before->verify_mode &&
           now.cache == before->cache;
}

/* Makes a context into one that some settings contradict. */
typedef void preparation(tlslife_context *context);

static void without_resumption(tlslife_context *context) {
    CHECK(tlslife_context_set_resumption(context, TLSLIFE_RESUMPTION_OFF, NULL) == TLSLIFE_OK);
}
static void with_tickets(tlslife_context *context) {
    CHECK(tlslife_context_set_resumption(context, TLSLIFE_RESUMPTION_TICKETS, NULL) == TLSLIFE_OK);
}
static void with_early_data(tlslife_context *context) {
    CHECK(tlslife_context_set_max_early_data(context, 100, NULL) == TLSLIFE_OK);
}
static void with_cache(tlslife_context *context) {
    const tlslife_cache_options options = tlslife_cache_defaults();
    tlslife_cache *cache = tlslife_cache_new(&options, NULL);
    CHECK(tlslife_context_set_cache(context, cache, NULL) == TLSLIFE_OK);
    tlslife_cache_free(cache);
}
static void with_keys(tlslife_context *context) {
    tlslife_ticket_keys *keys = tlslife_ticket_keys_random(3600, 1, NULL);
    CHECK(tlslife_context_set_ticket_keys(context, keys, NULL) == TLSLIFE_OK);
    tlslife_ticket_keys_free(keys);
}
static void with_pha(tlslife_context *context) {
    CHECK(tlslife_context_set_post_handshake_auth(context, true, NULL) == TLSLIFE_OK);
}
static void with_host(tlslife_context *context) {
    CHECK(tlslife_context_set_verify_host(context, true, NULL) == TLSLIFE_OK);
}
static void unverified(tlslife_context *context) {
    CHECK(tlslife_context_set_verify(context, TLSLIFE_VERIFY_NONE, NULL) == TLSLIFE_OK);
}

/* Makes one setting, which contradicts what was prepared. */
typedef tlslife_status contradiction(tlslife_context *context);

static tlslife_status off(tlslife_context *context) {
    return tlslife_context_set_resumption(context, TLSLIFE_RESUMPTION_OFF, &err);
}
static tlslife_status cache(tlslife_context *context) {
    const tlslife_cache_options options = tlslife_cache_defaults();
    tlslife_cache *made = tlslife_cache_new(&options, NULL);
    tlslife_status status = tlslife_context_set_cache(context, made, &err);
    tlslife_cache_free(made);
    return status;
}
static tlslife_status keys(tlslife_context *context) {
    tlslife_ticket_keys *made = tlslife_ticket_keys_random(3600, 1, NULL);
    tlslife_status status = tlslife_context_set_ticket_keys(context, made, &err);
    tlslife_ticket_keys_free(made);
    return status;
}
static tlslife_status tickets(tlslife_context *context) {
    return tlslife_context_set_num_tickets(context, 3, &err);
}
static tlslife_status early(tlslife_context *context) {
    return tlslife_context_set_max_early_data(context, 1, &err);
}
static tlslife_status no_ticket(tlslife_context *context) {
    return tlslife_context_set_option(context, "NO_TICKET", true, &err);
}
static tlslife_status ticket(tlslife_context *context) {
    return tlslife_context_set_option(context, "NO_TICKET", false, &err);
}
static tlslife_status no_tls13(tlslife_context *context) {
    return tlslife_context_set_option(context, "NO_TLSv1_3", true, &err);
}
static tlslife_status tls12(tlslife_context *context) {
    return tlslife_context_set_versions(context, 0, TLSLIFE_TLS1_2, &err);
}
static tlslife_status tls12_by_conf(tlslife_context *context) {
    return tlslife_context_conf(context, "MaxProtocol", "TLSv1.2", &err);
}
static tlslife_status unticketed_by_conf(tlslife_context *context) {
    return tlslife_context_conf(context, "Options", "-SessionTicket", &err);
}
static tlslife_status not_verified(tlslife_context *context) {
    return tlslife_context_set_verify(context, TLSLIFE_VERIFY_NONE, &err);
}
static tlslife_status host(tlslife_context *context) {
    return tlslife_context_set_verify_host(context, true, &err);
}

static const struct {
    tlslife_role role;
    preparation *prepare;
    contradiction *then;
} contradictions[] = {
    {TLSLIFE_SERVER, without_resumption, cache},
    {TLSLIFE_SERVER, without_resumption, keys},
    {TLSLIFE_SERVER, without_resumption, tickets},
    {TLSLIFE_SERVER, without_resumption, early},
    {TLSLIFE_SERVER, without_resumption, ticket},
    {TLSLIFE_SERVER, with_cache, off},
    {TLSLIFE_SERVER, with_keys, off},
    {TLSLIFE_SERVER, with_early_data, off},
    {TLSLIFE_SERVER, with_early_data, no_tls13},
    {TLSLIFE_SERVER, with_early_data, tls12},
    {TLSLIFE_SERVER, with_early_data, tls12_by_conf},
    {TLSLIFE_SERVER, with_tickets, no_ticket},
    {TLSLIFE_SERVER, with_tickets, unticketed_by_conf},
    {TLSLIFE_CLIENT, without_resumption, cache},
    {TLSLIFE_CLIENT, with_cache, off},
    {TLSLIFE_CLIENT, with_pha, no_tls13},
    {TLSLIFE_CLIENT, with_pha, tls12},
    {TLSLIFE_CLIENT, with_host, not_verified},
    {TLSLIFE_CLIENT, unverified, host},
};

/* The context is as it was, so that its first connection can be made. */
static void contradictions_change_nothing(void) {
    for (size_t i = 0; i < sizeof contradictions / sizeof *contradictions; i++) {
        unsigned char id[32], other_id[32];
        tlslife_context *context = new_context(contradictions[i].role);
        tlslife_context *other = new_context(contradictions[i].role);
        contradictions[i].prepare(context);
        contradictions[i].prepare(other);
        snapshot before = take_snapshot(context);
        REFUSED(contradictions[i].then(context));
        CHECK(is_as_it_was(context, &before));
        tlslife_conn_free(new_conn(context));
        /* What the policy says of it is the same, too: 24 bytes, as a client has a number behind */
        (void)tlslife_context_session_id_context(context, id);
        (void)tlslife_context_session_id_context(other, other_id);
        CHECK(memcmp(id, other_id, 24) == 0);
        tlslife_context_free(context);
        tlslife_context_free(other);
    }
}

static void bytes_of_a_context_have_lengths(void) {
    static char text[300];
    const unsigned char *bytes = (const unsigned char *)text;
    const char *protocols[300];
    memset(text, 'a', sizeof text - 1);
    tlslife_context *server = new_context(TLSLIFE_SERVER), *client = new_context(TLSLIFE_CLIENT);
    REFUSED(tlslife_context_set_session_id_context(server, bytes, 0, &err));
    REFUSED(tlslife_context_set_session_id_context(server, bytes, 33, &err));
    REFUSED(tlslife_context_set_session_id_context(client, bytes, 8, &err));
    REFUSED(tlslife_context_add_psk(server, "identity", bytes, 0, &err));
    REFUSED(tlslife_context_add_psk(server, "identity", bytes, 257, &err));
    REFUSED(tlslife_context_add_psk(server, text, bytes, 16, &err));
    REFUSED(tlslife_context_add_psk(client, text + 299 - 256, bytes, 16, &err));
    CHECK(tlslife_context_add_psk(server, text + 299 - 256, bytes, 16, &err) == TLSLIFE_OK);
    REFUSED(tlslife_context_set_alpn(server, protocols, 0, &err));
    protocols[0] = text;
    REFUSED(tlslife_context_set_alpn(server, protocols, 1, &err));
    for (size_t i = 0; i < 300; i++) {
        protocols[i] = text + 299 - 255;
    }
    REFUSED(tlslife_context_set_alpn(server, protocols, 300, &err)); /* 76,800 bytes */
    CHECK(tlslife_context_set_alpn(server, protocols, 255, &err) == TLSLIFE_OK);
    REFUSED_AS(TLSLIFE_ERR_INPUT, tlslife_context_set_ocsp_response(server, bytes, 0, &err));
    tlslife_conn_free(new_conn(server));
    tlslife_context_free(server);
    tlslife_context_free(client);
}

static void a_server_name_leads_elsewhere(void) {
    tlslife_context *server = new_context(TLSLIFE_SERVER), *client = new_context(TLSLIFE_CLIENT);
    REFUSED(tlslife_context_add_server_name(server, "a.example", server, &err));
    REFUSED(tlslife_context_add_server_name(server, "a.example", client, &err));
    REFUSED(tlslife_context_add_server_name(client, "a.example", server, &err));
    REFUSED(tlslife_context_add_server_name(server, "127.0.0.1", client, &err));
    tlslife_context_free(server);
    tlslife_context_free(client);
}

static void stores_and_keys_have_ranges(void) {
    static const unsigned char secret[32] = {1};
    tlslife_context *server = new_context(TLSLIFE_SERVER), *client = new_context(TLSLIFE_CLIENT);
    tlslife_redis_options redis = {.timeout_ms = -1};
    REFUSED_NEW(tlslife_store_redis(&redis, &err));
    redis = (tlslife_redis_options){.connect_timeout_ms = 60001};
    REFUSED_NEW(tlslife_store_redis(&redis, &err));
    redis = (tlslife_redis_options){.username = "user"};
    REFUSED_NEW(tlslife_store_redis(&redis, &err));
    redis = (tlslife_redis_options){.tls = server};
    REFUSED_NEW(tlslife_store_redis(&redis, &err));
    redis = (tlslife_redis_options){.tls = client, .unix_path = "socket"};
    REFUSED_NEW(tlslife_store_redis(&redis, &err));
    redis = (tlslife_redis_options){.host = "not a host"};
    REFUSED_NEW(tlslife_store_redis(&redis, &err));
    REFUSED_NEW(tlslife_store_shared("", 1 << 20, false, &err));
    REFUSED_NEW(tlslife_store_shared("shm:usage_test", 1, false, &err));
    REFUSED_NEW(tlslife_keyring_new(secret, 31, &err));
    REFUSED_NEW(tlslife_ticket_keys_derived(secret, 31, 3600, 1, &err));
    REFUSED_NEW(tlslife_ticket_keys_derived(secret, 32, 59, 1, &err));
    REFUSED_NEW(tlslife_ticket_keys_random(3600, 17, &err));
    REFUSED_NEW(tlslife_ticket_keys_new(secret, 32, &err));
    tlslife_context_free(server);
    tlslife_context_free(client);
}

/* A cache whose store is reached over a connection that uses the same cache. */
static void redis_takes_no_context_with_a_cache(void) {
    const tlslife_cache_options options = tlslife_cache_defaults();
    tlslife_context *client = new_context(TLSLIFE_CLIENT);
    tlslife_cache *cache = tlslife_cache_new(&options, NULL);
    tlslife_redis_options redis = {.tls = client};
    CHECK(tlslife_context_set_cache(client, cache, NULL) == TLSLIFE_OK);
    REFUSED_NEW(tlslife_store_redis(&redis, &err));
    tlslife_cache_free(cache);
    tlslife_context_free(client);
}

/* ------------------------------------------------------------------------- verbs at wrong times */

static void nothing_was_asked(void) {
    tlslife_context *context = new_context(TLSLIFE_SERVER);
    tlslife_conn *conn = new_conn(context);
    tlslife_lookup lookup;
    REFUSED_BY(conn, tlslife_conn_answer_hello(conn, NULL));
    REFUSED_BY(conn, tlslife_conn_answer_certificate(conn, NULL));
    REFUSED_BY(conn, tlslife_conn_answer_psk(conn, NULL, 0));
    REFUSED_BY(conn, tlslife_conn_answer_psk_client(conn, NULL, NULL, 0));
    REFUSED_BY(conn, tlslife_conn_answer_verify(conn, true));
    REFUSED_BY(conn, tlslife_conn_answer_session(conn, NULL, 0));
    REFUSED_BY(conn, tlslife_conn_fail_session(conn));
    REFUSED_BY(conn, tlslife_conn_refuse(conn, 40));
    REFUSED_BY(conn, tlslife_conn_refuse(conn, 256));
    REFUSED_BY(conn, tlslife_conn_refuse(conn, -1));
    CHECK(!tlslife_conn_lookup(conn, &lookup));
    CHECK(tlslife_conn_hello(conn) == NULL && tlslife_conn_ca_name(conn, 0) == NULL);
    tlslife_conn_free(conn);
    tlslife_context_free(context);
}

/* It asks about the peer's certificate, and does not ask the peer for one. */
static tlslife_context *new_contradiction(void) {
    tlslife_context *context = new_context(TLSLIFE_SERVER);
    CHECK(tlslife_context_set_questions(context, TLSLIFE_ASK_VERIFY, NULL) == TLSLIFE_OK);
    return context;
}

/* A session may be imported before the first connection, which would have said so. */
static void a_context_that_contradicts_itself_takes_no_session(void) {
    tlslife_context *context = new_contradiction();
    REFUSED_NEW(tlslife_context_import_session(context, (const unsigned char *)"x", 1, &err));
    CHECK(strstr(err.message, "does not ask the peer for a certificate") != NULL);
    CHECK(tlslife_context_set_verify(context, TLSLIFE_VERIFY_OPTIONAL, NULL) == TLSLIFE_OK);
    begin();
    CHECK(tlslife_context_import_session(context, (const unsigned char *)"x", 1, &err) == NULL &&
          err.kind == TLSLIFE_ERR_INPUT);
    tlslife_context_free(context);
}

/* The question stays open, and another answer goes on with the handshake. */
static void a_context_that_contradicts_itself_is_no_answer(void) {
    tlslife_context *servers = new_context(TLSLIFE_SERVER), *clients = new_context(TLSLIFE_CLIENT);
    tlslife_context *unfit = new_contradiction();
    CHECK(tlslife_context_set_questions(servers, TLSLIFE_ASK_CERTIFICATE, NULL) == TLSLIFE_OK);
    tlslife_conn *client = new_conn(clients), *server = new_conn(servers);
    CHECK(tlslife_conn_set_hostname(client, "localhost") == TLSLIFE_OK &&
          tlslife_conn_pair(client, server, 0) == TLSLIFE_OK);
    CHECK(tlslife_conn_connect(client) == TLSLIFE_WANT_READ);
    CHECK(tlslife_conn_accept(server) == TLSLIFE_WANT_CERTIFICATE);
    REFUSED_BY(server, tlslife_conn_answer_certificate(server, unfit));
    CHECK(strstr(err.message, "does not ask the peer for a certificate") != NULL);
    REFUSED_BY(server, tlslife_conn_answer_certificate(server, clients)); /* it has none */
    CHECK(tlslife_conn_accept(server) == TLSLIFE_WANT_CERTIFICATE);
    CHECK(tlslife_conn_answer_certificate(server, NULL) == TLSLIFE_OK);
    CHECK(tlslife_conn_accept(server) == TLSLIFE_WANT_READ);
    CHECK(tlslife_conn_connect(client) == TLSLIFE_OK && tlslife_conn_accept(server) == TLSLIFE_OK);
    tlslife_conn_free(client);
    tlslife_conn_free(server);
    tlslife_context_free(servers);
    tlslife_context_free(clients);
    tlslife_context_free(unfit);
}

static void shake_hands(tlslife_conn *client, tlslife_conn *server) {
    CHECK(tlslife_conn_set_hostname(client, "localhost") == TLSLIFE_OK &&
          tlslife_conn_pair(client, server, 0) == TLSLIFE_OK);
    for (int i = 0; i < 4; i++) {
        (void)tlslife_conn_connect(client);
        (void)tlslife_conn_accept(server);
    }
    CHECK(tlslife_conn_handshake_done(client) && tlslife_conn_handshake_done(server));
}

static void an_open_connection_stays_open(tlslife_conn *client, tlslife_conn *server) {
    char byte = 0;
    size_t len = 0;
    REFUSED_BY(client, tlslife_conn_read(client, &byte, 0, &len));
    REFUSED_BY(client, tlslife_conn_peek(client, &byte, 0, &len));
    REFUSED_BY(client, tlslife_conn_set_shutdown(client, 4));
    REFUSED_BY(client, tlslife_conn_set_shutdown(client, -1));
    REFUSED_BY(client, tlslife_conn_accept(client));
    REFUSED_BY(server, tlslife_conn_connect(server));
    REFUSED_BY(client, tlslife_conn_set_hostname(client, "localhost"));
    REFUSED_BY(client, tlslife_conn_new_session_ticket(client));
    REFUSED_BY(client, tlslife_conn_request_client_certificate(client));
    REFUSED_BY(client, tlslife_conn_renegotiate(client, false));
    REFUSED_BY(client, tlslife_conn_write_early(client, "x", 1, &len));
    REFUSED_BY(server, tlslife_conn_read_early(server, &byte, 1, &len));
    REFUSED_BY(server, tlslife_conn_set_num_tickets(server, 17));
    CHECK(tlslife_conn_write(server, "x", 1, &len) == TLSLIFE_OK &&
          tlslife_conn_read(client, &byte, 1, &len) == TLSLIFE_OK && byte == 'x');
}

static void verbs_have_their_time(void) {
    size_t len = 0;
    tlslife_context *servers = new_context(TLSLIFE_SERVER), *clients = new_context(TLSLIFE_CLIENT);
    tlslife_conn *client = new_conn(clients), *server = new_conn(servers);
    REFUSED_BY(client, tlslife_conn_write(client, "x", 1, &len));
    REFUSED_BY(client, tlslife_conn_shutdown(client));
    REFUSED_BY(client, tlslife_conn_key_update(client, false));
    REFUSED_BY(client, tlslife_conn_connect(client)); /* it has no transport */
    shake_hands(client, server);
    an_open_connection_stays_open(client, server);
    tlslife_conn_free(client);
    tlslife_conn_free(server);
    tlslife_context_free(servers);
    tlslife_context_free(clients);
}

/* More than any source may have. */
static void sources_have_a_length(void) {
    tlslife_context *client = new_context(TLSLIFE_CLIENT);
    size_t len = (size_t)16 * 1024 * 1024 + 1;
    char *bytes = calloc(1, len);
    CHECK(bytes != NULL);
    REFUSED_AS(TLSLIFE_ERR_INPUT, tlslife_context_add_ca_pem(client, bytes, len, &err));
    free(bytes);
    tlslife_context_free(client);
}

static void proxies_have_addresses(void) {
    static const char *const right = "10.0.0.0/8",
                             *const wrong[] = {"10.0.0.1/8",
                                               "10.0.0.0/33",
                                               "::/129",
                                               "10.0.0.0/",
                                               "10.0.0.0/8x",
                                               "a.example",
                                               "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"};
    tlslife_listener *listener = tlslife_listen("127.0.0.1", "0", 1, false, NULL);
    if (!CHECK(listener != NULL)) {
        return;
    }
    REFUSED(tlslife_listener_set_proxy_protocol(listener, 4, &right, 1, &err));
    REFUSED(tlslife_listener_set_proxy_protocol(listener, TLSLIFE_PROXY_V1, NULL, 0, &err));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        REFUSED(
            tlslife_listener_set_proxy_protocol(listener, TLSLIFE_PROXY_V1, &wrong[i], 1, &err));
    }
    CHECK(tlslife_listener_set_proxy_protocol(listener, TLSLIFE_PROXY_V1, &right, 1, &err) ==
          TLSLIFE_OK);
    tlslife_listener_free(listener);
}

/* plain_read, plain_write and unread. */
static void plain_bytes_have_their_time(void) {
    char byte = 0;
    size_t len = 0;
    tlslife_context *clients = new_context(TLSLIFE_CLIENT);
    tlslife_conn *conn = new_conn(clients);
    REFUSED_BY(conn, tlslife_conn_plain_read(conn, &byte, 1, &len)); /* it has no transport */
    CHECK(tlslife_conn_set_memory(conn, 0) == TLSLIFE_OK);
    REFUSED_BY(conn, tlslife_conn_plain_read(conn, &byte, 0, &len));
    CHECK(tlslife_conn_set_hostname(conn, "localhost") == TLSLIFE_OK);
    CHECK(tlslife_conn_feed(conn, "no record of TLS", 16, &len) == TLSLIFE_OK && len == 16);
    tlslife_conn_set_blocking(conn, false);
    CHECK(tlslife_conn_connect(conn) == TLSLIFE_ERROR);
    CHECK(tlslife_conn_plain_read(conn, &byte, 1, &len) != TLSLIFE_OK);
    CHECK(tlslife_conn_plain_write(conn, "x", 1, &len) != TLSLIFE_OK && len == 0);
    CHECK(tlslife_conn_unread(conn, "x", 1) != TLSLIFE_OK);
    tlslife_conn_free(conn);
    tlslife_context_free(clients);
}

/* What the Lua module never passes on. */
static void words_and_sizes_have_limits(void) {
    char hint[300];
    memset(hint, 'h', sizeof hint - 1);
    hint[sizeof hint - 1] = '\0';
    tlslife_context *client = new_context(TLSLIFE_CLIENT), *server = new_context(TLSLIFE_SERVER);
    REFUSED(tlslife_context_set_purpose(client, "mail", &err));
    REFUSED(tlslife_context_set_psk_identity_hint(client, "hint", &err));
    REFUSED(tlslife_context_set_psk_identity_hint(server, hint, &err));
    REFUSED_AS(TLSLIFE_ERR_INPUT, tlslife_context_set_dh_params_pem(server, "none", 4, &err));
    CHECK(tlslife_context_set_ocsp_verify(client, true, &err) == TLSLIFE_OK);
    REFUSED(tlslife_context_set_ocsp_request(client, false, &err));
    REFUSED_NEW(tlslife_trace_new(1, false, &err));
    REFUSED_NEW(tlslife_trace_new(((size_t)1 << 30) + 1, false, &err));
    tlslife_certificate_details_clear(NULL);
    tlslife_context_free(client);
    tlslife_context_free(server);
}

static void early_data_have_a_length(void) {
    size_t len = 1;
    char byte;
    tlslife_context *clients = new_context(TLSLIFE_CLIENT), *servers = new_context(TLSLIFE_SERVER);
    tlslife_conn *client = new_conn(clients), *server = new_conn(servers);
    REFUSED_BY(client, tlslife_conn_write_early(client, "", 0, &len));
    CHECK(len == 0);
    REFUSED_BY(server, tlslife_conn_read_early(server, &byte, 0, &len));
    tlslife_conn_free(client);
    tlslife_conn_free(server);
    tlslife_context_free(clients);
    tlslife_context_free(servers);
}

static void a_listener_takes_others(void) {
    tlslife_listener *listener = tlslife_listen("127.0.0.1", "0", 1, false, NULL), *last = listener;
    if (!CHECK(listener != NULL)) {
        return;
    }
    REFUSED(tlslife_listener_add(listener, listener, &err));
    CHECK(tlslife_listener_split(listener, &last, &err) == TLSLIFE_OK && last == NULL);
    tlslife_listener_free(listener);
}

/* An SSL of a host's: what needs callbacks of ours is refused, and getters ask libssl. */
static void a_foreign_connection_has_no_trace(void) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = ctx == NULL ? NULL : SSL_new(ctx);
    tlslife_conn *conn = ssl == NULL ? NULL : tlslife_conn_from_ssl(ssl, &err);
    tlslife_trace *trace = tlslife_trace_new(1 << 16, false, &err);
    if (CHECK(conn != NULL && trace != NULL)) {
        REFUSED_BY(conn, tlslife_conn_set_trace(conn, trace));
        CHECK(tlslife_conn_num_renegotiations(conn) == 0);
    }
    tlslife_conn_free(conn);
    tlslife_trace_free(trace);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}

/* What the Lua module never passes. */
static void only_c_can_pass(void) {
    static const char *const empty[] = {"h2", ""};
    tlslife_context *context = new_context(TLSLIFE_CLIENT);
    char keylog[] = "/tmp/tlslife-usage-XXXXXX";
    (void)close(mkstemp(keylog));
    CHECK(tlslife_context_set_keylog(context, keylog, NULL) == TLSLIFE_OK);
    CHECK(tlslife_context_set_keylog(context, keylog, NULL) == TLSLIFE_OK);
    tlslife_conn *conn = new_conn(context), *other = new_conn(context);
    REFUSED_BY(conn, tlslife_conn_set_alpn(conn, empty, 2));
    REFUSED_BY(conn, tlslife_conn_pair(conn, other, SIZE_MAX));
    REFUSED_BY(conn, tlslife_conn_dial(conn, "a name", "443"));
    REFUSED_NEW(tlslife_listen_unix("localhost", -1, 1, &err));
    REFUSED_NEW(tlslife_listen_unix("unix:@tlslife", 01000, 1, &err));
    tlslife_conn_free(conn);
    tlslife_conn_free(other);
    tlslife_context_free(context);
    (void)unlink(keylog);
}

int main(void) {
    if (!identity_make(&identity)) {
        abort();
    }
    a_context_in_use_is_frozen(TLSLIFE_SERVER);
    a_context_in_use_is_frozen(TLSLIFE_CLIENT);
    numbers_of_a_context_have_ranges();
    settings_of_the_other_role_are_refused();
    contradictions_change_nothing();
    bytes_of_a_context_have_lengths();
    a_server_name_leads_elsewhere();
    stores_and_keys_have_ranges();
    redis_takes_no_context_with_a_cache();
    nothing_was_asked();
    a_context_that_contradicts_itself_takes_no_session();
    a_context_that_contradicts_itself_is_no_answer();
    verbs_have_their_time();
    sources_have_a_length();
    proxies_have_addresses();
    plain_bytes_have_their_time();
    words_and_sizes_have_limits();
    early_data_have_a_length();
    a_listener_takes_others();
    a_foreign_connection_has_no_trace();
    only_c_can_pass();
    return checks_end();
}
