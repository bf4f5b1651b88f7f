# shellcheck shell=sh
# trees.sh: makes clean trees of other Debians, for .ci/debian and .ci/install, which source it after common.sh. It needs
# root, or sudo.
#
# A tree is made once, by debootstrap, and stays as it was made. What runs in it sees an overlay, whose changes are kept in a
# folder beside it or thrown away. All of it is below build/trees.

suite_of() {
    case $1 in
    12 | 12-i386) echo bookworm ;;
    13) echo trixie ;;
    sid) echo sid ;;
    *)
        echo "dev: there is a tree of Debian 12, 12-i386, 13 and sid, and none of '$1'" >&2
        return 2
        ;;
    esac
}

# make_tree RELEASE: makes the tree, once. The date of the archive's index is not checked, so an old mirror serves, too.
make_tree() {
    suite=$(suite_of "$1")
    tree=$PWD/build/trees/$1
    if ! [ -e "$tree/made" ]; then
        install debootstrap
        as_root rm -rf "$tree"
        mkdir -p "$tree"
        case $1 in *-i386) set -- "$1" --arch=i386 ;; esac # where a long and a time_t have 32 bits
        shift
        as_root debootstrap "$@" --variant=minbase --include=ca-certificates "$suite" "$tree/base" \
            http://deb.debian.org/debian >&2
        printf '%s\n' 'Acquire::Check-Valid-Until "false";' 'APT::Get::Assume-Yes "true";'  'Acquire::Retries "2";' \
            'Dpkg::Options { "--force-unsafe-io"; };' |
            as_root tee "$tree/base/etc/apt/apt.conf.d/90tlslife" >/dev/null
        printf '%s\n' '127.0.0.1 localhost' '::1 localhost' | as_root tee "$tree/base/etc/hosts" >/dev/null
        : >"$tree/made"
    fi
}

# in_tree RELEASE CHANGES SCRIPT [ARG...]: runs the script of sh in the tree, in "/a tlslife", whose space is a test for what
# runs there. The changes are kept in the folder CHANGES beside the tree. Only these processes see the mounts, which end
# with them.
in_tree() {
    tree=$PWD/build/trees/$1
    changes=$tree/$2
    script=$3
    machine=$(uname -m)
    case $1 in *-i386) machine=i686 ;; esac
    shift 3
    as_root mkdir -p "$changes/up/a tlslife" "$changes/work" "$changes/root"
    # shellcheck disable=SC2016 # the inner shell expands
    as_root unshare --mount sh -c '
        base=$1 changes=$2 lua=$3 machine=$4
        shift 4
        mount -t overlay overlay -o "lowerdir=$base,upperdir=$changes/up,workdir=$changes/work" "$changes/root" &&
        mount -t proc proc "$changes/root/proc" && mount -t devpts devpts "$changes/root/dev/pts" &&
        exec setarch "$machine" chroot "$changes/root" /usr/bin/env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
            LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive TLSLIFE_LUA="$lua" sh -euc "$@"' \
        sh "$tree/base" "$changes" "${TLSLIFE_LUA-}" "$machine" "cd '/a tlslife'; $script" sh "$@"
}

# forget RELEASE CHANGES
forget() {
    as_root rm -rf "$PWD/build/trees/$1/$2"
}

# copy_sources RELEASE CHANGES: into "/a tlslife", without what is built, from which goes what was removed here.
copy_sources() {
    tar -c --exclude=./build --exclude=./.git . | in_tree "$1" "$2" '
        find . -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
        tar -x --no-same-owner'
}
