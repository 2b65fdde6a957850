//! What answers depend on, and when each of it last changed.

use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
};

use bookworm_kernel::BookId;

/// Something that an answer depends on. As text: what the second level calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tag {
    /// Every answer has this one.
    Everything,
    /// Which books match: a book that is added or edited may match anything.
    Listings,
    /// Which books are in stock.
    Stock,
    /// Any book: the answer does not name those that it shows.
    AnyBook,
    /// This book.
    Book(BookId),
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            Self::Listings => f.write_str("listings"),
            Self::Stock => f.write_str("stock"),
            Self::AnyBook => f.write_str("any-book"),
            Self::Book(id) => id.fmt(f),
        }
    }
}

impl FromStr for Tag {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "everything" => Self::Everything,
            "listings" => Self::Listings,
            "stock" => Self::Stock,
            "any-book" => Self::AnyBook,
            id => Self::Book(id.parse()?),
        })
    }
}

/// Books share marks by their id: a change of one leaves all but one in 8,192 others as they are, in 64 KiB.
const BOOK_MARKS: usize = 8192;

/// A clock that ticks with each change, and for each tag the tick of its last one.
///
/// An answer carries the tick before its fetch, and is valid while none of its tags has a later one. So nothing needs to
/// know which answers exist; an answer that was being fetched while something changed is never given to a request after
/// the change; and an invalidation costs the same whether it reaches one answer or all.
pub struct Marks {
    clock: AtomicU64,
    everything: AtomicU64,
    listings: AtomicU64,
    stock: AtomicU64,
    any_book: AtomicU64,
    books: Box<[AtomicU64]>,
}

impl Marks {
    pub fn new() -> Self {
        Self {
            clock: AtomicU64::new(0),
            everything: AtomicU64::new(0),
            listings: AtomicU64::new(0),
            stock: AtomicU64::new(0),
            any_book: AtomicU64::new(0),
            books: (0..BOOK_MARKS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// The tick to read before a fetch.
    pub fn now(&self) -> u64 {
        self.clock.load(Ordering::SeqCst)
    }

    /// Invalidates the answers with one of these tags that were requested before now.
    pub fn invalidate(&self, tags: &[Tag]) {
        let tick = self.clock.fetch_add(1, Ordering::SeqCst) + 1;
        for tag in tags {
            self.mark(*tag).fetch_max(tick, Ordering::SeqCst);
        }
    }

    /// Whether an answer with these tags, requested at this tick, is still valid.
    pub fn are_valid(&self, since: u64, tags: &[Tag]) -> bool {
        tags.iter().all(|tag| self.mark(*tag).load(Ordering::Acquire) <= since)
    }

    fn mark(&self, tag: Tag) -> &AtomicU64 {
        match tag {
            Tag::Everything => &self.everything,
            Tag::Listings => &self.listings,
            Tag::Stock => &self.stock,
            Tag::AnyBook => &self.any_book,
            // The last bits of a version 7 UUID are random.
            Tag::Book(id) => &self.books[id.uuid().as_u128() as usize % BOOK_MARKS],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_valid_until_one_of_its_tags_changes() {
        let marks = Marks::new();
        let [book, other] = [1, 2].map(|n| BookId::from_uuid(uuid::Uuid::from_u128(n)));
        let tags = [Tag::Everything, Tag::Book(book)];
        let before = marks.now();
        marks.invalidate(&[Tag::Listings, Tag::Stock, Tag::AnyBook, Tag::Book(other)]);
        assert!(marks.are_valid(before, &tags));
        marks.invalidate(&[Tag::Book(book)]);
        assert!(!marks.are_valid(before, &tags));
        assert!(marks.are_valid(marks.now(), &tags), "asked for after the change");
        let before = marks.now();
        marks.invalidate(&[Tag::Everything]);
        assert!(!marks.are_valid(before, &tags));
    }

    #[test]
    fn tags_are_read_as_they_are_written() {
        for tag in [Tag::Everything, Tag::Listings, Tag::Stock, Tag::AnyBook, Tag::Book(BookId::new())] {
            assert_eq!(tag.to_string().parse::<Tag>().unwrap(), tag);
        }
        assert!("nonsense".parse::<Tag>().is_err());
    }
}
