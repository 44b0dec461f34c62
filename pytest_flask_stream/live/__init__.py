"""Live mode: the app on a real server in this process, read over a real socket."""
