//! A request in its normal form: the key of its answer in the cache, and what the services are sent.

use bookworm_kernel::BookId;
use http::{HeaderMap, Method, Uri};
use url::form_urlencoded;

use super::tags::Tag;
use crate::API;

/// The longest path and query that is cached, in bytes: room for the longest query that the catalogue takes, 4,000
/// characters, as long as most of them are Latin.
pub const MAX_TARGET: usize = 8192;

/// A request with one of these parameters is not for the answer that everybody gets, but for an explanation or for one
/// side of the search alone.
const PRIVATE_PARAMETERS: [&str; 2] = ["explain", "mode"];

/// The addresses whose answers are cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// `GET /search`
    Search,
    /// `GET /search/suggest`
    Suggest,
    /// `GET /books/{id}/similar`
    Similar(BookId),
    /// `GET /recommendations`, for callers without an account
    Recommendations,
}

impl Route {
    /// The number of routes.
    pub const COUNT: usize = 4;

    /// Its index, below [`COUNT`](Self::COUNT).
    pub fn index(self) -> usize {
        match self {
            Self::Search => 0,
            Self::Suggest => 1,
            Self::Similar(_) => 2,
            Self::Recommendations => 3,
        }
    }

    fn of(path: &str) -> Option<Self> {
        match path.strip_prefix(API)? {
            "/search" => Some(Self::Search),
            "/search/suggest" => Some(Self::Suggest),
            "/recommendations" => Some(Self::Recommendations),
            path => {
                let id = path.strip_prefix("/books/")?.strip_suffix("/similar")?;
                id.parse().ok().map(Self::Similar)
            }
        }
    }

    fn path(self) -> String {
        match self {
            Self::Search => format!("{API}/search"),
            Self::Suggest => format!("{API}/search/suggest"),
            Self::Similar(id) => format!("{API}/books/{id}/similar"),
            Self::Recommendations => format!("{API}/recommendations"),
        }
    }
}

/// A request whose answer may be cached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Where it goes.
    pub route: Route,
    /// Path and query in normal form, at most [`MAX_TARGET`] bytes: two requests that ask for the same have the same.
    /// This is what the services are asked, so that the answer depends on nothing else.
    pub target: String,
    /// What the answer depends on whatever it shows.
    pub tags: Vec<Tag>,
}

/// What the cache makes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Answers of this address are not cached.
    Elsewhere,
    /// Answers of this address are cached, but not this one, for this reason (`detail` of RFC 9211).
    Bypass(&'static str),
    /// The answer may be there.
    Question(Question),
}

/// Reads a request.
pub fn read(method: &Method, uri: &Uri, headers: &HeaderMap) -> Asked {
    let Some(route) = (method == Method::GET).then(|| Route::of(uri.path())).flatten() else {
        return Asked::Elsewhere;
    };
    // Everybody with an account may get recommendations of their own. Other answers are the same for all.
    if route == Route::Recommendations && headers.contains_key(http::header::AUTHORIZATION) {
        return Asked::Bypass("signed-in");
    }
    let query = uri.query().unwrap_or_default();
    // What is longer in any spelling is not worth the work of finding its normal form.
    if query.len() > 3 * MAX_TARGET {
        return Asked::Bypass("too-long");
    }
    let mut parameters: Vec<(String, String)> = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if PRIVATE_PARAMETERS.contains(&&*name) {
            return Asked::Bypass("parameter");
        }
        let value = if name == "q" { squeezed(&value) } else { value.into_owned() };
        if !value.is_empty() {
            parameters.push((name.into_owned(), value));
        }
    }
    // A stable order: of a name that comes twice, which value came first may matter to the service.
    parameters.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut tags = vec![Tag::Everything];
    match route {
        Route::Search | Route::Suggest => tags.push(Tag::Listings),
        Route::Similar(book) => tags.push(Tag::Book(book)),
        Route::Recommendations => {}
    }
    if parameters.iter().any(|(name, _)| name == "in_stock") {
        tags.push(Tag::Stock);
    }
    let mut target = route.path();
    if !parameters.is_empty() {
        target.push('?');
        let start = target.len();
        target = form_urlencoded::Serializer::for_suffix(target, start).extend_pairs(parameters).finish();
    }
    if target.len() > MAX_TARGET {
        return Asked::Bypass("too-long");
    }
    Asked::Question(Question { route, target, tags })
}

