# shellcheck shell=sh
# common.sh: installs packages, builds, and runs specs and C tests, for ./dev and the scripts of this folder, which
# source it from the top of the checkout.

lua=${TLSLIFE_LUA:-5.4} # the Lua to build for
to_build="gcc libc6-dev cmake ninja-build pkgconf libssl-dev liblua$lua-dev libhiredis-dev libuv1-dev"
to_test='lua-busted lua5.4 liblua5.4-dev lua-luv openssl curl haproxy gnutls-bin nginx-light nodejs python3 redis-server luarocks zip groff-base libssl-doc'
loops='lua-socket lua-cqueues lua-copas iproute2' # the specs do without those that this Debian does not have
stores='valkey-server' # from Debian 13 on
tokens='softhsm2 pkcs11-provider' # the latter from Debian 13 on; without it pkcs11_spec.lua is pending
to_test="$to_test tshark chromium poppler-utils" # these read what a trace writes
scanners='sslscan testssl.sh' # what the probe says is compared with these
to_test="$to_test prometheus" # it reads metrics
# Programs and libraries that know LuaSec or LuaSocket, and their peers.
programs='prosody lua-unbound dnsmasq-base python3-slixmpp tinyproxy-bin lua-redis python3-aiosmtpd go-sendxmpp'

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

is_installed() {
    dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

# install PACKAGE...: runs apt-get only where one is missing.
install() {
    if ! command -v dpkg-query >/dev/null; then
        echo "dev: this is not Debian. These packages, or what corresponds to them, are needed: $*" >&2
        return
    fi
    missing=
    for package; do
        is_installed "$package" || missing="$missing $package"
    done
    if [ -n "$missing" ]; then
        echo "dev: installing$missing" >&2
        # shellcheck disable=SC2086 # names, to be split
        if ! { as_root apt-get -qq update &&
            as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install $missing; } >&2; then
            echo "dev: let root run this: apt-get install --no-install-recommends$missing" >&2
            exit 1
        fi
    fi
}

# install_known PACKAGE...: the same for those that this Debian has.
install_known() {
    command -v apt-cache >/dev/null || return 0
    if [ -z "$(find /var/lib/apt/lists -name '*_Packages*' -print -quit)" ]; then
        as_root apt-get -qq update >&2 || true
    fi
    known=
    for package; do
        is_installed "$package" || ! apt-cache show "$package" >/dev/null 2>&1 || known="$known $package"
    done
    # shellcheck disable=SC2086 # names, to be split
    install $known
}

# Programs that have Lua inside (docs/hosts.md), where this Debian builds them with ours.
install_embedding() {
    command -v apt-cache >/dev/null || return 0
    for package in apache2-bin:apache2 nmap:nmap kamailio-lua-modules:kamailio-lua-modules; do
        is_installed "${package#*:}" || ! apt-cache show "${package%:*}" 2>/dev/null | grep -q "^Depends:.*liblua$lua-0" || install "${package#*:}"
    done
}

# What the specs need beside the build.
install_for_tests() {
    install_packages
    install_sources
}

# A search of apt's lists costs a second, so it is not made again until the packages of this machine, or those wanted, change.
install_packages() {
    stamp=build/packages-$lua
    [ ! "$stamp" -nt /var/lib/dpkg/status ] || [ ! "$stamp" -nt .ci/common.sh ] || return 0
    # shellcheck disable=SC2086 # names, to be split
    install $to_build $to_test "lua$lua"
    # shellcheck disable=SC2086 # names, to be split
    install_known $loops $stores $tokens $programs $scanners
    install_embedding
    mkdir -p build
    : >"$stamp"
}

# Each fetches what Debian 12 has not, and says what.
install_sources() {
    pids=
    for source in copas luasec luv; do
        ".ci/$source" &
        pids="$pids $!"
    done
    for pid in $pids; do wait "$pid"; done # `wait` alone forgets which failed
}

# Clang, the package of its version that holds libFuzzer, and the symbolizer, by which coverage has names.
install_for_fuzzing() {
    install clang llvm
    install "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"
}

# build PRESET [TARGET...]: configures once, and when the presets have changed; for the rest ninja sees to it itself.
build() (
    preset=$1
    shift
    if ! [ -e "build/$preset/build.ninja" ] || [ CMakePresets.json -nt "build/$preset/build.ninja" ]; then
        cmake --preset "$preset" -DTLSLIFE_LUA_VERSION="$lua" >&2
    fi
    [ $# = 0 ] || set -- --target "$@"
    cmake --build "build/$preset" "$@" >&2
)

# Without address randomization, which takes the place of ThreadSanitizer's shadow memory on some kernels.
same_addresses() {
    if setarch "$(uname -m)" -R true 2>/dev/null; then
        set -- setarch "$(uname -m)" -R "$@"
    fi
    "$@"
}

# spec_files: the paths of all specs, by their names. Each has a folder of spec, and no two have one name.
spec_files() {
    for path in spec/*/*_spec.lua; do
        printf '%s %s\n' "$(basename "$path")" "$path"
    done | LC_ALL=C sort | cut -d ' ' -f 2
}

# spec_file NAME: its path, or nothing if there is no such spec.
spec_file() {
    for path in spec/*/"$1"_spec.lua; do
        [ ! -e "$path" ] || echo "$path"
    done
}

# specs PRESET COLLECTOR [ARG...]: busted inside our own program, with these files and options of busted's. A certificate that was
# decoded once is not decoded again (spec/support/c/decoded.c): the decoders of OpenSSL 3.0 took a third of all specs' time.
specs() {
    preset=$1
    collector=$2
    shift 2
    limit=1800 # seconds, for a hang
    if [ $# = 0 ]; then
        # shellcheck disable=SC2046 # paths, to be split
        set -- $(spec_files)
        limit=10800
    fi
    set -- env LUA_PATH="$PWD/build/deps/copas/?.lua;${LUA_PATH-;}" LUA_CPATH="$PWD/build/deps/luv/?.so;${LUA_CPATH-;}" \
        TLSLIFE_BUILD="$PWD/build/$preset" \
        timeout --foreground $limit env LD_PRELOAD=decoded.so \
        LD_LIBRARY_PATH="$PWD/build/$preset/spec/support${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" \
        "build/$preset/tlslife" spec/run.lua "$collector" "$@"
    case $preset in
    tsan) same_addresses "$@" ;;
    *) "$@" ;;
    esac
}

# What a sanitizer needs to know, for any command. Without sanitizers these say nothing. decoded.so comes before AddressSanitizer's
# library, which does not mind. (A subshell, since the command may be a function.)
sanitized() (
    export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:verify_asan_link_order=0
    export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
    export LSAN_OPTIONS="exitcode=23:print_suppressions=0:suppressions=$PWD/spec/leak/suppressions.txt"
    export TSAN_OPTIONS=halt_on_error=1
    "$@"
)

# Options of ThreadSanitizer for the order of locks, without races.
lock_order="halt_on_error=0:ignore_noninstrumented_modules=0:suppressions=$PWD/spec/races/locks.txt"

# Base names without their endings.
c_tests() {
    for source in spec/c/*/*_test.c spec/c/*/*threads.c; do
        basename "$source" .c
    done
}

fuzz_targets() {
    grep -l '^int LLVMFuzzerTestOneInput' spec/fuzz/*.c | while read -r source; do
        basename "$source" .c
    done
}

# The commands of a section of docs/install.md: its indented lines.
commands_of() {
    awk -v title="## $1" '/^## /{ inside = $0 == title } inside && /^    /{ print substr($0, 5) }' docs/install.md
}
