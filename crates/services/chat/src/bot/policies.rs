//! The shop's policies: Markdown files that staff edit, found by meaning and quoted word for word.
//!
//! A policy is quoted, never obeyed: it is text, whoever wrote it.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use bookworm_contracts::grpc::vectors::Vectors;
use tokio_util::sync::CancellationToken;

use crate::triage::embed::Embedder;

const BUILT_IN: [(&str, &str); 7] = [
    ("cancellation", include_str!("../../data/policies/cancellation.md")),
    ("delivery", include_str!("../../data/policies/delivery.md")),
    ("invoices", include_str!("../../data/policies/invoices.md")),
    ("payment", include_str!("../../data/policies/payment.md")),
    ("privacy", include_str!("../../data/policies/privacy.md")),
    ("returns", include_str!("../../data/policies/returns.md")),
    ("shop", include_str!("../../data/policies/shop.md")),
];
/// The most files, and the longest, in bytes.
const MOST_FILES: usize = 100;
const LONGEST_FILE: u64 = 256 * 1024;
/// The longest quotation, in characters.
const LONGEST_QUOTE: usize = 600;
/// How often the folder is checked for changes.
const LOOK: Duration = Duration::from_secs(2);
/// The least cosine similarity, and the least share of the question's significant words, with which a section answers a
/// question.
const NEAR: f32 = 0.5;
const SHARED: f32 = 0.6;

/// One policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyText {
    /// Its slug in paths: the file's name.
    pub slug: String,
    /// Its first heading.
    pub title: String,
    /// The whole text, Markdown.
    pub text: String,
}

/// A section of a policy, which answers one question.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// The policy.
    pub slug: String,
    /// The section's heading.
    pub heading: String,
    /// Its anchor in paths: the heading in lower case, with hyphens.
    pub anchor: String,
    /// Its text, without markup.
    pub text: String,
    words: HashSet<String>,
    vector: Option<Vec<f32>>,
}

impl Section {
    /// Its path.
    #[must_use]
    pub fn href(&self) -> String {
        format!("/policies/{}#{}", self.slug, self.anchor)
    }

    /// Its text, cut after a sentence when it is long.
    #[must_use]
    pub fn quote(&self) -> String {
        if self.text.chars().count() <= LONGEST_QUOTE {
            return self.text.clone();
        }
        let cut: String = self.text.chars().take(LONGEST_QUOTE).collect();
        match cut.rfind(['.', '!', '?']) {
            Some(end) => cut[..=end].to_owned(),
            None => cut + " …",
        }
    }
}

#[derive(Debug, Default)]
struct Library {
    policies: Vec<PolicyText>,
    sections: Vec<Section>,
    /// The number of sections with each word: rare words weigh more.
    spread: HashMap<String, f32>,
    /// The model of the sections' vectors.
    model: Option<String>,
}

/// Name, size and time of every file: while they are the same, nothing is read.
type Look = BTreeSet<(String, u64, Option<SystemTime>)>;

/// The policies as they are now. Cheap to clone.
#[derive(Clone)]
pub struct Policies {
    folder: PathBuf,
    library: Arc<RwLock<Arc<Library>>>,
}

impl Policies {
    /// Reads a folder's `*.md`. A folder that does not exist is created with the built-in policies; when it cannot be
    /// created or read, the built-in policies are used.
    #[must_use]
    pub fn open(folder: &Path) -> Self {
        if let Err(error) = seed(folder) {
            tracing::warn!(%error, folder = %folder.display(), "the policies cannot be put there: those of the program are used");
        }
        let library = read(folder);
        Self { folder: folder.to_owned(), library: Arc::new(RwLock::new(Arc::new(library))) }
    }

