//! Each section of the settings, with its defaults and limits.

pub(crate) mod admin;
pub(crate) mod ai;
pub(crate) mod basket;
pub(crate) mod chat;
pub(crate) mod chat_bot;
pub(crate) mod database;
pub(crate) mod fleet;
pub(crate) mod gateway;
pub(crate) mod identity;
pub(crate) mod mail;
pub(crate) mod messaging;
pub(crate) mod mongodb;
pub(crate) mod monitor;
pub(crate) mod nats;
pub(crate) mod ordering;
pub(crate) mod payment;
pub(crate) mod rating;
pub(crate) mod redis;
pub(crate) mod search;
pub(crate) mod shop;
pub(crate) mod telemetry;
pub(crate) mod up;
pub(crate) mod web;
