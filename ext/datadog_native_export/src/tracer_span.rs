//! Lowering the spans of a tracer: objects with the instance variables of
//! `Datadog::Tracing::Span`, read without calling a method of theirs.
//!
//! The README has a table of what becomes of values that can't be sent as they are.

use crate::errors::{broken_text, out_of_range, within, wrong_class};
use crate::ruby::each_pair;
use crate::simple_span::{NO_ADDRESS, SimpleSpans, Variables};
use crate::text::{Text, entry};
use crate::tools::Tools;
use crate::{events, links, meta_struct, numbers};
use magnus::value::{Qfalse, Qtrue, ReprValue};
use magnus::{Error, Float, Integer, RArray, RHash, Ruby, Value};
use pipeline::columns::{Columns, Extras, Fields, Labels, Numbers};
use pipeline::text::Slice;

pub struct Lowering<'a> {
    pub ruby: &'a Ruby,
    pub strict: bool,
    pub tools: &'a mut Tools,
    pub trace_id: Option<(usize, u128)>,
}

/// What becomes of a value that can't be sent as it is.
enum Odd {
    Repaired,
    LeftOut,
}

impl Lowering<'_> {
    /// Lowers the spans of one trace into the scratch block.
    pub fn trace(&mut self, spans: RArray) -> Result<(), Error> {
        loop {
            let tools = &mut *self.tools;
            tools.known.forget();
            let mut simple = SimpleSpans {
                ruby: self.ruby,
                meta_struct: &mut tools.meta_struct,
                known: &tools.known,
                block: &mut tools.scratch,
                compactions: 0,
                trace_id: &mut self.trace_id,
            };
            simple.lower(&mut tools.span, spans)?;
            let index = tools.scratch.pending();
            // Looked at anew: rare values call Ruby code, which may change the Array.
            if index >= spans.len() {
                return Ok(());
            }
            tools.odd = true;
            let span = spans.entry(index as isize)?;
            self.span(span)
                .map_err(|error| within(&format!("spans[{index}]"), &error))?;
        }
    }

    fn span(&mut self, span: Value) -> Result<(), Error> {
        let Some(values) = self.tools.span.read(span) else {
            return Err(wrong_class(self.ruby, "span", "a tracer's span", span));
        };
        let span = Variables::from(values);
        self.trace_id(span.trace_id)?;
        let start = self.number(span.start, numbers::start)?;
        let fields = Fields {
            numbers: Numbers {
                span_id: numbers::span_id(self.ruby, span.id)?,
                parent_id: self.number(span.parent_id, numbers::parent_id)?,
                start,
                duration: self.duration(span.duration, start, span.end)?,
                error: self.number(span.status, numbers::error)?,
            },
            labels: Labels {
                name: self.label(span.name, "name")?,
                service: self.label(span.service, "service")?,
                resource: self.label(span.resource, "resource")?,
                r#type: self.label(span.r#type, "type")?,
            },
            ..Fields::default()
        };
        self.meta(span.meta)?;
        self.metrics(span.metrics)?;
        match self.extras(span.metastruct, span.links, span.events)? {
            Some(extras) => self.tools.scratch.end_span_with(fields, extras),
            None => self.tools.scratch.end_span(fields),
        }
        Ok(())
    }

    fn columns(&mut self) -> &mut Columns {
        &mut self.tools.scratch.columns
    }

    /// Counts what is not sent as it is, or raises when that is asked for.
    fn odd(&mut self, odd: Odd, error: impl FnOnce() -> Error) -> Result<(), Error> {
        if self.strict {
            return Err(error());
        }
        match odd {
            Odd::Repaired => self.columns().repaired += 1,
            Odd::LeftOut => self.columns().left_out += 1,
        }
        Ok(())
    }

    /// Does without what `result` could not make of a value. What is not about the value, such as
    /// an interrupt, goes on.
    fn or_left_out<T>(&mut self, result: Result<T, Error>) -> Result<Option<T>, Error> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_kind_of(self.ruby.exception_standard_error()) => {
                self.odd(Odd::LeftOut, || error)?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn trace_id(&mut self, value: Value) -> Result<(), Error> {
        let trace_id = numbers::trace_id(self.ruby, value)?;
        if trace_id as u64 == 0 {
            let expected = "an id whose lower 64 bits are not 0";
            return Err(out_of_range(self.ruby, "trace_id", expected, value));
        }
        match self.trace_id {
            None => {
                self.trace_id = Some((NO_ADDRESS, trace_id));
                self.tools.scratch.set_trace_id(trace_id);
            }
            Some((_, of_trace)) if of_trace == trace_id => {}
            Some((_, of_trace)) => {
                let message =
                    format!("trace_id: expected {of_trace:#x} like the first, got {trace_id:#x}");
                return Err(Error::new(self.ruby.exception_arg_error(), message));
            }
        }
        Ok(())
    }

    /// A number, 0 for nil.
    fn number<T: Default>(
        &mut self,
        value: Value,
        read: fn(&Ruby, Value) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if value.is_nil() {
            return Ok(T::default());
        }
        let number = read(self.ruby, value);
        Ok(self.or_left_out(number)?.unwrap_or_default())
    }

    fn duration(&mut self, duration: Value, start: i64, end: Value) -> Result<i64, Error> {
        if !duration.is_nil() || end.is_nil() {
            return self.number(duration, numbers::seconds);
        }
        let end_time = self.number(end, numbers::start)?;
        let passed = end_time.checked_sub(start).ok_or_else(|| {
            let range = "times up to 2**63-1 nanoseconds apart";
            out_of_range(self.ruby, "end_time", range, end)
        });
        Ok(self.or_left_out(passed)?.unwrap_or_default())
    }

    fn label(&mut self, value: Value, field: &str) -> Result<Slice, Error> {
        let text = Text::optional(self.ruby, value, || field.to_owned());
        match self.or_left_out(text)?.flatten() {
            Some(text) => self.put(&text, || field.to_owned()),
            None => Ok(Slice::default()),
        }
    }

    fn put(&mut self, text: &Text, field: impl FnOnce() -> String) -> Result<Slice, Error> {
        let (slice, repaired) = text.put_into(&mut self.columns().texts);
        if repaired {
            let ruby = self.ruby;
            self.odd(Odd::Repaired, || broken_text(ruby, &field()))?;
        }
        Ok(slice)
    }

    fn meta(&mut self, meta: Value) -> Result<(), Error> {
        let start = self.columns().meta.len();
        self.each_entry(meta, "meta", Self::tag)?;
        self.columns().dedup_meta(start);
        Ok(())
    }

    fn metrics(&mut self, metrics: Value) -> Result<(), Error> {
        let start = self.columns().metrics.len();
        self.each_entry(metrics, "metrics", Self::metric)?;
        self.columns().dedup_metrics(start);
        Ok(())
    }

    /// The Hash, or `None` when there is nothing to read.
    fn hash(&mut self, value: Value, field: &str) -> Result<Option<RHash>, Error> {
        if let Some(hash) = RHash::from_value(value) {
            return Ok(Some(hash));
        }
        if !value.is_nil() {
            let ruby = self.ruby;
            self.odd(Odd::LeftOut, || wrong_class(ruby, field, "Hash", value))?;
        }
        Ok(None)
    }

    fn each_entry(
        &mut self,
        hash: Value,
        field: &str,
        lower: fn(&mut Self, &Text, Value) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(hash) = self.hash(hash, field)? else {
            return Ok(());
        };
        let mut result = Ok(());
        each_pair(hash, |key, value| {
            let key = Text::required(self.ruby, key, || format!("{field} key"));
            result = self.or_left_out(key).and_then(|key| match key {
                Some(key) => lower(self, &key, value),
                None => Ok(()),
            });
            result.is_ok()
        })?;
        result
    }

    fn tag(&mut self, key: &Text, value: Value) -> Result<(), Error> {
        let ruby = self.ruby;
        let field = || entry("meta", key);
        let wrong = || wrong_class(ruby, &field(), "String or Symbol", value);
        let text = match Text::optional(ruby, value, field) {
            Ok(Some(text)) => text,
            Ok(None) => return self.odd(Odd::LeftOut, wrong),
            Err(_) if is_scalar(value) => {
                self.odd(Odd::Repaired, wrong)?;
                let (key, value) = (self.put(key, field)?, value.to_string());
                let value = self.columns().texts.push(&value);
                self.columns().meta.push((key, value));
                return Ok(());
            }
            Err(error) => return self.or_left_out(Err::<(), _>(error)).map(drop),
        };
        let (key, value) = (self.put(key, field)?, self.put(&text, field)?);
        self.columns().meta.push((key, value));
        Ok(())
    }

    fn metric(&mut self, key: &Text, value: Value) -> Result<(), Error> {
        let ruby = self.ruby;
        let field = || entry("metrics", key);
        let number = numbers::metric(ruby, value, field);
        match self.or_left_out(number)? {
            Some(Some(number)) => {
                let key = self.put(key, field)?;
                self.columns().metrics.push((key, number));
                Ok(())
            }
            Some(None) => self.odd(Odd::LeftOut, || {
                out_of_range(ruby, &field(), "a number", value)
            }),
            None => Ok(()),
        }
    }

    fn extras(
        &mut self,
        metastruct: Value,
        links: Value,
        events: Value,
    ) -> Result<Option<Extras>, Error> {
        let mut extras = Extras::default();
        // The tracer wraps the Hash in an object.
        let hash = match self.tools.meta_struct.read(metastruct) {
            Some([hash]) => hash,
            None => metastruct,
        };
        if let Some(hash) = self.hash(hash, "metastruct")? {
            self.meta_struct(hash, &mut extras)?;
        }
        self.each_of(links, "links", |lowering, link| {
            let Some([trace_id, span_id, attributes, state, flags]) =
                lowering.tools.link.read(link)
            else {
                return Err(wrong_class(lowering.ruby, "links", "a tracer's link", link));
            };
            let (link, repaired) =
                links::lower(lowering.ruby, trace_id, span_id, attributes, state, flags)?;
            extras.links.push(link);
            lowering.tally("links", repaired, 0)
        })?;
        self.each_of(events, "events", |lowering, event| {
            let Some([name, time, attributes]) = lowering.tools.event.read(event) else {
                return Err(wrong_class(
                    lowering.ruby,
                    "events",
                    "a tracer's event",
                    event,
                ));
            };
            let (event, tally) = events::lower(lowering.ruby, name, time, attributes)?;
            extras.events.push(event);
            lowering.tally("events", tally.repaired, tally.left_out)
        })?;
        let is_empty =
            extras.meta_struct.is_empty() && extras.links.is_empty() && extras.events.is_empty();
        Ok((!is_empty).then_some(extras))
    }

    fn meta_struct(&mut self, hash: RHash, extras: &mut Extras) -> Result<(), Error> {
        let mut result = Ok(());
        each_pair(hash, |key, value| {
            let ruby = self.ruby;
            let encoded = Text::required(ruby, key, || "metastruct key".to_owned())
                .and_then(|key| Ok((meta_struct::encode(ruby, &key, value)?, key.to_owned())));
            result = self.or_left_out(encoded).and_then(|encoded| {
                let Some(((bytes, repaired), (key, key_repaired))) = encoded else {
                    return Ok(());
                };
                extras.set_meta_struct(key.into(), bytes);
                self.tally("metastruct", repaired + usize::from(key_repaired), 0)
            });
            result.is_ok()
        })?;
        result
    }

    /// Counts what was done to the values inside of a field.
    fn tally(&mut self, field: &str, repaired: usize, left_out: usize) -> Result<(), Error> {
        if self.strict && repaired > 0 {
            return Err(broken_text(self.ruby, field));
        }
        if self.strict && left_out > 0 {
            let message = format!("{field}: {left_out} attributes can't be sent");
            return Err(Error::new(self.ruby.exception_type_error(), message));
        }
        self.columns().repaired += repaired;
        self.columns().left_out += left_out;
        Ok(())
    }

    fn each_of(
        &mut self,
        list: Value,
        field: &str,
        mut lower: impl FnMut(&mut Self, Value) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if list.is_nil() {
            return Ok(());
        }
        let Some(array) = RArray::from_value(list) else {
            let ruby = self.ruby;
            return self.odd(Odd::LeftOut, || wrong_class(ruby, field, "Array", list));
        };
        let mut index = 0;
        while index < array.len() {
            let element = array.entry(index as isize)?;
            let lowered = lower(self, element);
            self.or_left_out(lowered)?;
            index += 1;
        }
        Ok(())
    }
}

/// Whether a value has an obvious form as text.
fn is_scalar(value: Value) -> bool {
    Integer::from_value(value).is_some()
        || Float::from_value(value).is_some()
        || Qtrue::from_value(value).is_some()
        || Qfalse::from_value(value).is_some()
}
