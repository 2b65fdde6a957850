//! Payments, the sandbox provider, the ledger, reconciliation.
