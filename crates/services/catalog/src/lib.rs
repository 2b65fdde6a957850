//! Books, their authors, publishers, subjects, and stock.
