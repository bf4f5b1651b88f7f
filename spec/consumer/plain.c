/*
 * plain.c: stands for a user's C program. It makes a connection with the installed library, and a
 * mistake that the library must name.
 */
#include <stdio.h>
#include <string.h>
#include <tlslife.h>

int main(void) {
    tlslife_error err;
    tlslife_context *context = tlslife_context_new(TLSLIFE_CLIENT, &err);
    tlslife_conn *conn = context != NULL ? tlslife_conn_new(context, &err) : NULL;
    if (conn == NULL) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    tlslife_status status = tlslife_conn_connect(conn); /* no transport: a mistake */
    const tlslife_error *found = tlslife_conn_error(conn);
    printf("%s: %s: %s\n", tlslife_openssl_version(), tlslife_error_kind_name(found->kind),
           found->message);
    int result = status == TLSLIFE_ERROR && found->kind == TLSLIFE_ERR_USAGE ? 0 : 1;
    tlslife_conn_free(conn);
    tlslife_context_free(context);
    return result;
}
