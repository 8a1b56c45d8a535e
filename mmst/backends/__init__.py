"""The outside engines: one module an engine, each imports its one client library. Only `wiring` imports them."""
