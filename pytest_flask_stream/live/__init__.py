"""Live mode: the app answers on a real server in this process, and the client reads the socket.

======================  ==========================================================================
:mod:`.server`          real servers in threads; they know nothing of what is watched
:mod:`.app_server`      one app on one of them, and which request of its is whose
:mod:`.served`          the server's side of one request: writes the tape
:mod:`.request`         an environ as a request on the wire
:mod:`.wire_reader`     bytes to events; no I/O
:mod:`.connection`      the socket, with a deadline
:mod:`.exchange`        the test's side of one request: the producer of a response
:mod:`.response`        the response, with what came out of the socket
:mod:`.client`          the client
======================  ==========================================================================
"""
