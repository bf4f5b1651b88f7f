---@meta tlslife
--
-- types.lua describes the whole Lua API of tlslife, for the LuaLS language server and for readers.
-- The file is never loaded. spec/project/annotations_spec.lua compares it with the module, both
-- ways.
--
-- Results. A mistake of the program (a wrong type, an unknown option, a freed object, a call that
-- is not lawful now) raises. Anything else that keeps a call from its result returns nil, message,
-- err. For a wait and for an end, the message is one of the stable words
--   "want_read" "want_write" "want_session" "closed" "truncated" "timeout" "unsent" "busy"
--   "canceled"
-- and there is no err. For a failure, the message is a sentence and err is a tlslife.Error.
--
-- References. Each call that gives an object counts one reference. Where the Lua state has the
-- object already, the call gives the same userdata. free() gives up one reference, and so does a
-- <close> variable at the end of its scope. The garbage collector gives up all.
--
-- Coroutines. In a coroutine of an event loop (tlslife.loop), a blocking call yields where
-- elsewhere it would wait. One coroutine may read while another writes; a second reader or writer
-- gets "busy". "canceled" means that another coroutine closed, freed, cleared or canceled the
-- connection, or gave it another transport, while this one waited.
-- A hook (on_hello, on_certificate, on_verify, on_psk) and the functions of a store may yield.
-- While a hook or a lookup has yielded, another call on the same connection gets "busy".
-- "want_session" comes only from a connection that does not block: the handshake waits for its
-- cache's store. Watch what Store:wait() says, call Store:pump(), and make the call again.
--
-- Every name after "Source:" is a manual page of OpenSSL 3, unless an RFC is named.

---@class tlslife
---@field version string the version of tlslife, three numbers with dots
---@field openssl_version string the OpenSSL in use, "OpenSSL 3.0.19 27 Jan 2026"
---@field SENT_SHUTDOWN integer 1, for set_shutdown and get_shutdown
---@field RECEIVED_SHUTDOWN integer 2, for set_shutdown and get_shutdown
local tlslife = {}

---@class tlslife.Error
---@field message string the sentence that was returned or raised with it, and what tostring gives
---@field code "usage"|"input"|"tls"|"alert"|"verify"|"system"|"resolve"|"memory"
---@field library string? OpenSSL's library of the first cause
---@field reason string? OpenSSL's reason of the first cause
---@field alert string? "handshake_failure" (RFC 8446 section 6)
---@field alert_received boolean? true: the peer sent the alert; false: we did
---@field verify string? what was wrong with the certificate
---@field verify_result integer? X509_V_ERR_*
---@field verify_depth integer? 0 is the peer's own certificate
---@field verify_subject string? subject of the certificate that failed, RFC 2253
---@field errno integer? the system's error number
---@field queue tlslife.QueueEntry[] OpenSSL's error queue, first cause first

---@class tlslife.QueueEntry
---@field code integer OpenSSL's packed code
---@field library string
---@field reason string
---@field data string what the library added, or ""

---@class tlslife.Certificate
---@field subject string RFC 2253
---@field issuer string RFC 2253
---@field serial string hexadecimal
---@field not_before integer seconds since 1970
---@field not_after integer seconds since 1970
---@field names string[] subjectAltName, {"DNS:a.example", "IP:127.0.0.1"}
---@field fingerprint string SHA-256 of the DER, hexadecimal
---@field key_type string? of the public key: "RSA", "EC", "ED25519"; nil if OpenSSL cannot read it
---@field key_bits integer? the size of the key. Source: EVP_PKEY_get_bits(3)
---@field key_group string? the curve of an EC key, "prime256v1"
---@field pem string
---@field der string

---What tls.certificate gives: a certificate whose names and key are taken apart, too.
---@class tlslife.CertificateDetails : tlslife.Certificate
---@field subject_entries tlslife.NameEntry[]
---@field issuer_entries tlslife.NameEntry[]
---@field alternative_names tlslife.NameEntry[] subjectAltName
---@field public_key string? PEM; nil for a key that OpenSSL cannot read
---@field public_key_kind "RSA"|"EC"|"DSA"|"DH"|"Unknown"|nil
---@field public_key_bits integer
---@field signature_name string OpenSSL's short name of the algorithm, "RSA-SHA256"

---@class tlslife.NameEntry
---@field oid string? "2.5.4.3"; of an alternative name that is no otherName: nil
---"commonName"; of an alternative name "dNSName", "rfc822Name", "uniformResourceIdentifier",
---"iPAddress", or OpenSSL's name of an otherName's type
---@field name string
---@field value string? the bytes, of an address its text; nil: the value is no string
---@field utf8 string? the same in UTF-8; nil where it cannot be

---One thing that a verification refused.
---@class tlslife.VerifyError
---@field depth integer 0 is the peer's own certificate
---@field result integer X509_V_ERR_*
---@field text string

---@class tlslife.CertificateAndKey
---@field certificate string a source, as ContextOptions says
---@field private_key string? a source; default: the key is in the certificate's source
---@field passphrase string? of private_key

