//! The support desk, and the replies that agents have saved.

use askama::Template;
use axum::{
    extract::{FromRequestParts, State},
    response::{IntoResponse, Redirect, Response},
};
use bookworm_contracts::rest::chat::{CannedReplies, CannedReply, MAX_MESSAGE_CHARS};
use bookworm_kernel::FieldError;
use http::{StatusCode, request::Parts};

use super::admit;
use crate::{
    error::PageResult,
    flash::Flash,
    form::{Errors, Fields},
    layout::{Shell, never_stored, page, page_with},
    service::Web,
    session::Visitor,
};

/// Saved replies; characters of a shortcut. The API has the same limits.
const REPLIES: usize = 200;
const SHORTCUT: usize = 30;
/// Empty lines for new ones.
const BLANK: usize = 3;

/// Somebody whose token says that they answer chats.
pub(crate) struct Agent(Visitor);

impl<S: Send + Sync> FromRequestParts<S> for Agent {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let refusal = "The support desk is for the people who answer chats.";
        admit(parts, state, |account| account.is_agent(), refusal).await.map(Self)
    }
}

/// Somebody who may write saved replies.
pub(crate) struct Editor(Visitor);

impl<S: Send + Sync> FromRequestParts<S> for Editor {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let refusal = "Saved replies are for the people who answer chats.";
        admit(parts, state, |account| account.is_agent() || account.is_staff(), refusal).await.map(Self)
    }
}

#[derive(Template)]
#[template(path = "admin/desk.html")]
struct Desk {
    shell: Shell,
}

/// `GET /admin/chat`
pub(crate) async fn desk(Agent(visitor): Agent) -> PageResult {
    let shell = visitor.shell("Support desk").section("desk").without_chat();
    page(&Desk { shell }).map(never_stored)
}

#[derive(Template)]
#[template(path = "admin/replies.html")]
struct RepliesPage {
    shell: Shell,
    rows: Vec<Row>,
    etag: String,
    errors: Errors,
    /// What is saved now, when somebody else saved while this form was open.
    saved: Vec<CannedReply>,
    /// Shortcuts of replies that saving would delete: asks whether that is meant.
    doomed: Vec<String>,
}

/// A reply as it stands in the form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Row {
    /// The shortcut under which it is saved; empty for a new one.
    was: String,
    shortcut: String,
    text: String,
    error: String,
}

impl Row {
    fn is_empty(&self) -> bool {
        self.shortcut.is_empty() && self.text.is_empty()
    }
}

/// `GET /admin/chat/replies`
pub(crate) async fn replies(State(web): State<Web>, Editor(visitor): Editor) -> PageResult {
    let (saved, etag) = web.api.canned_replies(visitor.caller()).await?;
    let rows = saved.items.into_iter().map(|reply| Row {
        was: reply.shortcut.clone(),
        shortcut: reply.shortcut,
        text: reply.text,
        ..Row::default()
    });
    form(&visitor, StatusCode::OK, rows.collect(), etag, Errors::default(), Vec::new(), Vec::new())
}

/// `POST /admin/chat/replies`: `was`, `shortcut` and `text` for each, and the `etag` of what was edited. A reply whose
/// fields were both emptied is deleted, once `delete` says that it is meant.
pub(crate) async fn save(State(web): State<Web>, Editor(visitor): Editor, fields: Fields) -> PageResult {
    let mut rows = read(&fields);
    let etag = fields.get("etag").to_owned();
    check(&mut rows);
    let errors = problems(&rows);
    if !errors.is_empty() {
        return form(&visitor, StatusCode::BAD_REQUEST, rows, etag, errors, Vec::new(), Vec::new());
    }
    let doomed: Vec<String> = rows.iter().filter(|row| row.is_empty()).map(|row| row.was.clone()).collect();
    if !doomed.is_empty() && fields.get("delete").is_empty() {
        return form(&visitor, StatusCode::OK, rows, etag, errors, Vec::new(), doomed);
    }
    let mut items: Vec<CannedReply> = rows
        .iter()
        .filter(|row| !row.is_empty())
        .map(|row| CannedReply { shortcut: row.shortcut.clone(), text: row.text.clone() })
        .collect();
    items.sort_by(|one, other| one.shortcut.cmp(&other.shortcut));
    let all = CannedReplies { items };
    let error = match web.api.save_canned_replies(visitor.caller(), &etag, &all).await {
        Ok(()) => {
            visitor.flash(&Flash::success("Replies saved. Reload the support desk to use them."));
            return Ok(Redirect::to("/admin/chat/replies").into_response());
        }
        Err(error) => error,
    };
    match error.problem().map(|problem| (problem.status, problem)) {
        Some((412 | 428, _)) => {
            let (saved, etag) = web.api.canned_replies(visitor.caller()).await?;
            let theirs = saved.items.into_iter().filter(|reply| !all.items.contains(reply)).collect();
            let errors = Errors::general(
                "Somebody else saved replies while you were editing. Their replies that differ from yours are below: copy \
                 what you need, then save.",
            );
            form(&visitor, StatusCode::PRECONDITION_FAILED, rows, etag, errors, theirs, Vec::new())
        }
        Some((400 | 422, problem)) => {
            // The API counts in the order in which it was sent.
            let mut errors = Errors::default();
            for error in &problem.errors {
                let reply = place(error).and_then(|place| all.items.get(place));
                match rows.iter_mut().find(|row| reply.is_some_and(|reply| reply.shortcut == row.shortcut)) {
                    Some(row) => row.error = "This reply can’t be saved. Check its shortcut and its text.".to_owned(),
                    None => errors.general.push("The replies weren’t saved. Check them and try again.".to_owned()),
                }
            }
            if problem.errors.is_empty() {
                errors.general.push("The replies weren’t saved. Check them and try again.".to_owned());
            }
            errors.fields = problems(&rows).fields;
            form(&visitor, error.status(), rows, etag, errors, Vec::new(), Vec::new())
        }
        _ => Err(error.into()),
    }
}

