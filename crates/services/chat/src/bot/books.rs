//! Answers about books.

use bookworm_contracts::rest::catalog::{Book, RecommendationBasis};

use super::{
    answer::{Answer, PERSON, cannot_look},
    ask::Ask,
    topic::{model_book, topic},
};
use crate::domain::intent::Intent;

/// How many books an answer names.
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
        let Ok(found) = self.shop.search(&self.asker, &topic, SHOWN).await else { return cannot_look("books") };
        let books: Vec<&Book> = found.items.iter().map(|hit| &hit.book).collect();
        if books.is_empty() {
            return none(&topic);
        }
        let start = if found.nearest {
            format!("I found nothing with the words “{topic}”; these come nearest:")
        } else {
            format!("This is what I found for “{topic}”:")
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
        let Ok(found) = self.shop.search(&self.asker, &topic, SHOWN).await else { return cannot_look("the stock") };
        let Some(first) = found.items.first() else { return none(&topic) };
        let book = &first.book;
        let is_it = !found.nearest && first.matched.text;
        if !is_it {
            let books: Vec<&Book> = found.items.iter().map(|hit| &hit.book).collect();
            return offer(format!("I am not sure which book “{topic}” is. Is it one of these?"), &books)
                .suggest(&[PERSON]);
        }
        let others: Vec<&Book> = found.items.iter().skip(1).map(|hit| &hit.book).collect();
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
            && let Ok(found) = self.shop.search(&self.asker, &topic, SHOWN).await
            && !found.items.is_empty()
        {
            let books: Vec<&Book> = found.items.iter().map(|hit| &hit.book).collect();
            return offer("How about one of these?".to_owned(), &books)
                .link("All results", search_page(&topic))
                .suggest(&["What do others read?", PERSON]);
        }
        match self.shop.recommendations(&self.asker, SHOWN).await {
            Ok(found) if !found.items.is_empty() => {
                let start = match found.basis {
                    RecommendationBasis::Yours => "Going by what you bought and looked at, you may like:",
                    RecommendationBasis::Popular => "Many readers like these:",
                };
                let books: Vec<&Book> = found.items.iter().collect();
                offer(start.to_owned(), &books).suggest(&["Find a book", PERSON])
            }
            _ => cannot_look("recommendations"),
        }
    }

    async fn like(&self, title: &str) -> Answer {
        let Ok(found) = self.shop.search(&self.asker, title, 1).await else { return cannot_look("books") };
        let Some(hit) = found.items.first() else { return none(title) };
        match self.shop.similar(&self.asker, hit.book.id, SHOWN).await {
            Ok(books) if !books.is_empty() => {
                let books: Vec<&Book> = books.iter().collect();
                offer(format!("If you liked {}, look at these:", name(&hit.book)), &books).suggest(&[PERSON])
            }
            _ => cannot_look("similar books"),
        }
    }
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
        ..=0 => "sold out just now".to_owned(),
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
