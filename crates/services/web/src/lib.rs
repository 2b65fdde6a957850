//! The storefront and the back office as pages.
