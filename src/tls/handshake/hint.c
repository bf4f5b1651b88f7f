/*
 * hint.c: adds the likely reason to the message of a failed handshake.
 *
 * libssl names the rule of the protocol that was broken ("wrong version number"). The reader of a
 * log wants to know what to change. The reasons here are likely ones, so they follow libssl's words
 * and never replace them.
 *
 * The first five bytes of a peer that speaks no TLS stand where a record's header would be. libssl
 * reports them for one reason or another, depending on what they would mean in a header. So the
 * bytes are examined instead of the reason. An attacker would try to write bytes of its own into a
 * log. So the bytes are shown only if all can be printed.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "tls/handshake/hint.h"
#include "tls/state/conn.h"
#include "tlslife.h"

/* ----------------------------------------------------------------------------------- plain text */

#define HTTP "HTTP without TLS: this is the wrong port, or the wrong scheme"
#define MAIL "where TLS begins after STARTTLS (for FTP after AUTH TLS), or on another port"

static const struct {
    const char *begins;
    const char *speaks;
} greetings[] = {
    {"HTTP/", HTTP},
    {"GET ", HTTP},
    {"HEAD ", HTTP},
    {"POST ", HTTP},
    {"PUT ", HTTP},
    {"DELET", HTTP},
    {"OPTIO", HTTP},
    {"PATCH", HTTP},
    {"TRACE", HTTP},
    {"PRI *", HTTP},
    {"CONNE", "HTTP without TLS, as to a proxy"},
    {"220 ", "SMTP or FTP, " MAIL},
    {"220-", "SMTP or FTP, " MAIL},
    {"554 ", "SMTP, " MAIL},
    {"421 ", "SMTP or FTP, " MAIL},
    {"EHLO ", "SMTP, " MAIL},
    {"HELO ", "SMTP, " MAIL},
    {"* OK", "IMAP, " MAIL},
    {"* PRE", "IMAP, " MAIL},
    {"* BYE", "IMAP, " MAIL},
    {"+OK", "POP3, " MAIL},
    {"-ERR", "POP3, " MAIL},
    {"200 ", "NNTP, " MAIL},
    {"201 ", "NNTP, " MAIL},
    {"<?xml", "XMPP, " MAIL},
    {"<stre", "XMPP, " MAIL},
    {"SSH-", "SSH"},
    {"PROXY", "the PROXY protocol, with a header that is not expected, or is the second one"},
};

static bool is_text(const unsigned char *bytes, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if ((bytes[i] < ' ' || bytes[i] > '~') && bytes[i] != '\r' && bytes[i] != '\n') {
            return false;
        }
    }
    return true;
}

/* The protocol whose first bytes are these, or NULL. */
static const char *protocol_of(const char *first) {
    for (size_t i = 0; i < sizeof greetings / sizeof greetings[0]; i++) {
        if (strncmp(first, greetings[i].begins, strlen(greetings[i].begins)) == 0) {
            return greetings[i].speaks;
        }
    }
    return NULL;
}

static void say_what_came(const unsigned char *first, char *out, size_t out_len) {
    char text[TLSL_HEADER + 1] = "";
    if (memcmp(first, "\r\n\r\n", TLSL_HEADER) == 0) { /* with the NUL */
        (void)snprintf(out, out_len,
                       "the peer speaks the PROXY protocol, version 2, with a header that is not "
                       "expected, or is the second one");
        return;
    }
    if (!is_text(first, TLSL_HEADER)) {
        (void)snprintf(out, out_len, "what the peer sent is no TLS: is this the right port?");
        return;
    }
    memcpy(text, first, TLSL_HEADER);
    const char *protocol = protocol_of(text);
    text[strcspn(text, "\r\n")] = '\0';
    (void)snprintf(out, out_len, "the peer sent plain text (\"%s\"): it speaks %s", text,
                   protocol != NULL ? protocol : "no TLS here, or not yet");
}

/* -------------------------------------------------------------------------------------- reasons */

static const char VERSIONS[] = ""; /* the text is made of this side's versions */

static const struct {
    int reason;
    const char *to_client;
    const char *to_server;
} reasons[] = {
    {SSL_R_NO_SHARED_CIPHER, NULL,
     "the client offers no cipher suite that this server allows and has a certificate or PSK for"},
    {SSL_R_NO_SUITABLE_KEY_SHARE, "client and server share no group",
     "client and server share no group"},
    {SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM,
     "the server takes no signature of our certificate's key",
     "the client takes no signature of our certificate's key"},
    {SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS, NULL, "client and server share no signature algorithm"},
    {SSL_R_UNSUPPORTED_PROTOCOL, VERSIONS, VERSIONS},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, NULL,
     "the client has shown no certificate, and this server requires one"},
    {SSL_R_UNSAFE_LEGACY_RENEGOTIATION_DISABLED,
     "the server is too old for secure renegotiation (RFC 5746); the option LEGACY_SERVER_CONNECT "
     "allows it",
     NULL},
    {SSL_R_UNEXPECTED_EOF_WHILE_READING,
     "the server ended the connection in the handshake: does it speak TLS on this port, and know "
     "this name?",
     "the client ended the connection in the handshake: it may not trust our certificate"},
    {SSL_R_BINDER_DOES_NOT_VERIFY, NULL, "the client has another key under this PSK identity"},
    {SSL_R_PSK_IDENTITY_NOT_FOUND, NULL, "no PSK of this server has the client's identity"},
};

