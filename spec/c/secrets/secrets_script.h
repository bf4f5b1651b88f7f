/*
 * secrets_script.h: declares what runs the lives of secrets.c that are Lua scripts.
 * secrets_script.c.
 */
#ifndef TLSLIFE_SPEC_SECRETS_SCRIPT_H
#define TLSLIFE_SPEC_SECRETS_SCRIPT_H

/*
 * Runs the script in a state of its own, and scans when that is closed. The script has the module
 * as tls, and the functions given, told, held, gone, file and connect.
 */
void run_script(const char *script);

#define LIFE(name, script)   \
    static void name(void) { \
        run_script(script);  \
    }

#endif
