//! A message for the next page, carried by a signed cookie that lives a minute.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::csrf;

/// How a message is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// It worked.
    Success,
    /// It did not.
    Problem,
}

/// A message that is shown once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flash {
    pub(crate) tone: Tone,
    pub(crate) text: String,
}

impl Flash {
    /// The longest message that is carried; more would be cut by browsers' limit for cookies.
    const LONGEST: usize = 600;

    pub(crate) fn success(text: impl Into<String>) -> Self {
        Self { tone: Tone::Success, text: text.into() }
    }

    pub(crate) fn problem(text: impl Into<String>) -> Self {
        Self { tone: Tone::Problem, text: text.into() }
    }

    pub(crate) fn is_problem(&self) -> bool {
        self.tone == Tone::Problem
    }

    pub(crate) fn to_cookie(&self, secret: &[u8; 32]) -> String {
        let mark = if self.is_problem() { '!' } else { '+' };
        let text: String = self.text.chars().take(Self::LONGEST).collect();
        let payload = URL_SAFE_NO_PAD.encode(format!("{mark}{text}"));
        let signature = csrf::sign(secret, "flash", &payload);
        format!("{payload}.{signature}")
    }

    pub(crate) fn from_cookie(secret: &[u8; 32], cookie: &str) -> Option<Self> {
        let (payload, signature) = cookie.split_once('.')?;
        if !csrf::verify(secret, "flash", payload, signature) {
            return None;
        }
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        let tone = if text.starts_with('!') { Tone::Problem } else { Tone::Success };
        Some(Self { tone, text: text.get(1..)?.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_messages_are_shown() {
        let secret = [7; 32];
        let flash = Flash::problem("Sold out — sorry");
        let cookie = flash.to_cookie(&secret);
        assert_eq!(Flash::from_cookie(&secret, &cookie), Some(flash));
        assert_eq!(Flash::from_cookie(&[8; 32], &cookie), None);
        assert_eq!(Flash::from_cookie(&secret, "K0hlbGxv.forged"), None);
    }
}
