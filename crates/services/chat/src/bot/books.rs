//! Answers about books.

use bookworm_contracts::rest::catalog::{Book, RecommendationBasis, SearchHit};
use bookworm_kernel::{Isbn13, IsbnMention};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::{
    answer::{Answer, PERSON, cannot_look},
    ask::Ask,
    topic::{model_book, topic},
};
use crate::domain::intent::Intent;

/// The most books in an answer.
const SHOWN: usize = 3;

impl Ask<'_> {
    /// Do you have something about ...?
    pub async fn find_book(&self) -> Answer {
        let Some(topic) = topic(&self.turn.text) else {
            return Answer::new("Gladly. What should the book be about, or who wrote it?")
                .suggest(&["Recommend me a book", PERSON])
                .asking_for(Intent::FindBook)
                .fixed();
        };
        let Ok(results) = self.shop.search(&self.asker, &topic, SHOWN).await else { return cannot_look("books") };
        let books: Vec<&Book> = results.items.iter().map(|hit| &hit.book).collect();
        if books.is_empty() {
            return none(&topic);
        }
        let start = if results.missing {
            format!("We don’t have “{topic}”. These are similar:")
        } else if results.nearest {
            format!("I found nothing with the words “{topic}”; these come nearest:")
        } else {
            format!("This is what I found for “{}”:", results.corrected_to.as_deref().unwrap_or(&topic))
        };
        offer(start, &books).link("All results", search_page(&topic)).suggest(&["Recommend me a book", PERSON])
    }

    /// Is it in stock?
    pub async fn availability(&self) -> Answer {
        let Some(topic) = topic(&self.turn.text) else {
            return Answer::new("Which book do you mean? Tell me its title or its ISBN.")
                .suggest(&[PERSON])
                .asking_for(Intent::BookAvailability)
                .fixed();
        };
        let Ok(results) = self.shop.search(&self.asker, &topic, SHOWN).await else { return cannot_look("the stock") };
        let asked = results.corrected_to.as_deref().unwrap_or(&topic);
        let is_it = |hit: &&SearchHit| !hit.related && hit.matched.text && is_asked_for(asked, &hit.book);
        let sure =
            !results.nearest && !results.missing && results.wrong_isbn.is_none() && results.unknown_isbn.is_none();
        let Some(hit) = results.items.iter().filter(|_| sure).find(is_it) else {
            let books: Vec<&Book> = results.items.iter().map(|hit| &hit.book).collect();
            if books.is_empty() {
                return none(&topic);
            }
            let start = if results.total > 0 && results.wrong_isbn.is_none() {
                format!("I’m not sure which book you mean by “{topic}”. Is it one of these?")
            } else {
                format!("We don’t have “{topic}”. The nearest we have:")
            };
            return offer(start, &books).suggest(&[PERSON]);
        };
        let book = &hit.book;
        let others: Vec<&Book> =
            results.items.iter().map(|hit| &hit.book).filter(|other| other.id != book.id).collect();
        let mut answer = Answer::new(format!("{}: {}.", name(book), stock(book))).link(book.title.clone(), page(book));
        if !others.is_empty() {
            answer = answer.link("Not this one? All results", search_page(&topic));
        }
        answer.suggest(&["Recommend me a book", PERSON])
    }

    /// What should I read?
    pub async fn recommend(&self) -> Answer {
        if let Some(model) = model_book(&self.turn.text) {
            return self.like(&model).await;
        }
        if let Some(topic) = topic(&self.turn.text)
            && let Ok(results) = self.shop.search(&self.asker, &topic, SHOWN).await
            && !results.items.is_empty()
        {
            let books: Vec<&Book> = results.items.iter().map(|hit| &hit.book).collect();
            return offer("How about one of these?".to_owned(), &books)
                .link("All results", search_page(&topic))
                .suggest(&["What do others read?", PERSON]);
        }
        match self.shop.recommendations(&self.asker, SHOWN).await {
            Ok(results) if !results.items.is_empty() => {
                let start = match results.basis {
                    RecommendationBasis::Yours => "Going by what you bought and looked at, you may like:",
                    RecommendationBasis::Popular => "These are our bestsellers:",
                    RecommendationBasis::Shelf => "Here are a few from our shelves:",
                };
                let books: Vec<&Book> = results.items.iter().collect();
                offer(start.to_owned(), &books).suggest(&["Find a book", PERSON])
            }
            _ => cannot_look("recommendations"),
        }
    }

    async fn like(&self, title: &str) -> Answer {
        let Ok(results) = self.shop.search(&self.asker, title, 1).await else { return cannot_look("books") };
        let Some(hit) = results.items.first().filter(|hit| !results.missing && !hit.related) else {
            return none(title);
        };
        match self.shop.similar(&self.asker, hit.book.id, SHOWN).await {
            Ok(books) if !books.is_empty() => {
                let books: Vec<&Book> = books.iter().collect();
                offer(format!("If you liked {}, look at these:", name(&hit.book)), &books).suggest(&[PERSON])
            }
            _ => cannot_look("similar books"),
        }
    }
}

