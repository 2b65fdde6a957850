use std::{collections::HashMap, sync::Arc};

use crate::{
    lane::NoVector,
    provider::Purpose,
    service::{Ai, Vectors},
};

impl Ai {
    /// The vectors of texts, in their order, and the model's name.
    pub async fn embed(&self, texts: Vec<String>, purpose: Purpose) -> Result<(Vec<Arc<[f32]>>, String), NoVector> {
        let vectors = self.vectors.as_ref().map_err(|reason| NoVector::Unavailable(reason.clone()))?;
        let embedded = match purpose {
            Purpose::Query => vectors.embed_queries(texts).await?,
            Purpose::Background => vectors.background.embed(texts).await?,
        };
        Ok((embedded, vectors.provider.model()))
    }
}

impl Vectors {
    /// The vectors of queries: from the cache, and new ones for the rest.
    async fn embed_queries(&self, texts: Vec<String>) -> Result<Vec<Arc<[f32]>>, NoVector> {
        let mut known: HashMap<&str, Arc<[f32]>> =
            texts.iter().filter_map(|text| Some((text.as_str(), self.cached.get(text)?))).collect();
        let mut new: Vec<String> = texts.iter().filter(|text| !known.contains_key(text.as_str())).cloned().collect();
        new.sort_unstable();
        new.dedup();
        if !new.is_empty() {
            let vectors = self.queries.embed(new.clone()).await?;
            for (text, vector) in new.into_iter().zip(vectors) {
                if let Some(text) = texts.iter().find(|asked| **asked == text) {
                    known.insert(text, vector.clone());
                }
                self.cached.insert(text, vector);
            }
        }
        Ok(texts.iter().filter_map(|text| known.get(text.as_str()).cloned()).collect())
    }
}
