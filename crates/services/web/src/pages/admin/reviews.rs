//! Reviews that staff decide on: the queue, one with its history, the shop's answer.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect},
};
use bookworm_contracts::rest::rating::{
    AnswerInput, DecisionInput, HoldReason, ModeratedReview, ReportReason, Review, ReviewStanding, ReviewStatus,
    Verdict,
};

use super::{Staff, next_href, settle};
use crate::{
    error::PageResult,
    flash::Flash,
    form::{Errors, Field, Fields, Query},
    layout::{Shell, never_stored, page, page_with},
    pages::reviews::{Opinion, own::Step},
    service::Web,
    view::{Calendar, encoded},
};

/// Which reviews can be looked at, as the API names them.
const QUEUES: [(&str, &str); 5] = [
    ("open", "To decide"),
    ("waiting", "Waiting"),
    ("held", "On hold"),
    ("hidden", "Hidden"),
    ("published", "Published"),
];

#[derive(Template)]
#[template(path = "admin/reviews.html")]
struct QueuePage {
    shell: Shell,
    /// Value, words, whether it is shown.
    queues: Vec<(&'static str, &'static str, bool)>,
    cases: Vec<Case>,
    next_href: Option<String>,
    csrf: String,
    calendar: Calendar,
}

#[derive(Template)]
#[template(path = "admin/review.html")]
struct ReviewPage {
    shell: Shell,
    errors: Errors,
    case: Case,
    history: Vec<Step>,
    field: Field,
    csrf: String,
    calendar: Calendar,
}

/// A review to decide on.
pub(crate) struct Case {
    pub(crate) review: Review,
    pub(crate) opinion: Opinion,
    /// Why it is here.
    pub(crate) why: Vec<String>,
    pub(crate) published: bool,
    pub(crate) hidden: bool,
}

impl Case {
    fn of(found: ModeratedReview) -> Self {
        let reports = found.reports.iter().map(|report| match &report.text {
            Some(text) => format!("Reported, {}: {text}", reason(report.reason)),
            None => format!("Reported: {}", reason(report.reason)),
        });
        let reports: Vec<String> = reports.collect();
        Self { why: why(found.review.standing.as_ref(), found.report_count, reports), ..Self::new(found.review) }
    }

    fn new(review: Review) -> Self {
        let status = review.standing.as_ref().map(|standing| standing.status);
        Self {
            opinion: Opinion::new(review.clone(), false),
            why: why(review.standing.as_ref(), 0, Vec::new()),
            published: status == Some(ReviewStatus::Published),
            hidden: status == Some(ReviewStatus::Hidden),
            review,
        }
    }
}

fn why(standing: Option<&ReviewStanding>, reported: i64, reports: Vec<String>) -> Vec<String> {
    let mut why = Vec::new();
    if let Some(standing) = standing {
        why.extend(standing.reason.map(|reason| held(reason).to_owned()));
        why.extend(standing.explanation.as_ref().map(|explanation| format!("Hidden by staff: {explanation}")));
        why.extend(standing.appeal.as_ref().map(|appeal| format!("Its author asks us to look again: {appeal}")));
    }
    let shown = i64::try_from(reports.len()).unwrap_or(i64::MAX);
    why.extend(reports);
    if reported > shown {
        let more = reported - shown;
        why.push(format!("{more} more report{}", if more == 1 { "" } else { "s" }));
    }
    why
}

fn held(reason: HoldReason) -> &'static str {
    match reason {
        HoldReason::NotVerified => "No completed order with this book on the account",
        HoldReason::HiddenBefore => "An earlier version was hidden",
        HoldReason::Link => "A web address in the text",
        HoldReason::Address => "An email address in the text",
        HoldReason::Repeated => "It repeats itself or another review",
        HoldReason::Rate => "Many reviews of this account in a short time",
    }
}

fn reason(reason: ReportReason) -> &'static str {
    match reason {
        ReportReason::Spam => "advertising",
        ReportReason::Offensive => "insults or threatens somebody",
        ReportReason::OffTopic => "not about the book",
        ReportReason::Spoiler => "gives away the ending",
        ReportReason::NotGenuine => "not genuine",
        ReportReason::Illegal => "against the law",
        ReportReason::Other => "something else",
    }
}

