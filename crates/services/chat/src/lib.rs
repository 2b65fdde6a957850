//! Support chat: conversations, a bot that knows the shop, and people behind it.
//!
//! A message is stored before anybody is shown it. The bot answers what it can look up with the customer's own rights;
//! the rest goes to a person.
//!
//! | to change | open |
//! |---|---|
//! | what may happen to a conversation | `domain/conversation.rs` |
//! | which agent gets it | `domain/routing.rs` |
//! | how a message is understood | `triage/` |
//! | what the bot says | `bot/` |
//! | the hub's methods and events | `hub/` |
//! | how conversations are kept | `store/` |

pub mod bot;
pub mod domain;
pub mod store;
pub mod triage;