/// Without white space at its ends, and with one space wherever there is some inside.
fn squeezed(text: &str) -> String {
    let mut squeezed = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !squeezed.is_empty() {
            squeezed.push(' ');
        }
        squeezed.push_str(word);
    }
    squeezed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ask(target: &str) -> Asked {
        read(&Method::GET, &target.parse().unwrap(), &HeaderMap::new())
    }

    fn target(target: &str) -> String {
        match ask(target) {
            Asked::Question(question) => question.target,
            other => panic!("{target}: {other:?}"),
        }
    }

    #[test]
    fn only_the_named_addresses_are_kept() {
        let id = BookId::new();
        for path in ["/search", "/search/suggest", "/recommendations", &format!("/books/{id}/similar")] {
            assert_eq!(target(&format!("/api/v1{path}")), format!("/api/v1{path}"));
            assert_eq!(ask(path), Asked::Elsewhere, "{path}: a page, not the API");
            for method in [Method::HEAD, Method::POST, Method::PUT] {
                let uri = format!("/api/v1{path}").parse().unwrap();
                assert_eq!(read(&method, &uri, &HeaderMap::new()), Asked::Elsewhere, "{method} {path}");
            }
        }
        for path in ["/books", "/search/", "/search/synonyms", "/books/nonsense/similar", "/books//similar", "/basket"]
        {
            assert_eq!(ask(&format!("/api/v1{path}")), Asked::Elsewhere, "{path}");
        }
    }

    #[test]
    fn explanations_single_sides_and_ones_own_recommendations_are_not_kept() {
        for query in ["q=sea&explain=true", "explain=", "mode=text&q=sea", "%65xplain=true"] {
            assert_eq!(ask(&format!("/api/v1/search?{query}")), Asked::Bypass("parameter"), "{query}");
        }
        let signed: HeaderMap = [(http::header::AUTHORIZATION, "Bearer x".parse().unwrap())].into_iter().collect();
        let read = |path: &str| read(&Method::GET, &path.parse().unwrap(), &signed);
        assert_eq!(read("/api/v1/recommendations"), Asked::Bypass("signed-in"));
        assert!(matches!(read("/api/v1/search?q=sea"), Asked::Question(_)), "the same for everybody");
    }

    #[test]
    fn spelling_does_not_matter() {
        let normal = "/api/v1/search?language=en&q=the+sea";
        for query in [
            "q=the+sea&language=en",
            "language=en&q=the%20sea",
            "q=%20the%20%20sea+&language=en&subject=&cursor=",
            "&&language=%65n&q=the%09sea",
        ] {
            assert_eq!(target(&format!("/api/v1/search?{query}")), normal, "{query}");
        }
        assert_eq!(target("/api/v1/search?q=%20"), "/api/v1/search", "a blank query is none");
    }

    #[test]
    fn keys_are_bounded() {
        let room = MAX_TARGET - "/api/v1/search?q=".len();
        assert!(matches!(ask(&format!("/api/v1/search?q={}", "a".repeat(room))), Asked::Question(_)));
        for length in [room + 1, 60_000] {
            assert_eq!(ask(&format!("/api/v1/search?q={}", "a".repeat(length))), Asked::Bypass("too-long"));
        }
    }

    #[test]
    fn an_answer_depends_on_what_it_is_about() {
        let tags = |path: &str| match ask(path) {
            Asked::Question(question) => question.tags,
            other => panic!("{path}: {other:?}"),
        };
        let id = BookId::new();
        assert_eq!(tags("/api/v1/search?q=sea"), [Tag::Everything, Tag::Listings]);
        assert_eq!(tags("/api/v1/search?in_stock=true"), [Tag::Everything, Tag::Listings, Tag::Stock]);
        assert_eq!(tags(&format!("/api/v1/books/{id}/similar")), [Tag::Everything, Tag::Book(id)]);
        assert_eq!(tags("/api/v1/recommendations"), [Tag::Everything]);
    }

    fn query(parameters: &[(String, String)]) -> String {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        target(&format!("/api/v1/search?{query}"))
    }

    proptest! {
        #[test]
        fn order_does_not_matter(
            parameters in prop::collection::btree_map("[a-d]{1,2}", "\\PC{1,8}", 0..6), by in any::<prop::sample::Index>()
        ) {
            let parameters: Vec<_> = parameters.into_iter().collect();
            let mut turned = parameters.clone();
            if !turned.is_empty() {
                let by = by.index(turned.len());
                turned.rotate_left(by);
            }
            prop_assert_eq!(query(&parameters), query(&turned));
        }

        #[test]
        fn any_other_value_is_another_question(name in "[a-d]", one in "\\PC{0,8}", other in "\\PC{0,8}") {
            let with = |value: &String| query(&[(name.clone(), value.clone()), ("z".into(), "1".into())]);
            prop_assert_eq!(one == other, with(&one) == with(&other));
        }

        #[test]
        fn white_space_of_a_query_is_squeezed_and_nothing_else(
            words in prop::collection::vec("[a-z\"é:]{1,5}", 1..5), gaps in prop::collection::vec("[ \t\n]{1,3}", 5)
        ) {
            let spaced: String = words.iter().zip(&gaps).map(|(word, gap)| format!("{gap}{word}")).collect();
            let with = |text: String| query(&[("q".into(), text)]);
            prop_assert_eq!(with(spaced), with(words.join(" ")));
            prop_assert!(words.len() == 1 || with(words.join(" ")) != with(words.concat()));
        }

        #[test]
        fn the_normal_form_is_its_own(text in "\\PC{0,20}", name in "\\PC{1,5}") {
            prop_assume!(!PRIVATE_PARAMETERS.contains(&name.as_str()));
            let once = query(&[("q".into(), text), (name, "x".into())]);
            prop_assert_eq!(target(&once), once);
        }
    }
}
