//! Completes the description of every operation in the API's document: the answers, headers and parameters that come
//! from the layers and extractors around it rather than from its own rules.
//!
//! A handler describes what only it knows. The rest is added here from the operation's own description: whether it has a
//! body, requires a role, or takes an `If-Match`. A handler's own descriptions are not changed.

use bookworm_http::{IdempotencyKey, auth::TokenVerifier, openapi::problem_response};
use bookworm_kernel::ErrorKind;
use serde_json::{Map, Value, json};

/// The longest address that the server reads, in bytes.
const MAX_ADDRESS: usize = 65_534;
/// Operations of a path that OpenAPI knows and the API offers.
const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];
/// What a blank query parameter means, at each of them.
const BLANK: &str = "Blank: as if left out.";

/// A layer or an extractor, the operations in front of which it runs, and the errors with which it may answer.
struct Gate {
    stands_before: fn(&Operation<'_>) -> bool,
    answers: &'static [ErrorKind],
}

/// From the outside in, as `GatewayService::front` and `GatewayService::api` put them.
const GATES: [Gate; 10] = [
    // `panic`, and faults of ours.
    Gate { stands_before: |_| true, answers: &[ErrorKind::Internal] },
    // `well_formed`: requests that can be read in two ways, encoded bodies.
    Gate { stands_before: |_| true, answers: &[ErrorKind::Invalid, ErrorKind::UnsupportedMediaType] },
    // `load::shed`, `rate_limit`, and databases that do not answer.
    Gate { stands_before: |_| true, answers: &[ErrorKind::TooManyRequests, ErrorKind::Unavailable] },
    // `load::time_limit`
    Gate { stands_before: |_| true, answers: &[ErrorKind::Timeout] },
    // `authenticate`: a token that is not valid is refused also where none is needed.
    Gate { stands_before: |_| true, answers: &[ErrorKind::Unauthenticated] },
    // `StaffOnly` and its like.
    Gate { stands_before: |operation| operation.demands_a_role(), answers: &[ErrorKind::Forbidden] },
    // `ApiPath`
    Gate { stands_before: |operation| operation.path.contains('{'), answers: &[ErrorKind::NotFound] },
    // `IfMatch`, `IdempotencyKey`
    Gate {
        stands_before: |operation| operation.takes("If-Match"),
        answers: &[ErrorKind::PreconditionFailed, ErrorKind::PreconditionRequired],
    },
    Gate { stands_before: |operation| operation.takes("Idempotency-Key"), answers: &[ErrorKind::Unprocessable] },
    // `ApiJson`
    Gate {
        stands_before: |operation| operation.members.contains_key("requestBody"),
        answers: &[ErrorKind::TooSlow, ErrorKind::TooLarge],
    },
];

/// An operation of the document.
struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    members: &'a mut Map<String, Value>,
}

impl Operation<'_> {
    fn demands_a_role(&self) -> bool {
        let requirements = self.members.get("security").and_then(Value::as_array).into_iter().flatten();
        requirements.filter_map(|one| one["bearer"].as_array()).any(|roles| !roles.is_empty())
    }

    fn takes(&self, header: &str) -> bool {
        let parameters = self.members.get("parameters").and_then(Value::as_array).into_iter().flatten();
        parameters.filter_map(|one| one["name"].as_str()).any(|name| name.eq_ignore_ascii_case(header))
    }

    fn responses(&mut self) -> &mut Map<String, Value> {
        object(self.members.entry("responses").or_insert_with(|| json!({})))
    }

    /// A token is taken everywhere, also where none is needed.
    fn describe_security(&mut self) {
        self.members.entry("security").or_insert_with(|| json!([{}, {"bearer": []}]));
    }

    fn describe_parameters(&mut self) {
        if self.responses().contains_key("304") && !self.takes("If-None-Match") {
            let parameters = self.members.entry("parameters").or_insert_with(|| json!([]));
            if let Some(parameters) = parameters.as_array_mut() {
                parameters.push(json!({
                    "name": "If-None-Match",
                    "in": "header",
                    "description": "The `ETag` of a version that the caller has: answered with 304 when there is no newer one",
                    "schema": {"type": "string"},
                }));
            }
        }
        for parameter in self.members.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
            describe_parameter(parameter);
        }
    }

    fn describe_answers(&mut self) {
        for gate in GATES.iter().filter(|gate| (gate.stands_before)(self)).collect::<Vec<_>>() {
            for kind in gate.answers {
                let status = bookworm_http::status_of(*kind).as_str().to_owned();
                let name = format!("{kind:?}");
                let shared = json!({"$ref": format!("#/components/responses/{name}")});
                self.responses().entry(status).or_insert(shared);
            }
        }
        for status in ["414", "431"] {
            self.responses().insert(status.to_owned(), json!({"$ref": format!("#/components/responses/Head{status}")}));
        }
        // Reading changes nothing, so nothing is in its way.
        if self.method == "get" && self.responses().get("409").is_some_and(is_general) {
            self.responses().remove("409");
        }
        for (status, response) in self.responses().iter_mut() {
            if response.get("$ref").is_none() {
                describe_answer(status, response);
            }
        }
    }

    /// The names of the schemas that this operation answers with a version.
    fn versioned(&mut self) -> Option<String> {
        let versioned = self.takes("If-Match") || self.responses().contains_key("304");
        versioned.then(|| schema_of(self.responses().get("200")?)).flatten()
    }

    fn describe_versions(&mut self, versioned: &[String]) {
        for (status, response) in self.responses().iter_mut() {
            if status == "304" || schema_of(response).is_some_and(|schema| versioned.contains(&schema)) {
                add_header(response, "ETag");
            }
        }
    }
}

