//! Log lines for machines: one JSON object each.

use std::{error::Error, fmt, io};

use serde::ser::{SerializeMap, Serializer as _};
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormattedFields,
        format::{JsonFields, Writer},
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

use crate::Process;

/// What ties lines of one request together: fields of spans that stand at the top of a line, of the innermost span that
/// has them.
const IDS: [&str; 3] = ["correlation_id", "trace_id", "span_id"];
/// Names that a line has anyway. A field of the same name is written as `field.NAME`.
const RESERVED: [&str; 10] =
    ["timestamp", "level", "target", "instance", "release", "correlation_id", "trace_id", "span_id", "span", "spans"];

/// Writes lines such as `{"timestamp":…,"level":"INFO","message":…,"target":…,"instance":…,"release":…,"trace_id":…}`,
/// with the line's own fields beside these, and the fields of its spans in `spans`, outermost first.
pub(crate) struct JsonLines(pub(crate) Process);

impl<S> FormatEvent<S, JsonFields> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut ids: [Option<Value>; IDS.len()] = Default::default();
        let mut spans = Vec::new();
        for span in context.event_scope().into_iter().flat_map(tracing_subscriber::registry::Scope::from_root) {
            let extensions = span.extensions();
            let text = extensions.get::<FormattedFields<JsonFields>>().map_or("", |fields| fields.fields.as_str());
            let mut fields: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
            for (id, name) in ids.iter_mut().zip(IDS) {
                if let Some(inner) = fields.remove(name) {
                    *id = Some(inner);
                }
            }
            fields.insert("name".to_owned(), span.name().into());
            spans.push(fields);
        }
        let bytes = self.line(&time, event, &ids, &spans).map_err(|_| fmt::Error)?;
        writer.write_str(std::str::from_utf8(&bytes).map_err(|_| fmt::Error)?)?;
        writer.write_char('\n')
    }
}

impl JsonLines {
    fn line(
        &self,
        time: &str,
        event: &Event<'_>,
        ids: &[Option<Value>],
        spans: &[Map<String, Value>],
    ) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(512);
        let mut json = serde_json::Serializer::new(&mut bytes);
        let mut line = json.serialize_map(None)?;
        let about = event.metadata();
        line.serialize_entry("timestamp", time)?;
        line.serialize_entry("level", about.level().as_str())?;
        let mut fields = Fields { line: &mut line, failure: None };
        event.record(&mut fields);
        if let Some(error) = fields.failure {
            return Err(error.into());
        }
        line.serialize_entry("target", about.target())?;
        line.serialize_entry("instance", &self.0.instance)?;
        line.serialize_entry("release", &self.0.release)?;
        for (name, id) in IDS.into_iter().zip(ids) {
            if let Some(id) = id {
                line.serialize_entry(name, id)?;
            }
        }
        if let Some(innermost) = spans.last() {
            line.serialize_entry("span", &innermost["name"])?;
            line.serialize_entry("spans", spans)?;
        }
        line.end()?;
        Ok(bytes)
    }
}

/// Writes the fields of a line as they come.
struct Fields<'a, M: SerializeMap> {
    line: &'a mut M,
    failure: Option<M::Error>,
}

impl<M: SerializeMap> Fields<'_, M> {
    fn put(&mut self, field: &Field, value: &(impl serde::Serialize + ?Sized)) {
        let name = field.name().trim_start_matches("r#");
        let written = match RESERVED.contains(&name) {
            true => self.line.serialize_entry(&format!("field.{name}"), value),
            false => self.line.serialize_entry(name, value),
        };
        self.failure = written.err().or(self.failure.take());
    }
}

impl<M: SerializeMap> Visit for Fields<'_, M> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, &value);
    }

    /// The whole chain: what was tried, and why it failed.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(source) = cause {
            text.push_str(": ");
            text.push_str(&source.to_string());
            cause = source.source();
        }
        self.put(field, &text);
    }
}
