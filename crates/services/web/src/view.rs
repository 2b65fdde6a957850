//! How values read on a page. Templates hand every argument over as a reference.

use bookworm_contracts::rest::{
    catalog::Book,
    ordering::{OrderStatus, PaymentStatus},
};
use bookworm_kernel::{Money, TimeZone, Timestamp};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Fewer copies than this are announced as few.
const FEW: i64 = 5;

/// Text for one part of an address or one value of a query.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Sign-in that comes back here.
pub(crate) fn sign_in_url(here: &str) -> String {
    format!("/sign-in?next={}", encoded(here))
}

/// An address of this shop to go to, or the front page when it is none: never another site's.
pub(crate) fn local_path(path: &str) -> &str {
    let local = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains(['\\', '\n', '\r', '\t'])
        && path.chars().all(|c| c.is_ascii_graphic());
    if local { path } else { "/" }
}

/// `Ann Author, Ben Writer and 2 more`
pub(crate) fn authors(book: &Book) -> String {
    let names: Vec<&str> = book.authors.iter().take(2).map(|author| author.name.as_str()).collect();
    match book.authors.len() {
        0 => "Author unknown".to_owned(),
        1 | 2 => names.join(" and "),
        more => format!("{} and {} more", names.join(", "), more - 2),
    }
}

/// `1813`, `380 BC`
pub(crate) fn year(year: &i32) -> String {
    if *year < 0 { format!("{} BC", year.unsigned_abs()) } else { year.to_string() }
}

/// Whether the shelf is empty.
pub(crate) fn sold_out(book: &Book) -> bool {
    book.available <= 0
}

/// Whether it is worth saying how many copies are left.
pub(crate) fn few_left(book: &Book) -> bool {
    (1..FEW).contains(&book.available)
}

/// The old price, when the present one is lower.
pub(crate) fn reduced_from(book: &Book) -> Option<Money> {
    book.list_price.filter(|list| list.currency == book.price.currency && list.amount > book.price.amount)
}

/// Whole stars of five, as a picture of characters for sighted readers.
pub(crate) fn stars(average: &f64) -> &'static str {
    match *average {
        a if a >= 4.75 => "★★★★★",
        a if a >= 3.75 => "★★★★☆",
        a if a >= 2.75 => "★★★☆☆",
        a if a >= 1.75 => "★★☆☆☆",
        _ => "★☆☆☆☆",
    }
}

/// `4.3`
pub(crate) fn average(average: &f64) -> String {
    format!("{average:.1}")
}

/// `1,204`
pub(crate) fn number(number: &i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut grouped = String::with_capacity(digits.len() + 4);
    if *number < 0 {
        grouped.push('-');
    }
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// How pages show dates and times: by the shop's clocks, and as one says it now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calendar {
    pub(crate) zone: TimeZone,
    pub(crate) now: Timestamp,
}

impl Calendar {
    /// `<time>today, 17:15</time>`, as HTML; the exact time with its zone is in its title.
    pub(crate) fn time(&self, at: &Timestamp) -> String {
        let (said, exact) = (self.zone.relative(*at, self.now), self.zone.date_time_zone(*at));
        format!("<time datetime=\"{at}\" title=\"{exact}\">{said}</time>")
    }

    /// `<time>29 November 2026</time>`, as HTML.
    pub(crate) fn date(&self, at: &Timestamp) -> String {
        format!("<time datetime=\"{at}\">{}</time>", self.zone.date(*at))
    }
}

/// For people who bought.
pub(crate) fn status(status: &OrderStatus) -> &'static str {
    match status {
        OrderStatus::Pending => "Being checked",
        OrderStatus::Confirmed => "Confirmed",
        OrderStatus::Shipped => "On its way",
        OrderStatus::Completed => "Delivered",
        OrderStatus::Cancelled => "Cancelled",
        OrderStatus::Rejected => "Not accepted",
        OrderStatus::Refunded => "Refunded",
    }
}

/// As the API spells it.
pub(crate) fn status_code(status: &OrderStatus) -> &'static str {
    match status {
        OrderStatus::Pending => "pending",
        OrderStatus::Confirmed => "confirmed",
        OrderStatus::Shipped => "shipped",
        OrderStatus::Completed => "completed",
        OrderStatus::Cancelled => "cancelled",
        OrderStatus::Rejected => "rejected",
        OrderStatus::Refunded => "refunded",
    }
}

/// For people who paid.
pub(crate) fn payment(status: &PaymentStatus) -> &'static str {
    match status {
        PaymentStatus::Pending => "Waiting for the payment",
        PaymentStatus::ActionRequired => "Waiting for your confirmation",
        PaymentStatus::Authorised => "Authorised",
        PaymentStatus::Captured => "Paid",
        PaymentStatus::Declined => "Declined",
        PaymentStatus::Voided => "Released, nothing was taken",
        PaymentStatus::PartiallyRefunded => "Partly refunded",
        PaymentStatus::Refunded => "Refunded",
        PaymentStatus::NotRequired => "Nothing to pay",
        PaymentStatus::Failed => "Not completed",
    }
}

/// A step of an order's life in words.
pub(crate) fn step(status: &str) -> String {
    match status {
        "pending" | "created" | "placed" => "Order placed".to_owned(),
        "stock_reserved" => "Copies set aside".to_owned(),
        "payment_action_required" => "Your bank asks for your confirmation".to_owned(),
        "payment_authorised" => "Payment authorised".to_owned(),
        "confirmed" => "Order confirmed".to_owned(),
        "payment_captured" => "Payment received".to_owned(),
        "shipped" => "Handed to the carrier".to_owned(),
        "completed" => "Delivered".to_owned(),
        "cancelled" => "Order cancelled".to_owned(),
        "rejected" => "Order not accepted".to_owned(),
        "partially_refunded" => "Part of the money sent back".to_owned(),
        "refunded" => "Money sent back".to_owned(),
        other => capitalised(&other.replace('_', " ")),
    }
}

/// With its first letter in upper case, as at the beginning of a sentence.
pub(crate) fn capitalised(words: &str) -> String {
    let mut words = words.to_owned();
    if let Some(first) = words.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_sends_anybody_to_another_site() {
        for hostile in ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "/a\nb", ""]
        {
            assert_eq!(local_path(hostile), "/", "{hostile}");
        }
        assert_eq!(local_path("/books?subject=Sea&sort=price"), "/books?subject=Sea&sort=price");
    }

    #[test]
    fn times_are_the_shops_and_machines_can_read_them() {
        let at = |text: &str| Timestamp::parse(text).expect("RFC 3339");
        let zone = TimeZone::parse("Europe/Berlin").expect("a zone");
        let calendar = Calendar { zone, now: at("2026-11-29T23:30:00Z") };
        assert_eq!(
            calendar.time(&at("2026-11-29T23:05:00Z")),
            "<time datetime=\"2026-11-29T23:05:00Z\" title=\"30 November 2026, 00:05 CET\">today, 00:05</time>"
        );
        assert_eq!(
            calendar.date(&at("2026-11-28T23:05:00Z")),
            "<time datetime=\"2026-11-28T23:05:00Z\">29 November 2026</time>"
        );
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(number(&1_234_567), "1,234,567");
        assert_eq!(number(&-1000), "-1,000");
        assert_eq!(number(&999), "999");
    }
}
