//! Books like another one: those near to it by words and meaning, without its series and its other editions.

use bookworm_search::{Facet, Filter, Highlighting, Index, Preference, Request, SearchError, Sort};
use uuid::Uuid;

use super::plan;
use crate::domain::form::{asked_title, author_forms, joined, main_part, series_form, title_forms, tolerance};

/// How many are offered: as many as a request has preferences.
const OFFERED: usize = 40;

/// A book that others are to be like.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Liked {
    id: Uuid,
    /// As printed, without what follows a colon.
    pub(crate) title: String,
    /// What its series and its editions are called.
    forms: Vec<Filter>,
}

/// The best known book that is called so, or nearly so; of an author the best known one.
pub(crate) fn liked(index: &Index, name: &str) -> Result<Option<Liked>, SearchError> {
    let mut asked = vec![name.to_owned()];
    if let Some((title, _)) = name.rsplit_once(" by ") {
        asked.push(title.to_owned());
    }
    for name in asked {
        let forms = asked_title(&name);
        let author = joined(&name);
        let mut ways = vec![
            ("title_form", forms.clone()),
            ("series_form", vec![series_form(&name)]),
            ("author_form", vec![author]),
        ];
        for form in &forms {
            let near = index.values_like("title_form", form, tolerance(form))?;
            let least = near.first().map_or(0, |(_, edits)| *edits);
            ways.push((
                "title_form",
                near.into_iter().take_while(|(_, edits)| *edits == least).map(|(form, _)| form).collect(),
            ));
        }
        for (field, forms) in ways {
            if let Some(liked) = best_known(index, Filter::keyword(field, forms))? {
                return Ok(Some(liked));
            }
        }
    }
    Ok(None)
}

fn best_known(index: &Index, of: Filter) -> Result<Option<Liked>, SearchError> {
    let request = Request {
        filters: vec![of],
        sort: Sort::Number { field: "readers".to_owned(), descending: true },
        limit: 1,
        highlight: Some(Highlighting { fields: ["title", "authors"].map(|field| (field.to_owned(), 500)).to_vec() }),
        ..Request::default()
    };
    let Some(hit) = index.search(&request)?.hits.into_iter().next() else { return Ok(None) };
    let texts = |field: &'static str| {
        let of_field = hit.highlights.iter().filter(move |text| text.field == field);
        of_field.map(|text| text.pieces.iter().map(|piece| piece.text.as_str()).collect::<String>())
    };
    let title = texts("title").next().unwrap_or_default();
    let own = Request {
        filters: vec![Filter::Ids(vec![hit.id])],
        facets: vec![Facet::values("series_form", 1)],
        limit: 0,
        ..Request::default()
    };
    let counted = index.search(&own)?.facets.into_iter().flat_map(|facet| facet.values);
    let series: Vec<String> = counted.map(|(form, _)| form).collect();
    let authors: Vec<String> = texts("authors").flat_map(|name| author_forms(&name)).collect();
    let mut forms = vec![Filter::keyword("title_form", title_forms(&title, None))];
    if !series.is_empty() {
        forms.push(Filter::keyword("series_form", series));
    } else if !authors.is_empty() {
        // Without a series its sequels are the author's: who asks for others knows the author.
        forms.push(Filter::keyword("author_form", authors));
    }
    Ok(Some(Liked { id: hit.id, title: main_part(&title).to_owned(), forms }))
}

/// The request for the books that are like it, most alike first unless another order is chosen; `None` when there are
/// none.
pub(crate) fn request(
    index: &Index,
    liked: &Liked,
    filters: &[Filter],
    sort: Sort,
    (offset, limit): (usize, usize),
) -> Result<Option<Request>, SearchError> {
    let mut all = filters.to_vec();
    all.extend(liked.forms.iter().map(|form| Filter::Not(Box::new(form.clone()))));
    all.push(Filter::number("study_guide", Some(0), Some(0)));
    let similar: Vec<Uuid> = index.more_like(liked.id, OFFERED, &all)?.into_iter().map(|similar| similar.id).collect();
    if similar.is_empty() {
        return Ok(None);
    }
    let best_first = (0_u8..)
        .zip(&similar)
        .map(|(place, id)| Preference::new(vec![Filter::Ids(vec![*id])], 1.0 + f32::from(u8::MAX - place)).bringing());
    Ok(Some(Request {
        preferences: best_first.collect(),
        filters: vec![Filter::Ids(similar.clone())],
        sort,
        offset,
        limit,
        facets: plan::facets(),
        highlight: Some(plan::highlighting()),
        ..Request::default()
    }))
}
