--- rows.lua: the calls that generate.lua draws from. Each is a pair of a weight and the text of the
-- call, and there is a list of them for each subject.
--
-- In a text stands
--   @  &        a connection, and the one at its other end
--   ?{a|b|c}    one of these
--   $name       what generate.lua has of this name: an object there is, $new_name a slot for one,
--               or text ($text, $data, $odd, $body, $calm)
--
-- spec/random/random_draws_spec.lua checks that every function of lua/tlslife/types.lua and
-- docs/luasec.md is drawn.

local rows = {}

--- The numbers of the slots that hold one kind of object.
rows.slots = {
    client = {1, 2, 3}, server = {4, 5, 6}, conn = {11, 12, 13, 14, 15, 16, 17, 18},
    session = {21, 22, 23, 24}, cache = {31, 32}, store = {33}, keyring = {35}, ticket_keys = {36},
    listener = {37, 72, 73, 74}, buffer = {38}, poller = {39}, serving = {51}, trace = {53},
    socket = {61, 62}, ssl = {63, 64, 65}, face = {67, 68}, x509 = {69, 70}, writer = {75},
    thread = {76},
}

--- An object of tls.socket. Its deadlines are short, since its calls wait.
rows.socket = {
    {5, "$new_socket = tls.socket(@)"},
    {3, "$new_socket = tls.socket(@); $socket:settimeout(0)"},
    {2, "$socket:connect('127.0.0.1', ?{1|'1'|$listener:port()})"},
    {2, "$socket:connect(?{'unix:' .. own .. '/l'|'x y'|'::1'}, ?{nil|1})"},
    {5, "$socket:dohandshake()"},
    {9, "$socket:receive(?{|'*l'|'*a'|1|100|0|5, 'prefix'|'*l', 'p'|2^53|1.5|'3'|'*x'|1, 2})"},
    {7, "$socket:send(?{$text|$text .. '\\n'|'x', 1, 1|$text, 5, -2|$text, -3|'', 1|7|$data})"},
    {3, "$socket:settimeout(?{0|0.002|0.002, 't'|0, 't'|0.002, 'b'|0, 'r'|'0'})"},
    {2, "$socket:close()"}, {3, "$socket:shutdown(?{|'send'|'both'|'receive'})"},
    {1, "$socket:setoption(?{'tcp-nodelay', true|'keepalive', true|'x', 1|'linger', 'x'})"},
    {1, "$socket:getoption(?{'tcp-nodelay'|'keepalive'|'x'|})"},
    {1, "$socket:getpeername()"}, {1, "$socket:getsockname()"}, {1, "$socket:getfd()"},
    {1, "$socket:getstats()"}, {1, "$socket:setstats(?{1, 2, 3|nil, nil, 1|0|'1'|})"},
    {1, "$socket:dirty(); $socket:want()"},
    {1, "$socket:connection():?{shutdown|clear|free|close|cork}(?{|0})"},
}

