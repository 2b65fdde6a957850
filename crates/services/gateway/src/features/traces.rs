//! What happened a moment ago, for staff: the traces that the shop's processes keep, put together.

use std::collections::{BTreeSet, HashMap, HashSet};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
    routing::get,
};
use bookworm_contracts::rest::operations::{Trace, TraceStep, TraceSummary, Traces};
use bookworm_fleet::Peers;
use bookworm_http::{ApiQuery, Problem, Result, Validator, auth::StaffOnly, openapi::ProblemResponses};
use bookworm_kernel::Timestamp;
use bookworm_trace::{Step, Summary, recent};
use futures::future::join_all;
use http::uri::PathAndQuery;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use url::form_urlencoded;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::diagram;

/// Where a process shows others its own.
const OF_PROCESS: &str = "/fleet/traces";
/// The most traces of an answer.
const MOST: usize = 200;
/// The most traces that a process names to others, latest first, and whose parts they are asked for.
const MOST_FOUND: usize = 1000;

/// Where the traces of the shop are.
#[derive(Clone)]
pub struct KnownTraces {
    /// The other processes.
    pub peers: Peers,
    /// This process.
    pub process: String,
}

/// Which traces are listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Which of them; all when left out.
    #[param(inline)]
    only: Option<Only>,
    /// Part of the name of a trace's first step, such as `/checkout`.
    #[param(max_length = 200)]
    name: Option<String>,
    /// What they are about: the id of an order or of a conversation.
    #[param(max_length = 64)]
    subject: Option<String>,
}

/// A kind of traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Only {
    /// A step failed.
    Failed,
    /// It took long.
    Slow,
}

pub fn api(traces: KnownTraces) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).with_state(traces)
}

/// What a process is asked to list: all when nothing is set, and otherwise the traces that it knows this of. What a trace is
/// about, and whether it failed, each process knows of its own part alone: so first all are asked for the traces of which
/// one of them knows it, and then for their parts of these.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Selection {
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    only: Option<Only>,
    /// In lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// With commas between.
    #[serde(skip_serializing_if = "Option::is_none")]
    ids: Option<String>,
}

impl Selection {
    /// Of what is wanted the one thing that says most: what else is wanted another process may know.
    fn first(wanted: &Wanted) -> Self {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let (subject, name) = (given(&wanted.subject), given(&wanted.name).map(|name| name.to_lowercase()));
        match (subject, wanted.only, name) {
            (Some(subject), ..) => Self { subject: Some(subject), ..Self::default() },
            (None, Some(only), _) => Self { only: Some(only), ..Self::default() },
            (None, None, name) => Self { name, ..Self::default() },
        }
    }

    fn of(ids: &BTreeSet<String>) -> Self {
        Self { ids: Some(ids.iter().map(String::as_str).collect::<Vec<_>>().join(",")), ..Self::default() }
    }

    /// The address of it at another process. One of an older release lists all.
    fn path(&self) -> String {
        let only = self.only.map(|only| if only == Only::Failed { "failed" } else { "slow" });
        let values = [("subject", &self.subject), ("name", &self.name), ("ids", &self.ids)];
        let values = values.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?)));
        let query: String = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(values.chain(only.map(|only| ("only", only))))
            .finish();
        if query.is_empty() { OF_PROCESS.to_owned() } else { format!("{OF_PROCESS}?{query}") }
    }

    /// Those of them that are meant, latest first.
    fn among(&self, list: Vec<Summary>) -> Vec<Summary> {
        let ids: Option<HashSet<&str>> = self.ids.as_ref().map(|ids| ids.split(',').collect());
        let is_meant = |summary: &Summary| {
            self.subject.as_ref().is_none_or(|subject| summary.subject.as_ref() == Some(subject))
                && self.only.is_none_or(|only| only.is_met_by(summary))
                && self.name.as_ref().is_none_or(|name| summary.name.to_lowercase().contains(name))
                && ids.as_ref().is_none_or(|ids| ids.contains(&*summary.trace))
        };
        list.into_iter().filter(is_meant).take(MOST_FOUND).collect()
    }
}

impl Only {
    fn is_met_by(self, summary: &Summary) -> bool {
        match self {
            Self::Failed => summary.failed,
            Self::Slow => summary.slow,
        }
    }
}

/// What this process knows of these.
fn own(selection: &Selection) -> Vec<Summary> {
    selection.among(recent().map(bookworm_trace::Recent::list).unwrap_or_default())
}

/// The traces of this process alone, for the other processes of the shop.
pub fn of_process() -> Router {
    let list = |Query(selection): Query<Selection>| async move { Json(own(&selection)) };
    let steps =
        |Path(of): Path<String>| async move { Json(recent().map(|recent| recent.steps(&of)).unwrap_or_default()) };
    Router::new().route(OF_PROCESS, get(list)).route(&format!("{OF_PROCESS}/{{of}}"), get(steps))
}