    fn library(&self) -> Arc<Library> {
        self.library.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All of them, by their slugs.
    #[must_use]
    pub fn all(&self) -> Vec<PolicyText> {
        self.library().policies.clone()
    }

    /// The section that answers a question best, when one does.
    #[must_use]
    pub fn find(&self, question: &str, embedded: Option<&Vectors>) -> Option<Section> {
        let library = self.library();
        let (section, near, shared) = library.best(question, embedded, |_| true)?;
        (near.is_some_and(|near| near >= NEAR) || near.is_none() && shared >= SHARED).then(|| section.clone())
    }

    /// The section of one policy that answers a question best, however badly; `None` when there is no such policy.
    #[must_use]
    pub fn of(&self, slug: &str, question: &str, embedded: Option<&Vectors>) -> Option<Section> {
        let library = self.library();
        library.best(question, embedded, |section| section.slug == slug).map(|(section, ..)| section.clone())
    }

    /// Reads the folder again after each change, and gets the sections' vectors. Ends at `stop`.
    pub async fn follow(self, embedder: Option<Embedder>, stop: CancellationToken) {
        let mut seen = look(&self.folder);
        loop {
            if let Some(embedder) = &embedder {
                self.embed(embedder).await;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled() => return,
            }
            let folder = self.folder.clone();
            let Ok(now) = tokio::task::spawn_blocking(move || look(&folder)).await else { continue };
            if now != seen {
                self.reload().await;
                seen = now;
            }
        }
    }

    /// Reads the folder again.
    pub async fn reload(&self) {
        let folder = self.folder.clone();
        if let Ok(library) = tokio::task::spawn_blocking(move || read(&folder)).await {
            tracing::info!(policies = library.policies.len(), sections = library.sections.len(), "policies read again");
            *self.library.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(library);
        }
    }

    async fn embed(&self, embedder: &Embedder) {
        let library = self.library();
        let model = embedder.model().await;
        if model.is_none() || library.model == model {
            return;
        }
        let texts: Vec<String> =
            library.sections.iter().map(|section| format!("{}. {}", section.heading, section.text)).collect();
        let Some(embedded) = embedder.all(&texts).await else { return };
        let sections = library.sections.iter().zip(embedded.vectors);
        let sections = sections.map(|(section, vector)| Section { vector: Some(vector), ..section.clone() }).collect();
        let known = Library {
            policies: library.policies.clone(),
            sections,
            spread: library.spread.clone(),
            model: Some(embedded.model),
        };
        let mut current = self.library.write().unwrap_or_else(PoisonError::into_inner);
        // Unless staff changed them meanwhile.
        if Arc::ptr_eq(&current, &library) {
            *current = Arc::new(known);
        }
    }
}

impl Library {
    fn new(policies: Vec<PolicyText>) -> Self {
        let sections: Vec<Section> = policies.iter().flat_map(sections).collect();
        let mut spread: HashMap<String, f32> = HashMap::new();
        for word in sections.iter().flat_map(|section| &section.words) {
            *spread.entry(word.clone()).or_default() += 1.0;
        }
        Self { policies, sections, spread, model: None }
    }