--- The modules of the drop-in for LuaSec. wrap gives two of its connections over a pair of sockets.
rows.luasec = {
    {3, "$new_ssl = ssl.newcontext($ssl_options)"},
    {5, "$new_face, $new_face = wrap(?{$ssl_client|$ssl_options}, $ssl_server, ?{'fd'|'object'})"},
    {6, "shake(o[67], o[68])"}, {3, "$face:dohandshake()"},
    {7, "$face:receive(?{|'*l'|'*a'|1|100|5, 'prefix'|-1|0.5})"},
    {6, "$face:send(?{$text|$text .. '\\n'|$text, 2, -2|'x', 9|7})"},
    {2, "$face:settimeout(?{0|0.002|0, 't'|0.002, 't'})"}, {2, "$face:close()"},
    {2, "$face:sni(?{'localhost'|'a.example'|'127.0.0.1'|'a b'|{localhost = $ssl_server}" ..
        "|{['a.example'] = $ssl_server}, true|{1}})"},
    {1, "$face:setdane('localhost'); $face:settlsa(3, 1, 1, ('d'):rep(32))"},
    {1, "$face:info(?{|'cipher'|'protocol'|'compression'|'bits'})"},
    {1, "$face:getfd(); $face:getstats(); $face:setstats(?{1, 2, 3|0})"},
    {2, "$new_x509 = $face:?{getpeercertificate|getlocalcertificate}(?{|1|2|0|'1'})"},
    {1, "$new_x509 = $face:?{getpeerchain|getlocalchain}()[1]"},
    {1, "$face:getpeerverification(); $face:getfinished(); $face:getpeerfinished()"},
    {1, "$face:exportkeyingmaterial(?{'EXPERIMENTAL-x', 16|'EXPERIMENTAL-x', 8, 'c'|'x', 0})"},
    {1, "$face:getalpn(); $face:getsniname(); $face:dirty(); $face:want()"},
    {1, "$face:connection():?{shutdown|clear|free|close|cancel|renegotiate}()"},
    {1, "sslcore.create(?{$ssl|o[1]|nil}); sslcore.info($face); sslcore.compression($face)"},
    {1, "local made = sslcore.create($ssl); sslcore.setfd(made, -1); sslcore.copyright()"},
    {1, "sslcore.setmethod('mine', function(f) $body end); $face:mine()"},
    {1, "$new_ssl = sslctx.create(?{'any'|'tlsv1_2'|'x'|1}); sslctx.setmode($ssl, ?{'client'" ..
        "|'server'|'both'|'x'})"},
    {1, "sslctx.loadcert($ssl, p.?{server_cert_file|server_p7_file|garbage_file|server_key_file})"},
    {1, "sslctx.loadkey($ssl, p.?{server_key_file|garbage_file}, ?{nil|'secret'" ..
        "|function() $body; return 'secret' end}); sslctx.checkkey($ssl)"},
    {1, "sslctx.locations($ssl?{, p.ca_file|, nil, p.ca_dir|, p.ca_file, p.ca_dir|, 'none'|})"},
    {1, "sslctx.setcipher($ssl, ?{'ALL'|'PSK'|'x'}); sslctx.setciphersuites($ssl, " ..
        "'?{TLS_AES_128_GCM_SHA256|x}')"},
    {1, "sslctx.setcurve($ssl, ?{'P-384'|'x'}); sslctx.setcurveslist($ssl, ?{'P-384:P-256'|'x'})"},
    {1, "sslctx.setdepth($ssl, ?{0|9|-1|1000}); " ..
        "sslctx.setoptions($ssl?{|, 'all'|, 'no_ticket'|, 'x'})"},
    {2, "sslctx.setverify($ssl?{, 'peer'|, 'none'|, 'peer', 'fail_if_no_peer_cert'|, 'x'|}); " ..
        "$ssl:setverifyext(?{'lsec_continue', 'lsec_ignore_purpose'|'crl_check'|'x'})"},
    {1, "sslctx.setalpn($ssl, ?{'\\1a\\1b'|'\\255a'|'\\0'|''})"},
    {1, "sslctx.setalpncb($ssl, function(wire) $body; return ?{'\\1a'|'\\9a'|nil|1} end)"},
    {1, "sslctx.setdhparam($ssl, function() $body; return ?{nil|'x'|p.garbage} end)"},
    {1, "sslctx.setclientpskcb($ssl, function() $body; " ..
        "return ?{'i', ('k'):rep(32)|nil|'', ''} end)"},
    {1, "sslctx.setserverpskcb($ssl, function() $body; return ?{('k'):rep(32)|nil|''} end); " ..
        "sslctx.setpskhint($ssl, 'h')"},
    {1, "sslctx.setdane($ssl?{|, 'no_ee_namechecks'|, 'x'})"},
    {1, "$new_x509 = sslx509.load(p.?{server_cert|client_cert|ca_pem|garbage|server_key})"},
    {1, "$new_x509 = ssl.loadcertificate(p.server_leaf)"},
    {2, "$x509:digest(?{|'sha1'|'sha512'|'x'}); $x509:extensions(); $x509:getsignaturename()"},
    {1, "$x509:issued(?{$x509|sslx509.load(p.ca_pem)|nil})"},
    {1, "$x509:issuer(); $x509:subject(); $x509:notafter(); $x509:notbefore(); $x509:pem()"},
    {1, "$x509:pubkey(); $x509:serial(); $x509:validat(?{0|2^40|-1})"},
    {1, "$x509:setencode(?{'utf8'|'ai5'|'x'})"},
}

