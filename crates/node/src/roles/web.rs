use axum::Router;
use bookworm_web::{ApiClient, WebSettings};
use tower::util::BoxCloneSyncService;

use crate::{foundation::Foundation, secret};

/// Makes the pages, once the API that they call is there.
pub fn build(foundation: &Foundation) -> anyhow::Result<Box<dyn FnOnce(Router) -> Router + Send>> {
    let settings = WebSettings {
        shop_name: foundation.settings.web.shop_name.clone(),
        secure_cookies: foundation.settings.secure_cookies(),
        secret: secret::load_or_make(&foundation.settings.data_dir.join("web-secret"))?,
    };
    Ok(Box::new(move |api| bookworm_web::router(ApiClient::new(BoxCloneSyncService::new(api)), settings)))
}
