# What `cmake --install` puts where, and how others find it: find_package(tlslife) and pkg-config.
include(CMakePackageConfigHelpers)

if(TLSLIFE_LUA)
  install(TARGETS tlslife_module LIBRARY DESTINATION ${TLSLIFE_INSTALL_CLUADIR}/tlslife)
  install(DIRECTORY lua/ DESTINATION ${TLSLIFE_INSTALL_LUADIR} FILES_MATCHING PATTERN "*.lua")
endif()

# A rock is the module and nothing else: luarocks takes whatever lies beside it for modules, too.
if(TLSLIFE_MODULE_STATIC)
  return()
endif()

install(
  TARGETS ${installed_targets}
  EXPORT tlslife
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES include/tlslife.h include/tlslife_openssl.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(cmake_directory ${CMAKE_INSTALL_LIBDIR}/cmake/tlslife)
configure_package_config_file(cmake/tlslifeConfig.cmake.in ${PROJECT_BINARY_DIR}/generated/tlslifeConfig.cmake
                              INSTALL_DESTINATION ${cmake_directory})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/generated/tlslifeConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(EXPORT tlslife NAMESPACE tlslife:: FILE tlslifeTargets.cmake DESTINATION ${cmake_directory})
install(FILES ${PROJECT_BINARY_DIR}/generated/tlslifeConfig.cmake
              ${PROJECT_BINARY_DIR}/generated/tlslifeConfigVersion.cmake DESTINATION ${cmake_directory})

# A pkg-config file's paths start from its own place, so that an installed tree can be moved.
cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_INCLUDEDIR BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX}
           OUTPUT_VARIABLE pc_includedir)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_LIBDIR BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX} OUTPUT_VARIABLE pc_libdir)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig
           OUTPUT_VARIABLE pc_prefix)
configure_file(cmake/tlslife.pc.in ${PROJECT_BINARY_DIR}/generated/tlslife.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/generated/tlslife.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

if(TLSLIFE_LUA)
  install(FILES include/tlslife_lua.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  configure_file(cmake/tlslife-lua.pc.in ${PROJECT_BINARY_DIR}/generated/tlslife-lua.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/generated/tlslife-lua.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()

if(TARGET tlslife_program)
  install(TARGETS tlslife_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
