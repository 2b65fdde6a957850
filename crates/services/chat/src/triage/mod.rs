//! What a message is about: a classifier over sentence vectors, trained at start from example sentences.