/// `GET /admin/reviews?queue=`
pub(crate) async fn list(State(web): State<Web>, staff: Staff, query: Query) -> PageResult {
    let queue = QUEUES.iter().find(|(known, _)| *known == query.get("queue")).map_or("open", |(known, _)| known);
    let asked = [("queue", queue), ("cursor", query.get("cursor")), ("limit", "20")];
    let found = web.api.review_queue(staff.caller(), &asked).await?;
    page(&QueuePage {
        shell: staff.office("Reviews"),
        queues: QUEUES.iter().map(|(value, words)| (*value, *words, *value == queue)).collect(),
        next_href: next_href("/admin/reviews", &[("queue", queue)], found.next.as_deref()),
        cases: found.items.into_iter().map(Case::of).collect(),
        csrf: staff.csrf().to_owned(),
        calendar: staff.calendar(),
    })
    .map(never_stored)
}

/// `GET /admin/reviews/{id}`
pub(crate) async fn show(State(web): State<Web>, staff: Staff, Path(id): Path<String>) -> PageResult {
    render(&web, &staff, &id, http::StatusCode::OK, None, Errors::default()).await
}

/// `POST /admin/reviews/{id}/decision`: `verdict`, `reason`, `version`, `queue`.
pub(crate) async fn decide(State(web): State<Web>, staff: Staff, Path(id): Path<String>, fields: Fields) -> PageResult {
    let verdict = if fields.get("verdict") == "publish" { Verdict::Publish } else { Verdict::Hide };
    let reason = fields.optional("reason");
    if reason.is_none() && verdict == Verdict::Hide {
        let mut errors = Errors::default();
        errors.add("reason", "Say why it is hidden: its author reads this.");
        // The reply is no field of this form: it stays as it is stored.
        return render(&web, &staff, &id, http::StatusCode::BAD_REQUEST, None, errors).await;
    }
    let done = if verdict == Verdict::Publish { "The review is published." } else { "The review is hidden." };
    let decision = DecisionInput { verdict, reason };
    let outcome = web.api.decide_review(staff.caller(), &id, fields.get("version"), &decision).await;
    settle(&staff, outcome, done, "/admin/reviews")
}

/// `POST /admin/reviews/{id}/answer`: `text`; without words the answer is taken back.
pub(crate) async fn answer(State(web): State<Web>, staff: Staff, Path(id): Path<String>, fields: Fields) -> PageResult {
    let answer = fields.optional("text").map(|text| AnswerInput { text });
    let done = if answer.is_some() { "The reply is on the page." } else { "The reply is removed." };
    let error = match web.api.answer_review(staff.caller(), &id, answer.as_ref()).await {
        Ok(()) => {
            staff.flash(&Flash::success(done));
            return Ok(Redirect::to(&format!("/admin/reviews/{}", encoded(&id))).into_response());
        }
        Err(error) => error,
    };
    match error.problem() {
        Some(problem) if problem.status == 400 => {
            let errors = Errors::from_api(&problem.errors, &["text"]);
            render(&web, &staff, &id, error.status(), Some(&fields), errors).await
        }
        _ => settle(&staff, Err(error), done, &format!("/admin/reviews/{}", encoded(&id))),
    }
}

async fn render(
    web: &Web,
    staff: &Staff,
    id: &str,
    status: http::StatusCode,
    typed: Option<&Fields>,
    errors: Errors,
) -> PageResult {
    let caller = staff.caller();
    let (review, events) = tokio::try_join!(web.api.review(caller, id), web.api.review_events(caller, id))?;
    let answer = review.answer.as_ref().map(|answer| answer.text.clone()).unwrap_or_default();
    let field = Field::new("text", "Reply from the shop").rows(4).maxlength(2000).optional();
    let field = match typed {
        Some(typed) => field.fill(typed, &errors),
        None => field.value(answer),
    };
    let calendar = staff.calendar();
    let shown = ReviewPage {
        shell: staff.office("Review"),
        errors,
        case: Case::new(review),
        history: events.iter().map(|event| Step::new(event, calendar)).collect(),
        field,
        csrf: staff.csrf().to_owned(),
        calendar,
    };
    page_with(status, &shown).map(never_stored)
}