    fn best(
        &self,
        question: &str,
        embedded: Option<&Vectors>,
        among: impl Fn(&Section) -> bool,
    ) -> Option<(&Section, Option<f32>, f32)> {
        let asked = words(question);
        let weight = |word: &String| 1.0 / (1.0 + self.spread.get(word).copied().unwrap_or(1.0));
        let all: f32 = asked.iter().map(weight).sum();
        let vector = embedded
            .filter(|embedded| self.model.as_ref() == Some(&embedded.model))
            .and_then(|embedded| embedded.vectors.first());
        let scored = self.sections.iter().filter(|section| among(section)).map(|section| {
            let shared: f32 = asked.intersection(&section.words).map(weight).sum();
            let shared = if all > 0.0 { shared / all } else { 0.0 };
            let near = vector.zip(section.vector.as_ref()).map(|(one, other)| cosine(one, other));
            (section, near, shared)
        });
        let value = |near: Option<f32>, shared: f32| near.map_or(shared, |near| near + 0.1 * shared);
        // The first of equals: sections have an order.
        scored.reduce(|best, next| if value(next.1, next.2) > value(best.1, best.2) { next } else { best })
    }
}

/// Vectors of the `ai` role have length 1.
fn cosine(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

fn seed(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    BUILT_IN.iter().try_for_each(|(slug, text)| fs::write(folder.join(slug).with_extension("md"), text))
}

fn is_slug(name: &str) -> bool {
    (1..=60).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn files(folder: &Path) -> io::Result<Vec<(String, PathBuf, fs::Metadata)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let Some(slug) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        let metadata = fs::metadata(&path)?;
        files.push((slug.to_owned(), path.clone(), metadata));
    }
    files.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(files)
}

fn look(folder: &Path) -> Look {
    let files = files(folder).unwrap_or_default().into_iter();
    files.map(|(slug, _, metadata)| (slug, metadata.len(), metadata.modified().ok())).collect()
}

fn read(folder: &Path) -> Library {
    let files = match files(folder) {
        Ok(files) => files,
        Err(error) => {
            tracing::warn!(%error, folder = %folder.display(), "the policies cannot be read: those of the program are used");
            return Library::new(BUILT_IN.iter().map(|(slug, text)| policy(slug, text)).collect());
        }
    };
    let mut policies = Vec::new();
    for (slug, path, metadata) in files {
        if !is_slug(&slug) || metadata.len() > LONGEST_FILE || policies.len() == MOST_FILES {
            tracing::warn!(
                file = %path.display(),
                "not a policy: names are lower-case letters, digits and hyphens; 256 KiB and 100 files at most"
            );
            continue;
        }
        match fs::read_to_string(&path) {
            Ok(text) => policies.push(policy(&slug, &text)),
            Err(error) => tracing::warn!(%error, file = %path.display(), "a policy cannot be read"),
        }
    }
    Library::new(policies)
}

fn policy(slug: &str, text: &str) -> PolicyText {
    let title = text.lines().find_map(|line| line.strip_prefix("# ")).map(|title| plain(title.trim()));
    PolicyText {
        slug: slug.to_owned(),
        title: title.filter(|title| !title.is_empty()).unwrap_or_else(|| slug.replace('-', " ")),
        text: text.to_owned(),
    }
}

/// The sections of a policy. The text before the first second-level heading is a section with the policy's title.
fn sections(policy: &PolicyText) -> Vec<Section> {
    let mut parts: Vec<(String, String)> = vec![(policy.title.clone(), String::new())];
    for line in policy.text.lines() {
        match line.strip_prefix("## ").or_else(|| line.strip_prefix("### ")) {
            Some(heading) => parts.push((plain(heading.trim()), String::new())),
            None if line.starts_with("# ") => {}
            None => {
                let (_, text) = parts.last_mut().expect("begins with one part");
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    let parts = parts.into_iter().map(|(heading, text)| (heading, plain(text.trim())));
    let parts = parts.filter(|(_, text)| !text.is_empty());
    parts
        .map(|(heading, text)| Section {
            slug: policy.slug.clone(),
            anchor: anchor(&heading),
            words: words(&format!("{} {heading} {text}", policy.title)),
            heading,
            text,
            vector: None,
        })
        .collect()
}

/// The anchor of a heading, as Markdown renderers make it.
#[must_use]
pub fn anchor(heading: &str) -> String {
    let letters = heading.chars().flat_map(char::to_lowercase);
    let dashed: String = letters.map(|letter| if letter.is_alphanumeric() { letter } else { '-' }).collect();
    dashed.split('-').filter(|piece| !piece.is_empty()).collect::<Vec<_>>().join("-")
}

/// Markdown as plain text: without emphasis, and with a link's text alone.
fn plain(markdown: &str) -> String {
    let mut out = String::with_capacity(markdown.len());
    let mut rest = markdown;
    while let Some(open) = rest.find('[') {
        out.push_str(&rest[..open]);
        let after = &rest[open + 1..];
        let link = after.find("](").and_then(|middle| Some((middle, after[middle..].find(')')? + middle)));
        match link {
            Some((middle, close)) => {
                out.push_str(&after[..middle]);
                rest = &after[close + 1..];
            }
            None => {
                out.push('[');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out.replace("**", "").replace('`', "")
}

/// The significant words of a text: without endings, and without stop words.
fn words(text: &str) -> HashSet<String> {
    const COMMON: &str = " a an and are as at be by can do does for from have how i if in is it me my of on or our so \
                          that the their them then there this to until us was we what when where which who will with \
                          would you your about please want need know tell could ";
    let words = text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    let words = words.map(str::to_lowercase).filter(|word| !COMMON.contains(&format!(" {word} ")));
    words.map(|word| stem(&word)).collect()
}

fn stem(word: &str) -> String {
    for ending in ["ations", "ation", "ling", "ing", "led", "ed", "es", "s"] {
        if let Some(stem) = word.strip_suffix(ending).filter(|stem| stem.chars().count() >= 4) {
            return stem.to_owned();
        }
    }
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_new_folder_gets_the_programs_policies_and_questions_find_their_sections() {
        let folder = tempfile::tempdir().unwrap();
        let policies = Policies::open(&folder.path().join("policies"));
        assert_eq!(policies.all().len(), BUILT_IN.len());
        for (question, slug, anchor) in [
            ("who pays the postage when I return a book", "returns", "who-pays-the-postage"),
            ("is there a cancellation fee, what does cancelling cost", "cancellation", "what-cancelling-costs"),
            ("damaged book", "returns", "damaged-or-wrong-books"),
            ("do you keep card numbers", "payment", "card-numbers"),
        ] {
            let found = policies.find(question, None).unwrap_or_else(|| panic!("{question}"));
            assert_eq!((found.slug.as_str(), found.anchor.as_str()), (slug, anchor), "{question}");
        }
        assert_eq!(policies.find("what is the capital of Peru", None), None);
        assert!(policies.of("nothing", "returns", None).is_none());
    }

    #[tokio::test]
    async fn what_staff_change_counts_without_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let policies = Policies::open(folder.path());
        assert!(policies.all().is_empty(), "an empty folder is staff's decision");
        let stop = CancellationToken::new();
        let following = tokio::spawn(policies.clone().follow(None, stop.clone()));
        tokio::time::sleep(Duration::from_millis(50)).await;
        fs::write(folder.path().join("pets.md"), "# Pets\n\n## Dogs\n\nDogs are **welcome**, see [this](http://x).\n")
            .unwrap();
        fs::write(folder.path().join("Bad Name.md"), "# Bad\n\nNo.\n").unwrap();
        let found = async {
            loop {
                match policies.find("are dogs welcome", None) {
                    Some(found) => break found,
                    None => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(20), found).await.unwrap();
        assert_eq!(
            (found.href().as_str(), found.quote().as_str()),
            ("/policies/pets#dogs", "Dogs are welcome, see this.")
        );
        assert_eq!(policies.all().len(), 1);
        stop.cancel();
        following.await.unwrap();
    }

    #[test]
    fn long_sections_are_cut_after_a_sentence() {
        let text = format!("## H\n\n{}", "One more sentence. ".repeat(100));
        let section = sections(&policy("x", &text)).remove(0);
        assert!(section.quote().ends_with("sentence.") && section.quote().chars().count() <= LONGEST_QUOTE);
    }

    proptest! {
        #[test]
        fn any_file_is_read_and_quoted(text: String, question: String) {
            let library = Library::new(vec![policy("x", &text)]);
            if let Some((section, ..)) = library.best(&question, None, |_| true) {
                prop_assert!(section.quote().chars().count() <= LONGEST_QUOTE + 2);
                prop_assert!(!section.href().contains("//"));
            }
        }
    }
}