/// Adds the descriptions that apply to operations of a kind.
pub fn describe(document: &mut Value) {
    let components = object(&mut document["components"]);
    let mut responses = Map::new();
    for kind in GATES.iter().flat_map(|gate| gate.answers) {
        if let Ok(mut response) = serde_json::to_value(problem_response(*kind)) {
            describe_answer(bookworm_http::status_of(*kind).as_str(), &mut response);
            responses.insert(format!("{kind:?}"), response);
        }
    }
    for (status, what) in [
        ("414", format!("The address is longer than {MAX_ADDRESS} bytes. Without a body; the connection ends")),
        ("431", "The head is larger than 64 KiB. Without a body; the connection ends".to_owned()),
    ] {
        responses.insert(format!("Head{status}"), json!({"description": what}));
    }
    components.insert("responses".to_owned(), Value::Object(responses));
    components.insert("headers".to_owned(), headers());

    let versioned: Vec<String> = operations(document).filter_map(|mut operation| operation.versioned()).collect();
    for mut operation in operations(document) {
        operation.describe_security();
        operation.describe_parameters();
        operation.describe_answers();
        operation.describe_versions(&versioned);
    }
}

fn operations(document: &mut Value) -> impl Iterator<Item = Operation<'_>> {
    object(&mut document["paths"]).iter_mut().flat_map(|(path, item)| {
        let operations = object(item).iter_mut().filter(|(method, _)| METHODS.contains(&method.as_str()));
        operations.map(move |(method, operation)| Operation { method, path, members: object(operation) })
    })
}

/// The members of what is an object.
fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(members) => members,
        _ => unreachable!("it was made one"),
    }
}

fn describe_parameter(parameter: &mut Value) {
    // A parameter is text: it is there or it is left out, and never null.
    if let Some(kinds) = parameter.pointer_mut("/schema/type").filter(|kinds| kinds.is_array()) {
        let named = kinds.as_array().and_then(|kinds| kinds.iter().find(|kind| *kind != "null")).cloned();
        *kinds = named.unwrap_or_else(|| json!("string"));
    }
    let name = parameter["name"].as_str().unwrap_or_default().to_ascii_lowercase();
    match (parameter["in"].as_str(), name.as_str()) {
        (Some("query"), _) if parameter["required"] != true => {
            parameter["allowEmptyValue"] = json!(true);
            let text = parameter["description"].as_str().unwrap_or_default().trim_end_matches('.').to_owned();
            let text = if text.is_empty() { BLANK.to_owned() } else { format!("{text}. {BLANK}") };
            parameter["description"] = json!(text);
        }
        (Some("header"), "idempotency-key") => {
            let visible =
                json!({"type": "string", "minLength": 1, "maxLength": IdempotencyKey::MAX, "pattern": "^[!-~]+$"});
            parameter["schema"] = visible;
        }
        (Some("header"), "if-match") => {
            parameter["schema"] = json!({"type": "string", "examples": ["\"3\"", "*"]});
        }
        _ => {}
    }
}

/// Whether it describes the answers of any operation, rather than those of this one.
fn is_general(response: &Value) -> bool {
    serde_json::to_value(problem_response(ErrorKind::Conflict))
        .is_ok_and(|general| general["description"] == response["description"])
}

/// Errors are problems, and carry the headers of their status; so do other answers.
fn describe_answer(status: &str, response: &mut Value) {
    if status.starts_with(['4', '5']) {
        let problem =
            json!({bookworm_http::PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}});
        response["content"] = problem;
    }
    add_header(response, "X-Correlation-Id");
    add_header(response, "RateLimit");
    add_header(response, "RateLimit-Policy");
    match status {
        "201" => add_header(response, "Location"),
        "401" => add_header(response, "WWW-Authenticate"),
        "415" => add_header(response, "Accept-Encoding"),
        "429" | "503" => add_header(response, "Retry-After"),
        _ => {}
    }
}

fn add_header(response: &mut Value, name: &str) {
    let headers = object(object(response).entry("headers").or_insert_with(|| json!({})));
    headers.entry(name).or_insert_with(|| json!({"$ref": format!("#/components/headers/{name}")}));
}

/// The name of the schema of an answer's JSON.
fn schema_of(response: &Value) -> Option<String> {
    Some(response.pointer("/content/application~1json/schema/$ref")?.as_str()?.to_owned())
}

fn headers() -> Value {
    let text = |description: &str| json!({"description": description, "schema": {"type": "string"}});
    let always = |mut header: Value| {
        header["required"] = json!(true);
        header
    };
    json!({
        "Accept-Encoding": text("`identity`, where the body had a `Content-Encoding`"),
        "ETag": always(text("The version, for `If-Match` and `If-None-Match`")),
        "Location": always(text("Where what was made can be read")),
        "RateLimit": text("How many requests are left, and when there will be more (draft-ietf-httpapi-ratelimit-headers)"),
        "RateLimit-Policy": text("The limit that is the closest, as requests in a number of seconds"),
        "Retry-After": always(json!({"description": "Seconds to wait", "schema": {"type": "integer", "minimum": 1}})),
        "WWW-Authenticate": always(text(&format!(
            "`Bearer`: a token of at most {} bytes (RFC 6750)", TokenVerifier::MAX_TOKEN_BYTES
        ))),
        "X-Correlation-Id": json!({
            "description": "The request's own, or a new one", "schema": {"type": "string", "format": "uuid"}
        }),
    })
}
