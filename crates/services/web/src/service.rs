//! What every handler shares.

use std::sync::Arc;

use bookworm_kernel::Clock;

use crate::{
    ApiClient, Dependencies, WebSettings, cover::Covers, pages::book::Views, session::Refreshes, shelf::Shelf,
};

#[derive(Clone)]
pub(crate) struct Web {
    pub api: ApiClient,
    pub clock: Arc<dyn Clock>,
    pub settings: Arc<WebSettings>,
    pub refreshes: Refreshes,
    pub shelf: Shelf,
    pub covers: Covers,
    pub views: Views,
}

impl Web {
    pub fn new(dependencies: Dependencies) -> Self {
        let Dependencies { api, clock, settings } = dependencies;
        Self {
            api,
            clock,
            settings: Arc::new(settings),
            refreshes: Refreshes::new(),
            shelf: Shelf::new(),
            covers: Covers::new(),
            views: Views::new(),
        }
    }
}
