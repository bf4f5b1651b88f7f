-- luacheck: Lua 5.4, and in the specs busted's names.
std = "lua54"
max_line_length = 140
include_files = {"lua", "spec", "examples", "bench", "*.rockspec", ".luacheckrc"}
exclude_files = {"build"}
files["spec/**/*_spec.lua"] = {std = "+busted"}
files["lua/tlslife/types.lua"] = {unused = false, unused_args = false, ignore = {"211", "212", "241", "631"}}
files["*.rockspec"] = {std = "+rockspec"}
files[".luacheckrc"] = {std = "+luacheckrc"}
