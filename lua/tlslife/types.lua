---@meta tlslife
--
-- The whole Lua API, for the LuaLS language server and for readers. This file is never loaded; spec/annotations_spec.lua
-- compares it with the module, both ways.
--
-- Manners: a mistake of the program (wrong type, unknown option, freed handle, a call that is not lawful now) raises.
-- What the world does returns nil, message, err. For waits and ends the message is one of the stable words
--   "want_read" "want_write" "want_session" "closed" "truncated" "timeout" "unsent" "busy" "canceled"
-- and there is no err; for failures it is a sentence and err is a tlslife.Error.
-- What a call hands out counts one reference, also where the state has the object already: it is the same userdata then.
-- free() gives one up, and so does a <close> variable at the end of its scope; the collector gives up all.
-- In a coroutine of a loop (tlslife.loop) a blocking call yields where elsewhere it would wait; one coroutine may read while
-- another writes, and a second reader or writer gets "busy". "canceled": the connection was closed, freed, cleared, given another
-- transport or canceled by another coroutine while this one waited.
-- A hook (on_hello, on_certificate, on_verify) and the functions of a store may yield; while a hook or a lookup does, another
-- call on the same connection returns "busy". "want_session" comes only without blocking: the handshake waits for its cache's
-- store; watch what Store:wait() says, pump, and call again.
-- Every name in "Source:" is a manual page of OpenSSL 3.

---@class tlslife
---@field version string        the version of tlslife, "0.1.0"
---@field openssl_version string the OpenSSL in use, "OpenSSL 3.0.19 27 Jan 2026"
---@field SENT_SHUTDOWN integer     1: for set_shutdown and get_shutdown
---@field RECEIVED_SHUTDOWN integer 2
local tlslife = {}

---@class tlslife.Error
---@field message string            the sentence that was returned or raised with it; also what tostring gives
---@field code "usage"|"input"|"tls"|"alert"|"verify"|"system"|"resolve"|"memory"
---@field library string?           OpenSSL's library of the first cause
---@field reason string?            OpenSSL's reason of the first cause
---@field alert string?             "handshake_failure" (RFC 8446 section 6)
---@field alert_received boolean?   true: the peer sent the alert; false: we did
---@field verify string?            what was wrong with the certificate
---@field verify_result integer?    X509_V_ERR_*
---@field verify_depth integer?     0: the peer's own certificate
---@field verify_subject string?    its subject
---@field errno integer?            the system's error number
---@field queue tlslife.QueueEntry[] all of OpenSSL's error queue, first cause first

---@class tlslife.QueueEntry
---@field code integer
---@field library string
---@field reason string
---@field data string

---@class tlslife.Certificate
---@field subject string      RFC 2253
---@field issuer string       RFC 2253
---@field serial string       hexadecimal
---@field not_before integer  seconds since 1970
---@field not_after integer   seconds since 1970
---@field names string[]      subjectAltName, {"DNS:a.example", "IP:127.0.0.1"}
---@field fingerprint string  SHA-256, hexadecimal
---@field pem string
---@field der string

---@class tlslife.CertificateAndKey
---@field certificate string   a file, or PEM text ("-----BEGIN" in it)
---@field private_key string   a file, or PEM text
---@field passphrase string?

