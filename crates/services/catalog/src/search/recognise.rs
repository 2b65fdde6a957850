//! What a query names, by how names are written ([`crate::domain::form`]): an author, a title, a title with its author, a
//! volume of a series. What it names comes first, whatever its words are worth; what it nearly names is said.

use bookworm_search::{
    Curve, Facet, Filter, Highlighting, Index, Preference, Request, SearchError, Sort, is_english, of_place,
};

use super::plan;
use crate::domain::{
    form::{asked_title, author_forms, joined, main_part, series_form, tolerance},
    script::is_foreign,
    study_guide,
    text::{fold, query_words},
    understand::Understood,
    volume::{Volume, volume},
};

/// The most words of a query that names something.
const MOST_WORDS: usize = 12;

// What it is worth to be what was named, beside scores of up to two for the words and the meaning.
/// The author's books: before all others.
const AUTHOR: f32 = 6.0;
/// The book of this title by this author.
const TITLE_AND_AUTHOR: f32 = 6.0;
/// The volume, and the series that it is of.
const VOLUME: f32 = 9.0;
const SERIES: f32 = 4.0;
/// A book of this title: it may also be a subject.
const TITLE: f32 = 1.0;
/// A study guide, unless one is asked for.
const STUDY_GUIDE: f32 = -0.8;

/// Ten times as many readers are worth about 0.15 of the weight.
const READERS: Curve = Curve::Log { full: 5_000_000.0 };
const BY_READERS: f32 = 10.0;
/// Ties of one title.
const BY_READERS_OF_TITLE: f32 = 1.0;
/// The tenth volume is half way.
const BY_POSITION: Curve = Curve::Saturation { pivot: 1_000.0 };

/// So many readers of a book make its author, or whom it tells of, known.
const MANY_READERS: i64 = 20_000;

/// What a query was recognised as.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Recognised {
    pub(crate) preferences: Vec<Preference>,
    /// The query in the words of what it nearly names: other blanks, or a slip or two.
    pub(crate) meant: Option<String>,
    /// The author whose name it is, as printed.
    pub(crate) author: Option<String>,
    /// The series of which it names a volume, as typed, and the volume in hundredths.
    pub(crate) series: Option<(String, i64)>,
    /// It is what a book, an author or a series is called.
    pub(crate) is_name: bool,
}

/// How a query's names are read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Way {
    /// Also what it nearly names.
    pub(crate) tolerant: bool,
    /// Also volumes of series.
    pub(crate) volumes: bool,
}

/// Recognises what a query names.
pub(crate) fn recognise(index: &Index, understood: &Understood, way: Way) -> Result<Recognised, SearchError> {
    let mut found = Recognised::default();
    if !study_guide::asks_for_one(&understood.text) {
        found.preferences.push(Preference::new(vec![Filter::number("study_guide", Some(1), None)], STUDY_GUIDE));
    }
    let is_short = (1..=MOST_WORDS).contains(&understood.all.len());
    if !is_short || !plan::has_meaning(understood) || understood.isbn.is_some() || understood.misprint.is_some() {
        return Ok(found);
    }
    let names = Names { index, understood, tolerant: way.tolerant };
    found.is_name = names.author(&mut found)?
        || names.title(&mut found)?
        || names.title_and_author(&mut found)?
        || (way.volumes && names.volume(&mut found)?);
    if !found.is_name {
        names.nearly(&mut found)?;
    }
    Ok(found)
}

