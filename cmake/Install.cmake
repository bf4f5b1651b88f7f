# Says what `cmake --install` puts where, and how others find it, by find_package(tlslife) and by pkg-config.
#
# Each file belongs to a component, which is a package of Debian's (cmake/Package.cmake): runtime, dev, lua, program, doc.
include(CMakePackageConfigHelpers)

if(TLSLIFE_LUA)
  install(TARGETS tlslife_module LIBRARY DESTINATION ${TLSLIFE_INSTALL_CLUADIR}/tlslife COMPONENT lua)
  install(DIRECTORY lua/ DESTINATION ${TLSLIFE_INSTALL_LUADIR} COMPONENT lua FILES_MATCHING PATTERN "*.lua")
endif()

# A rock has the module and nothing else, because luarocks takes any file beside it for a module, too.
if(TLSLIFE_MODULE_STATIC)
  return()
endif()

# ------------------------------------------------------------------------------------------ the libraries

install(
  TARGETS ${installed_targets}
  EXPORT tlslife
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT dev)
install(FILES include/tlslife.h include/tlslife_openssl.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev)
if(TLSLIFE_LUA)
  install(FILES include/tlslife_lua.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev)
endif()

set(TLSLIFE_CONFIG_LUA FALSE)
set(TLSLIFE_CONFIG_HIREDIS FALSE)
if(TLSLIFE_LUA)
  set(TLSLIFE_CONFIG_LUA TRUE)
endif()
set(pc_hiredis_libs "")
set(pc_hiredis_package "")
if(TLSLIFE_HIREDIS_FOUND)
  set(TLSLIFE_CONFIG_HIREDIS TRUE)
  set(pc_hiredis_libs "-lhiredis ")
  set(pc_hiredis_package ", hiredis")
endif()

set(cmake_directory ${CMAKE_INSTALL_LIBDIR}/cmake/tlslife)
configure_package_config_file(cmake/tlslifeConfig.cmake.in ${PROJECT_BINARY_DIR}/generated/tlslifeConfig.cmake
                              INSTALL_DESTINATION ${cmake_directory})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/generated/tlslifeConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(EXPORT tlslife NAMESPACE tlslife:: FILE tlslifeTargets.cmake DESTINATION ${cmake_directory} COMPONENT dev)
install(FILES ${PROJECT_BINARY_DIR}/generated/tlslifeConfig.cmake
              ${PROJECT_BINARY_DIR}/generated/tlslifeConfigVersion.cmake DESTINATION ${cmake_directory} COMPONENT dev)

# A pkg-config file's paths start from its own place, so that an installed tree can be moved.
cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_INCLUDEDIR BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX}
           OUTPUT_VARIABLE pc_includedir)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_LIBDIR BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX} OUTPUT_VARIABLE pc_libdir)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig
           OUTPUT_VARIABLE pc_prefix)
set(pc_names tlslife tlslife-static)
if(TLSLIFE_LUA)
  list(APPEND pc_names tlslife-lua)
endif()
foreach(name IN LISTS pc_names)
  configure_file(cmake/${name}.pc.in ${PROJECT_BINARY_DIR}/generated/${name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/generated/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)
endforeach()

# ------------------------------------------------------------------------------------- program and pages

# tlslife_manual(NAME SECTION COMPONENT): a page of the manual, which bears the version.
function(tlslife_manual name section component)
  set(page ${PROJECT_BINARY_DIR}/generated/${name}.${section})
  string(REPLACE "." "_" lua_suffix ${TLSLIFE_LUA_VERSION})
  configure_file(man/${name}.${section}.in ${page} @ONLY)
  if(TLSLIFE_DEBIAN)
    tlslife_compress(${page} ${page}.gz)
    string(APPEND page .gz)
  endif()
  string(SUBSTRING ${section} 0 1 number)
  install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${number} COMPONENT ${component})
endfunction()

if(TARGET tlslife_program)
  install(TARGETS tlslife_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
  foreach(name tlslife tlslife-probe tlslife-serve tlslife-trace)
    tlslife_manual(${name} 1 program)
  endforeach()
endif()
if(TLSLIFE_LUA)
  tlslife_manual(tlslife 3lua lua)
endif()
install(FILES README.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT doc)
if(NOT TLSLIFE_DEBIAN) # which has these two in its own form
  install(FILES LICENSE CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT doc)
endif()
install(DIRECTORY docs examples DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT doc)

# What was installed from this build directory last goes away again.
if(PROJECT_IS_TOP_LEVEL)
  add_custom_target(
    uninstall
    COMMAND ${CMAKE_COMMAND} -DBUILD=${PROJECT_BINARY_DIR} -P ${PROJECT_SOURCE_DIR}/cmake/Uninstall.cmake
    COMMENT "Removing what install_manifest.txt lists"
    VERBATIM)
endif()