---@class tlslife.Psk
---@field identity string 0..256 bytes (a client's: 0..255), without NUL
---@field key string 1..256 bytes, raw

---@alias tlslife.Version "TLSv1"|"TLSv1.1"|"TLSv1.2"|"TLSv1.3"

---What on_hello and on_certificate return first: a context, nil to keep the one in force, or false
---to refuse.
---@alias tlslife.Choice tlslife.Context|false|nil

---@alias tlslife.OnHello
---| fun(conn: tlslife.Connection, hello: tlslife.Hello): tlslife.Choice, string?

---@alias tlslife.OnCertificate
---| fun(conn: tlslife.Connection, request: tlslife.CertificateRequest): tlslife.Choice, string?

---@alias tlslife.OnVerify
---| fun(conn: tlslife.Connection, peer: tlslife.Peer): boolean, string?

---On a server: gives the key of the identity that a client of TLS 1.2 has named, 1..256 bytes; nil
---where there is none, upon which the client gets the alert unknown_psk_identity; or false and an
---alert. In TLS 1.3 the identities are in the ClientHello, so on_hello returns a context with the
---key.
---
---On a client: gives identity and key of the PSK that fits the server's hint; nil where there is
---none. It is asked before a ClientHello that may lead to TLS 1.3, without a hint, and again where
---the server chooses TLS 1.2 and a cipher with a PSK.
---@alias tlslife.OnPsk
---| fun(conn: tlslife.Connection, asked: tlslife.PskQuestion): string|false|nil, string?

---What on_psk is told.
---@class tlslife.PskQuestion
---@field identity string? on a server
---@field hint string? on a client: the server's, if it has given one
---@field server_name string?

---A source of certificates, keys or CRLs is a file's name, a URI, or the text itself (PEM has
---"-----BEGIN" in it, DER begins with a SEQUENCE). It may be PEM, DER, PKCS#12 or PKCS#7.
---@class tlslife.ContextOptions
---@field role "client"|"server"
---the source of our certificate, leaf first, then its chain; or several pairs
---@field certificate string|tlslife.CertificateAndKey[]|nil
---@field private_key string? a source; default: the key is in the certificate's source
---@field passphrase string? of private_key
---sources, or directories, of the CAs that we trust; "system" is the system's, the default
---@field ca string|string[]|nil
---sources of CRLs; the peer's certificate must not be in that of its issuer, which must be there
---@field crl string|string[]|nil
---which certificates must have a CRL; default "leaf" with crl, else "none"
---@field crl_check "none"|"leaf"|"chain"|nil
---whether a chain may end at a trusted certificate that is not self-signed
---@field partial_chain boolean?
---@field max_cert_list integer? bytes that the peer's certificates may have; default 102400
---server: sources of the CAs whose names are sent with a certificate request
---@field client_ca string|string[]|nil
---whether the peer is verified; default: a client "required" (true), a server "none" (false)
---@field verify boolean|"none"|"optional"|"required"|nil
---@field verify_depth integer? intermediate CAs in a chain, 0..100
---@field verify_host boolean? client: whether the certificate must bear the host name; default true
---what a peer's certificate must be good for; default: the other end's role
---@field purpose "client"|"server"|"any"|nil
---client: connections may verify their peer by TLSA records (conn:set_dane). Without resumption.
---"no_ee_namechecks": a record of usage 3 stands for the name, too
---@field dane boolean|"no_ee_namechecks"|nil
---@field min_version tlslife.Version? default "TLSv1.2"
---@field max_version tlslife.Version? default: the newest that OpenSSL has
---@field ciphers string? TLS 1.2 and below. Source: SSL_CTX_set_cipher_list(3)
---@field ciphersuites string? TLS 1.3. Source: SSL_CTX_set_ciphersuites(3)
---@field groups string? Source: SSL_CTX_set1_groups_list(3)
---@field signature_algorithms string? Source: SSL_CTX_set1_sigalgs_list(3)
---server: whether DHE suites of TLS 1.2 are offered; default false
---@field dh_auto boolean?
---server: PEM of the parameters of DHE suites of TLS 1.2
---@field dh_params string?
---@field max_send_fragment integer? bytes of plain text in a record that we send, 512..16384
---@field alpn string[]? a client offers them in this order; a server prefers them in this order
---server: contexts by server name (SNI), "a.example" or "*.example"
---@field server_names table<string, tlslife.Context>?
---@field psk tlslife.Psk|tlslife.Psk[]|nil pre-shared keys; a client offers the first
---server: what TLS 1.2 says to clients that use a PSK. Source: SSL_CTX_use_psk_identity_hint(3)
---@field psk_identity_hint string?
---"both": tickets, and ids for clients of TLS 1.2 that take none; "tickets"; "stateful": ids;
---"off". Default: "both", or "stateful" with a cache or the option NO_TICKET
---@field resumption "both"|"tickets"|"stateful"|"off"|nil
---@field num_tickets integer? server: TLS 1.3 tickets after a full handshake, 0..16, default 2
---@field session_timeout integer? seconds that a session lives, 1..604800, default 7200
---@field session_id_context string? server: 1..32 bytes; default: derived from the policy
---@field ocsp_response string? server: the response to staple, DER, or a file of it
---@field ocsp_request boolean? client: whether to ask for an OCSP response; default false
---client: whether the OCSP response that the server staples is verified. "optional": one that came
---must be good, and must come where the certificate demands it (must-staple). "required" (true): it
---must come. Asks for one. Default: "none" (false). See docs/keys.md
---@field ocsp_verify boolean|"none"|"optional"|"required"|nil
---a file of mode 0600 to append key-log lines to, or a FIFO that has its reader; true: the lines
---wait for conn:take_keylog()
---@field keylog string|boolean|nil
---what its connections do is recorded there
---@field trace tlslife.Trace?
---OpenSSL's options by name without SSL_OP_, {NO_TICKET = true}
---@field options table<string, boolean>?
---@field modes table<string, boolean>? OpenSSL's modes by name without SSL_MODE_
---@field quiet_shutdown boolean? default false. Source: SSL_CTX_set_quiet_shutdown(3)
---bytes of early data that a server accepts, once for each session, or a client may send; default 0
---@field max_early_data integer?
---@field post_handshake_auth boolean? client. Source: SSL_CTX_set_post_handshake_auth(3)
---@field timeout number? seconds: the deadline of each call of its connections; default: none
---@field cache tlslife.Cache? where its sessions are kept
---@field ticket_keys tlslife.TicketKeys? server: keys of stateless tickets
---server: chooses the context for a ClientHello. nil keeps the context in force. false refuses,
---with the alert that is named ("unrecognized_name"). May yield
---@field on_hello tlslife.OnHello?
---chooses the context whose certificate we present. nil keeps that of this context. false refuses,
---with the alert that is named ("handshake_failure"). Not asked when a session resumes. May yield
---@field on_certificate tlslife.OnCertificate?
---decides whether a peer is acceptable that the built-in verification accepted, also a resumed
---one. false refuses, with the alert that is named ("access_denied"), or the one that fits the
---verify result. A resumed TLS 1.2 client and a resumed server get no alert and no close_notify.
---May yield
---@field on_verify tlslife.OnVerify?
---On a server it gives the key of an identity that is not in psk (TLS 1.2). On a client it gives
---the PSK, and the option psk is not allowed then. See tlslife.OnPsk
---@field on_psk tlslife.OnPsk?
---with on_verify: also for peers that the built-in verification refused; the hook decides
---@field verify_all boolean?

---What a ClientHello says. The lists are in the client's order.
---@class tlslife.Hello
---@field server_name string? SNI
---@field alpn string[]
---@field versions string[] "TLSv1.3", or "0x1a1a" for a version that is not known (GREASE)
---@field ciphers integer[]
---@field session_id string
---@field psk_identities string[]
---@field has_ticket boolean whether a TLS 1.2 ticket is offered

---@class tlslife.CertificateRequest
---@field ca_names string[] client: names (RFC 2253) of the CAs that the server would accept
---@field server_name string?

---@class tlslife.Peer
---@field certificates tlslife.Certificate[] as sent, leaf first; empty if the client sent none
---@field verified boolean whether the built-in verification accepted the peer
---@field verify string? why not
---@field verify_result integer X509_V_OK or X509_V_ERR_*
---@field resumed boolean

---A context with safe defaults. Options that are unknown, mistyped or contradict each other raise.
---An unusable file or PEM text returns nil, message, err ("input"). Source: SSL_CTX_new(3).
---@param options tlslife.ContextOptions
---@return tlslife.Context? context
---@return string? message
---@return tlslife.Error? err
function tlslife.context(options) end

---Splits an address, as peer_address() gives it and every call that has a host takes it: "host",
---"host:port", ":port", "[::1]:port" or "::1". The whole name of a Unix socket is a host. Raises
---for anything else. Only the syntax is checked, not whether there is such a host.
---@param address string
---@return string? host without brackets; nil: every address
---@return string? port a number or a service's name; nil: the address names none
function tlslife.split_address(address) end

---@class tlslife.ListenOptions
---@field backlog integer?
---@field reuse_port boolean?
---@field mode string? of a Unix socket's file, in octal digits ("660")
---the version of the PROXY header with which each connection must begin; true means either. A
---connection from an address that is not in proxy_from is refused
---@field proxy_protocol boolean|"v1"|"v2"|nil
---@field proxy_from string[]? the proxies: "10.0.0.1", "10.0.0.0/8", "fd00::/8", "unix"

---A listening TCP socket, or Unix socket: "unix:/path", or "unix:@name" for an abstract name. The
---file of a Unix socket is removed when the listener is closed; one that a server has left behind
---is replaced. For a name with several addresses (of IPv6 and IPv4, say) the listener has a socket
---on each, on the same port; an address that this machine does not have is left out if there is
---another. For a list of addresses, each with its port, the listener has a socket on each. The
---sockets take turns. If one fails, none stays open. Raises for what can be no host or port.
---Errors: "resolve", "system".
---@param host string|string[]|nil nil: every address
---@param port integer|string|nil 0 picks a free one; nil: host names it, as in "[::1]:8443"
---default: a backlog of 511, and for a Unix socket the umask's mode
---@param options tlslife.ListenOptions?
---@return tlslife.Listener? listener
---@return string? message
---@return tlslife.Error? err
function tlslife.listen(host, port, options) end

---Joins two connections in memory, which replaces their transports.
---@param a tlslife.Connection
---@param b tlslife.Connection
---@param capacity integer? bytes each way, default 65536
---@return true
function tlslife.pair(a, b, capacity) end

---A buffer, into which reads are made and from which writes are made, again and again.
---@param size integer? bytes, 1..2^30, default 16384
---@return tlslife.Buffer
function tlslife.buffer(size) end

---A cache of sessions, for any number of contexts, Lua states and threads. Options that are unknown
---or mistyped raise.
---@param options tlslife.CacheOptions?
---@return tlslife.Cache? cache
---@return string? message
---@return tlslife.Error? err
function tlslife.cache(options) end

---An external store for a cache: one slab for worker processes and across restarts. The path
---"shm:name" is shared memory, any other a file. size is in bytes, 64 KiB..64 GiB. With wipe, a
---foreign or damaged file is wiped instead of refused ("input").
---@param options {path: string, size: integer, wipe: boolean?}
---@return tlslife.Store? store
---@return string? message
---@return tlslife.Error? err
function tlslife.shared(options) end

