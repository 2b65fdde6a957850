use std::time::Duration;

/// How a method may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// Its path, such as `/bookworm.basket.v1.Basket/GetBasket`.
    pub path: &'static str,
    /// How long a call may take, repeats included.
    pub timeout: Duration,
    /// Whether calling it twice does the same as calling it once (RFC 9110, section 9.2.2, calls this idempotent).
    pub repeatable: bool,
}

impl Method {
    /// A method that may be called again when no answer came.
    #[must_use]
    pub const fn repeatable(path: &'static str, timeout: Duration) -> Self {
        Self { path, timeout, repeatable: true }
    }

    /// A method that does something more with each call.
    #[must_use]
    pub const fn once(path: &'static str, timeout: Duration) -> Self {
        Self { path, timeout, repeatable: false }
    }
}