rows.metrics = {
    {4, "tls.metrics(?{|'openmetrics'|'prometheus'|'x'|nil, $client|nil, $server})"},
    {2, "tls.metrics_count '?{handler_failed|worker_ended|x}'"}, {2, "tls.metrics_publish()"},
    {1, "tls.metrics_share(?{1|2|4|0|1 << 20})"}, {1, "tls.metrics_leave(?{1|2|9|0})"},
    {1, "tls.metrics_join(?{tls.metrics_share(3)|tls.metrics_share(1)|0|-1}, ?{1|2|9|0})"},
}

--- The time of day, which stands still, is set to that many seconds after the program's beginning.
--- A clock that was never set, or wrongly, is decades off.
rows.time = {
    {6, "at(?{1|2|10|61|130})"}, {3, "at(?{3600|7201|90000|8 * 86400})"},
    {3, "at(?{-1|-61|-3700|-86400})"}, {3, "at(0)"},
    {1, "at(?{1 << 31|1 << 32|-1700000000|-1 << 31})"},
}

--- Listeners of several sockets, one of them with names of Unix sockets and options.
rows.listener = {
    {3, "$new_listener = tls.listen({'127.0.0.1:0', 'unix:' .. own .. '/m'})"},
    {2, "$new_listener = tls.listen('?{localhost|127.0.0.1}', 0, {backlog = ?{1|0|16}, " ..
        "reuse_port = ?{true|false}})"},
    {2, "$new_listener = tls.listen('unix:' .. own .. '/m', nil, {mode = '?{600|x|777}'})"},
    {2, "$new_listener = tls.listen('127.0.0.1', 0, {proxy_protocol = ?{true|'v1'|'v2'}, " ..
        "proxy_from = {?{'127.0.0.1'|'unix'|'x'}}})"},
    {3, "for i, l in ipairs($listener:split() or {}) do o[i + 71] = l end"},
    {2, "$listener:addresses()"}, {1, "$listener:port()"}, {1, "$listener:close()"},
    {1, "$new_listener = adopt($listener)"},
    {5, "@:dial($listener:addresses()[?{1|2}])"},
    {5, "@ = $listener:accept($server, ?{0|0.002}); @:set_blocking(false)"},
    {2, "$new_poller = tls.poller(); $poller:watch($listener:fd(), 1)"},
    {2, "$poller:watch(?{@:fd()|-1|1 << 20}, ?{0|1|2|3|4}?{|, true|, false})"},
    {2, "$poller:events({?{|1, 2, 3}})"}, {1, "$poller:fd()"}, {1, "$poller:close()"},
    {1, "tls.split_address(?{'[::1]:8443'|'a:1'|':1'|'unix:@x'|$listener:addresses()[1]|'a:b:c'})"},
}

--- What is told of certificates and text without any connection.
rows.values = {
    {2, "tls.certificate(?{p.server_leaf|p.ca_pem|der.cert|p.garbage|p.server_p7})"},
    {2, "tls.fingerprint(?{p.server_leaf|der.cert|p.garbage}?{|, 'sha1'|, 'x'})"},
    {2, "tls.issued(?{p.ca_pem|p.server_leaf}, p.?{server_leaf|client_cert}, p.intermediate_cert)"},
    {1, "tls.line(?{$text|'a\\nb'|'\\r\\n'|'a'}?{|, 1|, 2|, 9|, 0})"},
    {1, "tls.type(?{@|$session|$listener|$face|1|nil})"},
    {1, "local make, meta = tls.class 'mine'; meta.__gc = function() $body end; " ..
        "make(); make = nil"},
    {1, "@:psk_identity(); @:psk_identity_hint(); @:cipher_description(); @:cipher_bits()"},
    {1, "@:local_certificates(); @:verify_errors(); @:peer_certificates(); @:is_server()"},
    {1, "@:context():session_id_context(); $server:role()"},
    {1, "$new_client = tls.context {role = 'client', ca = p.ca_pem, timeout = 0.01}; " ..
        "$client:conf(?{'MinProtocol', 'TLSv1.3'|'CipherString', 'PSK'|'x', 'y'})"},
    {1, "@:trace($trace); $new_writer = write_trace($trace, '?{text|json|pcapng|html}'" ..
        ", ?{nil|'states records'})"},
    {1, "$writer:stop()"}, {1, "$thread:?{status|status|join}()"},
    {1, "@:inner(); @:outer()"},
    {1, "$trace:next(); $trace:lost(); $trace:epoch()"},
}