---An external store for a cache: Redis or Valkey. It never waits and never fails a handshake.
---@param options tlslife.RedisOptions?
---@return tlslife.Store? store
---@return string? message
---@return tlslife.Error? err
function tlslife.redis(options) end

---A key ring: keys that seal what leaves the process, from secrets of 32 bytes or more. The first
---seals and opens, the others open. There are at most 8.
---@param secrets string[]
---@return tlslife.Keyring
function tlslife.keyring(secrets) end

---Keys of stateless tickets: derived from a secret (32 bytes or more) and the epoch; or the
---program's own keys (80 bytes each, the first for new tickets); or, with neither, random. An epoch
---has 60..604800 seconds, default 43200. older is how many epochs before the present one still open
---tickets, 1..16, default 2.
---@param options {secret: string?, epoch: integer?, older: integer?, keys: string[]?}
---@return tlslife.TicketKeys
function tlslife.ticket_keys(options) end

---A trace: a queue of events of connections. bytes is the memory that it takes at most (4096 to 1
---GiB, default 1 MiB); beyond, the oldest events are lost. Give it to contexts (option trace) or to
---connections (conn:trace). With secrets it records the bytes of the transports and the key log,
---too, which decrypt the traffic. docs/trace.md describes the events.
---@param options {bytes: integer?, secrets: boolean?}?
---@return tlslife.Trace? trace
---@return string? message
---@return tlslife.Error? err
function tlslife.trace(options) end

---The metrics of this process, and of the workers with which it shares its counters, as the text
---that a monitoring system reads. It reports the certificates of context, and of the contexts to
---which its server names lead. See docs/metrics.md.
---@param format "openmetrics"|"prometheus"|nil default "openmetrics"
---@param context tlslife.Context?
---@return string text
function tlslife.metrics(format, context) end

---Counts an event that only the program knows of: a handler has failed, or a worker has ended
---without an order. tls.serve counts both.
---@param event "handler_failed"|"worker_ended"
function tlslife.metrics_count(event) end

---Shares the counters of this process with as many worker processes as workers says, which the
---program starts later. Each inherits a duplicate of the descriptor, and calls metrics_join.
---tls.serve does all this for its workers. Errors: "system", "memory".
---@param workers integer 1..4095
---@return integer? fd which belongs to the library
---@return string? message
---@return tlslife.Error? err
function tlslife.metrics_share(workers) end

---From now on this process counts as this worker. fd may be closed then. Raises in a process that
---is a worker already. Errors: "input", "system", "memory".
---@param fd integer
---@param worker integer from 1
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function tlslife.metrics_join(fd, worker) end

---Publishes to the other processes what the caches of this one have counted. All else they see at
---once.
function tlslife.metrics_publish() end

---Says that the process of this worker has ended, in whatever way. Its connections are no longer
---reported as open; its counters stay.
---@param worker integer from 1
function tlslife.metrics_leave(worker) end

---A listener of a listening TCP or Unix socket that the program was given. The descriptor becomes
---the listener's. Raises for a descriptor that is no listening socket.
---@param fd integer
---@return tlslife.Listener
function tlslife.listen_fd(fd) end

---From now on blocking calls in this Lua state yield in the coroutines of this loop. The adapters
---that come with the module call it: require "tlslife.wait.luv", "tlslife.wait.cqueues" or
---"tlslife.wait.copas". Of several loops that run the coroutine, the newest serves.
---@param loop tlslife.Loop
---@return tlslife.Loop loop
function tlslife.loop(loop) end

---An event loop as the module needs it. OpenSSL and the core never call its functions.
---@class tlslife.Loop
---@field name string
---whether the loop runs the coroutine that calls it (coroutine.isyieldable is false within it)
---@field running fun(): boolean
---yields until the descriptor is ready, as poll(2) has it, or wake was called (true), or the
---seconds have passed (false; nil: never). owner is the connection, listener or store that has the
---descriptor. Several coroutines may wait for one descriptor; when it is a store's, it is enough to
---let one of them go on. What it raises, the pending call raises
---@field wait fun(fd: integer, mode: "r"|"w"|"rw", seconds: number?, owner: userdata): boolean
---makes the wait of that coroutine return soon, but not before wake itself returns; does nothing
---where it does not wait
---@field wake fun(co: thread)
---a method will close the descriptor next, so drop what is kept for it. The garbage collector
---closes descriptors, too, and does not call it
---@field forget (fun(fd: integer, owner: userdata))?

---For adapters of loops that watch descriptors badly: a set of descriptors, which has a descriptor
---itself. Source: epoll(7).
---@return tlslife.Poller? poller
---@return string? message
---@return tlslife.Error? err
function tlslife.poller() end

---Reads the first certificate in bytes, PEM or DER. Source: PEM_read_bio_X509(3).
---@param bytes string
---@return tlslife.CertificateDetails? certificate
---@return string? message
---@return tlslife.Error? err
function tlslife.certificate(bytes) end

---The digest of the first certificate in bytes, PEM or DER, in lower-case hexadecimal.
---Source: X509_digest(3).
---@param bytes string
---@param algorithm string? default "sha256"
---@return string? fingerprint
---@return string? message
---@return tlslife.Error? err
function tlslife.fingerprint(bytes, algorithm) end

---Whether the first certificate issued the second, by way of the others. All are PEM or DER.
---nil, message, err ("verify") says why not. Source: X509_verify_cert(3).
---@param issuer string
---@param certificate string
---@param ... string
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function tlslife.issued(issuer, certificate, ...) end

---For modules whose objects programs recognize by type(object) == "userdata". Returns a function
---that makes such a userdata, and the metatable of all that it makes, which has only __name.
---@param name string
---@return fun(): userdata make
---@return table metatable
function tlslife.class(name) end

---The line that begins at byte i of a text, as LuaSocket's receive "*l" gives it, without its end
---and the returns in it; and the index behind it. nil where no newline follows.
---@param text string
---@param i integer? default 1
---@return string? line
---@return integer? next
function tlslife.line(text, i) end

---An object with the methods of LuaSocket's TCP objects over a connection, for socket.http, SMTP,
---Redis clients and the like. The connection stays the program's; settimeout sets its timeout, too.
---Where there was no handshake yet, dohandshake makes it. See docs/luasec.md.
---@param conn tlslife.Connection
---@return tlslife.Socket
function tlslife.socket(conn) end

---Serves on luv: accepts connections, makes their handshakes, and calls the handler for each in a
---coroutine. With workers, each of them runs the script anew, up to its call of serve, which serves
---there. SIGTERM and SIGINT stop it gracefully, a second one at once. SIGHUP reloads. Returns when
---it has stopped, and never in a worker. Errors: "resolve", "system", and those of tlslife.context.
---See docs/serving.md.
---@param options tlslife.ServeOptions
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function tlslife.serve(options) end

---The same in a luv loop that the program itself runs, without workers and signals. Serves until
---stop.
---@param options tlslife.ServeOptions
---@return tlslife.Server? server
---@return string? message
---@return tlslife.Error? err
function tlslife.server(options) end

