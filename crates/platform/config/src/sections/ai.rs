use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    Secret,
    validate::{Validate, Validation},
};

/// The model that turns texts into vectors of meaning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ai {
    /// Who makes the vectors. Default `auto`.
    pub provider: AiProvider,
    /// The folder with the local model's `model.safetensors` and `tokenizer.json`: all-MiniLM-L6-v2, or another BERT
    /// for sentences. Left out: `bookworm/models/all-MiniLM-L6-v2` in the user's cache folder, where
    /// `scripts/model` puts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_dir: Option<PathBuf>,
    /// How many tokens (about three quarters of a word each) of a text the local model reads; the rest is cut off: 8 to
    /// 512. Default 128: time grows with it, and a book's first sentences say most.
    pub max_tokens: u32,
    /// How many texts the local model works on at once: 0 to 256. Default 0: as many as there are processors.
    pub threads: u32,
    /// The endpoint for `openai`, such as `https://api.openai.com/v1/embeddings`; `http` only for one of your own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Url>,
    /// The endpoint's name for the model, such as `text-embedding-3-small`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Sent as a bearer token. Better set as `BOOKWORM_AI__API_KEY`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Secret>,
    /// After how many milliseconds one request to the endpoint is given up: 100 to 120000. Default 10000.
    pub timeout_ms: u64,
    /// How many texts one request to the endpoint may hold: 1 to 2048. Default 64.
    pub batch: u32,
    /// How many texts may wait in line, for those somebody waits for and those in the background each; more are
    /// refused: 64 to 100000. Default 1024.
    pub queue: u32,
    /// An endpoint that speaks OpenAI's `/v1/chat/completions`, such as `https://api.openai.com/v1/chat/completions`;
    /// `http` only for one of your own. Its model puts the chat's answers into words. Left out: the chat uses its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_url: Option<Url>,
    /// That endpoint's name for its model, such as `gpt-4o-mini`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_model: Option<String>,
    /// Sent to it as a bearer token. Better set as `BOOKWORM_AI__CHAT_API_KEY`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_api_key: Option<Secret>,
    /// After how many milliseconds without a first word it is given up: 100 to 120000. Default 3000.
    pub chat_first_word_ms: u64,
    /// After how many milliseconds the whole answer is given up: 100 to 120000. Default 10000.
    pub chat_total_ms: u64,
    /// The most tokens (about three quarters of a word each) of an answer: 16 to 4096. Default 400.
    pub chat_max_tokens: u32,
}

/// Who makes the vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AiProvider {
    /// `openai` when a URL is set, else `local` when the model's files are there, else nobody.
    Auto,
    /// A model in this process.
    Local,
    /// An endpoint that speaks OpenAI's `/v1/embeddings`.
    Openai,
    /// Nobody: search goes by words alone.
    Off,
}

impl Default for Ai {
    fn default() -> Self {
        Self {
            provider: AiProvider::Auto,
            model_dir: None,
            max_tokens: 128,
            threads: 0,
            url: None,
            model: None,
            api_key: None,
            timeout_ms: 10_000,
            batch: 64,
            queue: 1024,
            chat_url: None,
            chat_model: None,
            chat_api_key: None,
            chat_first_word_ms: 3_000,
            chat_total_ms: 10_000,
            chat_max_tokens: 400,
        }
    }
}

impl Ai {
    /// What `auto` comes to, when the caller says whether the local model's files are there. It stays `auto` when there
    /// is nothing to choose.
    #[must_use]
    pub fn chosen(&self, model_is_there: impl FnOnce() -> bool) -> AiProvider {
        match self.provider {
            AiProvider::Auto if self.url.is_some() => AiProvider::Openai,
            AiProvider::Auto if model_is_there() => AiProvider::Local,
            chosen => chosen,
        }
    }
}

impl Validate for Ai {
    fn validate(&self, v: &mut Validation) {
        v.range("max_tokens", self.max_tokens, 8..=512);
        v.range("threads", self.threads, 0..=256);
        v.range("timeout_ms", self.timeout_ms, 100..=120_000);
        v.range("batch", self.batch, 1..=2048);
        v.range("queue", self.queue, 64..=100_000);
        if let Some(folder) = &self.model_dir {
            v.check("model_dir", !folder.as_os_str().is_empty(), "must not be empty");
        }
        v.range("chat_first_word_ms", self.chat_first_word_ms, 100..=120_000);
        v.range("chat_total_ms", self.chat_total_ms, 100..=120_000);
        v.range("chat_max_tokens", self.chat_max_tokens, 16..=4096);
        for (key, url) in [("url", &self.url), ("chat_url", &self.chat_url)] {
            let Some(url) = url else { continue };
            let valid =
                matches!(url.scheme(), "http" | "https") && url.host_str().is_some() && url.username().is_empty();
            v.check(key, valid, "must be http:// or https://, without a user");
        }
        let named = |model: &Option<String>| model.as_ref().is_some_and(|model| !model.trim().is_empty());
        v.check("chat_model", self.chat_url.is_none() || named(&self.chat_model), "must be set with chat_url");
        if self.chosen(|| false) == AiProvider::Openai {
            v.check("url", self.url.is_some(), "must be set for the provider openai");
            v.check("model", named(&self.model), "must be set for the provider openai");
        }
    }
}
