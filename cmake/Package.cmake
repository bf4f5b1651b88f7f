# Debian packages by CPack, for ./dev package, which configures with TLSLIFE_DEBIAN. One component of Install.cmake is
# one package:
#
#   runtime  libtlslife0      the shared library, named after its soname
#   dev      libtlslife-dev   headers, static libraries, find_package, pkg-config
#   lua      lua-tlslife      the module
#   program  tlslife          the interpreter with the module inside
#   doc      tlslife-doc      README, docs, examples
set(library_package libtlslife${TLSLIFE_ABI})
set(release 1)
set(this_version "${PROJECT_VERSION}-${release}")
set(maintainer "tlslife contributors <tlslife@users.noreply.github.com>")
set(debian ${PROJECT_BINARY_DIR}/debian)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME tlslife)
set(CPACK_PACKAGE_VENDOR "tlslife contributors")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "") # it would stand before each package's own
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
                                                WORLD_READ WORLD_EXECUTE)
set(CPACK_COMPONENTS_ALL runtime dev lua program doc)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE ${release})
set(CPACK_DEBIAN_PACKAGE_MAINTAINER ${maintainer})
set(CPACK_DEBIAN_PACKAGE_SOURCE tlslife)
set(CPACK_DEBIAN_PACKAGE_HOMEPAGE ${PROJECT_HOMEPAGE_URL})
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR}) # the module's libtlslife is no package yet
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_POST_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/Trigger.cmake)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")

# tlslife_package(COMPONENT NAME SECTION SUMMARY DESCRIPTION [FIELD VALUE]...)
macro(tlslife_package component name section summary description)
  string(TOUPPER ${component} upper)
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${name})
  set(CPACK_DEBIAN_${upper}_PACKAGE_SECTION ${section})
  set(CPACK_DEBIAN_${upper}_DESCRIPTION "${summary}\n${description}")
  set(fields ${ARGN})
  while(fields)
    list(POP_FRONT fields field value)
    set(CPACK_DEBIAN_${upper}_PACKAGE_${field} ${value})
  endwhile()
  tlslife_package_files(${component} ${name})
endmacro()

# Each package has in /usr/share/doc/NAME what Debian requires, and overrides for lintian, with their reasons.
function(tlslife_package_files component name)
  set(doc ${CMAKE_INSTALL_DATADIR}/doc/${name})
  install(FILES ${debian}/copyright DESTINATION ${doc} COMPONENT ${component})
  install(FILES ${debian}/changelog.Debian.gz ${debian}/changelog.gz DESTINATION ${doc} COMPONENT ${component})
  file(WRITE ${debian}/overrides/${name}
       "# The project itself makes this package, not for Debian's archive: there is no bug that asks for it.\n"
       "${name}: initial-upload-closes-no-bugs *\n")
  install(FILES ${debian}/overrides/${name} DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides
          COMPONENT ${component})
endfunction()

# tlslife_compress(SOURCE TARGET): as Debian wants it, the same bytes for the same source.
function(tlslife_compress source target)
  execute_process(COMMAND gzip -9n INPUT_FILE ${source} OUTPUT_FILE ${target} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

file(READ LICENSE license)
string(REGEX MATCH "Copyright [^\n]*" owner "${license}")
string(REGEX REPLACE "^Copyright \\(c\\) " "" owner "${owner}")
string(REGEX REPLACE "^.*Copyright [^\n]*\n\n" "" license "${license}")
string(REGEX REPLACE "\n\n" "\n.\n" license "${license}")
string(REGEX REPLACE "\n$" "" license "${license}")
string(REPLACE "\n" "\n " license "${license}")
file(WRITE ${debian}/copyright
     "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: tlslife\n"
     "Source: ${PROJECT_HOMEPAGE_URL}\n\nFiles: *\nCopyright: ${owner}\nLicense: Expat\n ${license}\n")
string(TIMESTAMP now "%a, %d %b %Y %H:%M:%S +0000" UTC) # SOURCE_DATE_EPOCH, where it is set
file(WRITE ${debian}/changelog.Debian
     "tlslife (${this_version}) unstable; urgency=medium\n\n  * Built by ./dev package from the sources of this "
     "version.\n    changelog.gz says what is in it.\n\n -- ${maintainer}  ${now}\n")
tlslife_compress(${debian}/changelog.Debian ${debian}/changelog.Debian.gz)
tlslife_compress(${PROJECT_SOURCE_DIR}/CHANGELOG.md ${debian}/changelog.gz)

set(what "tlslife runs TLS connections on top of OpenSSL, and gives programs\nthe whole life of a connection and of its \
session: connect, accept,\nshutdown, clear, dup, resume. Sessions resume in both roles, across\nprocesses and machines, and \
a clean close is told from a cut stream.\n.\n")

tlslife_package(
  runtime ${library_package} libs "TLS connections and sessions on OpenSSL - shared library"
  "${what}This package has the shared library, which knows nothing of Lua." MULTIARCH same)
tlslife_package(
  dev libtlslife-dev libdevel "TLS connections and sessions on OpenSSL - development files"
  "${what}This package has the headers, the static libraries, and the files for\nCMake and pkg-config." MULTIARCH same
  DEPENDS "${library_package} (= ${this_version}), libssl-dev (>= 3.0), libhiredis-dev" SUGGESTS
  "liblua${TLSLIFE_LUA_VERSION}-dev, tlslife-doc")
tlslife_package(
  lua lua-tlslife interpreters "TLS connections and sessions for Lua"
  "${what}This package has the module for Lua ${TLSLIFE_LUA_VERSION}." MULTIARCH same DEPENDS
  "${library_package} (= ${this_version})" RECOMMENDS "lua${TLSLIFE_LUA_VERSION}" SUGGESTS "lua-luv, tlslife-doc")
tlslife_package(
  program tlslife interpreters "Lua interpreter with TLS inside"
  "${what}This package has the interpreter of Lua ${TLSLIFE_LUA_VERSION} with the module inside." SUGGESTS
  "lua-luv, openssl, tlslife-doc")
tlslife_package(
  doc tlslife-doc doc "TLS connections and sessions on OpenSSL - documentation"
  "${what}This package has the guide, the reference, and examples in C and in Lua." ARCHITECTURE all MULTIARCH
  foreign)
include(CPack)
