-- luacheck's settings; of the specs' globals it knows busted's.
std = "lua54"
max_line_length = 140
include_files = { "lua/**/*.lua", "spec/**/*.lua", "examples/**/*.lua", "bench/**/*.lua", "*.rockspec", ".luacheckrc" }
files["spec/**/*_spec.lua"] = { std = "+busted" }
files["lua/tlslife/types.lua"] = { unused = false, unused_args = false, max_line_length = false }
files["*.rockspec"] = { std = "+rockspec" }
files[".luacheckrc"] = { std = "+luacheckrc" }
files["examples/hosts/*"] = { globals = { "ksr_xhttp_event", "ksr_request_route" },
    read_globals = { "core", "apache2", "nmap", "Listener", "Field", "KSR" } }
