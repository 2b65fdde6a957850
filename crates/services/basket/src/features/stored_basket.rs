use bookworm_db::DbError;

use crate::{
    service::Baskets,
    store::{self, Owner, Stored},
};

impl Baskets {
    /// A basket as it is stored, for a checkout, which asks the catalogue itself.
    pub(crate) async fn stored(&self, owner: &Owner) -> Result<Option<Stored>, DbError> {
        store::find(self.db.read(), owner).await
    }
}