/// A trace for operators, who have no account: the same answer as [`show`].
pub fn for_operators(traces: KnownTraces) -> Router {
    let show = |State(traces): State<KnownTraces>, Path(of): Path<String>| async move { found(&traces, &of).await };
    Router::new().route("/traces/{id}", get(show)).with_state(traces)
}

impl KnownTraces {
    /// What each process, this one included, knows of these traces; and those that did not answer.
    async fn select(&self, selection: &Selection) -> (Vec<Vec<Summary>>, Vec<String>) {
        let (others, silent) = self.gather::<Vec<Summary>>(&selection.path()).await;
        let lists = others.into_iter().map(|(_, list)| selection.among(list));
        (std::iter::once(own(selection)).chain(lists).collect(), silent)
    }

    /// What each process answers at this path, with its name; and those that did not answer.
    async fn gather<T: DeserializeOwned>(&self, path: &str) -> (Vec<(String, T)>, Vec<String>) {
        let others = self.peers.processes().into_iter().filter(|instance| instance.id() != self.process);
        let answers = others.map(|instance| async move {
            let name = instance.id().to_owned();
            let answer = match PathAndQuery::try_from(path) {
                Ok(path) => self.peers.read(&instance, path).await.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            match answer.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string())) {
                Ok(answer) => Ok((name, answer)),
                Err(error) => {
                    tracing::warn!(process = name, error, "the traces of a process are missing");
                    Err(name)
                }
            }
        });
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for answer in join_all(answers).await {
            match answer {
                Ok(answer) => found.push(answer),
                Err(name) => missing.push(name),
            }
        }
        (found, missing)
    }
}

/// Recent traces of requests and of what began by itself. Staff.
///
/// Latest first, at most 200.
#[utoipa::path(
    get,
    path = "/admin/traces",
    tag = "operations",
    params(Wanted),
    responses((status = 200, description = "Those that were asked for", body = Traces), ProblemResponses),
    security(("bearer" = ["staff"]))
)]
async fn list(
    _: StaffOnly,
    State(traces): State<KnownTraces>,
    ApiQuery(wanted): ApiQuery<Wanted>,
) -> Result<Json<Traces>> {
    let mut valid = Validator::new();
    let within = |text: &Option<String>, most: usize| text.as_ref().is_none_or(|text| text.chars().count() <= most);
    valid.check("/name", within(&wanted.name, 200), "must have at most 200 characters");
    valid.check("/subject", within(&wanted.subject, 64), "must have at most 64 characters");
    valid.finish()?;
    let (found, mut unreachable) = traces.select(&Selection::first(&wanted)).await;
    let ids: BTreeSet<String> =
        merge(found.into_iter()).into_iter().take(MOST_FOUND).map(|found| found.trace).collect();
    let all = if ids.is_empty() {
        Vec::new()
    } else {
        let (parts, silent) = traces.select(&Selection::of(&ids)).await;
        unreachable.extend(silent);
        merge(parts.into_iter())
    };
    unreachable.sort_unstable();
    unreachable.dedup();
    let name = wanted.name.as_deref().unwrap_or_default().to_lowercase();
    let subject = wanted.subject.as_deref().filter(|subject| !subject.is_empty());
    let is_wanted = |summary: &Summary| {
        let only = wanted.only.is_none_or(|only| only.is_met_by(summary));
        let about = subject.is_none_or(|subject| summary.subject.as_deref() == Some(subject));
        only && about && summary.name.to_lowercase().contains(&name)
    };
    let items = all.into_iter().filter(is_wanted).take(MOST).map(shown).collect();
    Ok(Json(Traces { kept: recent().is_some(), items, unreachable }))
}

/// Those of several processes: each trace once, latest first.
fn merge(lists: impl Iterator<Item = Vec<Summary>>) -> Vec<Summary> {
    let mut all: HashMap<String, Summary> = HashMap::new();
    for summary in lists.flatten() {
        let Some(known) = all.get_mut(&summary.trace) else {
            all.insert(summary.trace.clone(), summary);
            continue;
        };
        let until = (known.started.saturating_add_unsigned(known.took))
            .max(summary.started.saturating_add_unsigned(summary.took));
        // The clocks of two machines differ; the first step is where nothing comes before it.
        if (summary.rooted, -summary.started) > (known.rooted, -known.started) {
            known.name = summary.name;
        }
        known.rooted |= summary.rooted;
        known.started = known.started.min(summary.started);
        known.took = u64::try_from(until - known.started).unwrap_or(0);
        known.steps += summary.steps;
        known.failed |= summary.failed;
        known.slow |= summary.slow;
        known.subject = known.subject.take().or(summary.subject);
    }
    let mut all: Vec<Summary> = all.into_values().collect();
    all.sort_by(|one, other| other.started.cmp(&one.started).then_with(|| one.trace.cmp(&other.trace)));
    all
}