---@class tlslife.ServeOptions
---"127.0.0.1:8443", "[::1]:8443" or ":8443" (every address); port 0 picks a free one. Or a Unix
---socket, "unix:/path" or "unix:@name". A name is served on each address that it has
---@field address string|string[]
---the options of a server's context, without role; or a function that makes the context. It is made
---again at each reload, and its files are read again. If that fails, the old one stays, and a
---message is logged
---@field context tlslife.ContextOptions|fun(shared: tlslife.Shared): tlslife.Context?, string?
---called before the handshake, for a protocol that begins in plain bytes: plain_read, plain_write
---and unread move them. TLS begins when it returns true. Otherwise the connection is closed, and a
---second result, the reason, is logged. It has handshake_timeout as a whole. See docs/starttls.md
---@field before (fun(conn: tlslife.Connection, server: tlslife.Server): boolean?, string?)?
---default false. The handler begins as soon as early data are there, and asks conn:early(). The
---context's max_early_data is 16384 then, unless it says otherwise. See docs/serving.md
---@field early_data boolean?
---called after the handshake, or with early_data at the first early data. When it returns, the
---connection is closed with close_notify, and freed. What it raises is logged with its traceback
---and ends this connection only
---@field handler (fun(conn: tlslife.Connection, server: tlslife.Server))?
---instead of handler: called whenever the client has sent something, or has left. With the result
---true the connection stays, and waits for the next request without a coroutine, in 2 KiB less.
---Anything else ends it, as the end of a handler does. See docs/serving.md
---@field on_request (fun(conn: tlslife.Connection, server: tlslife.Server): boolean?)?
---default 1, this process. More: that many processes, which this one starts, passes its signals to,
---and replaces when they end
---@field workers integer?
---the workers are threads of this process, each with a Lua state; in the program tlslife only
---@field threads boolean?
---the parent makes sockets for each worker (SO_REUSEPORT); default: all accept from the same
---@field reuse_port boolean?
---@field backlog integer? default 511
---@field mode string? of a Unix socket's file, in octal digits ("660"); default: the umask's
---as in tlslife.ListenOptions: behind HAProxy or a cloud's balancer, peer_address is the client's
---@field proxy_protocol boolean|"v1"|"v2"|nil
---@field proxy_from string[]? the proxies; to be given with proxy_protocol
---of a worker at once, default 10000; more wait in the socket's backlog
---@field max_connections integer?
---@field handshake_timeout number? seconds, default 10
---seconds: the deadline of each call of a handler's connection; default: the context's, or none
---@field timeout number?
---@field stop_timeout number? seconds that connections have left when it stops, default 30
---an address where a monitoring system reads the metrics, by HTTP at /metrics: "127.0.0.1:9443". In
---a table, with a context, by HTTPS. With workers the parent serves it. See docs/metrics.md
---@field metrics string|tlslife.MetricsOptions|nil
---@field on_start (fun(server: tlslife.Server))? called in each worker when it listens
---default: writes to stderr
---@field log (fun(level: "error"|"warning"|"info", message: string))?

---@class tlslife.MetricsOptions
---@field address string
---as tlslife.ServeOptions has it; default: none, and HTTP in plain text
---@field context tlslife.ContextOptions|(fun(shared: tlslife.Shared): tlslife.Context?)|nil

---What the workers of one tlslife.serve share: a cache of session ids, and ticket keys.
---@class tlslife.Shared
---@field cache tlslife.Cache?
---@field ticket_keys tlslife.TicketKeys
---1..workers; 0 in the parent, which tries each context before its workers make theirs
---@field worker integer

---@class tlslife.ServerStats
---@field connections integer open now
---@field accepted integer
---@field handshakes_failed integer
---@field handler_errors integer
---@field resumed integer
---@field worker integer

---@class tlslife.Server
local Server = {}

---The ports that it listens on, in the order of the addresses; false for a Unix socket. A name with
---several addresses has several.
---@return (integer|false)[]
function Server:ports() end
---Stops. No connection is accepted any more. Idle ones (Connection:idle) are closed with
---close_notify at once, the others when they become idle or end, and the rest after timeout
---seconds; 0 closes all at once. on_stopped is called when none is left.
---@param timeout number? default: stop_timeout
---@param on_stopped fun()?
function Server:stop(timeout, on_stopped) end
---Whether stop was called, so that a handler may end early.
---@return boolean
function Server:stopping() end
---Makes the context anew, for the connections to come. On failure the old one stays.
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function Server:reload() end
---@return tlslife.ServerStats
function Server:stats() end
---The metrics of this server and of all workers, with the certificates of its context. Other
---workers are seen as they are now, but for their caches, which are up to a second old.
---@param format "openmetrics"|"prometheus"|nil default "openmetrics"
---@return string text
function Server:metrics(format) end

---What tls.socket gives. Results are as LuaSocket has them: nil, a word ("timeout", "closed") or a
---sentence, and what was done so far. "truncated" is an end of stream without close_notify.
---@class tlslife.Socket
local Socket = {}

---Dials, and makes the handshake: for libraries that call connect on what they were given. Goes on
---where a call before it has waited. "already connected" after a handshake.
---@param host string
---@param port integer|string
---@return integer? one
---@return string? why
function Socket:connect(host, port) end
---Makes the handshake of the connection's role.
---@return true? ok
---@return string? why
function Socket:dohandshake() end
---"*l" a line without its end, "*a" all until the end, or so many bytes. The prefix counts.
---@param pattern "*l"|"*a"|integer|nil default "*l"
---@param prefix string?
---@return string? bytes
---@return string? why
---@return string? partial
function Socket:receive(pattern, prefix) end
---Sends bytes i to j. Returns the index of the last byte that was sent.
---@param data string
---@param i integer? default 1
---@param j integer? default -1
---@return integer? last
---@return string? why
---@return integer? last_sent
function Socket:send(data, i, j) end
---Sets how long each wait of a call may take ("b"), or the call as a whole ("t"); nil: for ever.
---@param seconds number?
---@param mode "b"|"t"|"r"|nil default "b"
---@return integer one
function Socket:settimeout(seconds, mode) end
---Sends close_notify without waiting, and closes the transport.
---@return integer one
function Socket:close() end
---Ends the sending side by close_notify ("send", "both"); there is no other.
---@param how "send"|"both"|"receive"|nil default "both"
---@return integer? one
---@return string? why
function Socket:shutdown(how) end
---Whether a receive has bytes at once.
---@return boolean
function Socket:dirty() end
---What the last call that returned early waits for.
---@return "nothing"|"read"|"write"
function Socket:want() end
---@return integer fd -1 without a descriptor
function Socket:getfd() end
---@return string? address
---@return integer|string|nil port
function Socket:getpeername() end
---@return string? address
---@return integer|string|nil port
function Socket:getsockname() end
---A TCP option as LuaSocket has them ("tcp-nodelay", true). Needs LuaSocket.
---@param name string
---@param value any
---@return integer? one
---@return string? why
function Socket:setoption(name, value) end
---@param name string
---@return any value
---@return string? why
function Socket:getoption(name) end
---@return integer received
---@return integer sent
---@return number age
function Socket:getstats() end
---@param received integer?
---@param sent integer?
---@param age number?
---@return integer one
function Socket:setstats(received, sent, age) end
---The connection beneath: what is read or written there is not seen here.
---@return tlslife.Connection?
function Socket:connection() end

---@alias tlslife.Kind
---| "context"|"connection"|"session"|"listener"|"buffer"
---| "cache"|"store"|"keyring"|"ticket_keys"|"trace"|"poller"

---The kind of an object of this module, or nil for any other value.
---@param value any
---@return tlslife.Kind?
function tlslife.type(value) end

---@class tlslife.Context
local Context = {}

---A connection without a transport. Freezes the context, whose settings are final then. A server
---that could serve no client (neither certificate nor PSK, and no server name or hook that leads to
---one) is "input", here, in Listener:accept and in serve. Source: SSL_new(3).
---@return tlslife.Connection? conn
---@return string? message
---@return tlslife.Error? err
function Context:connection() end

---Makes any setting that SSL_CONF_cmd(3) knows, before the first connection.
---@param command string
---@param value string
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function Context:conf(command, value) end

---@return "client"|"server"
function Context:role() end

---The session id context in force, 32 bytes or what was set. Freezes the context.
---@return string
function Context:session_id_context() end

---A session for this context from exported bytes, DER or PEM. Errors: "input". Raises for a session
---that was made under another policy. Source: d2i_SSL_SESSION(3).
---@param bytes string
---@return tlslife.Session? session
---@return string? message
---@return tlslife.Error? err
function Context:import_session(bytes) end

---Sets the deadline of each call of connections made from now on.
---@param seconds number|nil nil: none
function Context:set_timeout(seconds) end

---Counts one more reference, which free() gives up. Source: SSL_CTX_up_ref(3).
---@return tlslife.Context self
function Context:up_ref() end

---Gives up one reference. Raises when this state holds none.
function Context:free() end

---@class tlslife.Connection
local Connection = {}

---Before the handshake: another connection with the same settings, without transport. Afterwards:
---the same connection, one reference more. Source: SSL_dup(3).
---@return tlslife.Connection? conn
---@return string? message
---@return tlslife.Error? err
function Connection:dup() end

