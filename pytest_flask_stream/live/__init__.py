"""Live mode: the app answers on a real server in this process, and the client reads the socket.

=========================  =======================================================================
:mod:`.running`            what every server in a thread has: it is started, and it is stopped
:mod:`.werkzeug_server`    Werkzeug's server, with a thread for each request
:mod:`.waitress_server`    waitress, with its loop and its threads
:mod:`.server`             picks one of them; none knows of what is watched
:mod:`.served`             the server's side of one request: writes the tape
:mod:`.app_server`         one app on one server, and which request of its is whose
:mod:`.request`            an environ as a request on the wire
:mod:`.connection`         the socket, with a deadline
:mod:`.wire_events`        what a response on the wire consists of
:mod:`.wire_head`          its head, bytes to events; no I/O
:mod:`.wire_reader`        its body, bytes to events; no I/O
:mod:`.facts`              what is known of the wire
:mod:`.wire`               one request and its response on one connection
:mod:`.exchange`           the test's side of one request: the producer of a response
:mod:`.response`           the response, with what came out of the socket
:mod:`.client`             the client
=========================  =======================================================================
"""
