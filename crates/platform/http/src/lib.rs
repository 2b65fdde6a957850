//! Problems, pages, idempotency, callers: what every HTTP service says the same way.