---Counts one more reference, which free() gives up. Source: SSL_up_ref(3).
---@return tlslife.Connection self
function Connection:up_ref() end

---Gives up one reference. The last one frees the connection, without I/O or close_notify. Raises
---when this state holds none. Source: SSL_free(3).
function Connection:free() end

---Takes the connection back to before the handshake. The session of set_session is offered again,
---or, with a cache, what the cache has. Source: SSL_clear(3).
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function Connection:clear() end

---The context in force, one reference more.
---@return tlslife.Context
function Connection:context() end

---The last failure of this connection, or nil.
---@return tlslife.Error?
function Connection:error() end

---Client: sets the server's name, or its IP address; a port behind it is ignored. A name is sent
---(SNI), and either is verified. Raises for what is neither, and after the handshake has begun.
---Source: SSL_set_tlsext_host_name(3), SSL_set1_host(3).
---@param hostname string
---@return true
function Connection:set_hostname(hostname) end

---The host name as it was set, in lower case.
---@return string?
function Connection:hostname() end

---Sets the protocols for ALPN of this connection, in order; an empty list means none, and answers
---none. A server may set it until it chooses, in on_hello at the latest; what is set there is not
---kept by clear.
---@param protocols string[]
---@return true
function Connection:set_alpn(protocols) end

---Sets the key exchange groups, joined by ":". Source: SSL_set1_groups_list(3).
---@param groups string
---@return true
function Connection:set_groups(groups) end

---Client: begins the use of DANE, in a context with the option dane, and sets the host name. Raises
---once the handshake has begun. Source: SSL_dane_enable(3).
---@param hostname string
---@return true
function Connection:set_dane(hostname) end

---Client: adds a TLSA record (RFC 6698). Returns nil, message, err ("input") for one that cannot be
---used, which may be ignored. Source: SSL_dane_tlsa_add(3).
---@param usage integer
---@param selector integer
---@param matching_type integer
---@param data string the bytes
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function Connection:add_tlsa(usage, selector, matching_type, data) end

---Server: sets how many tickets follow a full TLS 1.3 handshake. Source: SSL_set_num_tickets(3).
---@param n integer 0..16
---@return true
function Connection:set_num_tickets(n) end

---true (the default): calls wait. false: they return nil, "want_read" or "want_write" instead.
---@param blocking boolean
function Connection:set_blocking(blocking) end

---@return boolean
function Connection:blocking() end

---Sets the deadline of each call as a whole.
---@param seconds number|nil nil: none
function Connection:set_timeout(seconds) end

---@return number? seconds
function Connection:get_timeout() end

---Connects over TCP, and sets the host name unless the program has set one; or to a Unix socket
---("unix:/path" or "unix:@name"), which sets none. A server's connection may dial, too, and then
---accepts; it has no name to set. Where a name has several addresses, IPv6 and IPv4 take turns, and
---an attempt begins 250 ms after the one before (RFC 8305). Without blocking, it returns
---"want_read" while the name is resolved, a Unix socket's backlog is full or several attempts are
---under way, and "want_write" while one is. Raises for what can be no host or port. Errors:
---"resolve", "system".
---@param host string
---@param port integer|string|nil nil: host names it, as in "[::1]:8443"
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function Connection:dial(host, port) end

---Uses a descriptor that stays the caller's: a number, or an object with a method fd, getfd, fileno
---or pollfd, which is kept alive. With two, the first is read and the second written. Raises for a
---connection, and for the number of one that a connection owns and speaks TLS over: TLS in TLS is
---set_connection's.
---@param fd integer|table|userdata
---@param write_fd integer|table|userdata|nil
---@return true
function Connection:set_fd(fd, write_fd) end

---Uses a descriptor that becomes the connection's.
---@param fd integer
---@return true
function Connection:take_fd(fd) end

---TLS in TLS: this connection's bytes travel as application data of outer, whose handshake is done.
---This one has the deadline, and waits as over any transport, also in a loop. outer is kept alive,
---and its data verbs raise until this connection is closed; then outer is closed. An end of outer
---is "truncated" here. Raises if outer is not open or carries another connection, for a circle, and
---for more than 8 layers. See docs/starttls.md.
---@param outer tlslife.Connection
---@return true
function Connection:set_connection(outer) end

---The connection that carries this one, or nil; also where the script has freed it.
---@return tlslife.Connection?
function Connection:outer() end

---The connection that this one carries, or nil.
---@return tlslife.Connection?
function Connection:inner() end

---Takes plain bytes in and out, by feed and drain.
---@param capacity integer? bytes each way, default 65536
---@return true
function Connection:set_memory(capacity) end

---Gives bytes that came from the peer, from byte i on. Returns how many were taken, which is fewer
---when there is no room.
---@param bytes string
---@param i integer? default 1
---@return integer fed
function Connection:feed(bytes, i) end

---Says that the peer's stream has ended.
---@return true
function Connection:feed_eof() end

---Takes bytes for the peer, at most n, or "" when there are none. What was written before close or
---close_transport can be drained afterwards, too, until the connection gets another transport.
---@param n integer? default 65536
---@return string
function Connection:drain(n) end

---The descriptor to read from, or nil. Within another connection it is the outermost one's.
---@return integer?
function Connection:fd() end

---The peer's address, "127.0.0.1:8443", "[::1]:8443" or "[fe80::1%eth0]:8443"; nil if it has none,
---as over a Unix socket. Each call that takes a host takes such an address, too.
---@return string?
function Connection:peer_address() end

---The address of the proxy that has sent a PROXY header; peer_address is its client's then. nil
---until the header was read, where none is expected, and over a Unix socket.
---@return string?
function Connection:proxy_address() end

---@alias tlslife.ProxyField
---| "alpn" | "authority" | "crc32c" | "unique_id" | "netns"
---| "ssl" | "ssl_version" | "ssl_cn" | "ssl_cipher" | "ssl_sig_alg" | "ssl_key_alg"

---The value of a field of a PROXY header of version 2, as the proxy has sent it; nil where the
---header has none, and until it was read. What "ssl" holds is in docs/serving.md.
---@param type tlslife.ProxyField|integer
---@return string?
function Connection:proxy_tlv(type) end

---Closes an owned descriptor, or ends a memory stream, and detaches the transport.
function Connection:close_transport() end

---Before TLS: reads bytes of the transport as they are, at most n. Waits as read does. "closed"
---means that the stream has ended, which in plain bytes anyone in the network can bring about.
---Raises once the handshake has begun. Errors: "system". See docs/starttls.md.
---@param n integer? default 16384
---@return string? bytes
---@return string? message
---@return tlslife.Error? err
function Connection:plain_read(n) end

---Before TLS: writes bytes as they are, from byte i on. Returns how many, as write does. Raises
---once the handshake has begun. Errors: "system".
---@param data string
---@param i integer? default 1
---@return integer? written
---@return string? message
---@return tlslife.Error? err
function Connection:plain_write(data, i) end

---Before TLS: gives back bytes of the peer that were read too early, by plain_read or by code that
---had the descriptor before. The next plain_read, or the handshake, finds them first. At most 1
---MiB.
---@param bytes string
---@return true
function Connection:unread(bytes) end

---Makes a client's handshake. Raises on a server's connection, without a transport, and without a
---host name to verify. Source: SSL_connect(3).
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function Connection:connect() end

---Makes a server's handshake. On a socket of the listener's, the tickets of TLS 1.3 travel with
---what is written next, or when a read waits, at most 200 ms later. Source: SSL_accept(3).
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function Connection:accept() end

---Makes the handshake of the connection's role, or what key_update, renegotiate or
---request_client_certificate began. Source: SSL_do_handshake(3).
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function Connection:handshake() end

---Whether the handshake is done and every question is answered.
---@return boolean
function Connection:handshake_done() end

---Reads 1..n bytes, as they come. nil, "closed" is the clean end; nil, "truncated" is not. Raises
---before the handshake is done. Source: SSL_read_ex(3).
---@param n integer? default 16384
---@return string? bytes
---@return string? message
---@return tlslife.Error? err
function Connection:read(n) end

