"""Puts TLS before a PostgreSQL server on a unix socket: tls_proxy.py SOCKET CERTIFICATE KEY. Prints the port, then a line a connection: tls or plain."""
import socket
import ssl
import struct
import sys
import threading

path, certificate, key = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)


def copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for one in (source, target):
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(client):
    first = client.recv(8, socket.MSG_WAITALL)
    tls = struct.unpack("!II", first) == (8, 80877103)  # SSLRequest
    print("tls" if tls else "plain", flush=True)
    server = socket.socket(socket.AF_UNIX)
    try:
        if tls:
            client.sendall(b"S")
            client = context.wrap_socket(client, server_side=True)
            first = b""
        server.connect(path)
        server.sendall(first)
    except OSError:
        client.close()
        return
    threading.Thread(target=copy, args=(client, server), daemon=True).start()
    copy(server, client)


threading.Thread(target=lambda: (sys.stdin.read(), sys.exit()), daemon=True).start()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
