/*
 * blocks.h: OpenSSL's memory in the program.
 */
#ifndef TLSLIFE_HOST_BLOCKS_H
#define TLSLIFE_HOST_BLOCKS_H

/* Before anything of OpenSSL is called: its memory comes from here from then on, in every thread. Where that cannot be,
 * nothing changes. */
void host_keep_blocks(void);

#endif