---Does the same and leaves the bytes to be read again. Source: SSL_peek_ex(3).
---@param n integer? default 16384
---@return string? bytes
---@return string? message
---@return tlslife.Error? err
function Connection:peek(n) end

---Reads into a buffer, and replaces what it held. Returns how many bytes were read.
---@param buffer tlslife.Buffer
---@return integer? n
---@return string? message
---@return tlslife.Error? err
function Connection:read_into(buffer) end

---How many decrypted bytes a read has at once. Source: SSL_pending(3).
---@return integer
function Connection:pending() end

---Whether there are bytes of any kind inside, decrypted or not. Source: SSL_has_pending(3).
---@return boolean
function Connection:has_pending() end

---Writes a string, a buffer, or a table of strings coalesced into full records, from byte i on.
---Returns how many bytes were sent. They are fewer than all only where the next call would return
---nil and say why (want_write, timeout, a failure). Raises before the handshake is done.
---Source: SSL_write_ex(3).
---@param data string|tlslife.Buffer|string[]
---@param i integer? default 1
---@return integer? written
---@return string? message
---@return tlslife.Error? err
function Connection:write(data, i) end

---true: holds writes back until there are 16 KiB, or flush is called.
---@param on boolean
function Connection:cork(on) end

---Writes what is held back.
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function Connection:flush() end

---Writes early data, from byte i on: a client before connect, a server between read_early and
---accept. A client needs a session that allows them, which is its cache's if none was set. It
---writes as much as that allows; 0 means that there is none, or that it is too old, and that
---connect is next. A call that waits is finished by the same call before any other, since libssl
---holds its record. Early data can be replayed.
---Source: SSL_write_early_data(3), RFC 8446 section 2.3.
---@param data string
---@param i integer? default 1
---@return integer? written
---@return string? message
---@return tlslife.Error? err
function Connection:write_early(data, i) end

---Server, before accept: reads early data. "" means that there is no more; then call accept.
---Source: SSL_read_early_data(3).
---@param n integer? default 16384
---@return string? bytes
---@return string? message
---@return tlslife.Error? err
function Connection:read_early(n) end

---Server: makes the handshake as accept does, but returns true as soon as early data have come.
---Then read gives early data first, and makes the rest of the handshake before it gives what
---follows. write sends at once, before the client's Finished; where the policy verifies clients, or
---the early data are over, it makes the handshake first. So do handshake, which keeps early data to
---be read, shutdown and close. With on_verify early data are rejected. Source:
---SSL_read_early_data(3).
---@return boolean? ok
---@return string? message
---@return tlslife.Error? err
function Connection:accept_early() end

---Whether what was read since accept_early may be a replay: it was early data, and the handshake is
---not done. Do nothing for it that must not be done twice: refuse (HTTP: 425, RFC 8470), or call
---handshake, after which it is no replay.
---@return boolean
function Connection:early() end

---Source: SSL_get_early_data_status(3).
---@return "not_sent"|"rejected"|"accepted"
function Connection:early_data_status() end

---Calls SSL_shutdown(3) once. Returns "sent" (its 0), "done" (its 1), or nil and why. A message
---after the handshake that is half read or half written (a ticket, a key update) is finished first.
---Raises before the handshake is done and while a write waits.
---@return "sent"|"done"|nil result
---@return string? message
---@return tlslife.Error? err
function Connection:shutdown() end

---Sends close_notify once, waits up to timeout seconds for the peer's, dropping what comes, and
---detaches the transport. Returns "done" when both close_notify were sent, "sent" when ours was.
---nil, "unsent": ours was not, because the handshake is not done, the transport was detached
---before, or the shutdown is quiet. nil, "timeout": not both in that time. Without blocking, and in
---memory, it may return nil, "want_read" or "want_write": call it again.
---@param timeout number? default 0: does not wait
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

---From now on what this connection does is recorded in the trace, or nowhere (nil).
---@param trace tlslife.Trace?
function Connection:trace(trace) end
---Source: SSL_set_quiet_shutdown(3).
---@param quiet boolean
function Connection:set_quiet_shutdown(quiet) end

---@return boolean
function Connection:quiet_shutdown() end

---Offers a session, or none. Raises once the handshake has begun, and for a session of another
---context. nil is lawful later, too, and within a hook: it takes the session away and ends the
---connection, whose calls fail from then on, and which knows nothing of its peer any more.
---Source: SSL_set_session(3).
---@param session tlslife.Session|nil
---@return true
function Connection:set_session(session) end

---The session in use, one reference more, or nil. Source: SSL_get1_session(3).
---@return tlslife.Session?
function Connection:session() end

---Client: the oldest session that has arrived and was not taken, one for each TLS 1.3 ticket. At
---most 16 wait.
---@return tlslife.Session?
function Connection:take_session() end

---Also true where TLS 1.3 has used a PSK, for which resumption() is "not_offered".
---Source: SSL_session_reused(3).
---@return boolean
function Connection:session_reused() end

---Server, TLS 1.3: sends one more ticket with the next write. Raises after our close_notify.
---Source: SSL_new_session_ticket(3).
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function Connection:new_session_ticket() end

---TLS 1.3: sends new keys with the next write. Raises after our close_notify.
---Source: SSL_key_update(3).
---@param request_peer boolean? asks for the peer's, too
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function Connection:key_update(request_peer) end

---TLS 1.2 and below: begins a renegotiation; then call handshake. Raises after our close_notify,
---and returns nil, "closed" after the peer's.
---Source: SSL_renegotiate(3), SSL_renegotiate_abbreviated(3).
---@param abbreviated boolean?
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function Connection:renegotiate(abbreviated) end

---@return boolean
function Connection:renegotiate_pending() end

---Server, TLS 1.3: asks for the client's certificate now; then call handshake, and read. on_verify
---is asked before anything can be read that the client sent after its certificate. Raises after our
---close_notify. Source: SSL_verify_client_post_handshake(3).
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

---"TLSv1.3"; nil before the handshake is done, and during a renegotiation. This and all else that
---the handshake found stays known when the connection fails or is truncated.
---@return string?
function Connection:version() end

---OpenSSL's name of the cipher suite. Source: SSL_get_current_cipher(3).
---@return string?
function Connection:cipher() end

---"x25519"; nil where no group was used.
---@return string?
function Connection:group() end

---The algorithm by which we have signed the handshake, as signature_algorithms takes it
---("ECDSA+SHA256", "RSA-PSS+SHA256", "ed25519"); nil where we signed nothing: a handshake that
---resumed or used a PSK, a client without a certificate, a server with RSA key exchange.
---Source: SSL_get_signature_type_nid(3).
---@return string?
function Connection:signature_algorithm() end

---The algorithm by which the peer has signed it. Source: SSL_get_peer_signature_type_nid(3).
---@return string?
function Connection:peer_signature_algorithm() end

---OpenSSL's names of the cipher suites that the client offers, in its order. A client's connection
---knows them always, a server's when the handshake is done and did not resume a TLS 1.2 session.
---Source: SSL_get_client_ciphers(3), SSL_get1_supported_ciphers(3).
---@return string[]?
function Connection:offered_ciphers() end

---Names (RFC 2253) of the CAs that the server would accept, on a client; on a server those that the
---client has sent, which few clients of TLS 1.3 do. nil if there are none.
---Source: SSL_get0_peer_CA_list(3).
---@return string[]?
function Connection:ca_names() end

---Whether the keys depend on the whole handshake: by the extended master secret (RFC 7627), or in
---TLS 1.3, where they always do. Source: SSL_get_extms_support(3).
---@return boolean?
function Connection:extended_master_secret() end

---Whether the server has sent a HelloRetryRequest, which costs a round trip.
---@return boolean?
function Connection:hello_retry() end

---Whether the peer knows secure renegotiation (RFC 5746); false in TLS 1.3.
---Source: SSL_get_secure_renegotiation_support(3).
---@return boolean?
function Connection:secure_renegotiation() end

---How many renegotiations are done, begun by either side.
---@return integer
function Connection:num_renegotiations() end

---The protocol that was agreed on.
---@return string?
function Connection:alpn() end

---The identity of the PSK that was used, or that on_psk is asked about. A session of TLS 1.3 that
---resumes has none. Source: SSL_get_psk_identity(3).
---@return string?
function Connection:psk_identity() end

