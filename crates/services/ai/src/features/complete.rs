use crate::{
    provider::{ChatError, Text},
    service::Ai,
};

/// Why a language model wrote nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoText {
    /// There is none.
    #[error("no language model: ai.chat_url is not set")]
    NoModel,
    /// It failed.
    #[error(transparent)]
    Chat(#[from] ChatError),
}

impl Ai {
    /// Streams a language model's text, from its first word on. `max_tokens` 0 means as many as the settings allow.
    pub async fn complete(&self, system: &str, prompt: &str, max_tokens: u32) -> Result<Text, NoText> {
        let chat = self.chat.as_ref().ok_or(NoText::NoModel)?;
        Ok(chat.write(system, prompt, max_tokens).await?)
    }
}