static const struct {
    int alert;
    const char *text;
} alerts[] = {
    {SSL_AD_HANDSHAKE_FAILURE,
     "it shares no cipher suite, group or signature algorithm with us, or wants a certificate"},
    {SSL_AD_BAD_CERTIFICATE, "it does not accept our certificate"},
    {SSL_AD_UNSUPPORTED_CERTIFICATE, "it does not accept certificates like ours"},
    {SSL_AD_CERTIFICATE_REVOKED, "our certificate was revoked"},
    {SSL_AD_CERTIFICATE_EXPIRED, "our certificate, or one of its chain, has expired"},
    {SSL_AD_CERTIFICATE_UNKNOWN, "it does not accept our certificate"},
    {SSL_AD_UNKNOWN_CA, "it trusts no issuer of our certificate; is the chain complete?"},
    {SSL_AD_PROTOCOL_VERSION, VERSIONS},
    {SSL_AD_INSUFFICIENT_SECURITY, "what we offer is too weak for it"},
    {SSL_AD_UNRECOGNIZED_NAME, "it serves no host of the name that we sent"},
    {SSL_AD_CERTIFICATE_REQUIRED, "it wants a certificate of ours"},
    {SSL_AD_BAD_CERTIFICATE_STATUS_RESPONSE,
     "it does not accept our OCSP response, or wants one that we did not send"},
    {SSL_AD_NO_APPLICATION_PROTOCOL, "it shares no ALPN protocol with us"},
    {SSL_AD_UNKNOWN_PSK_IDENTITY, "it knows no PSK of our identity"},
};

static const char *of_reason(const tlslife_conn *conn, unsigned long code) {
    size_t i = 0;
    while (i < sizeof reasons / sizeof reasons[0] && reasons[i].reason != ERR_GET_REASON(code)) {
        i++;
    }
    if (conn->shaken || ERR_GET_LIB(code) != ERR_LIB_SSL ||
        i == sizeof reasons / sizeof reasons[0]) {
        return NULL;
    }
    return SSL_is_server(conn->ssl) ? reasons[i].to_server : reasons[i].to_client;
}

static const char *of_alert(const tlslife_conn *conn) {
    for (size_t i = 0; conn->found.alert_received && i < sizeof alerts / sizeof alerts[0]; i++) {
        if (alerts[i].alert == conn->found.alert) {
            return alerts[i].text;
        }
    }
    return NULL;
}

static const struct {
    long number;
    const char *name;
    uint64_t option; /* the one that excludes this version */
} versions[] = {
    {TLS1_VERSION, "TLS 1.0", SSL_OP_NO_TLSv1},
    {TLS1_1_VERSION, "TLS 1.1", SSL_OP_NO_TLSv1_1},
    {TLS1_2_VERSION, "TLS 1.2", SSL_OP_NO_TLSv1_2},
    {TLS1_3_VERSION, "TLS 1.3", SSL_OP_NO_TLSv1_3},
};
enum { VERSIONS_LEN = sizeof versions / sizeof versions[0] };

static bool takes(const tlslife_conn *conn, size_t nth) {
    long least = SSL_get_min_proto_version(conn->ssl); /* 0: no limit, here and below */
    long most = SSL_get_max_proto_version(conn->ssl);
    return versions[nth].number >= least && (most == 0 || versions[nth].number <= most) &&
           !(SSL_get_options(conn->ssl) & versions[nth].option);
}

static void say_versions(const tlslife_conn *conn, char *out, size_t out_len) {
    size_t first = 0, last = VERSIONS_LEN - 1;
    while (first < last && !takes(conn, first)) {
        first++;
    }
    while (last > first && !takes(conn, last)) {
        last--;
    }
    (void)snprintf(out, out_len, "the peer knows no version that this side takes, %s%s%s",
                   versions[first].name, first == last ? "" : " to ",
                   first == last ? "" : versions[last].name);
}

bool tlsl_hint(const tlslife_conn *conn, unsigned long code, char *out, size_t out_len) {
    if (conn->found.no_tls) {
        say_what_came(conn->found.first, out, out_len);
        return true;
    }
    const char *text = of_alert(conn);
    text = text != NULL ? text : of_reason(conn, code);
    if (text == NULL) {
        return false;
    }
    if (text == VERSIONS) {
        say_versions(conn, out, out_len);
    } else {
        (void)snprintf(out, out_len, "%s", text);
    }
    return true;
}