---The hint by which a server of TLS 1.2 says which PSK it expects; also while on_psk is asked.
---Source: SSL_get_psk_identity_hint(3).
---@return string?
function Connection:psk_identity_hint() end

---The server name (SNI), on both sides. On a server it is that of this handshake, also where the
---resumed session was made with another. Source: SSL_get_servername(3).
---@return string?
function Connection:server_name() end

---"ok" or what was wrong, and the number X509_V_OK or X509_V_ERR_*; nil before the handshake is
---done. Source: SSL_get_verify_result(3).
---@return string? text
---@return integer? result
function Connection:verify_result() end

---The peer's chain as it was sent, leaf first; nil if the peer sent none.
---@return tlslife.Certificate[]?
function Connection:peer_certificates() end

---The certificates that we present, leaf first; nil if there are none.
---@return tlslife.Certificate[]?
function Connection:local_certificates() end

---With verify_all: all that the verification of this handshake refused, the first one first; nil if
---it refused nothing, and where the handshake resumed.
---@return tlslife.VerifyError[]?
function Connection:verify_errors() end

---OpenSSL's line about the cipher suite, with "Kx=", "Au=", "Enc=" and "Mac=".
---Source: SSL_CIPHER_description(3).
---@return string?
function Connection:cipher_description() end

---The secret bits of the cipher suite, and those of its algorithm. Source: SSL_CIPHER_get_bits(3).
---@return integer? bits
---@return integer? algorithm_bits
function Connection:cipher_bits() end

---Our Finished message. Source: SSL_get_finished.
---@return string?
function Connection:finished() end

---The peer's Finished message. Source: SSL_get_peer_finished.
---@return string?
function Connection:peer_finished() end

---Source: SSL_export_keying_material(3), RFC 5705.
---@param length integer bytes, 1..65535
---@param label string
---@param context string? nil and "" differ in TLS 1.2
---@return string? bytes
---@return string? message
---@return tlslife.Error? err
function Connection:export_keying_material(length, label, context) end

---Client: the stapled OCSP response, DER.
---@return string?
function Connection:ocsp_response() end

---The oldest key-log line that was not taken, without newline.
---@return string?
function Connection:take_keylog() end

---For cqueues: the descriptor.
---@return integer?
function Connection:pollfd() end

---For cqueues: what the last "want" waits for, "r" or "w".
---@return string?
function Connection:events() end

---For cqueues: 0 where a read has bytes at once, so that cqueues.poll(conn) never waits for what is
---there; otherwise nil, or the seconds that an address which is being dialled has left.
---@return number? seconds
function Connection:timeout() end

---Cancels the coroutines that wait in a call of this connection. Their calls return nil,
---"canceled", or how much a write has sent. The connection stays as it is.
---@return boolean canceled whether there was one
function Connection:cancel() end

---Lets go of the coroutine that waited last in a read or write of this connection, so that it can
---be collected. A connection keeps it, because its next wait is quicker then. For a program that
---keeps many connections without a coroutine for each, as on_request of tlslife.ServeOptions does.
---@return boolean taken whether bytes were read (and not only peeked at) since it was called last
function Connection:rest() end

---Whether nothing was read since the handshake or the last write, and nothing waits to be read or
---sent, so that a server that stops may close the connection.
---@return boolean
function Connection:idle() end

---Whether the handshake resumed a session, and if not, why not (docs/resumption.md).
---@alias tlslife.Outcome
---| "resumed"|"not_offered"|"not_cached"|"expired"|"not_closed"|"spent"|"not_accepted"
---| "other_version"|"other_context"|"ticket"|"store"

---"resumed", or why not; nil before the handshake is done. "ticket" means that it did not open,
---"store" that the store failed or was late.
---@return tlslife.Outcome?
function Connection:resumption() end

---Server: sets bytes that travel in the tickets of this connection from now on, at most 1024. The
---connection that resumes such a ticket gets them. Source: SSL_SESSION_set1_ticket_appdata(3).
---@param data string
---@return true
function Connection:set_ticket_data(data) end

---Server: the bytes in the session that this connection resumed, or nil.
---@return string?
function Connection:ticket_data() end

---@class tlslife.CacheOptions
---@field capacity integer? sessions in the memory tier, default 20480; 0 keeps none
---@field capacity_bytes integer? bytes of their DER; default: not counted
---@field timeout integer? seconds: no session lives longer; default: its own timeout
---@field sessions_per_peer integer? client: TLS 1.3 sessions kept for one peer, 1..16, default 4
---@field store tlslife.Store|tlslife.StoreFunctions|nil an external store
---@field keyring tlslife.Keyring? seals what the store keeps; required with one
---@field in_memory boolean? with a store: also a memory tier, default true

---An external store made of Lua functions. They may yield, return anything and raise. What is not
---what was put is a miss. What is raised is a store error, and is given to warn(). The functions
---are called only where a script makes a call, never in a finalizer: get and take in the call that
---needs a session, put and remove before a call of any connection of the cache (or cache:remove)
---returns. Where they yield, calls for several connections overlap. The table is read once.
---@class tlslife.StoreFunctions
---@field get fun(key: string): string? the bytes that were put under the key of 32 bytes
---@field put fun(key: string, sealed: string, lifetime: integer) lifetime in seconds
---with head: removes the entry only if it begins with these bytes, since a newer one may be there
---@field remove fun(key: string, head: string?)
---get and remove in one, so that of two calls at once only one gets the bytes; default: get, remove
---@field take (fun(key: string): string?)?

---@class tlslife.RedisOptions
---@field host string? default "127.0.0.1"
---@field port integer|string|nil default 6379
---@field path string? a unix socket instead
---@field tls tlslife.Context? a client's context, for TLS
---@field username string?
---@field password string?
---@field database integer?
---@field prefix string? of keys, default "tlslife:"
---@field timeout number? seconds, of one lookup, default 0.25
---@field connect_timeout number? seconds, default 1
---@field pending integer? commands under way at most, default 1024

---@class tlslife.CacheStats
---@field entries integer sessions in the memory tier now
---@field bytes integer of their DER, counted only with capacity_bytes
---@field puts integer
---@field hits integer
---@field misses integer
---@field store_hits integer hits that came from the store
---@field expired integer sessions found too old, or dropped because they were
---@field evicted integer sessions dropped to make room for others
---@field bad integer removed because their connection was not closed, or failed
---@field too_big integer
---@field store_errors integer the store failed, was late, or gave bytes that are no such session
---@field not_opened integer sealed bytes that did not open

---@class tlslife.CacheEntry
---@field id string
---@field client boolean
---@field protocol string "TLSv1.3"
---@field peer string a client's, "host:port"
---@field time integer seconds since 1970
---@field expires integer seconds since 1970

---@class tlslife.Cache
---@operator len: integer
local Cache = {}

---Keeps a server's session in the memory tier. Returns false where it cannot be kept.
---@param session tlslife.Session
---@return boolean kept
function Cache:put(session) end
---The session of this id in the memory tier, one reference more.
---@param id string
---@return tlslife.Session?
function Cache:get(id) end
---The same, and removes it from the memory tier.
---@param id string
---@return tlslife.Session?
function Cache:take(id) end
---Removes a session from the memory tier and the store.
---@param id string
---@return boolean removed whether the memory tier had it
function Cache:remove(id) end
---Drops expired sessions from the memory tier, or all of them. Returns how many.
---@param all boolean?
---@return integer n
function Cache:flush(all) end
---@return tlslife.CacheStats
function Cache:stats() end
---Iterates over the memory tier, without secrets: for entry in cache:entries() do ... end
---@return fun(): tlslife.CacheEntry?
function Cache:entries() end
---A client's sessions as sealed bytes, which the cache keeps. Sessions that were made with a client
---certificate are left out unless with_client_certificates is true.
---@param keyring tlslife.Keyring
---@param with_client_certificates boolean?
---@return string? bytes
---@return string? message
---@return tlslife.Error? err
function Cache:export(keyring, with_client_certificates) end
---Adds exported sessions to the cache. Returns how many there were. Errors: "input" (the bytes do
---not open, or are damaged), and then nothing is added.
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

