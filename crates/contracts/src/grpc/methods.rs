//! How long each method may take, and whether it may be called again when no answer came. One table for all callers.

use std::time::Duration;

use bookworm_rpc::Method;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Of the `ai` role. Texts are embedded once: a model that is slow is not helped by the same work twice. A caller that
/// cannot wait so long sets a deadline.
pub const AI: &[Method] = &[
    Method::once("/bookworm.ai.v1.Ai/Embed", seconds(60)),
    Method::once("/bookworm.ai.v1.Ai/Complete", seconds(120)),
    Method::repeatable("/bookworm.ai.v1.Ai/Status", seconds(2)),
];

/// Of the basket. A claim and its release name the order, so that a repeat finds what the first one did; a guest's basket
/// that was merged is empty the second time.
pub const BASKET: &[Method] = &[
    Method::repeatable("/bookworm.basket.v1.Basket/GetBasket", seconds(3)),
    Method::repeatable("/bookworm.basket.v1.Basket/MergeGuest", seconds(2)),
    Method::repeatable("/bookworm.basket.v1.Basket/ClaimBasket", seconds(6)),
    Method::repeatable("/bookworm.basket.v1.Basket/ReleaseBasket", seconds(6)),
];

/// Of the catalogue.
pub const CATALOG: &[Method] = &[Method::repeatable("/bookworm.catalog.v1.Catalog/GetBooks", seconds(3))];

/// Of notification. Each yes counts as one mail.
pub const NOTIFICATION: &[Method] = &[Method::once("/bookworm.notification.v1.Mailroom/Admit", seconds(2))];

/// Of ordering.
pub const ORDERING: &[Method] = &[Method::repeatable("/bookworm.ordering.v1.Ordering/LatestOrders", seconds(2))];

/// Every table.
pub const ALL: [&[Method]; 5] = [AI, BASKET, CATALOG, NOTIFICATION, ORDERING];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The paths of all methods in a `.proto` file: this is what its `package`, `service` and `rpc` lines say.
    fn paths(proto: &str) -> BTreeSet<String> {
        let word = |line: &str, keyword: &str| {
            let rest = line.trim().strip_prefix(keyword)?.trim_start();
            Some(rest.split([' ', '(', ';', '{']).next().unwrap_or_default().to_owned())
        };
        let (mut package, mut service, mut paths) = (String::new(), String::new(), BTreeSet::new());
        for line in proto.lines() {
            if let Some(name) = word(line, "package ") {
                package = name;
            } else if let Some(name) = word(line, "service ") {
                service = name;
            } else if let Some(name) = word(line, "rpc ") {
                paths.insert(format!("/{package}.{service}/{name}"));
            }
        }
        paths
    }

    #[test]
    fn every_method_of_every_service_is_in_the_table() {
        assert_eq!(ALL.len(), 5, "add the new table to this test");
        for (proto, methods) in [
            (include_str!("../../proto/ai.proto"), AI),
            (include_str!("../../proto/basket.proto"), BASKET),
            (include_str!("../../proto/catalog.proto"), CATALOG),
            (include_str!("../../proto/notification.proto"), NOTIFICATION),
            (include_str!("../../proto/ordering.proto"), ORDERING),
        ] {
            let table: BTreeSet<String> = methods.iter().map(|method| method.path.to_owned()).collect();
            assert_eq!(table, paths(proto));
            assert!(!table.is_empty());
        }
    }
}
