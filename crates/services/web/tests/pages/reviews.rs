//! What readers think: on the book's page, in the form, in the account and in the back office.

use super::*;

/// An id as it stands in the addresses of the API.
fn sent(id: &str) -> String {
    id.replace('-', "%2D")
}

#[tokio::test]
async fn a_book_shows_its_reviews_and_where_ratings_are_from() {
    let mut browser = Browser::new();
    let seen = browser.get(&format!("/books/{BOOK}?stars=5&verified=true")).await;
    assert!(seen.body.contains("Verified purchase") && seen.body.contains("4.5 out of 5 stars"), "{}", seen.body);
    assert!(seen.body.contains("<details class=\"opinion__spoiler\">"), "the ending is not shown unasked");
    assert!(seen.body.contains("<progress class=\"spread__bar\" max=\"2\" value=\"2\""));
    assert!(seen.body.contains("Checked. "), "how reviews are checked stands beside them");
    assert!(!seen.body.contains("<a href=\"https:example"), "addresses are words");
    let next = format!("/books/{BOOK}?stars=5&#38;verified=true&#38;cursor=c%2Fu%2Br#reviews");
    assert!(seen.body.contains(&next), "{}", seen.body);
    let asked = browser.api.asked(&format!("GET /api/v1/books/{}/reviews", sent(BOOK)));
    assert!(asked[0].line.contains("stars=5") && asked[0].line.contains("verified=true"), "{}", asked[0].line);
    assert!(seen.body.contains("\"reviewCount\":12345"), "the rating that the page shows first");
}

#[tokio::test]
async fn what_readers_agree_on_stands_above_all_reviews_and_above_no_selection() {
    let mut browser = Browser::new();
    let seen = browser.get(&format!("/books/{BOOK}")).await;
    assert!(
        seen.body.contains("<h4>Readers praise</h4>") && seen.body.contains("<h4>Readers miss</h4>"),
        "{}",
        seen.body
    );
    assert!(seen.body.contains("and 2 others</summary>") && seen.body.contains("“I read it twice”"));
    assert!(seen.body.contains("“The end is weak”"));
    for query in ["stars=5", "verified=true", "language=de", "cursor=abc"] {
        let seen = browser.get(&format!("/books/{BOOK}?{query}")).await;
        assert!(!seen.body.contains("In readers’ words"), "{query}");
    }
}

#[tokio::test]
async fn without_the_rating_role_the_page_works_and_says_nothing_false() {
    let mut browser = Browser::signed_in(&["customer"]);
    browser.api.break_path("/reviews", 503);
    browser.api.break_path("/books/01990000%2D0000%2D7000%2D8000%2D000000000001/reviews", 503);
    let seen = browser.get(&format!("/books/{BOOK}")).await;
    assert_eq!(seen.status, StatusCode::OK);
    assert!(seen.body.contains("Reviews can’t be shown right now") && !seen.body.contains("Nobody has reviewed"));
    assert!(seen.body.contains("Add to basket"));
    holds_up("/books/", &seen);
}

fn typed() -> Vec<(&'static str, &'static str)> {
    vec![("rating", "4.5"), ("title", "My <title>"), ("text", "My words"), ("language", "de"), ("spoiler", "true")]
}