fn shown(summary: Summary) -> TraceSummary {
    TraceSummary {
        id: summary.trace,
        name: summary.name,
        started_at: Timestamp::from_micros(summary.started),
        duration_us: summary.took,
        steps: summary.steps as u64,
        failed: summary.failed,
        slow: summary.slow,
        subject: summary.subject,
    }
}

/// What is known of a trace, or of an order or a conversation. Staff.
///
/// Its steps, the sequence diagram that is drawn from them, and the scenario that it is an instance of.
#[utoipa::path(
    get,
    path = "/admin/traces/{id}",
    tag = "operations",
    params(("id" = String, Path, description = "A trace's id, or the id of an order or of a conversation")),
    responses((status = 200, description = "What is known of it", body = Trace), ProblemResponses),
    security(("bearer" = ["staff"]))
)]
async fn show(_: StaffOnly, State(traces): State<KnownTraces>, Path(of): Path<String>) -> Response {
    found(&traces, &of).await
}

async fn found(traces: &KnownTraces, of: &str) -> Response {
    match gathered(traces, of).await {
        Ok(trace) => Json(trace).into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn gathered(traces: &KnownTraces, of: &str) -> Result<Trace> {
    let is_id = (16..=64).contains(&of.len()) && of.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let nothing = || Problem::not_found("trace");
    if !is_id {
        return Err(nothing());
    }
    let own = recent().map(|recent| recent.steps(of)).unwrap_or_default();
    let (others, unreachable) = traces.gather::<Vec<Step>>(&format!("{OF_PROCESS}/{of}")).await;
    let own = std::iter::once((traces.process.clone(), own));
    let mut processes: HashMap<String, String> = HashMap::new();
    let mut steps: Vec<Step> = Vec::new();
    for (process, step) in
        own.chain(others).flat_map(|(process, steps)| steps.into_iter().map(move |step| (process.clone(), step)))
    {
        // Processes that are one in a test keep the same ones.
        if !processes.contains_key(&step.span) {
            processes.insert(step.span.clone(), process);
            steps.push(step);
        }
    }
    let begin = steps.iter().map(|step| step.started).min().ok_or_else(nothing)?;
    let (diagram, expected) = diagram::draw(&steps);
    let steps = diagram::as_tree(steps).into_iter().map(|(depth, step)| TraceStep {
        process: processes.get(&step.span).cloned().unwrap_or_default(),
        trace_id: step.trace,
        span_id: step.span,
        parent_id: step.parent,
        depth,
        kind: step.kind,
        name: step.name,
        offset_us: u64::try_from(step.started - begin).unwrap_or(0),
        duration_us: step.took,
        failed: step.failed,
        attributes: step.attributes,
    });
    let started_at = Timestamp::from_micros(begin);
    Ok(Trace { id: of.to_owned(), started_at, steps: steps.collect(), diagram, expected, unreachable })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::{Extension, extract::Request};
    use bookworm_fleet::{FleetToken, Gate};
    use bookworm_http::Stack;
    use bookworm_http::auth::Role;
    use bookworm_registry::{Directory, Instance, Key, Load, State as Says};
    use bookworm_testing::{Client, TokenMint, clock};
    use http::{Method, StatusCode};
    use serde_json::json;
    use tokio::net::TcpListener;

    use super::*;

    fn summary(trace: &str, name: &str, rooted: bool, started: i64, took: u64) -> Summary {
        Summary {
            trace: trace.to_owned(),
            name: name.to_owned(),
            rooted,
            started,
            took,
            steps: 2,
            failed: false,
            slow: false,
            subject: None,
        }
    }

    #[test]
    fn a_trace_of_several_processes_is_one_named_by_where_it_began() {
        let here = vec![summary("a", "GET", false, 50, 10), summary("b", "other", true, 90, 1)];
        let mut there = vec![summary("a", "GET /books", true, 60, 100)];
        (there[0].failed, there[0].subject) = (true, Some("order".to_owned()));
        let merged = merge([here, there].into_iter());
        let mut whole = summary("a", "GET /books", true, 50, 110);
        (whole.steps, whole.failed, whole.subject) = (4, true, Some("order".to_owned()));
        assert_eq!(merged, [summary("b", "other", true, 90, 1), whole], "latest first");
    }

    #[test]
    fn a_process_names_what_it_knows_something_of_and_then_its_part_of_it() {
        let wanted = |only, name: &str, subject: &str| Wanted {
            only,
            name: Some(name.to_owned()),
            subject: Some(subject.to_owned()),
        };
        assert_eq!(Selection::first(&wanted(None, "", "")).path(), OF_PROCESS);
        assert_eq!(Selection::first(&wanted(None, "POST /Orders", "")).path(), "/fleet/traces?name=post+%2Forders");
        assert_eq!(Selection::first(&wanted(Some(Only::Slow), "x", "")).path(), "/fleet/traces?only=slow");
        let about = Selection::first(&wanted(Some(Only::Failed), "x", "an-order"));
        assert_eq!(about.path(), "/fleet/traces?subject=an-order", "another process knows whether it failed");
        let mut list = vec![summary("a", "GET /", true, 2, 1), summary("b", "GET /", true, 1, 1)];
        list[1].subject = Some("an-order".to_owned());
        let found: BTreeSet<String> = about.among(list.clone()).into_iter().map(|found| found.trace).collect();
        let parts = Selection::of(&found);
        assert_eq!((parts.path().as_str(), parts.among(list.clone())), ("/fleet/traces?ids=b", vec![list[1].clone()]));
        let many: Vec<Summary> = (0..2_000).map(|n| summary(&n.to_string(), "GET /", true, n, 1)).collect();
        assert_eq!(Selection::default().among(many).len(), MOST_FOUND);
    }

    fn instance(id: &str, address: &str) -> Instance {
        Instance {
            key: Key::new("catalog", id).unwrap(),
            generation: 0,
            grpc: None,
            http: Some(address.to_owned()),
            version: "1.2.3".to_owned(),
            zone: String::new(),
            state: Says::Ready,
            capabilities: Vec::new(),
            load: Load::default(),
        }
    }

    /// A process that remembers one step, behind the fleet's gate, and one that is gone.
    #[tokio::test]
    async fn staff_see_what_every_process_remembers_and_which_ones_do_not_answer() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let token = Arc::new(FleetToken::new("0123456789abcdef0123456789abcdef", clock()));
        let step = json!([{
            "trace": trace, "span": "00f067aa0ba902b7", "kind": "server", "name": "GET /api/v1/books",
            "started": 1_000, "took": 5, "failed": true, "attributes": {"http.route": "/api/v1/books"},
        }]);
        let known = json!([summary(trace, "GET /api/v1/books", true, 1_000, 5)]);
        let answer = move |request: Request| {
            let (step, known) = (step.clone(), known.clone());
            async move { Json(if request.uri().path() == OF_PROCESS { known } else { step }) }
        };
        let gate = Gate::new(token.clone());
        let routes = Router::new()
            .route(OF_PROCESS, get(answer.clone()))
            .route(&format!("{OF_PROCESS}/{{of}}"), get(answer))
            .layer(Stack::new().with_state(gate, bookworm_fleet::gate))
            .layer(Stack::new().with(bookworm_http::context::layer));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let directory = Directory::fixed([instance("there", &address), instance("gone", "http://127.0.0.1:1")]);
        let traces = KnownTraces { peers: Peers::new(directory, [], Some(token), None), process: "here".to_owned() };

        let mint = TokenMint::new(clock());
        let (router, _) = api(traces).split_for_parts();
        let client = Client::new(router.layer(Extension(mint.verifier())));
        let ask = async |path: &str, role: Role| {
            client.request(Method::GET, path).caller(bookworm_testing::account(&[role])).send().await
        };
        let (list, one) = ("/admin/traces?only=failed", format!("/admin/traces/{trace}"));
        for path in [list, one.as_str()] {
            assert_eq!(ask(path, Role::Customer).await.status, StatusCode::FORBIDDEN);
            assert_eq!(ask(path, Role::Agent).await.status, StatusCode::FORBIDDEN);
        }
        let all: Traces = ask("/admin/traces", Role::Staff).await.expect(StatusCode::OK).read();
        assert_eq!((all.items.len(), &*all.unreachable), (1, &["gone".to_owned()][..]));
        let failed: Traces = ask(list, Role::Staff).await.expect(StatusCode::OK).read();
        assert!(failed.items.is_empty(), "its process says that it did not fail");
        let trace: Trace = ask(&one, Role::Staff).await.expect(StatusCode::OK).read();
        assert_eq!((&*trace.steps[0].process, trace.steps[0].failed), ("there", true));
        assert_eq!((&*trace.diagram.arrows[0].label, &*trace.unreachable), ("GET /books", &["gone".to_owned()][..]));
        for unknown in ["/admin/traces/..%2Fmetrics", "/admin/traces/short"] {
            assert_eq!(ask(unknown, Role::Staff).await.status, StatusCode::NOT_FOUND);
        }
    }
}
