"""Live mode: the app on a real server of this process, and a client at the other end of a socket.

Nothing is imported here: what a server or the wire needs is imported where it is used.
"""
