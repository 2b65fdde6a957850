//! Roles to routers, clients and workers. The only crate that names concrete services.