/// Whether a book is the one that a question names: the question has the whole title (a subtitle after a colon may be
/// missing), and no word beyond the title and its authors' names; or the question is its ISBN.
fn is_asked_for(topic: &str, book: &Book) -> bool {
    if let Some(IsbnMention { isbn: Ok(isbn), .. }) = Isbn13::find(topic) {
        return book.isbn13 == Some(isbn);
    }
    let title = words(&book.title);
    let short = book.title.split([':', ';', '(']).next().unwrap_or(&book.title);
    let short = words(short.split(", or ").next().unwrap_or(short));
    let authors: Vec<String> = book.authors.iter().flat_map(|author| words(&author.name)).collect();
    let series: Vec<String> = book.series.iter().flat_map(|name| words(name)).collect();
    let asked = words(topic);
    let has = |list: &[String], word: &String| list.iter().any(|other| is_like(other, word));
    short.iter().all(|word| has(&asked, word))
        && asked.iter().all(|word| has(&title, word) || has(&authors, word) || has(&series, word))
}

/// Words that make no difference between titles.
const SMALL: [&str; 12] = ["the", "a", "an", "of", "and", "in", "to", "by", "on", "for", "with", "or"];

/// Folded words without stop words; with them, when there are no others.
fn words(text: &str) -> Vec<String> {
    // Accents and apostrophes are left out by who types in a hurry.
    let plain = text.nfkd().filter(|c| !is_combining_mark(*c) && !matches!(c, '\'' | '’' | '\u{ad}'));
    let plain: String = plain.flat_map(char::to_lowercase).collect();
    let all: Vec<String> =
        plain.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let distinctive: Vec<String> = all.iter().filter(|word| !SMALL.contains(&word.as_str())).cloned().collect();
    if distinctive.is_empty() { all } else { distinctive }
}

/// Whether two words are the same, singular or plural.
fn is_like(word: &str, other: &str) -> bool {
    let stem = |word: &str| word.strip_suffix('s').filter(|stem| stem.len() > 2).unwrap_or(word).to_owned();
    stem(word) == stem(other)
}

fn none(topic: &str) -> Answer {
    Answer::new(format!(
        "I found no book for “{topic}”. Other words may help: a title, an author, or what it is about."
    ))
    .suggest(&["Recommend me a book", PERSON])
    .fixed()
}

fn offer(start: String, books: &[&Book]) -> Answer {
    let lines = books.iter().map(|book| format!("- {}, {}, {}", name(book), book.price, stock(book)));
    let text = [start].into_iter().chain(lines).collect::<Vec<_>>().join("\n");
    books.iter().fold(Answer::new(text), |answer, book| answer.link(book.title.clone(), page(book)))
}

fn name(book: &Book) -> String {
    match book.authors.first() {
        Some(author) => format!("“{}” by {}", book.title, author.name),
        None => format!("“{}”", book.title),
    }
}

fn stock(book: &Book) -> String {
    match book.available {
        ..=0 => "out of stock right now".to_owned(),
        1 => "one copy in stock".to_owned(),
        // The exact number is of no use to anybody, and old in a moment.
        2..=9 => format!("{} in stock", book.available),
        10.. => "in stock".to_owned(),
    }
}

fn page(book: &Book) -> String {
    format!("/books/{}", book.id)
}

fn search_page(topic: &str) -> String {
    format!("/search?q={}", super::lookup::encoded(topic))
}

#[cfg(test)]
mod tests {
    use bookworm_kernel::{AuthorId, BookId, Currency, Money, Timestamp};

    use super::*;

    fn book(title: &str, author: &str, isbn: &str) -> Book {
        serde_json::from_value(serde_json::json!({
            "id": BookId::new(), "title": title, "authors": [{"id": AuthorId::new(), "name": author}], "subjects": [],
            "isbn13": isbn, "price": Money::new(999, Currency::parse("USD").expect("a currency")),
            "rating": {"average": 0.0, "count": 0}, "available": 1, "cover_url": "/covers/x", "version": 1,
            "updated_at": Timestamp::from_micros(0),
        }))
        .expect("a book")
    }

    #[test]
    fn only_the_book_that_was_asked_for_is_in_stock() {
        for (topic, title, author, asked_for) in [
            ("Dune", "Dune", "Frank Herbert", true),
            ("dune by frank herbert", "Dune", "Frank Herbert", true),
            ("the hobbit", "The Hobbit, or There and Back Again", "J. R. R. Tolkien", true),
            ("les miserables", "Les Misérables", "Victor Hugo", true),
            ("moby dick", "Moby-Dick; or, The Whale", "Herman Melville", true),
            ("animal farm", "Cold Comfort Farm", "Stella Gibbons", false),
            ("animal farm", "My Family and Other Animals", "Gerald Durrell", false),
            ("whales", "Holes", "Louis Sachar", false),
            ("sailing", "Sailing Alone", "Ann Author", false),
            ("thinking fast and slow", "Thinking, Fast and Slow", "Daniel Kahneman", true),
            ("salt", "Salt: A World History", "Mark Kurlansky", true),
            ("herbert", "Dune", "Frank Herbert", false),
            ("harry potter", "Harrius Potter et Philosophi Lapis", "J. K. Rowling", false),
            ("9780441172719", "Dune", "Frank Herbert", true),
            ("9780140275360", "Dune", "Frank Herbert", false),
        ] {
            let book = book(title, author, "9780441172719");
            assert_eq!(is_asked_for(topic, &book), asked_for, "{topic} / {title}");
        }
    }
}