#[tokio::test]
async fn whatever_goes_wrong_what_was_written_stays() {
    let mut browser = Browser::signed_in(&["customer"]);
    let path = format!("/books/{BOOK}/review");
    for (status, body, says) in [
        (503, json!({"code": "unavailable"}), "can’t tell whether"),
        (404, json!({"code": "not_found"}), "no longer there"),
        (401, json!({"code": "unauthenticated"}), "Sign in in a new tab"),
        (429, json!({"code": "too_many_requests"}), "a lot at once"),
        (409, json!({"code": "duplicate_value"}), "already"),
        (412, json!({"code": "edit_conflict"}), "another window"),
        (
            400,
            json!({"errors": [{"field": "/text", "message": "must be at most 5,000 characters, not 5,001"}]}),
            "5,000",
        ),
        (400, json!({"errors": [{"field": "/token", "message": "has expired"}]}), "has expired"),
    ] {
        browser.api.0.lock().unwrap().review_refusal = Some((status, body));
        let seen = browser.post(&path, &typed()).await;
        assert_eq!(seen.status.as_u16(), status, "{says}");
        assert!(seen.body.contains(says), "{says}: {}", seen.body);
        assert!(seen.body.contains("My &#60;title&#62;") && seen.body.contains("My words"), "{says}");
        assert!(seen.body.contains("value=\"4.5\" checked") && seen.body.contains("value=\"de\" selected"), "{says}");
        holds_up(&path, &seen);
    }
    let seen = browser.post(&path, &[("text", "My words")]).await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
    assert!(seen.body.contains("Choose a rating.") && seen.body.contains("href=\"#f-rating\""), "{}", seen.body);
    assert!(seen.body.contains("id=\"f-rating\""), "the summary leads to the first choice");
}

#[tokio::test]
async fn a_review_is_written_edited_and_deleted() {
    let path = format!("/books/{BOOK}/review");
    let mut browser = Browser::new();
    let seen = browser.get(&path).await;
    assert!(seen.location().starts_with("/sign-in?next="), "{}", seen.location());
    let mut browser = Browser::signed_in(&["customer"]);
    let seen = browser.get(&path).await;
    assert_eq!(seen.body.matches("type=\"radio\" name=\"rating\"").count(), 10, "half stars, one button each");
    let seen = browser.post(&path, &typed()).await;
    assert_eq!(seen.location(), format!("/books/{BOOK}#reviews"));
    let asked = browser.api.asked("POST /api/v1/books").remove(0).body;
    let expected = json!({"rating": 4.5, "title": "My <title>", "text": "My words", "language": "de", "spoiler": true});
    assert_eq!(asked, expected);
    let seen = browser.get(&format!("/books/{BOOK}")).await;
    assert!(seen.body.contains("can’t see a completed order"), "why it is not there yet");

    browser.api.0.lock().unwrap().own_review = json!({});
    let seen = browser.get(&path).await;
    assert!(seen.body.contains("value=\"4.5\" checked"));
    let fields = [("review_id", seen.hidden("review_id")), ("version", seen.hidden("version"))];
    let mut form: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    form.extend(typed());
    browser.post(&path, &form).await;
    let edited = browser.api.asked(&format!("PUT /api/v1/reviews/{}", sent(ORDER))).remove(0);
    assert_eq!(edited.headers["if-match"], "\"3\"");
    let seen = browser.get(&format!("{path}/delete")).await;
    holds_up(&path, &seen);
    browser.post(&format!("{path}/delete"), &[("review_id", ORDER)]).await;
    assert_eq!(browser.api.asked(&format!("DELETE /api/v1/reviews/{}", sent(ORDER))).len(), 1);
}

#[tokio::test]
async fn a_guest_writes_with_the_link_of_the_mail() {
    let mut guest = Browser::new();
    let path = format!("/books/{BOOK}/review");
    let seen = guest.get(&format!("{path}?invite=good")).await;
    assert_eq!((seen.status, seen.hidden("invite").as_str()), (StatusCode::OK, "good"));
    let mut form = typed();
    form.push(("invite", "good"));
    let seen = guest.post(&path, &form).await;
    assert_eq!(seen.location(), format!("/books/{BOOK}#reviews"));
    let asked = guest.api.asked("POST /api/v1/books").remove(0);
    assert_eq!(asked.headers["review-invitation"], "good");
    let seen = guest.get(&format!("{path}?invite=old")).await;
    assert_eq!(seen.location(), format!("/books/{BOOK}"));
    assert!(guest.get(&format!("/books/{BOOK}")).await.body.contains("That link has expired"));
    let other = guest.get(&format!("/books/{OTHER}/review?invite=good")).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND, "a link is for the books of its order");
}