fn form(
    visitor: &Visitor,
    status: StatusCode,
    mut rows: Vec<Row>,
    etag: String,
    errors: Errors,
    saved: Vec<CannedReply>,
    doomed: Vec<String>,
) -> PageResult {
    rows.extend(std::iter::repeat_n(Row::default(), BLANK.min(REPLIES.saturating_sub(rows.len()))));
    let shell = visitor.shell("Saved replies").section("desk").without_chat();
    page_with(status, &RepliesPage { shell, rows, etag, errors, saved, doomed }).map(never_stored)
}

/// The replies of a form, with those that were emptied; empty lines for new ones are none.
fn read(fields: &Fields) -> Vec<Row> {
    let texts = fields.all("text").map(|text| text.trim().replace("\r\n", "\n"));
    let was = fields.all("was").map(|was| was.trim().to_owned());
    fields
        .all("shortcut")
        .zip(texts)
        .zip(was.chain(std::iter::repeat(String::new())))
        .map(|((shortcut, text), was)| Row {
            was,
            shortcut: shortcut.trim().trim_start_matches('/').to_lowercase(),
            text,
            error: String::new(),
        })
        .filter(|row| !(row.is_empty() && row.was.is_empty()))
        .collect()
}

/// Notes what is wrong with each.
fn check(rows: &mut [Row]) {
    for place in 0..rows.len() {
        let (before, row) = (&rows[..place], &rows[place]);
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let problem = if row.is_empty() {
            continue;
        } else if row.shortcut.is_empty() {
            "Enter a shortcut, or clear the text as well to delete the reply."
        } else if row.shortcut.chars().count() > SHORTCUT || !row.shortcut.chars().all(letters) {
            "Use 1 to 30 letters, digits or hyphens in a shortcut."
        } else if before.iter().any(|earlier| earlier.shortcut == row.shortcut) {
            "Another reply already has this shortcut."
        } else if row.text.is_empty() {
            "Enter the text, or clear the shortcut as well to delete the reply."
        } else if row.text.chars().count() > MAX_MESSAGE_CHARS {
            "Shorten the text to at most 4,000 characters."
        } else {
            continue;
        };
        rows[place].error = problem.to_owned();
    }
}

fn problems(rows: &[Row]) -> Errors {
    let wrong = rows.iter().enumerate().filter(|(_, row)| !row.error.is_empty());
    let fields = wrong.map(|(place, row)| (format!("shortcut-{place}"), format!("/{}: {}", row.shortcut, row.error)));
    let mut errors = Errors { fields: fields.collect(), ..Errors::default() };
    let count = rows.iter().filter(|row| !row.is_empty()).count();
    if count > REPLIES {
        errors.general.push(format!("You can save up to {REPLIES} replies; there are {count}."));
    }
    errors
}

/// Which reply the API means, e.g. with `/items/3/text`.
fn place(error: &FieldError) -> Option<usize> {
    error.field.trim_start_matches("/items/").split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_reply_is_said_beside_it() {
        let form = "shortcut=%2FHello&text=Hello%0D%0A%7Bname%7D&shortcut=&text=&shortcut=hello&text=again\
                    &shortcut=a+b&text=x&shortcut=&text=alone&shortcut=mute&text=+";
        let mut rows = read(&Fields::parse(form.as_bytes()));
        assert_eq!(rows[0], Row { shortcut: "hello".to_owned(), text: "Hello\n{name}".to_owned(), ..Row::default() });
        check(&mut rows);
        let wrong: Vec<bool> = rows.iter().map(|row| !row.error.is_empty()).collect();
        assert_eq!(wrong, [false, true, true, true, true]);
        assert_eq!(problems(&rows).fields[0].0, "shortcut-1");
    }

    #[test]
    fn a_saved_reply_that_was_emptied_is_not_forgotten() {
        let form = "was=hello&shortcut=&text=+&was=bye&shortcut=bye&text=Goodbye&was=&shortcut=&text=";
        let mut rows = read(&Fields::parse(form.as_bytes()));
        assert_eq!(
            rows.iter().map(|row| (row.was.as_str(), row.is_empty())).collect::<Vec<_>>(),
            [("hello", true), ("bye", false)]
        );
        check(&mut rows);
        assert!(problems(&rows).is_empty());
    }
}
