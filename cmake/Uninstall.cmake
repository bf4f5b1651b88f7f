# Removes what was installed last from a build directory, and then those folders of tlslife's own that are empty:
#
#   cmake -DBUILD=DIR -P Uninstall.cmake
#
# DESTDIR means the same as at the installation.
set(manifest ${BUILD}/install_manifest.txt)
if(NOT EXISTS ${manifest})
  message(FATAL_ERROR "Nothing was installed from ${BUILD}: there is no ${manifest}")
endif()
file(STRINGS ${manifest} files ENCODING UTF-8)
set(folders "")
foreach(file IN LISTS files)
  set(path $ENV{DESTDIR}${file})
  if(EXISTS ${path} OR IS_SYMLINK ${path})
    message(STATUS "Removing ${path}")
    file(REMOVE ${path})
  endif()
  # The folder of the file, and those around it, as far as their name is ours.
  cmake_path(GET path PARENT_PATH folder)
  while(folder MATCHES "/tlslife(/|$)")
    list(APPEND folders ${folder})
    cmake_path(GET folder PARENT_PATH folder)
  endwhile()
endforeach()
list(REMOVE_DUPLICATES folders)
list(SORT folders ORDER DESCENDING) # what is inside comes first
foreach(folder IN LISTS folders)
  file(GLOB left LIST_DIRECTORIES TRUE ${folder}/* ${folder}/.*)
  list(FILTER left EXCLUDE REGEX "/\\.\\.?$")
  if(IS_DIRECTORY ${folder} AND NOT left)
    file(REMOVE_RECURSE ${folder})
  endif()
endforeach()
file(REMOVE ${manifest})
