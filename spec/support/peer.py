"""Python's ssl as the peer of spec/others/interop_spec.lua.

peer.py client PORT VERSION CA REQUEST TIMES ENDS
    makes TIMES connections, each but the first with the session of the one before; ENDS (client,
    server) closes first
peer.py server KIND CERTIFICATE KEY
    echoes; "GET" is answered, and then it closes first

It prints a line for each thing that the spec looks at: "connected VERSION reused=False", what it
received, and "end closed" once the peer's close_notify has come - or an exception, when the stream
ended without one.
"""
import socket
import ssl
import sys

VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


def strict(context):
    """Python takes a cut stream for an ended one unless told otherwise."""
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    return context


def say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def said(conn):
    return f"connected {conn.version()} reused={conn.session_reused}"


def receive_reply(conn, ends):
    """The whole reply: to its length, or to the close_notify."""
    got = b""
    while True:
        head, separator, body = got.partition(b"\r\n\r\n")
        if ends == "client" and separator:
            length = int(head.split(b"Content-Length: ")[1].split(b"\r")[0])
            if len(body) >= length:
                return got
        data = conn.recv(65536)
        if not data:
            return got
        got += data


def client(port, version, ca, request, times, ends):
    context = strict(ssl.create_default_context(cafile=ca))
    context.minimum_version = context.maximum_version = VERSIONS[version]
    with open(request, "rb") as file:
        request = file.read()
    session = None
    for _ in range(int(times)):
        plain = socket.create_connection(("127.0.0.1", int(port)), timeout=20)
        conn = context.wrap_socket(plain, server_hostname="localhost", session=session,
                                   suppress_ragged_eofs=False)
        say(said(conn))
        conn.sendall(request)
        say(receive_reply(conn, ends).decode())
        session = conn.session
        conn.unwrap().close()
        say("end closed")


def serve(conn):
    say(said(conn))
    while True:
        data = conn.recv(65536)
        if data[:3] == b"GET":
            conn.sendall(b"HTTP/1.0 200 OK\r\n\r\nhello of Python\n")
        if not data or data[:3] == b"GET":
            conn.unwrap().close()
            say("end closed")
            return
        conn.sendall(data)


def server(kind, certificate, key):
    context = strict(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    context.load_cert_chain(certificate, key)
    if kind == "stateful":
        context.options |= ssl.OP_NO_TICKET
    listener = socket.create_server(("127.0.0.1", 0))
    say(f"listening {listener.getsockname()[1]}")
    while True:
        plain, _ = listener.accept()
        plain.settimeout(20)
        try:
            serve(context.wrap_socket(plain, server_side=True, suppress_ragged_eofs=False))
        except OSError as problem:
            say(f"failed {problem}")
            plain.close()


{"client": client, "server": server}[sys.argv[1]](*sys.argv[2:])