---For event loops: the descriptor (nil: none), whether to watch for writing, too, and the seconds
---until pump must be called anyway (nil: never).
---@return integer? fd
---@return boolean writing
---@return number? timeout
function Store:wait() end
---Sends and receives what can be moved without waiting.
function Store:pump() end
---@return tlslife.Store self
function Store:up_ref() end
function Store:free() end

---@class tlslife.Keyring
local Keyring = {}

---Adds a new first key, at run time. The others still open; of 8, the oldest is dropped.
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
---When it was made.
---@return integer seconds since 1970
function Session:time() end
---How long it lives from that time on.
---@return integer seconds
function Session:timeout() end
---@param seconds integer 0..604800
---@return true
function Session:set_timeout(seconds) end
---@return string?
function Session:ticket() end
---The server's hint for how long the ticket is good.
---@return integer seconds
function Session:ticket_lifetime() end
---"TLSv1.3".
---@return string
function Session:protocol() end
---OpenSSL's name of the cipher suite.
---@return string?
function Session:cipher() end
---The server name (SNI).
---@return string?
function Session:hostname() end
---The protocol agreed on by ALPN.
---@return string?
function Session:alpn() end
---@return integer bytes
function Session:max_early_data() end
---Source: SSL_SESSION_is_resumable(3).
---@return boolean
function Session:is_resumable() end
---@return tlslife.Certificate?
function Session:peer_certificate() end
---The session's bytes, which hold its secret.
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

---Accepts a connection of context, without a handshake. Returns nil, "timeout" after the deadline,
---and nil, "want_read" at once if timeout is 0. Errors: "system", and those of Context:connection.
---@param context tlslife.Context
---@param timeout number? seconds, default: waits
---@return tlslife.Connection? conn
---@return string? message
---@return tlslife.Error? err
function Listener:accept(context, timeout) end
---Of its first socket; nil for a Unix socket.
---@return integer?
function Listener:port() end
---The address of each of its sockets: "127.0.0.1:8443", "unix:/path".
---@return string[]
function Listener:addresses() end
---A listener for each of its sockets, of which the first is this one; those that are new expect no
---PROXY header. For a program that hands sockets to others. Errors: "system".
---@return tlslife.Listener[]? listeners
---@return string? message
---@return tlslife.Error? err
function Listener:split() end
---From now on each connection begins with a header of the PROXY protocol, as in
---tlslife.ListenOptions. Raises for what is no address or network.
---@param versions boolean|"v1"|"v2"
---@param sources string[]?
function Listener:set_proxy_protocol(versions, sources) end
---For several sockets a descriptor that tells a loop of all, and can do nothing else.
---@return integer
function Listener:fd() end
---Closes its sockets. A coroutine that waits in accept gets nil, "canceled". Harmless when closed.
function Listener:close() end

---@class tlslife.Poller
local Poller = {}

---Sets what of a descriptor is reported: 1 readable, 2 writable, 3 both, 0 nothing any more. It is
---reported as long as it is so; with 4 in addition, at once if it is so and then whenever more
---comes. known says that it is watched already, a guess that may be wrong. Returns nil and why
---where it cannot be watched, as a file cannot.
---@param fd integer
---@param mask integer 0..7
---@param known boolean?
---@return true? ok
---@return string? message
---@return tlslife.Error? err
function Poller:watch(fd, mask, known) end
---What is ready now. Writes descriptor and mask in turn to list, over what is there, and returns
---how many descriptors there are. A mask has 4 in addition where the peer sends no more than what
---is there; that of a descriptor that has failed is 7. Never waits.
---@param list integer[]
---@return integer n
function Poller:events(list) end
---The descriptor to watch, which is readable when there are events.
---@return integer
function Poller:fd() end
---Closes the set. Harmless when closed.
function Poller:close() end

---@class tlslife.Trace
local Trace = {}

---One event. The header tlslife.h says which kind has what (tlslife_trace_kind).
---@class tlslife.TraceEvent
---life, call, wait, state, message, record, alert, handshake, session, bytes or keylog
---@field kind string
---@field conn integer the connection's number in this trace, from 1
---@field side "client"|"server" which side that connection is
---@field at integer nanoseconds since the trace was made, on the monotonic clock
---@field since integer? of a call or a wait that is over: when it began
---@field name string? of a call, a state, an alert and so on
---of a call: "ok", "error", "want_read" and so on; of a wait: "begins", "over"
---@field status string?
---@field outcome string? of a handshake or a session: "resumed", or why not
---@field age integer? of a session: how old it is, in seconds
---@field sent boolean whether a message, a record, an alert or bytes were sent
---@field code integer
---@field value integer
---@field data string
---@field shutdown integer the shutdown mask at that time
---the session in use: resumable, not any more, not yet
---@field session "good"|"bad"|"new"|nil
---@field lost integer events that were lost between the one taken before and this one

---Takes the oldest event.
---@return tlslife.TraceEvent?
function Trace:next() end
---@return integer events that were lost since the trace was made
function Trace:lost() end
---@return integer nanoseconds since 1970: when the trace was made, which is what at counts from
function Trace:epoch() end
---@return tlslife.Trace self
function Trace:up_ref() end
function Trace:free() end

---@class tlslife.Buffer
---@operator len: integer
local Buffer = {}

---Bytes i to j of what it holds, as string.sub counts.
---@param i integer? default 1
---@param j integer? default -1
---@return string
function Buffer:sub(i, j) end
---Replaces what it holds. Raises when the bytes are too long.
---@param bytes string
---@return tlslife.Buffer self
function Buffer:set(bytes) end
---@return integer bytes
function Buffer:capacity() end

---require "tlslife.worker" gives this table in a worker of tlslife.serve, and false elsewhere. It
---raises when the environment variable TLSLIFE_WORKER was not set by serve.
---@class tlslife.Worker
---@field index integer 1..workers
---@field control integer a descriptor by which the parent gives orders; it ends with the parent
---@field listeners tlslife.Listener[] what the parent has it accept from
---@field metrics integer? processes: the memory in which workers count, until the server starts
---@field cache tlslife.Cache? threads: the parent's own
---@field ticket_keys tlslife.TicketKeys? threads: the parent's own
---@field thread boolean whether it is a thread of the parent's process

---require "tlslife.host" gives this module, in the program tlslife only.
---@class tlslife.host
local host = {}

---@class tlslife.ThreadOptions
---@field index integer 1..workers
---@field control integer a socket that becomes the thread's, and is closed at the thread's end
---listeners, or descriptors of listening sockets, that stay the caller's
---@field listeners (tlslife.Listener|integer)[]?
---@field cache tlslife.Cache?
---@field ticket_keys tlslife.TicketKeys?

---Runs the program's script again in a new thread, in a Lua state of its own that is prepared as
---the main one was: the options before the script, LUA_INIT and arg are the same. There, require
---"tlslife.worker" gives what these options say. The thread ends with the script, with an error
---(reported as the main script's is), or by os.exit, which ends the thread only and closes its
---state. The program does not wait for the thread at its end. The thread gets no signals, and
---neither do programs that it starts by io.popen and os.execute. Raises for invalid options, and
---where the script came from stdin. Returns nil, message when the system has no thread left.
---@param options tlslife.ThreadOptions
---@return tlslife.Thread? thread
---@return string? message
function host.thread(options) end

---Starts a thread that writes the events of a trace while the script runs, in a format (text, json,
---pcapng, html), to a file that it makes for its owner alone, or to stderr (nil). words are options
---of text: "colour states records". At the end of the process, what is left is written.
---@param trace tlslife.Trace
---@param format string
---@param path string?
---@param words string?
---@return tlslife.TraceWriter? writer
---@return string? message
function host.trace_writer(trace, format, path, words) end

---@class tlslife.TraceWriter
local TraceWriter = {}

---Writes what is left, and closes the file. It says whether all could be written.
---@return boolean? written
---@return string? message
function TraceWriter:stop() end

---@class tlslife.Thread
local Thread = {}

---Waits for the thread's end. A thread whose handle is collected goes on.
---@return integer status as a process's: 0, 1 after an error, or what os.exit was given
function Thread:join() end
---@return integer? status nil: it runs
function Thread:status() end

return tlslife
