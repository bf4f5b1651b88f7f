#!/bin/sh
# sample.sh: runs one of LuaSec's samples, whose port is fixed, in a network of its own.
#
#     sample.sh DIRECTORY SERVER CLIENT SECONDS OUT FILE
#     sample.sh possible
#
# SERVER and CLIENT are programs that run a Lua file: server.lua and FILE in DIRECTORY. What they
# print is in OUT.server and OUT.client afterwards; the exit statuses are printed. SECONDS ends
# samples that never end. The second form says by its exit status whether that network can be had.
set -eu
if [ "${SAMPLE_INSIDE-}" != yes ]; then
    # Root needs no user namespace, which there is none of in a tree of another Debian (chroot).
    map=--map-root-user
    [ "$(id -u)" != 0 ] || map=
    SAMPLE_INSIDE=yes exec unshare $map --net sh "$0" "$@"
fi
ip link set lo up
[ "$1" != possible ] || exit 0
cd "$1"
# A server outlives its client, which would say that it has gone.
timeout $(($4 + 20)) "$2" server.lua >"$5.server" 2>&1 &
server=$!
tries=500
until grep -q ':22B8 [0-9A-F]*:0000 0A' /proc/net/tcp || [ $((tries -= 1)) = 0 ] ||
    ! kill -0 $server 2>/dev/null; do
    sleep 0.02
done
timeout "$4" "$3" "$6" >"$5.client" 2>&1 && status=0 || status=$?
wait $server && other=0 || other=$?
echo "$other $status"