--- The sources of a server's certificate and key.
rows.own_keys = {
    {12, "certificate = p.server_cert, private_key = p.server_key"},
    {2, "certificate = der.cert, private_key = der.key"},
    {2, "certificate = p.server_p12_file, passphrase = p.passphrase"},
    {1, "certificate = p.server_p12, passphrase = ?{p.passphrase|'wrong'|''}"},
    {2, "certificate = ?{p.server_p7|p.server_p7_file}, private_key = p.server_key"},
    {1, "certificate = p.server_cert, private_key = p.encrypted_key, passphrase = p.passphrase"},
    {1, "certificate = {{certificate = p.rsa_cert, private_key = p.rsa_key}}"},
    {1, "certificate = {{certificate = p.server_p12, passphrase = p.passphrase}, " ..
        "{certificate = p.rsa_cert, private_key = p.rsa_key}}"},
}

--- External stores. A store is a slab or a Redis, and the Redis is a real one, an address where
--- none is, one that never answers, or one whose answers are written by the program.
local REDIS = ", prefix = 'PREFIX:', timeout = 0.02, connect_timeout = 0.02"
rows.stores = {
    {4, "tls.shared {path = own .. '/slab', size = 1 << 20}"},
    {2, "tls.shared {path = own .. '/slab', size = 1 << 16, wipe = true}"},
    {4, "tls.redis {path = redis" .. REDIS .. "}"},
    {1, "tls.redis {path = redis, ?{username = 'u', password = 'p'|password = 'p'|database = 3" ..
        "|pending = 1}" .. REDIS .. "}"},
    {1, "tls.redis {path = own .. '/none'" .. REDIS .. "}"},
    {1, "tls.redis {host = '127.0.0.1', port = 1" .. REDIS .. "}"},
    {2, "tls.redis {path = own .. '/l'?{|, tls = tls.context {role = 'client', ca = p.ca_pem}}" ..
        REDIS .. "}"},
}
rows.ticket_keys = {
    {4, "{secret = ('s'):rep(32), epoch = 60}"},
    {2, "{secret = ('s'):rep(32), epoch = 60, older = 1}"},
    {2, "{keys = {('t'):rep(80), ('u'):rep(80)}}"}, {1, "{}"}, {1, "{keys = {'short'}}"},
}

--- Options that both roles have, and those of one, drawn seldom: {per cent, text}.
rows.options = {
    {2, "ciphers = '?{ALL|PSK|ECDHE+AESGCM|x}'"}, {2, "ciphersuites = 'TLS_AES_128_GCM_SHA256'"},
    {2, "signature_algorithms = '?{ECDSA+SHA256|RSA-PSS+SHA256|x}'"},
    {2, "verify_depth = ?{0|1|9|100}"}, {1, "min_version = '?{TLSv1.2|TLSv1.3}'"},
    {1, "modes = {?{RELEASE_BUFFERS|AUTO_RETRY} = ?{true|false}}"},
    {1, "crl = p.crl_file, crl_check = '?{none|leaf|chain}'"}, {1, "verify_all = true"},
    {1, "max_version = 'TLSv1.2'"}, {1, "partial_chain = true"},
}
rows.server_options = {
    {3, "client_ca = ?{p.ca_pem|p.ca_file|{p.ca_pem, p.other_ca_pem}}"},
    {1, "dh_params = p.garbage"}, {1, "options = {NO_RENEGOTIATION = true, NO_TICKET = false}"},
}
rows.client_options = {{3, "verify_host = ?{true|false}"}, {2, "ca = 'system'"}}

