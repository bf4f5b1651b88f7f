/*
 * method.c: registers a BIO method with OpenSSL.
 *
 * A method lives as long as the process, since OpenSSL may still hold BIOs of it at exit.
 *
 * BIO_get_new_index has some hundred numbers for types of BIO, and fails for ever if memory was
 * short when it was first called. Nothing here looks for a BIO by its number, so a method without
 * one will do.
 */
#include <openssl/bio.h>

#include "net/method.h"

BIO_METHOD *tlsl_bio_method(const char *name, int type, const tlsl_bio_verbs *verbs) {
    int index = BIO_get_new_index();
    BIO_METHOD *method =
        BIO_meth_new((index == -1 ? 0 : index) | BIO_TYPE_SOURCE_SINK | type, name);
    if (method != NULL && BIO_meth_set_read_ex(method, verbs->read) &&
        BIO_meth_set_write_ex(method, verbs->write) && BIO_meth_set_ctrl(method, verbs->ctrl) &&
        BIO_meth_set_destroy(method, verbs->destroy)) {
        return method;
    }
    BIO_meth_free(method);
    return NULL;
}
