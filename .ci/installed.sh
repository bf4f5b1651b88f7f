# shellcheck shell=sh
# installed.sh: tests for .ci/suite a copy that `cmake --install` has made, and the source archive. All of it is in paths with
# spaces, as a user's home directory may be.

# The tree is installed, removed, and installed again below a folder, out of which it is then moved.
install_copy() {
    rm -rf "build/installed here" "build/staged here" build/consumer
    cmake --install build/dev --prefix "$PWD/build/installed here" >build/test/install.out &&
        "build/installed here/bin/tlslife" -e 'require "tlslife"'
}

uninstall_copy() {
    touch "build/installed here/share/lua/$lua/tlslife/kept"
    cmake --build build/dev --target uninstall >build/test/uninstall.out
    left=$(find "build/installed here" -name '*tlslife*' -o -type f)
    [ "$left" = "build/installed here/share/lua/$lua/tlslife
build/installed here/share/lua/$lua/tlslife/kept" ] || {
        echo "left: $left"
        return 1
    }
}

install_moved() {
    rm -rf "build/installed here"
    DESTDIR="$PWD/build/staged here" cmake --install build/dev --prefix /opt/tls >build/test/install.out &&
        mv "build/staged here/opt/tls" "build/installed here"
}

# No text file names a path of the machine that built it. Pages and examples are left out, because they name paths of readers.
no_foreign_paths() {
    if grep -rIF -e "$PWD" -e /opt/tls "build/installed here" ||
        grep -rnE '[ ="(;IL]/[a-z]|hiredis\.so' "build/installed here/lib/cmake" \
            "build/installed here/lib/pkgconfig"; then
        return 1
    fi
}

by_find_package() {
    for source in spec/consumer examples/c; do
        cmake -S $source -B "build/consumer/$source" -G Ninja -DCMAKE_PREFIX_PATH="$PWD/build/installed here" &&
            cmake --build "build/consumer/$source" || return 1
    done
    build/consumer/spec/consumer/plain && build/consumer/spec/consumer/plain_static && build/consumer/spec/consumer/embed
}

# Where pkg-config does not know hiredis, find_package fails for the component "static" alone, and says why.
without_hiredis() {
    mkdir -p build/consumer/probe
    # shellcheck disable=SC2016 # CMake expands
    echo 'cmake_minimum_required(VERSION 3.25)
        project(probe LANGUAGES C)
        find_package(tlslife 0.1 REQUIRED)
        find_package(tlslife 0.1 QUIET COMPONENTS static)
        message(FATAL_ERROR "static: ${tlslife_FOUND}: ${tlslife_NOT_FOUND_MESSAGE}")' >build/consumer/probe/CMakeLists.txt
    ! PKG_CONFIG_LIBDIR=/nowhere cmake -S build/consumer/probe -B build/consumer/probe/build \
        -DCMAKE_PREFIX_PATH="$PWD/build/installed here" >build/consumer/probe/log 2>&1 || return 1
    if ! grep -q 'static: FALSE\|static: 0' build/consumer/probe/log; then
        cat build/consumer/probe/log
        return 1
    fi
}

# compile SOURCE PROGRAM FLAGS: as make would. pkg-config's flags are for a shell: it escapes the spaces in a path.
compile() {
    eval "cc $1 -o $2 -pthread $3"
}

by_pkg_config() {
    export PKG_CONFIG_PATH="$PWD/build/installed here/lib/pkgconfig"
    libraries="$PWD/build/installed here/lib"
    mkdir -p build/consumer/examples/pkg-config
    for source in examples/c/*.c; do
        compile "$source" "build/consumer/examples/pkg-config/$(basename "$source" .c)" \
            "$(pkg-config --cflags --libs tlslife tlslife-lua lua$lua libuv)" || return 1
    done
    ! pkg-config --cflags tlslife | grep hiredis &&
        compile spec/consumer/plain.c build/consumer/plain-shared "$(pkg-config --cflags --libs tlslife)" &&
        compile spec/consumer/plain.c build/consumer/plain-static "$(pkg-config --cflags --libs tlslife-static)" &&
        compile spec/consumer/embed.c build/consumer/embed-shared "$(pkg-config --cflags --libs tlslife-lua lua$lua)" &&
        build/consumer/plain-static && LD_LIBRARY_PATH=$libraries build/consumer/plain-shared &&
        LD_LIBRARY_PATH=$libraries build/consumer/embed-shared
}

# What docs/embedding.md shows, as others build it. The second kind does not know where the library is.
installed_examples() (
    export TLSLIFE_EXAMPLES="$PWD/build/consumer/examples/$1" LD_LIBRARY_PATH="$PWD/build/installed here/lib"
    specs dev default spec/project/embedding_spec.lua
)

# The section of docs/install.md about a private prefix, word by word, with the build that is here already.
by_words() (
    HOME="$PWD/build/a home"
    export HOME
    rm -rf "$HOME"
    mkdir -p "$HOME"
    words=$(commands_of 'A private prefix' | sed -e '/^cmake -B build /d' -e '/^cmake --build build --parallel 4$/d' \
        -e "s|5\.4|$lua|g" -e 's|^cmake --install build |cmake --install build/dev |' -e "s|^lua[0-9.]* -e .*|&; lua$lua spec/consumer/module.lua|" \
        -e "s|^tlslife -e .*|&; (cd / \&\& tlslife '$PWD/spec/consumer/module.lua')|")
    case $words in *'rm -r ~/tlslife') ;; *) return 1 ;; esac
    sh -euxc "$words" >build/test/words.out 2>&1 || {
        cat build/test/words.out
        return 1
    }
    [ "$(grep -c "^$(./dev version)\$" build/test/words.out)" = 3 ] && [ -z "$(ls "$HOME")" ]
)

# The rock of the source archive, into a tree of its own: neither git nor anything beside the archive is there. Its release
# build is not optimized here, which would take half a minute of a processor and is what the preset "lint" does.
by_source_rock() (
    rock="$PWD/build/a rock"
    rm -rf "$rock"
    mkdir -p "$rock"
    printf '%s\n' 'set(CMAKE_C_FLAGS_RELEASE "-O0" CACHE STRING "")' 'set(TLSLIFE_PRECOMPILE ON CACHE BOOL "")' \
        >"$rock/toolchain.cmake"
    CMAKE_TOOLCHAIN_FILE="$rock/toolchain.cmake"
    export CMAKE_TOOLCHAIN_FILE
    if ! ./dev dist --worktree "$rock" >"$rock/log" 2>&1 ||
        ! (cd / && luarocks --lua-version "$lua" --tree "$rock/tree" install "$rock"/tlslife-*.src.rock >>"$rock/log" 2>&1); then
        tail -n 20 "$rock/log"
        return 1
    fi
    LUA_PATH="$rock/tree/share/lua/$lua/?.lua;$rock/tree/share/lua/$lua/?/init.lua" LUA_CPATH="$rock/tree/lib/lua/$lua/?.so" \
        "lua$lua" spec/consumer/module.lua
)
