//! How values read on a page. Templates hand every argument over as a reference.

use crate::names;
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
        0 => "Unknown author".to_owned(),
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

/// Whether readers rated it, and well.
pub(crate) fn is_loved(book: &Book) -> bool {
    book.rating.count > 0 && book.rating.average >= 4.0
}

/// The name of the book's language, when that is not the pages'.
pub(crate) fn foreign(language: &Option<String>) -> Option<&str> {
    language.as_deref().filter(|code| !is_page_language(code)).map(names::language)
}

fn is_page_language(code: &str) -> bool {
    code.split('-').next().is_some_and(|primary| primary.eq_ignore_ascii_case("en"))
}

/// Languages that are written from right to left.
const RIGHT_TO_LEFT: [&str; 12] = ["ar", "arc", "ckb", "dv", "fa", "he", "iw", "ps", "sd", "ug", "ur", "yi"];

/// Attributes for words in the language of a book: ` lang="ar" dir="rtl"`; nothing when it is the pages' language, or not
/// known. Screen readers choose the voice by it, browsers the shapes of Han characters and where lines break.
pub(crate) fn lang(language: &Option<String>, words: &str) -> String {
    let tag = |code: &&str| {
        (2..=35).contains(&code.len())
            && code.split('-').all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric()))
    };
    let Some(code) = language.as_deref().filter(|code| !is_page_language(code)).filter(tag) else {
        return String::new();
    };
    let primary = code.split('-').next().unwrap_or_default().to_ascii_lowercase();
    let backwards = RIGHT_TO_LEFT.contains(&primary.as_str()) && words.chars().any(is_right_to_left);
    let dir = if backwards { " dir=\"rtl\"" } else { "" };
    format!(" lang=\"{code}\"{dir}")
}

/// The same for a longer text, which a shop often writes in its own language: marked only where its letters say so.
pub(crate) fn lang_of_text(language: &Option<String>, text: &str) -> String {
    let (mut latin, mut other) = (0_usize, 0_usize);
    for c in text.chars().filter(|c| c.is_alphabetic()) {
        if (c as u32) < 0x250 || ('\u{1e00}'..='\u{1eff}').contains(&c) { latin += 1 } else { other += 1 }
    }
    if other > latin { lang(language, text) } else { String::new() }
}

/// Hebrew, Arabic, Syriac, Thaana, N'Ko and their presentation forms.
fn is_right_to_left(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}' | '\u{10800}'..='\u{10fff}')
}

/// The old price, when the present one is lower.
pub(crate) fn reduced_from(book: &Book) -> Option<Money> {
    book.list_price.filter(|list| list.currency == book.price.currency && list.amount > book.price.amount)
}

/// Stars of five to the half, as a picture of characters for sighted readers.
pub(crate) fn stars(average: &f64) -> &'static str {
    match *average {
        a if a >= 4.75 => "★★★★★",
        a if a >= 4.25 => "★★★★½",
        a if a >= 3.75 => "★★★★☆",
        a if a >= 3.25 => "★★★½☆",
        a if a >= 2.75 => "★★★☆☆",
        a if a >= 2.25 => "★★½☆☆",
        a if a >= 1.75 => "★★☆☆☆",
        a if a >= 1.25 => "★½☆☆☆",
        a if a >= 0.75 => "★☆☆☆☆",
        _ => "½☆☆☆☆",
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
        let (shown, exact) = (self.zone.relative(*at, self.now), self.zone.date_time_zone(*at));
        format!("<time datetime=\"{at}\" title=\"{exact}\">{shown}</time>")
    }

    /// `<time>29 November 2026</time>`, as HTML.
    pub(crate) fn date(&self, at: &Timestamp) -> String {
        format!("<time datetime=\"{at}\">{}</time>", self.zone.date(*at))
    }
}

/// For people who bought.
pub(crate) fn status(status: &OrderStatus) -> &'static str {
    match status {
        OrderStatus::Pending => "Processing",
        OrderStatus::Confirmed => "Confirmed",
        OrderStatus::Shipped => "Shipped",
        OrderStatus::Completed => "Delivered",
        OrderStatus::Cancelled => "Cancelled",
        OrderStatus::Rejected => "Declined",
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
        PaymentStatus::Pending => "Processing",
        PaymentStatus::ActionRequired => "Waiting for confirmation",
        PaymentStatus::Authorised => "Authorized",
        PaymentStatus::Captured => "Paid",
        PaymentStatus::Declined => "Declined",
        PaymentStatus::Voided => "Authorization released",
        PaymentStatus::PartiallyRefunded => "Partially refunded",
        PaymentStatus::Refunded => "Refunded",
        PaymentStatus::NotRequired => "Nothing to pay",
        PaymentStatus::Failed => "Payment failed",
    }
}

/// A step of an order's life in words.
pub(crate) fn step(status: &str) -> String {
    match status {
        "pending" | "created" | "placed" => "Order placed".to_owned(),
        "stock_reserved" => "Copies reserved".to_owned(),
        "payment_action_required" => "Bank confirmation requested".to_owned(),
        "payment_authorised" => "Payment authorized".to_owned(),
        "confirmed" => "Order confirmed".to_owned(),
        "payment_captured" => "Payment received".to_owned(),
        "shipped" => "Shipped".to_owned(),
        "completed" => "Delivered".to_owned(),
        "cancelled" => "Order cancelled".to_owned(),
        "rejected" => "Order declined".to_owned(),
        "partially_refunded" => "Partially refunded".to_owned(),
        "refunded" => "Refunded".to_owned(),
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
    fn words_of_other_languages_are_marked() {
        for (language, words, expected) in [
            (None, "Война и мир", ""),
            (Some("en"), "Middlemarch", ""),
            (Some("en-GB"), "Middlemarch", ""),
            (Some("ru"), "Война и мир", " lang=\"ru\""),
            (Some("zh-Hant"), "三國演義", " lang=\"zh-Hant\""),
            (Some("ar"), "ألف ليلة وليلة", " lang=\"ar\" dir=\"rtl\""),
            (Some("ar"), "1984", " lang=\"ar\""),
            (Some("he-IL"), "סיפור", " lang=\"he-IL\" dir=\"rtl\""),
            (Some("x\" onclick=\"y"), "Evil", ""),
            (Some(""), "Nothing", ""),
        ] {
            assert_eq!(lang(&language.map(str::to_owned), words), expected, "{language:?} {words}");
        }
        let code = |code: &str| Some(code.to_owned());
        assert_eq!(lang_of_text(&code("ru"), "A war, and a peace (Война)."), "", "told in English");
        assert_eq!(lang_of_text(&code("ru"), "Война и мир, роман"), " lang=\"ru\"");
        assert_eq!(foreign(&code("nl")), Some("Dutch"));
        assert_eq!((foreign(&code("en")), foreign(&None)), (None, None));
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(number(&1_234_567), "1,234,567");
        assert_eq!(number(&-1000), "-1,000");
        assert_eq!(number(&999), "999");
    }
}
