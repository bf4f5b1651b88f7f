# Lua sources as a C header, so that the program needs no installed file. Each becomes an entry of `embedded`
# under the name that require() knows it by: tlslife/init.lua is "tlslife".

if(CMAKE_SCRIPT_MODE_FILE) # cmake -DOUT= -DROOT= -DFILES= -P Embed.cmake
  set(bodies "")
  set(entries "")
  set(index 0)
  string(REPLACE "|" ";" FILES "${FILES}")
  foreach(file IN LISTS FILES)
    string(REGEX REPLACE "(/init)?\\.lua$" "" module "${file}")
    string(REPLACE "/" "." module "${module}")
    file(READ ${ROOT}/${file} hex HEX)
    string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1, " hex "${hex}")
    string(APPEND bodies "static const unsigned char embedded_${index}[] = {\n${hex}\n0x00};\n")
    string(APPEND entries
           "    {\"${module}\", \"=[tlslife ${file}]\", embedded_${index}, sizeof embedded_${index} - 1},\n")
    math(EXPR index "${index} + 1")
  endforeach()
  file(WRITE ${OUT} "/* Made by cmake/Embed.cmake. */\n${bodies}static const embedded_module embedded[] = {\n${entries}"
                    "    {NULL, NULL, NULL, 0}};\n")
  return()
endif()

function(tlslife_embed out)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" ROOT FILES)
  list(TRANSFORM arg_FILES PREPEND ${arg_ROOT}/ OUTPUT_VARIABLE paths)
  list(JOIN arg_FILES "|" joined)
  set(script ${PROJECT_SOURCE_DIR}/cmake/Embed.cmake)
  add_custom_command(
    OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DROOT=${arg_ROOT} "-DFILES=${joined}" -P ${script}
    DEPENDS ${paths} ${script}
    COMMENT "Embedding ${arg_FILES}"
    VERBATIM)
endfunction()
