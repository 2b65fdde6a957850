//! Covers drawn from title, authors and first subject, for books without a picture. The same book always looks the same.

mod ornament;
mod outline;
mod palette;
mod route;
mod style;
mod type_setting;

use std::fmt::Write as _;

use bookworm_contracts::rest::catalog::Book;
pub(crate) use route::{Covers, show};
use sha2::{Digest as _, Sha256};
pub(crate) use style::Style;

/// Width and height of the drawing, in its own units: the 2:3 of a paperback.
const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 600.0;

/// What a cover says.
pub(crate) struct Words<'a> {
    pub(crate) title: &'a str,
    pub(crate) authors: &'a [&'a str],
    pub(crate) subject: &'a str,
    /// The language of the title, as in BCP 47; empty when nobody knows it.
    pub(crate) language: &'a str,
}

/// Decides everything that is left to chance, the same way for the same book (SplitMix64).
struct Chance(u64);

impl Chance {
    fn of(words: &Words<'_>) -> Self {
        let mut hash = Sha256::new();
        hash.update(words.title);
        for author in words.authors {
            hash.update([0]);
            hash.update(author);
        }
        let hash: [u8; 32] = hash.finalize().into();
        Self(hash.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// 0 to `below` - 1.
    fn up_to(&mut self, below: usize) -> usize {
        (self.next() % below.max(1) as u64) as usize
    }

    /// `from` to `to`.
    fn between(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.up_to(of.len())]
    }
}

/// How the drawn cover of a book is composed.
pub(crate) fn style_of(book: &Book) -> Style {
    let authors = authors_of(book);
    let words = words_of(book, &authors);
    style::choose(words.subject, &mut Chance::of(&words))
}

fn authors_of(book: &Book) -> Vec<&str> {
    book.authors.iter().map(|author| author.name.as_str()).collect()
}

fn words_of<'a>(book: &'a Book, authors: &'a [&'a str]) -> Words<'a> {
    Words {
        title: &book.title,
        authors,
        subject: book.subjects.first().map_or("", String::as_str),
        language: book.language.as_deref().unwrap_or_default(),
    }
}

/// Draws the cover as an SVG document.
pub(crate) fn draw(words: &Words<'_>) -> String {
    let mut chance = Chance::of(words);
    let style = style::choose(words.subject, &mut chance);
    let palette = palette::choose(words.subject, &mut chance);
    let mut svg = String::with_capacity(6 << 10);
    let label = match words.authors.first() {
        Some(author) => format!("{} by {author}", words.title),
        None => words.title.to_owned(),
    };
    svg.push_str(concat!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 600" width="400" height="600" role="img" "#,
        r#"aria-labelledby="t"><title id="t">"#
    ));
    escape_into(&mut svg, &label);
    svg.push_str(concat!(
        "</title><defs>",
        r##"<linearGradient id="hinge" x2="1" y2="0"><stop offset="0" stop-color="#000" stop-opacity=".22"/>"##,
        r##"<stop offset=".3" stop-color="#fff" stop-opacity=".16"/><stop offset=".55" stop-color="#000" stop-opacity=".2"/>"##,
        r##"<stop offset="1" stop-color="#000" stop-opacity="0"/></linearGradient></defs>"##
    ));
    rect(&mut svg, 0.0, 0.0, WIDTH, HEIGHT, palette.ground);
    style.draw(&mut svg, words, palette, &mut chance);
    svg.push_str(r#"<rect width="26" height="600" fill="url(#hinge)"/></svg>"#);
    svg
}

fn rect(svg: &mut String, x: f64, y: f64, width: f64, height: f64, fill: &str) {
    put(svg, format_args!(r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{fill}"/>"#));
}

fn put(svg: &mut String, text: std::fmt::Arguments<'_>) {
    svg.write_fmt(text).expect("writing to a string cannot fail");
}

/// Text inside XML: markup escaped, characters that XML 1.0 does not allow left out.
fn escape_into(svg: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '<' => svg.push_str("&lt;"),
            '>' => svg.push_str("&gt;"),
            '&' => svg.push_str("&amp;"),
            '"' => svg.push_str("&quot;"),
            '\'' => svg.push_str("&#39;"),
            '\t' | '\n' | '\r' => svg.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => svg.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_book_always_looks_the_same() {
        let words = Words { title: "Middlemarch", authors: &["George Eliot"], subject: "Classics", language: "en" };
        assert_eq!(draw(&words), draw(&words));
        let other = Words { title: "Emma", ..words };
        assert_ne!(draw(&words), draw(&other));
    }

    #[test]
    fn hostile_words_stay_words() {
        let title = "</title><script>alert(1)</script>\" onload=\"x & \u{0}\u{b}";
        let svg = draw(&Words { title, authors: &["<img src=x>"], subject: "\"><x", language: "en" });
        assert!(!svg.contains("<script") && !svg.contains("<img") && !svg.contains("onload=\""), "{svg}");
        assert!(!svg.contains('\u{0}') && !svg.contains('\u{b}'));
        assert!(svg.contains("&lt;script&gt;"));
    }

    #[test]
    fn any_title_can_be_drawn_in_every_style() {
        let long = "wörd ".repeat(100);
        let endless = "x".repeat(500);
        for title in ["", "I", "三国演义", "О чём говорят", long.as_str(), endless.as_str()] {
            for style in style::Style::ALL {
                let words = Words { title, authors: &[], subject: "", language: "" };
                let mut chance = Chance::of(&words);
                let palette = palette::choose("", &mut chance);
                let mut svg = String::new();
                style.draw(&mut svg, &words, palette, &mut chance);
                assert!(svg.len() < 60_000, "{style:?} {title}: {}", svg.len());
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{style:?} {title}");
            }
        }
    }
}
