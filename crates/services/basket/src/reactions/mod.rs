//! What the basket does when others tell something.

pub(crate) mod order_confirmed;