#[tokio::test]
async fn opening_the_link_in_a_mail_ends_nothing_and_the_button_does() {
    let mut guest = Browser::new();
    let seen = guest.get("/unsubscribe?token=good").await;
    assert!(seen.body.contains("Don’t ask me again"));
    assert!(guest.api.asked("POST /api/v1/review-invitations").is_empty());
    let seen = guest.post("/unsubscribe", &[("token", "good")]).await;
    assert!(seen.body.contains("You won’t be asked again"));
    let seen = guest.post("/unsubscribe", &[("token", "bad")]).await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn readers_vote_report_and_appeal() {
    let mut guest = Browser::new();
    let seen = guest.post(&format!("/reviews/{ORDER}/helpful"), &[("helpful", "true"), ("book_id", BOOK)]).await;
    assert!(seen.location().starts_with("/sign-in?next="), "{}", seen.location());
    let mut browser = Browser::signed_in(&["customer"]);
    for (helpful, asked) in [("true", "PUT"), ("false", "DELETE")] {
        let fields = [("helpful", helpful), ("book_id", BOOK)];
        let seen = browser.post(&format!("/reviews/{ORDER}/helpful"), &fields).await;
        assert_eq!(seen.location(), format!("/books/{BOOK}#review-{ORDER}"));
        assert_eq!(browser.api.asked(&format!("{asked} /api/v1/reviews/{}/helpful", sent(ORDER))).len(), 1);
    }
    let report = format!("/reviews/{ORDER}/report");
    assert_eq!(browser.post(&report, &[("book_id", BOOK)]).await.status, StatusCode::BAD_REQUEST);
    let seen = browser.post(&report, &[("reason", "other"), ("book_id", BOOK)]).await;
    assert!(seen.body.contains("Tell us what’s wrong."));
    browser.post(&report, &[("reason", "spam"), ("text", "An advert"), ("book_id", BOOK)]).await;
    let asked = browser.api.asked(&format!("POST /api/v1/reviews/{}/reports", sent(ORDER))).remove(0).body;
    assert_eq!(asked, json!({"reason": "spam", "text": "An advert"}));

    let own = format!("/account/reviews/{ORDER}");
    let seen = browser.get(&own).await;
    assert!(seen.body.contains("Our staff took it off the page: ") && seen.body.contains("Ask us to look again"));
    browser.post(&format!("{own}/appeal"), &[("text", "It is true.")]).await;
    let asked = browser.api.asked(&format!("POST /api/v1/reviews/{}/appeal", sent(ORDER))).remove(0).body;
    assert_eq!(asked, json!({"text": "It is true."}));
}

#[tokio::test]
async fn staff_decide_about_what_they_read_and_say_why() {
    let mut staff = Browser::signed_in(&["customer", "staff"]);
    let seen = staff.get("/admin/reviews").await;
    assert!(seen.body.contains("Hidden by staff: ") && seen.body.contains("2 more reports"), "{}", seen.body);
    let path = format!("/admin/reviews/{ORDER}/decision");
    let seen = staff.post(&path, &[("verdict", "hide"), ("version", "3")]).await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
    assert!(seen.body.contains("Say why it is hidden"));
    staff.post(&path, &[("verdict", "hide"), ("reason", "Rude"), ("version", "3")]).await;
    let asked = staff.api.asked(&format!("POST /api/v1/admin/reviews/{}/decision", sent(ORDER))).remove(0);
    assert_eq!(
        (&asked.body, &asked.headers["if-match"]),
        (&json!({"verdict": "hide", "reason": "Rude"}), &"\"3\"".parse().unwrap())
    );
    staff.post(&format!("/admin/reviews/{ORDER}/answer"), &[("text", "")]).await;
    assert_eq!(staff.api.asked(&format!("DELETE /api/v1/reviews/{}/answer", sent(ORDER))).len(), 1);
}
