use std::{collections::BTreeMap, sync::Arc};

use super::{PaymentProvider, ProviderError, traced::Traced};

/// The payment providers of a shop. New payments go to one of them; a payment stays with the provider that it was made
/// with, whose name is stored beside it, so that it can be captured, refunded and followed after the shop has changed
/// to another.
#[derive(Clone)]
pub struct Providers {
    for_new: Arc<dyn PaymentProvider>,
    by_name: BTreeMap<&'static str, Arc<dyn PaymentProvider>>,
}

impl Providers {
    /// A shop whose new payments go to this provider.
    #[must_use]
    pub fn new(for_new: Arc<dyn PaymentProvider>) -> Self {
        let for_new: Arc<dyn PaymentProvider> = Arc::new(Traced(for_new));
        let by_name = BTreeMap::from([(for_new.name(), for_new.clone())]);
        Self { for_new, by_name }
    }

    /// The same shop, with a provider that old payments were made with. One of the same name as a present one takes
    /// no place of it.
    #[must_use]
    pub fn with(mut self, other: Arc<dyn PaymentProvider>) -> Self {
        self.by_name.entry(other.name()).or_insert_with(|| Arc::new(Traced(other)));
        self
    }

    /// Where new payments go.
    #[must_use]
    pub fn for_new(&self) -> &dyn PaymentProvider {
        &*self.for_new
    }

    /// The provider of this name, as stored with a payment and named in its webhooks' path.
    ///
    /// # Errors
    /// [`ProviderError::Absent`] when the shop has none of this name.
    pub fn named(&self, name: &str) -> Result<&dyn PaymentProvider, ProviderError> {
        self.by_name.get(name).map(|provider| &**provider).ok_or_else(|| ProviderError::Absent(name.to_owned()))
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.by_name.keys().copied()
    }
}
