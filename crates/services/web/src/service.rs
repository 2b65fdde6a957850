//! What every handler shares.

use std::{ops::Deref, sync::Arc};

use bookworm_kernel::Clock;

use crate::{
    ApiClient, Dependencies, WebSettings, cover::Covers, pages::book::Views, session::Refreshes, shelf::Shelf,
};

/// What the handlers share; cloned for each request, and so one pointer.
#[derive(Clone)]
pub(crate) struct Web(Arc<Shared>);

pub(crate) struct Shared {
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
        Self(Arc::new(Shared {
            api,
            clock,
            settings: Arc::new(settings),
            refreshes: Refreshes::new(),
            shelf: Shelf::new(),
            covers: Covers::new(),
            views: Views::new(),
        }))
    }
}

impl Deref for Web {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
