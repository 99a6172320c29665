"""The daemon: `ingest` (sockets and spool, no science), `worker` (science), and what joins them."""