---@class tlslife.Psk
---@field identity string  0..256 bytes (a client's: 0..255), without NUL
---@field key string       1..256 bytes, raw

---@class tlslife.ContextOptions
---@field role "client"|"server"
---@field certificate string|tlslife.CertificateAndKey[]|nil  a file or PEM text, leaf first; or several pairs
---@field private_key string?      a file or PEM text
---@field passphrase string?       of private_key
---@field ca string|string[]|nil   files, directories or PEM texts; "system" is the system's. Default: the system's
---@field client_ca string?        server: file or PEM text whose names go out with a certificate request
---@field verify boolean|"none"|"optional"|"required"|nil  default: client "required" (true), server "none" (false)
---@field verify_depth integer?
---@field verify_host boolean?     client, default true
---@field min_version "TLSv1"|"TLSv1.1"|"TLSv1.2"|"TLSv1.3"|nil  default "TLSv1.2"
---@field max_version "TLSv1"|"TLSv1.1"|"TLSv1.2"|"TLSv1.3"|nil
---@field ciphers string?          TLS 1.2: SSL_CTX_set_cipher_list(3)
---@field ciphersuites string?     TLS 1.3: SSL_CTX_set_ciphersuites(3)
---@field groups string?           SSL_CTX_set1_groups_list(3)
---@field signature_algorithms string? SSL_CTX_set1_sigalgs_list(3)
---@field alpn string[]?           client: offered in this order; server: preferred in this order
---@field server_names table<string, tlslife.Context>? server: SNI name or "*.name" to context
---@field psk tlslife.Psk|tlslife.Psk[]|nil
---@field resumption "both"|"tickets"|"stateful"|"off"|nil server: tickets, and ids for clients of TLS 1.2 without; tickets; ids; nothing. Default "both", or "stateful" with a cache
---@field num_tickets integer?     TLS 1.3 tickets, 0..16
---@field session_timeout integer? seconds
---@field session_id_context string? 1..32 bytes; default: derived from the policy
---@field ocsp_response string?    server: DER, or a file of it
---@field ocsp_request boolean?    client
---@field keylog string|boolean|nil a file of mode 0600 to append to, or a FIFO that is read; true: kept for conn:take_keylog()
---@field options table<string, boolean>? OpenSSL's options by name without SSL_OP_: {NO_TICKET = true}
---@field modes table<string, boolean>?   OpenSSL's modes by name without SSL_MODE_
---@field quiet_shutdown boolean?
---@field max_early_data integer?  bytes
---@field post_handshake_auth boolean? client
---@field timeout number?          seconds: the deadline of each call of its connections; default none
---@field cache tlslife.Cache?      where its sessions live
---@field ticket_keys tlslife.TicketKeys? server
---@field on_hello (fun(conn: tlslife.Connection, hello: tlslife.Hello): tlslife.Context|nil|false, string?)? server: the context for this ClientHello; nil keeps this one; false and an alert's name ("unrecognized_name") refuses. May yield
---@field on_certificate (fun(conn: tlslife.Connection, request: tlslife.CertificateRequest): tlslife.Context|nil|false, string?)? the context whose certificate we present; nil: this one's. May yield
---@field on_verify (fun(conn: tlslife.Connection, peer: tlslife.Peer): boolean, string?)? is this peer acceptable? asked after the built-in verification accepted it, and of resumed peers too. false refuses, on a server with the alert that is named ("access_denied"), or by verify_result; a client's alert is libssl's. A resumed TLS 1.2 client and a resumed server get none, and no close_notify. May yield
---@field verify_all boolean?      with on_verify: ask it also for peers that the built-in verification refused; it decides

---@class tlslife.Hello
---@field server_name string?
---@field alpn string[]
---@field versions string[]        "TLSv1.3", or "0x1a1a" for a version not known (GREASE)
---@field ciphers integer[]
---@field session_id string
---@field psk_identities string[]
---@field has_ticket boolean

---@class tlslife.CertificateRequest
---@field ca_names string[]        client: RFC 2253 names that the server would accept as issuers
---@field server_name string?

---@class tlslife.Peer
---@field certificates tlslife.Certificate[] as sent, leaf first; empty where the client presented none
---@field verified boolean         what the built-in verification found
---@field verify string?           and why not
---@field verify_result integer
---@field resumed boolean

---A context with safe defaults. Unknown or mistyped options raise, and options that contradict each other; what files and PEM do wrong returns nil, message, err.
---Source: SSL_CTX_new(3).
---@param options tlslife.ContextOptions
---@return tlslife.Context? context
---@return string? message
---@return tlslife.Error? err
function tlslife.context(options) end

---Takes an address apart, as peer_address() gives it and every call that has a host takes it: "host", "host:port", ":port",
---"[::1]:port", "::1". Raises for anything else; whether there is such a host is not asked.
---@param address string
---@return string? host without brackets; nil: every address
---@return string? port a number or a service's name; nil: none is in it
function tlslife.split_address(address) end

---A listening TCP socket. Raises for what can be no host or port. Errors: "resolve", "system".
---@param host string|nil  nil: every address
---@param port integer|string|nil  0 picks one; nil: host names it, as in "[::1]:8443"
---@param options {backlog: integer?, reuse_port: boolean?}?
---@return tlslife.Listener? listener
---@return string? message
---@return tlslife.Error? err
function tlslife.listen(host, port, options) end

---Joins two connections in memory, capacity bytes each way. They replace their transports.
---@param a tlslife.Connection
---@param b tlslife.Connection
---@param capacity integer? default 65536
---@return true
function tlslife.pair(a, b, capacity) end

---A buffer that reads can be made into, and writes from, again and again.
---@param size integer? bytes, 1..2^30, default 16384
---@return tlslife.Buffer
function tlslife.buffer(size) end

---A cache of sessions, for any number of contexts, Lua states and threads.
---@param options tlslife.CacheOptions?
---@return tlslife.Cache? cache
---@return string? message
---@return tlslife.Error? err
function tlslife.cache(options) end

---A far home of a cache: one slab for worker processes and across restarts. "shm:name" is shared memory, anything else a file.
---@param options {path: string, size: integer, wipe: boolean?} size in bytes
---@return tlslife.Store? store
---@return string? message
---@return tlslife.Error? err
function tlslife.shared(options) end

---A far home: Redis or Valkey. Never waits, never fails a handshake.
---@param options tlslife.RedisOptions?
---@return tlslife.Store? store
---@return string? message
---@return tlslife.Error? err
function tlslife.redis(options) end

---Keys that seal what leaves the process: secrets of 32 bytes or more; the first seals and opens, the others open.
---@param secrets string[]
---@return tlslife.Keyring
function tlslife.keyring(secrets) end

---Keys of stateless tickets: derived from a secret and the epoch, random, or the program's own (80 bytes each, the first for new tickets).
---@param options {secret: string?, epoch: integer?, older: integer?, keys: string[]?} epoch in seconds, default 43200; older 1..16, default 2; without secret and keys: random
---@return tlslife.TicketKeys
function tlslife.ticket_keys(options) end

---A listening socket that the program was given: it becomes the listener's. Raises for a descriptor that is none.
---@param fd integer
---@return tlslife.Listener
function tlslife.listen_fd(fd) end

---Blocking calls yield in this loop's coroutines from now on, in this Lua state. The adapters that come with the module call it:
---require "tlslife.wait.luv", "tlslife.wait.cqueues", "tlslife.wait.copas". With several loops the newest that runs the coroutine serves.
---@param loop tlslife.Loop
---@return tlslife.Loop loop
function tlslife.loop(loop) end

---A loop as the module needs it. All of its functions are called outside of the core and of OpenSSL.
---@class tlslife.Loop
---@field name string
---@field running fun(): boolean is the coroutine that calls it one of this loop's? (coroutine.isyieldable is false within it)
---@field wait fun(fd: integer, mode: "r"|"w"|"rw", seconds: number?, owner: userdata): boolean yields until the descriptor is ready, as poll(2) has it, or wake was called (true), or the seconds are over (false; nil: never). owner: the connection, listener or store whose descriptor it is. Several coroutines may wait for one descriptor, for a store's many: there it is enough to let one of them go on. What it raises is the call's
---@field wake fun(co: thread) makes the wait of that coroutine return soon, but not before wake itself does; does nothing where it does not wait
---@field forget (fun(fd: integer, owner: userdata))? the descriptor will be closed next: drop what is kept for it. Not called by the collector, which closes too

---For adapters of loops that watch descriptors badly: a set of descriptors, which is a descriptor itself. Source: epoll(7).
---@return tlslife.Poller
function tlslife.poller() end

---A server: accepts, shakes hands, and calls the handler in a coroutine for each connection, on luv. With workers the
---script is run anew in each, up to its call of serve, which serves there. SIGTERM and SIGINT stop it gracefully, a second one at once; SIGHUP
---reloads. Returns when it has stopped, in workers never. Errors: "resolve", "system", and those of tlslife.context. See docs/serving.md.
---@param options tlslife.ServeOptions
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function tlslife.serve(options) end

---The same inside of a luv loop that the program runs itself: no workers, no signals. Serves until stop.
---@param options tlslife.ServeOptions
---@return tlslife.Server? server
---@return string? message
---@return tlslife.Error? err
function tlslife.server(options) end

---@class tlslife.ServeOptions
---@field address string|string[]  "127.0.0.1:8443", "[::1]:8443", ":8443" (every address), port 0 picks one
---@field context tlslife.ContextOptions|fun(shared: tlslife.Shared): tlslife.Context?, string? a server's context: its options, without role; or a function that makes it. Made again at each reload: files are read anew; what fails keeps the old one, with a message
---@field handler fun(conn: tlslife.Connection, server: tlslife.Server) called after the handshake; when it returns the connection is closed with close_notify, and freed; what it raises is logged with its traceback and ends this connection alone
---@field workers integer?         default 1: this process. More: so many processes, which this one starts, tells of signals, and replaces when they die
---@field threads boolean?         the workers are threads of this process, each with a Lua state; in the program tlslife only
---@field reuse_port boolean?      the parent makes each worker a socket of its own (SO_REUSEPORT); default: all accept from one
---@field backlog integer?
---@field max_connections integer? of a worker at once, default 10000: more wait in the socket's backlog
---@field handshake_timeout number? seconds, default 10
---@field timeout number?          seconds: the deadline of each call of a handler's connection; default: the context's, else none
---@field stop_timeout number?     seconds that connections have left when it stops, default 30
---@field on_start (fun(server: tlslife.Server))? called in each worker when it listens
---@field log (fun(level: "error"|"warning"|"info", message: string))? default: stderr

---What the workers of one tlslife.serve share: a cache of session ids and ticket keys.
---@class tlslife.Shared
---@field cache tlslife.Cache?
---@field ticket_keys tlslife.TicketKeys
---@field worker integer 1..workers; 0: the parent, which tries each context before its workers make theirs

---@class tlslife.Server
local Server = {}

---The ports it listens on, in the order of the addresses.
---@return integer[]
function Server:ports() end
---No new connections; idle ones (Connection:idle) are closed with close_notify at once, the others when they become idle or end, the rest after
---timeout seconds (default: stop_timeout). 0: all at once. on_stopped is called when none is left.
---@param timeout number?
---@param on_stopped fun()?
function Server:stop(timeout, on_stopped) end
---Whether stop was called: a handler may end early then.
---@return boolean
function Server:stopping() end
---Makes the context anew, for the connections to come.
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function Server:reload() end
---@return {connections: integer, accepted: integer, handshakes_failed: integer, handler_errors: integer, resumed: integer, worker: integer}
function Server:stats() end

---What a value of this module is, or nil for anything else.
---@param value any
---@return "context"|"connection"|"session"|"listener"|"buffer"|"cache"|"store"|"keyring"|"ticket_keys"|"poller"|nil
function tlslife.type(value) end

---@class tlslife.Context
local Context = {}

---A connection without a transport. Freezes the context: its settings are final. A server that could serve no client (neither
---certificate nor PSK, and no server name or hook that leads to one) is "input", here, in accept and in serve. Source: SSL_new(3).
---@return tlslife.Connection? conn
---@return string? message
---@return tlslife.Error? err
function Context:connection() end

---SSL_CONF_cmd(3), before the first connection.
---@param command string
---@param value string
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function Context:conf(command, value) end

---"client" or "server".
---@return "client"|"server"
function Context:role() end

---The session id context in force, 32 bytes or what was set. Seals the context.
---@return string
function Context:session_id_context() end

---A session of this context from exported bytes, DER or PEM. Errors: "input". Raises for a session made under another policy.
---@param bytes string
---@return tlslife.Session? session
---@return string? message
---@return tlslife.Error? err
function Context:import_session(bytes) end

---The deadline of each call of connections made from now on.
---@param seconds number|nil nil: none
function Context:set_timeout(seconds) end

---One more reference, given up by free(). Source: SSL_CTX_up_ref(3).
---@return tlslife.Context self
function Context:up_ref() end

---Gives up one reference. Raises when this state holds none.
function Context:free() end

---@class tlslife.Connection
local Connection = {}

---Source: SSL_dup(3). Before the handshake another connection with the same settings, without transport; afterwards the same, one reference more.
---@return tlslife.Connection? conn
---@return string? message
---@return tlslife.Error? err
function Connection:dup() end

---One more reference, given up by free(). Source: SSL_up_ref(3).
---@return tlslife.Connection self
function Connection:up_ref() end

---Gives up one reference; the last frees: no I/O, no close_notify. Raises when this state holds none. Source: SSL_free(3).
function Connection:free() end

---Back to before the handshake. What set_session gave is offered again; else, with a cache, what the cache has. Source: SSL_clear(3).
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function Connection:clear() end

---The context in force: one reference more.
---@return tlslife.Context
function Connection:context() end

---The last failure of this connection, or nil.
---@return tlslife.Error?
function Connection:error() end

---The server's name, or its IP address (a port behind it is left aside): a name is sent, and either is verified. Raises for
---what is neither, and after the handshake has begun.
---@param hostname string
---@return true
function Connection:set_hostname(hostname) end

---As set, in lower case.
---@return string?
function Connection:hostname() end

---@param protocols string[]
---@return true
function Connection:set_alpn(protocols) end

---@param groups string
---@return true
function Connection:set_groups(groups) end

---@param n integer 0..16
---@return true
function Connection:set_num_tickets(n) end

---true (the default): calls wait; false: they return nil, "want_read" or "want_write".
---@param blocking boolean
function Connection:set_blocking(blocking) end

---@return boolean
function Connection:blocking() end

---The deadline of each call as a whole.
---@param seconds number|nil nil: none
function Connection:set_timeout(seconds) end

---@return number? seconds
function Connection:get_timeout() end

---Connects over TCP; sets the host name unless the program has set one. Without blocking: "want_read" while the name is
---resolved, then "want_write". Raises for what can be no host or port. Errors: "resolve", "system".
---@param host string
---@param port integer|string|nil  nil: host names it, as in "[::1]:8443"
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function Connection:dial(host, port) end

---A descriptor that stays the caller's: a number, or an object with a method fd, getfd, fileno or pollfd, which is kept alive. With two, the first is read and the second written. Raises for a connection: TLS inside of TLS goes through set_memory, feed and drain.
---@param fd integer|table|userdata
---@param write_fd integer|table|userdata|nil
---@return true
function Connection:set_fd(fd, write_fd) end

---A descriptor that becomes the connection's.
---@param fd integer
---@return true
function Connection:take_fd(fd) end

---Bytes in and out by feed and drain.
---@param capacity integer? bytes each way, default 65536
---@return true
function Connection:set_memory(capacity) end

---Bytes from the peer; how many were taken from byte i on (fewer when full).
---@param bytes string
---@param i integer? default 1
---@return integer fed
function Connection:feed(bytes, i) end

---The peer's stream has ended.
---@return true
function Connection:feed_eof() end

---Bytes for the peer, at most n; "" when there are none. After close, and close_transport, what was written before them, until there is another transport.
---@param n integer? default 65536
---@return string
function Connection:drain(n) end

---The descriptor, or nil.
---@return integer?
function Connection:fd() end

---"127.0.0.1:8443", "[::1]:8443", "[fe80::1%eth0]:8443", or nil. Each call that takes a host takes this, too.
---@return string?
function Connection:peer_address() end

---Lets the transport go.
function Connection:close_transport() end

---Source: SSL_connect(3). Raises on a server's connection, without a transport or a host name to verify.
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function Connection:connect() end

---On a socket of the listener's the tickets of TLS 1.3 travel with what is written next, or when a read waits, at most 200 ms
---later. Source: SSL_accept(3).
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function Connection:accept() end

---Source: SSL_do_handshake(3).
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function Connection:handshake() end

---@return boolean
function Connection:handshake_done() end

---1..n bytes as they come. nil, "closed" is the clean end; nil, "truncated" is not. Raises before the handshake is done. Source: SSL_read_ex(3).
---@param n integer? default 16384
---@return string? bytes
---@return string? message
---@return tlslife.Error? err
function Connection:read(n) end

---The same, and the bytes stay. Source: SSL_peek_ex(3).
---@param n integer? default 16384
---@return string? bytes
---@return string? message
---@return tlslife.Error? err
function Connection:peek(n) end

---Reads into a buffer, replacing what it held; how many bytes.
---@param buffer tlslife.Buffer
---@return integer? n
---@return string? message
---@return tlslife.Error? err
function Connection:read_into(buffer) end

---Decrypted bytes that read has at once. Source: SSL_pending(3).
---@return integer
function Connection:pending() end

---Source: SSL_has_pending(3).
---@return boolean
function Connection:has_pending() end

---Writes a string, a buffer, or a table of strings coalesced into full records, from byte i on. How many bytes went out: fewer than all only where the next call would
---return nil and say why (want_write, timeout, a failure). Raises before the handshake is done. Source: SSL_write_ex(3).
---@param data string|tlslife.Buffer|string[]
---@param i integer? default 1
---@return integer? written
---@return string? message
---@return tlslife.Error? err
function Connection:write(data, i) end

---true: hold small writes back until 16 KiB are there or flush is called.
---@param on boolean
function Connection:cork(on) end

---@return true? ok
---@return string? message
---@return tlslife.Error? err
function Connection:flush() end

---Early data, from byte i on: client, before connect; server, between read_early and accept. Source: SSL_write_early_data(3).
---@param data string
---@param i integer? default 1
---@return integer? written
---@return string? message
---@return tlslife.Error? err
function Connection:write_early(data, i) end

---Server, before accept: early data; "" when there is no more, then call accept. Source: SSL_read_early_data(3).
---@param n integer? default 16384
---@return string? bytes
---@return string? message
---@return tlslife.Error? err
function Connection:read_early(n) end

---Source: SSL_get_early_data_status(3).
---@return "not_sent"|"rejected"|"accepted"
function Connection:early_data_status() end

---One SSL_shutdown(3): "sent" (its 0), "done" (its 1), or nil and why. Raises before the handshake is done and while a write waits; a ticket or key update
---that is half read or written is finished first.
---@return "sent"|"done"|nil result
---@return string? message
---@return tlslife.Error? err
function Connection:shutdown() end

---close_notify once; waits up to timeout seconds for the peer's (default 0: does not wait), dropping what comes; then lets the transport go. "done": both close_notify passed; "sent": ours; nil, "unsent": not ours, for the handshake is not done,
---the transport was let go before, or the shutdown is quiet; nil, "timeout": not both in that time. Without blocking, and in memory, it may return nil,
---"want_read" or "want_write": call it again.
---@param timeout number?
---@return "sent"|"done"|nil result
---@return string? message
---@return tlslife.Error? err
function Connection:close(timeout) end

---Source: SSL_set_shutdown(3).
---@param mode integer 0..3
---@return true
function Connection:set_shutdown(mode) end

---Source: SSL_get_shutdown(3).
---@return integer mode
function Connection:get_shutdown() end

---Source: SSL_set_quiet_shutdown(3).
---@param quiet boolean
function Connection:set_quiet_shutdown(quiet) end

---@return boolean
function Connection:quiet_shutdown() end

---Offers a session, or none. Raises once the handshake has begun and for a session of another context. nil is lawful also later, and
---within a hook: it takes the session away and ends the connection, which fails from then on and knows nothing of its peer. Source:
---SSL_set_session(3).
---@param session tlslife.Session|nil
---@return true
function Connection:set_session(session) end

---The session in use, one reference more, or nil. Source: SSL_get1_session(3).
---@return tlslife.Session?
function Connection:session() end

---Client: the oldest session that has arrived and was not taken, one for each TLS 1.3 ticket.
---@return tlslife.Session?
function Connection:take_session() end

---Source: SSL_session_reused(3).
---@return boolean
function Connection:session_reused() end

---Server, TLS 1.3. Source: SSL_new_session_ticket(3).
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function Connection:new_session_ticket() end

---TLS 1.3. Source: SSL_key_update(3).
---@param request_peer boolean? the peer too
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function Connection:key_update(request_peer) end

---TLS 1.2. Source: SSL_renegotiate(3).
---@param abbreviated boolean?
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function Connection:renegotiate(abbreviated) end

---@return boolean
function Connection:renegotiate_pending() end

---Server, TLS 1.3. on_verify is asked before anything can be read that the client sent after its certificate. Source:
---SSL_verify_client_post_handshake(3).
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function Connection:request_client_certificate() end

---@return "before"|"handshake"|"open"|"failed"
function Connection:state() end

---Source: SSL_state_string_long(3).
---@return string
function Connection:state_text() end

---@return boolean
function Connection:is_server() end

---"TLSv1.3"; nil before the handshake is done, and in the midst of a renegotiation. This and all else that was found stays known when the
---connection fails, or is truncated.
---@return string?
function Connection:version() end

---@return string?
function Connection:cipher() end

---@return string?
function Connection:group() end

---@return string?
function Connection:alpn() end

---SNI, on both sides; a server's is that of this handshake, also where a session was made with another. Source: SSL_get_servername(3).
---@return string?
function Connection:server_name() end

---"ok" or what was wrong, and the X509_V_ERR_* number; nil before the handshake is done. Source: SSL_get_verify_result(3).
---@return string? text
---@return integer? result
function Connection:verify_result() end

---The peer's chain as sent, leaf first; nil where it sent none.
---@return tlslife.Certificate[]?
function Connection:peer_certificates() end

---Source: SSL_get_finished(3).
---@return string?
function Connection:finished() end

---@return string?
function Connection:peer_finished() end

---Source: SSL_export_keying_material(3).
---@param length integer bytes, 1..65535
---@param label string
---@param context string? nil and "" differ in TLS 1.2
---@return string? bytes
---@return string? message
---@return tlslife.Error? err
function Connection:export_keying_material(length, label, context) end

---Client: the stapled response, DER.
---@return string?
function Connection:ocsp_response() end

---The oldest key-log line not taken yet.
---@return string?
function Connection:take_keylog() end

---For cqueues: the descriptor.
---@return integer?
function Connection:pollfd() end

---For cqueues: what the last "want" waits for, "r" or "w".
---@return string?
function Connection:events() end

---For cqueues: 0 where a read has bytes at once, so that cqueues.poll(conn) never waits for what is there; else nil, or the seconds that an
---address which is being dialled has left.
---@return number? seconds
function Connection:timeout() end

---Wakes the coroutines that wait in a call of this connection: those calls return nil, "canceled", or how much a write has sent. The connection stays as it is.
---@return boolean canceled there was one
function Connection:cancel() end

---Nothing was read since the handshake or the last write, and nothing decrypted waits: a server that stops may close it.
---@return boolean
function Connection:idle() end

---"resumed", or why not; nil before the handshake is done. not_offered, not_cached, expired, not_closed, spent, not_accepted, other_version, other_context,
---ticket (it did not open), store (it failed or was late).
---@return "resumed"|"not_offered"|"not_cached"|"expired"|"not_closed"|"spent"|"not_accepted"|"other_version"|"other_context"|"ticket"|"store"|nil
function Connection:resumption() end

---Server: bytes that travel in the tickets of this connection from now on, at most 1024. Source: SSL_SESSION_set1_ticket_appdata(3).
---@param data string
---@return true
function Connection:set_ticket_data(data) end

---Server: those of the session that it resumed, or nil. What this connection sets goes to the next one.
---@return string?
function Connection:ticket_data() end

---@class tlslife.CacheOptions
---@field capacity integer?          sessions in memory, default 20480; 0 keeps none
---@field capacity_bytes integer?    of their DER
---@field timeout integer?           seconds: no session lives longer
---@field sessions_per_peer integer? client, 1..16, default 4
---@field store tlslife.Store|tlslife.StoreFunctions|nil a far home
---@field keyring tlslife.Keyring?   demanded with a store
---@field in_memory boolean?              with a store: memory in front of it, default true

---A far home made of functions, which may yield, return anything and raise: what is not what was put is a miss, what is raised
---is a store error and goes to warn(). They are called where a script calls: get and take in the verb that needs a session, put
---and remove before a verb of any connection of the cache (or cache:remove) returns; never in a finalizer. Where they yield, calls
---of several connections overlap. The table is read once.
---@class tlslife.StoreFunctions
---@field get fun(key: string): string?  key: 32 bytes; what was put
---@field put fun(key: string, sealed: string, lifetime: integer) lifetime in seconds
---@field remove fun(key: string)
---@field take (fun(key: string): string?)? get and remove in one: two calls at once must not both get it. Default: get, then remove

---@class tlslife.RedisOptions
---@field host string?       default "127.0.0.1"
---@field port integer|string|nil default 6379
---@field path string?       a unix socket instead
---@field tls tlslife.Context? a client's context
---@field username string?
---@field password string?
---@field database integer?
---@field prefix string?     default "tlslife:"
---@field timeout number?    seconds, of one lookup, default 0.25
---@field connect_timeout number? seconds, default 1
---@field pending integer?   commands under way at most, default 1024

---@class tlslife.CacheStats
---@field entries integer
---@field bytes integer
---@field puts integer
---@field hits integer
---@field misses integer
---@field store_hits integer
---@field expired integer
---@field evicted integer
---@field bad integer
---@field too_big integer
---@field store_errors integer
---@field not_opened integer

---@class tlslife.CacheEntry
---@field id string
---@field client boolean
---@field protocol string
---@field peer string
---@field time integer    seconds since 1970
---@field expires integer seconds since 1970

---@class tlslife.Cache
---@operator len: integer
local Cache = {}

---Keeps a server's session; false where it cannot be kept.
---@param session tlslife.Session
---@return boolean kept
function Cache:put(session) end
---From memory: one reference more.
---@param id string
---@return tlslife.Session?
function Cache:get(id) end
---From memory, and it leaves.
---@param id string
---@return tlslife.Session?
function Cache:take(id) end
---From every home.
---@param id string
---@return boolean removed memory had it
function Cache:remove(id) end
---What has expired, or everything, leaves memory.
---@param all boolean?
---@return integer n
function Cache:flush(all) end
---@return tlslife.CacheStats
function Cache:stats() end
---Iterates over what is in memory, without secrets: for entry in cache:entries() do ... end
---@return fun(): tlslife.CacheEntry?
function Cache:entries() end
---A client's sessions as sealed bytes.
---@param keyring tlslife.Keyring
---@param with_client_certificates boolean?
---@return string? bytes
---@return string? message
---@return tlslife.Error? err
function Cache:export(keyring, with_client_certificates) end
---@param keyring tlslife.Keyring
---@param bytes string
---@return integer? sessions
---@return string? message
---@return tlslife.Error? err
function Cache:import(keyring, bytes) end
---@return tlslife.Cache self
function Cache:up_ref() end
---Gives up one reference. Raises when this state holds none.
function Cache:free() end

---@class tlslife.Store
local Store = {}

---For loops: the descriptor (nil: none), whether to watch for writing too, and seconds until pump must be called anyway (nil: never).
---@return integer? fd
---@return boolean writing
---@return number? timeout
function Store:wait() end
---Moves what can be moved; never waits.
function Store:pump() end
---@return tlslife.Store self
function Store:up_ref() end
function Store:free() end

---@class tlslife.Keyring
local Keyring = {}

---A new first key, at run time; the others open still.
---@param secret string
---@return true
function Keyring:rotate(secret) end
---@return tlslife.Keyring self
function Keyring:up_ref() end
function Keyring:free() end

---@class tlslife.TicketKeys
local TicketKeys = {}

---Replaces the program's own keys in all contexts that have them.
---@param keys string[] 80 bytes each
---@return true
function TicketKeys:replace(keys) end
---@return tlslife.TicketKeys self
function TicketKeys:up_ref() end
function TicketKeys:free() end

---@class tlslife.Session
local Session = {}

---@return string
function Session:id() end
---@return integer seconds since 1970
function Session:time() end
---@return integer seconds
function Session:timeout() end
---@param seconds integer 0..604800
---@return true
function Session:set_timeout(seconds) end
---@return string?
function Session:ticket() end
---@return integer seconds the server's hint
function Session:ticket_lifetime() end
---@return string
function Session:protocol() end
---@return string?
function Session:cipher() end
---@return string?
function Session:hostname() end
---@return string?
function Session:alpn() end
---@return integer bytes
function Session:max_early_data() end
---Source: SSL_SESSION_is_resumable(3).
---@return boolean
function Session:is_resumable() end
---@return tlslife.Certificate?
function Session:peer_certificate() end
---The session's bytes: they hold its secret.
---@param format "der"|"pem"|nil default "der"
---@return string? bytes
---@return string? message
---@return tlslife.Error? err
function Session:export(format) end
---Another object with the same content. Source: SSL_SESSION_dup(3).
---@return tlslife.Session
function Session:dup() end
---@return tlslife.Session self
function Session:up_ref() end
---Gives up one reference. Raises when this state holds none.
function Session:free() end

---@class tlslife.Listener
local Listener = {}

---A connection of `context`, without handshake. nil, "timeout" after the deadline; 0: nil, "want_read" at once. Errors: "system".
---@param context tlslife.Context
---@param timeout number? seconds, default: waits
---@return tlslife.Connection? conn
---@return string? message
---@return tlslife.Error? err
function Listener:accept(context, timeout) end
---@return integer
function Listener:port() end
---@return integer
function Listener:fd() end
---Closes the socket. A coroutine that waits in accept gets nil, "canceled". Harmless when closed.
function Listener:close() end

---@class tlslife.Poller
local Poller = {}

---What is to be told of a descriptor: 1 readable, 2 writable, 3 both, 0 nothing any more. It is told as long as it is so. known: it is watched
---already (a guess that may be wrong). nil and why where it cannot be watched, as a file cannot.
---@param fd integer
---@param mask integer 0..3
---@param known boolean?
---@return true? ok
---@return string? message
function Poller:watch(fd, mask, known) end
---What is ready now: how many, and in the list, over what is there, descriptor and mask in turn. One that has failed is 3. Never waits.
---@param list integer[]
---@return integer n
function Poller:events(list) end
---The descriptor to watch: readable when there are events.
---@return integer
function Poller:fd() end
---Harmless when closed.
function Poller:close() end

---@class tlslife.Buffer
---@operator len: integer
local Buffer = {}

---Bytes i to j of what it holds, as string.sub counts.
---@param i integer? default 1
---@param j integer? default -1
---@return string
function Buffer:sub(i, j) end
---Replaces what it holds. Raises when it is too long.
---@param bytes string
---@return tlslife.Buffer self
function Buffer:set(bytes) end
---@return integer bytes
function Buffer:capacity() end

---require "tlslife.worker": in a worker of tlslife.serve this table, elsewhere false. Raises when the environment's TLSLIFE_WORKER is none
---of serve's.
---@class tlslife.Worker
---@field index integer                    1..workers
---@field control integer                  a descriptor: the parent's orders come in; its end is the parent's
---@field listeners tlslife.Listener[]     what the parent has it accept from
---@field cache tlslife.Cache?             threads: the parent's own
---@field ticket_keys tlslife.TicketKeys?  threads: the parent's own
---@field thread boolean                   a thread of the parent's process

---require "tlslife.host", in the program tlslife only.
---@class tlslife.host
local host = {}

---Runs the program's script again in a new thread, in a Lua state of its own made ready as the main one was: the options before the
---script, LUA_INIT and arg are the same. There require "tlslife.worker" gives what is said here. The thread ends with the script, with an error
---(reported as the main script's), or by os.exit, which ends the thread alone and closes its state. It is not waited for when the program ends.
---It gets no signals; nor do programs that it starts by io.popen and os.execute. Raises for options that cannot be, and where the script
---came from stdin. nil, message: the system has no thread left.
---@param options {index: integer, control: integer, listeners: (tlslife.Listener|integer)[]?, cache: tlslife.Cache?, ticket_keys: tlslife.TicketKeys?} control: a socket that becomes the thread's, and is closed when it has ended. listeners: listeners, or descriptors of listening sockets, that stay the caller's
---@return tlslife.Thread? thread
---@return string? message
function host.thread(options) end

---@class tlslife.Thread
local Thread = {}

---Waits for the thread's end. Whoever loses the handle instead lets the thread go on.
---@return integer status as a process's: 0, 1 after an error, or what os.exit was given
function Thread:join() end
---@return integer? status nil: it runs
function Thread:status() end

return tlslife