--- The rest of the options of a server on a loop. What excludes each other raises.
rows.serving = {
    {30, "timeout = 0.05"}, {10, "timeout = 0"}, {30, "stop_timeout = ?{0|0.01|0.05}"},
    {20, "early_data = true"}, {15, "max_connections = ?{1|2}"}, {10, "backlog = ?{1|16}"},
    {8, "reuse_port = true"}, {5, "mode = '600'"}, {5, "workers = 1"},
    {10, "proxy_protocol = ?{true|'v1'|'v2'}, proxy_from = {?{'127.0.0.1'|'unix'}}"},
    {15, "metrics = ?{'127.0.0.1:0'|'unix:' .. own .. '/n'|{address = '127.0.0.1:0', context = " ..
        "{certificate = p.server_cert, private_key = p.server_key}}}"},
    {15, "before = function(c, s) $calm ?{c:plain_write('x')|c:plain_read(1)|}; " ..
        "return ?{true|true|true|false, 'why'|nil} end"},
    {10, "on_start = function(s) ?{|s:stats()|s:ports()|s:stop(0)|error 'on purpose'} end"},
}
rows.server_calls = {
    {3, "tick()"}, {1, "$serving:reload()"}, {1, "$serving:stats()"}, {1, "$serving:ports()"},
    {1, "$serving:stopping()"}, {2, "$serving:metrics(?{|'prometheus'|'openmetrics'|'x'})"},
    {1, "$serving:stop(?{|0|0.01|0, function() $body end})"},
    {3, "scrape($serving, @)"},
}

--- The rest of the parameters of a context of LuaSec's: {per cent, text}.
rows.ssl_options = {
    {40, "cafile = p.ca_file"}, {5, "capath = p.ca_dir"},
    {30, "verify = ?{'none'|'peer'|{'peer', 'fail_if_no_peer_cert'}}"},
    {10, "verifyext = {?{'lsec_continue'|'lsec_ignore_purpose'|'crl_check'}}"},
    {15, "alpn = ?{{'a', 'b'}|'a'|function(list) $body; return list[1] end}"},
    {10, "options = {?{'all'|'no_ticket'|'no_renegotiation'|'x'}}"}, {5, "depth = ?{0|9|200}"},
    {5, "ciphers = '?{ALL|PSK|x}'"}, {3, "ciphersuites = 'TLS_AES_128_GCM_SHA256'"},
    {5, "?{curve = 'P-384'|curveslist = 'P-384:P-256'|curve = 'x'}"},
    {5, "dhparam = function() $body; return p.garbage end"}, {3, "dane = {}"},
    {3, "password = ?{'x'|function() $body; return 'secret' end}"},
    {10, "psk = ?{function() $body; return 'i', ('k'):rep(32) end" ..
        "|{hint = 'h', callback = function() $body; return ('k'):rep(32) end}}"},
}

--- The methods of objects, called with anything. Some wait, or need what a number may not be: the
--- deadlines (close, settimeout, set_timeout, stop), take_fd.
rows.methods = {
    socket = {"connection", "connect", "dohandshake", "receive", "send", "close", "shutdown",
        "dirty", "want", "getfd", "getpeername", "getsockname", "setoption", "getoption",
        "getstats", "setstats"},
    face = {"close", "connection", "dirty", "dohandshake", "exportkeyingmaterial", "getalpn",
        "getfd", "getfinished", "getlocalcertificate", "getlocalchain", "getpeercertificate",
        "getpeerchain", "getpeerfinished", "getpeerverification", "getsniname", "getstats", "info",
        "receive", "send", "setdane", "setstats", "settlsa", "sni", "want"},
    ssl = {"setverifyext"},
    x509 = {"digest", "extensions", "getsignaturename", "issued", "issuer", "notafter", "notbefore",
        "pem", "pubkey", "serial", "setencode", "subject", "validat"},
    serving = {"ports", "stopping", "reload", "stats", "metrics"},
    trace = {"next", "lost", "epoch", "up_ref", "free"},
    writer = {"stop"},
}
rows.functions = {"ssl.newcontext", "ssl.loadcertificate", "sslctx.create", "sslctx.setmode",
    "sslctx.loadcert", "sslctx.loadkey", "sslctx.checkkey", "sslctx.locations", "sslctx.setcipher",
    "sslctx.setciphersuites", "sslctx.setcurve", "sslctx.setcurveslist", "sslctx.setdepth",
    "sslctx.setoptions", "sslctx.setverify", "sslctx.setalpn", "sslctx.setalpncb",
    "sslctx.setdhparam", "sslctx.setclientpskcb", "sslctx.setserverpskcb", "sslctx.setpskhint",
    "sslctx.setdane", "sslx509.load", "sslcore.create", "sslcore.info", "sslcore.compression"}

return rows
