//! Books made up for measuring: the same ones for the same number, in the shape that the importer reads.

use std::{
    io::{BufWriter, Write},
    path::Path,
};

use anyhow::Result;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::json;

const FIRST: [&str; 16] = [
    "Ada",
    "Boris",
    "Chinua",
    "Doris",
    "Elena",
    "Franz",
    "Gabriela",
    "Haruki",
    "Italo",
    "Jane",
    "Kenzaburo",
    "Leila",
    "Mikhail",
    "Naguib",
    "Olga",
    "Pablo",
];
const LAST: [&str; 25] = [
    "Abbott",
    "Brandt",
    "Calder",
    "Duarte",
    "Eriksen",
    "Fontaine",
    "Grigoriev",
    "Hayashi",
    "Ibrahim",
    "Jansen",
    "Kowalski",
    "Lindgren",
    "Moreau",
    "Nakamura",
    "Okafor",
    "Pereira",
    "Quintana",
    "Rossi",
    "Sato",
    "Tanaka",
    "Ueda",
    "Vogel",
    "Weiss",
    "Yilmaz",
    "Zhang",
];
const WORDS: [&str; 40] = [
    "amber", "archive", "autumn", "bridge", "candle", "city", "clock", "compass", "desert", "distance", "echo",
    "ember", "forest", "garden", "glass", "harbour", "house", "island", "journey", "kingdom", "lantern", "letter",
    "library", "map", "memory", "midnight", "mirror", "mountain", "night", "ocean", "orchard", "paper", "river",
    "road", "shadow", "silence", "snow", "summer", "tide", "winter",
];
const SUBJECTS: [&str; 24] = [
    "Fiction",
    "Classics",
    "Poetry",
    "History",
    "Biography",
    "Science",
    "Philosophy",
    "Travel",
    "Fantasy",
    "Mystery",
    "Romance",
    "Horror",
    "Thriller",
    "Essays",
    "Drama",
    "Art",
    "Music",
    "Cooking",
    "Economics",
    "Psychology",
    "Nature",
    "Mathematics",
    "Religion",
    "Adventure",
];
const LANGUAGES: [&str; 8] = ["en", "de", "fr", "es", "it", "ru", "ja", "pt"];

/// Writes this many books as JSON Lines, each with this many copies.
///
/// # Errors
/// When the file cannot be written.
pub fn write(file: &Path, books: u32, stock: i64) -> Result<()> {
    let mut random = StdRng::seed_from_u64(u64::from(books));
    let mut out = BufWriter::new(std::fs::File::create(file)?);
    for n in 0..books {
        let mut word = || *WORDS.choose(&mut random).unwrap_or(&"book");
        let title = format!("The {} of the {} {} {n}", word(), word(), word());
        let description: Vec<&str> = (0..70).map(|_| word()).collect();
        let mut author = || {
            format!(
                "{} {}",
                FIRST.choose(&mut random).unwrap_or(&"A."),
                LAST.choose(&mut random).unwrap_or(&"Nonymous")
            )
        };
        let mut authors = vec![author()];
        if n % 5 == 0 {
            authors.push(author());
        }
        authors.dedup();
        let subjects: Vec<&&str> = SUBJECTS.choose_multiple(&mut random, 3).collect();
        let book = json!({
            "source_id": format!("bench:{n}"),
            "isbn13": isbn13(n),
            "title": title,
            "authors": authors,
            "year": random.random_range(1850..=2025),
            "language": LANGUAGES.choose(&mut random),
            "publisher": format!("{} Press", LAST[n as usize % LAST.len()]),
            "pages": random.random_range(80..=900),
            "price": f64::from(random.random_range(399..=4999)) / 100.0,
            "subjects": subjects,
            "description": description.join(" "),
            "rating_avg": f64::from(random.random_range(250..=500)) / 100.0,
            "rating_count": random.random_range(1..=100_000),
            "stock": stock,
        });
        serde_json::to_writer(&mut out, &book)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

/// A number with a correct check digit, in a block that no publisher has.
fn isbn13(n: u32) -> String {
    let digits = format!("9786{n:08}");
    let sum: u32 = digits.bytes().zip([1, 3].into_iter().cycle()).map(|(d, weight)| u32::from(d - b'0') * weight).sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_have_correct_check_digits() {
        for n in [0, 1, 1999, 99_999_999] {
            assert!(isbn13(n).parse::<bookworm_kernel::Isbn13>().is_ok(), "{}", isbn13(n));
        }
    }
}
