#!/bin/sh
# sample.sh: runs one of LuaSec's samples, whose port is fixed, in a network of its own.
#
#     sample.sh DIRECTORY SERVER CLIENT SECONDS
#
# SERVER and CLIENT are commands that run a Lua file, CLIENT.FILE after a comma where it is not client.lua. What they print is in
# DIRECTORY's server.out and client.out afterwards. SECONDS ends samples that never end.
set -eu
if [ "${SAMPLE_INSIDE-}" != yes ]; then
    SAMPLE_INSIDE=yes exec unshare --map-root-user --net "$0" "$@"
fi
ip link set lo up
cd "$1"
out=$5
# shellcheck disable=SC2086 # commands, to be split
timeout "$4" $2 server.lua >"$out.server" 2>&1 &
server=$!
tries=500
until grep -q ':22B8 [0-9A-F]*:0000 0A' /proc/net/tcp || [ $((tries -= 1)) = 0 ] || ! kill -0 $server 2>/dev/null; do
    sleep 0.02
done
# shellcheck disable=SC2086
timeout "$4" $3 "$6" >"$out.client" 2>&1 && status=0 || status=$?
[ "$6" = client.lua ] || kill $server 2>/dev/null || true
wait $server && other=0 || other=$?
echo "$other $status"
