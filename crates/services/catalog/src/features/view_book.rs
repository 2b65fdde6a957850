use std::sync::Arc;

use axum::extract::State;
use bookworm_http::{ApiPath, Problem, ProblemBody, Result, auth::Signed};
use bookworm_kernel::BookId;
use http::StatusCode;

use crate::{
    service::Catalog,
    store::{books, shoppers},
};

/// Notes that the customer who is signed in looked at a book, for their recommendations.
///
/// Looking again changes nothing but when it was last; the last 50 books are remembered.
#[utoipa::path(post, path = "/books/{id}/views", tag = "catalog",
    params(("id" = BookId, Path, description = "The book")),
    responses(
        (status = 204, description = "Noted"),
        (status = 404, body = ProblemBody, description = "`not_found`"),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn view_book(
    State(catalog): State<Arc<Catalog>>,
    Signed(customer): Signed,
    ApiPath(id): ApiPath<BookId>,
) -> Result<StatusCode> {
    let (now, customer) = (catalog.clock.now(), customer.id);
    let noted = catalog.db.transact::<_, Problem, _>(move |tx| {
        Box::pin(async move {
            if !books::is_on_sale(tx, id).await? {
                return Err(Problem::not_found("book"));
            }
            shoppers::viewed(tx, customer, id, now).await?;
            Ok(())
        })
    });
    noted.await?;
    Ok(StatusCode::NO_CONTENT)
}