/// Whether a title has this query's form but for a slip or two.
pub(crate) fn is_nearly_a_title(index: &Index, query: &str) -> Result<bool, SearchError> {
    const SLIPS: u32 = 2;
    for form in asked_title(query) {
        if !index.values_like("title_form", &form, tolerance(&form).min(SLIPS))?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

struct Names<'a> {
    index: &'a Index,
    understood: &'a Understood,
    /// Also what it nearly names.
    tolerant: bool,
}

impl Names<'_> {
    /// An author's name and nothing else: "jrr tolkien", "Tolkien, J.R.R.", "leguin".
    fn author(&self, found: &mut Recognised) -> Result<bool, SearchError> {
        let text = &self.understood.text;
        // "Jackson, Mississippi" is a place: with a comma only first and last name together are a name.
        let form = match &self.understood.aside {
            Some(first) => joined(&format!("{first} {text}")),
            None => joined(text),
        };
        if !self.has("author_form", &form)? {
            return Ok(false);
        }
        // A word of the language, or a title, is rarely meant as a family name.
        let is_one_word = self.understood.all.len() == 1 && self.understood.aside.is_none();
        if is_one_word && (is_word(&self.understood.all[0]) || self.has_any("title_form", &asked_title(text))?) {
            return Ok(false);
        }
        let of = Filter::keyword("author_form", [form.as_str()]);
        let Some(name) = self.printed_author(&of, &form)? else { return Ok(false) };
        // "John Carter" of Mars is better known than who wrote of databases.
        if !self.is_somebody_else(&of, &name, &form)? {
            found.preferences.push(Preference::new(vec![of], AUTHOR).by("readers", READERS, BY_READERS).bringing());
        }
        // "stephenking"
        if is_one_word && joined(&name) == form && query_words(&name).len() > 1 {
            found.meant = Some(fold(&name));
        }
        found.author = Some(name);
        Ok(true)
    }

    /// Whether the name is likely to be that of whom books tell: its author has few readers, and other books say it. Of a
    /// whole name as printed only well-known ones count.
    fn is_somebody_else(&self, by: &Filter, name: &str, form: &str) -> Result<bool, SearchError> {
        let typed = query_words(&self.understood.told());
        let is_exact = joined(name) == form;
        if (!is_exact && typed.len() > 2) || self.understood.aside.is_some() {
            return Ok(false);
        }
        let many = Filter::number("readers", Some(MANY_READERS), None);
        if self.count(&[by.clone(), many.clone()])? > 0 {
            return Ok(false);
        }
        let mut told = plan::said(&self.understood.text);
        told.filters = vec![Filter::Not(Box::new(by.clone()))];
        told.filters.extend(is_exact.then_some(many));
        Ok(self.index.search(&told)?.total > 0)
    }

    /// The name, as printed, that most of these books have of those with this form.
    fn printed_author(&self, of: &Filter, form: &str) -> Result<Option<String>, SearchError> {
        let request = Request {
            filters: vec![of.clone()],
            facets: vec![Facet::values("author", 20)],
            limit: 0,
            ..Request::default()
        };
        let counted = self.index.search(&request)?.facets.into_iter().flat_map(|facet| facet.values);
        Ok(counted.map(|(name, _)| name).find(|name| author_forms(name).iter().any(|other| other == form)))
    }

    /// A title and nothing else. Of one written with other blanks the title's words are searched for.
    fn title(&self, found: &mut Recognised) -> Result<bool, SearchError> {
        let whole = self.understood.told();
        let forms = asked_title(&whole);
        if !self.has_any("title_form", &forms)? {
            return Ok(false);
        }
        let of = Filter::keyword("title_form", forms);
        let Some(title) = self.best_title(vec![of.clone()])? else { return Ok(false) };
        let is_one_word = self.understood.all.len() == 1;
        let typed = query_words(&whole);
        let has_other_blanks = query_words(&title) != typed && query_words(main_part(&title)) != typed;
        if has_other_blanks && self.is_blank_apart(&title, &typed) && !self.is_said(&whole)? {
            found.meant = Some(respelt(&title, &typed));
        }
        // One word of the language is a subject as well.
        if !is_one_word || !is_word(&self.understood.all[0]) {
            found
                .preferences
                .push(Preference::new(vec![of], TITLE).by("readers", READERS, BY_READERS_OF_TITLE).bringing());
        }
        Ok(true)
    }

    /// Whether title and query are parted otherwise, articles aside.
    fn is_blank_apart(&self, title: &str, typed: &[String]) -> bool {
        let count = |words: &[String]| words.iter().filter(|word| !matches!(word.as_str(), "the" | "a" | "an")).count();
        count(&query_words(main_part(title))) != count(typed)
    }

    /// A title with its author before or behind it: "it stephen king", "rowling the casual vacancy".
    fn title_and_author(&self, found: &mut Recognised) -> Result<bool, SearchError> {
        let words = query_words(&self.understood.told());
        for at in (1..words.len()).rev() {
            for (title, author) in [(&words[..at], &words[at..]), (&words[at..], &words[..at])] {
                let title = match title.split_last() {
                    Some((by, rest)) if by == "by" && !rest.is_empty() => rest,
                    _ => title,
                };
                let author = author.strip_prefix(&["by".to_owned()]).unwrap_or(author);
                // A family name alone that is a word may be the end of a title.
                let form = author.concat();
                if author.is_empty() || (author.len() == 1 && is_word(&author[0])) || !self.has("author_form", &form)? {
                    continue;
                }
                let by = Filter::keyword("author_form", [form.as_str()]);
                let asked = asked_title(&title.join(" "));
                let mut titles = asked.clone();
                let exact = self.count(&[Filter::keyword("title_form", titles.clone()), by.clone()])?;
                if exact == 0 {
                    if !self.tolerant {
                        continue;
                    }
                    titles.clear();
                    for form in &asked {
                        titles.extend(
                            self.index
                                .values_like("title_form", form, tolerance(form))?
                                .into_iter()
                                .map(|(form, _)| form),
                        );
                    }
                    if titles.is_empty()
                        || self.count(&[Filter::keyword("title_form", titles.clone()), by.clone()])? == 0
                    {
                        continue;
                    }
                }
                let of = vec![Filter::keyword("title_form", titles), by];
                found
                    .preferences
                    .push(Preference::new(of, TITLE_AND_AUTHOR).by("readers", READERS, BY_READERS_OF_TITLE).bringing());
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A volume of a series by its number: the volume, then the series in its order.
    fn volume(&self, found: &mut Recognised) -> Result<bool, SearchError> {
        let Some(Volume { series, position, is_marked }) = volume(&self.understood.told()) else { return Ok(false) };
        let form = series_form(&series);
        let forms = match (self.has("series_form", &form)?, self.tolerant) {
            // "World war 2" is no volume of *Worldwar*.
            (true, _) if is_marked || self.is_series(&series, &form)? => vec![form],
            (false, true) if is_marked => self.nearest("series_form", &form)?.0,
            _ => Vec::new(),
        };
        if forms.is_empty() {
            return Ok(false);
        }
        let of = Filter::keyword("series_form", forms);
        let numbered = |from, to| Filter::number("series_position", from, to);
        if self.count(&[of.clone(), numbered(Some(position), Some(position))])? == 0 {
            return Ok(false);
        }
        let that = vec![of.clone(), numbered(Some(position), Some(position))];
        found.preferences.push(Preference::new(that, VOLUME).by("readers", READERS, BY_READERS_OF_TITLE).bringing());
        let all = vec![of, numbered(Some(0), None)];
        found.preferences.push(Preference::new(all, SERIES).by("series_position", BY_POSITION, -2.0).bringing());
        found.series = Some((series, position));
        Ok(true)
    }

    /// Whether a series is written with these blanks.
    fn is_series(&self, series: &str, form: &str) -> Result<bool, SearchError> {
        let request = Request {
            filters: vec![Filter::keyword("series_form", [form])],
            facets: vec![Facet::values("series_key", 20)],
            limit: 0,
            ..Request::default()
        };
        let counted = self.index.search(&request)?.facets.into_iter().flat_map(|facet| facet.values);
        let telling = |name: &str| {
            let name = name.split([',', '#', '(']).next().unwrap_or(name);
            let mut words = query_words(name);
            words.retain(|word| !matches!(word.as_str(), "the" | "a" | "an"));
            words
        };
        let typed = telling(series);
        Ok(counted.map(|(name, _)| name).any(|name| telling(&name) == typed))
    }

    /// A title that it nearly is, or in another script an author's name.
    fn nearly(&self, found: &mut Recognised) -> Result<bool, SearchError> {
        let text = &self.understood.text;
        if !self.tolerant || self.understood.aside.is_some() || self.understood.described {
            return Ok(false);
        }
        if is_foreign(text) {
            let (forms, _) = self.nearest("author_form", &joined(text))?;
            if let Some(form) = forms.first() {
                let of = Filter::keyword("author_form", forms.clone());
                found.author = self.printed_author(&of, form)?;
                found.preferences.push(Preference::new(vec![of], AUTHOR).by("readers", READERS, BY_READERS).bringing());
                return Ok(true);
            }
        }
        // What some book says in just these words is no slip; nor is a subject or a series.
        if self.is_said(text)?
            || self.count(&[Filter::keyword("subject_key", [fold(text)])])? > 0
            || self.has("series_form", &series_form(text))?
        {
            return Ok(false);
        }
        // Of some letters, as of signs, nothing is left to compare.
        let Some(form) = asked_title(text).into_iter().next() else { return Ok(false) };
        let (forms, edits) = self.nearest("title_form", &form)?;
        // An author's name that is as near is for the spelling of names to say.
        let (_, edits_of_author) = self.nearest("author_form", &form)?;
        if forms.is_empty() || edits_of_author.is_some_and(|other| Some(other) <= edits) {
            return Ok(false);
        }
        let Some(title) = self.best_title(vec![Filter::keyword("title_form", forms)])? else { return Ok(false) };
        // Both several slips and other blanks are too much: "Rob Bhaer" is no robber.
        if edits.is_some_and(|edits| edits > 1) && self.is_blank_apart(&title, &self.understood.all) {
            return Ok(false);
        }
        found.meant = Some(respelt(&title, &self.understood.all));
        Ok(true)
    }

    /// The values nearest to a form, all as near, within what a form of its length may differ, and by how much they do.
    fn nearest(&self, field: &str, form: &str) -> Result<(Vec<String>, Option<u32>), SearchError> {
        let most = tolerance(form);
        if most == 0 {
            return Ok((Vec::new(), None));
        }
        let near = self.index.values_like(field, form, most)?;
        let least = near.first().map(|(_, edits)| *edits);
        let as_near = near.into_iter().take_while(|(_, edits)| Some(*edits) == least);
        Ok((as_near.map(|(form, _)| form).collect(), least))
    }

    /// Whether some book says these words in a row.
    fn is_said(&self, text: &str) -> Result<bool, SearchError> {
        Ok(self.index.search(&plan::said(text))?.total > 0)
    }

    fn has(&self, field: &str, form: &str) -> Result<bool, SearchError> {
        Ok(!form.is_empty() && !self.index.values_like(field, form, 0)?.is_empty())
    }

    fn has_any(&self, field: &str, forms: &[String]) -> Result<bool, SearchError> {
        forms.iter().try_fold(false, |found, form| Ok(found || self.has(field, form)?))
    }

    fn count(&self, of: &[Filter]) -> Result<usize, SearchError> {
        let request = Request { filters: of.to_vec(), limit: 0, ..Request::default() };
        Ok(self.index.search(&request)?.total)
    }

    /// The title, as printed, of the best known of these books.
    fn best_title(&self, of: Vec<Filter>) -> Result<Option<String>, SearchError> {
        let request = Request {
            filters: of,
            sort: Sort::Number { field: "readers".to_owned(), descending: true },
            limit: 1,
            highlight: Some(Highlighting { fields: vec![("title".to_owned(), 500)] }),
            ..Request::default()
        };
        let hit = self.index.search(&request)?.hits.into_iter().next();
        let text = hit.and_then(|hit| hit.highlights.into_iter().next());
        Ok(text.map(|text| text.pieces.into_iter().map(|piece| piece.text).collect()))
    }
}

/// A title as somebody types it who typed these words: in small letters, with its article if they have one.
fn respelt(title: &str, typed: &[String]) -> String {
    let title = fold(main_part(title));
    let is_article = |word: &str| matches!(word, "the" | "a" | "an");
    let has_article = typed.first().is_some_and(|word| is_article(word));
    match title.split_once(' ') {
        Some((first, rest)) if is_article(first) && !has_article => rest.to_owned(),
        _ => title,
    }
}

/// Whether it is a word of the language, or a place.
fn is_word(word: &str) -> bool {
    is_english(word) || !of_place(word).is_empty()
}
