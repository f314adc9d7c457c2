//! The fast way to lower a tracer's span: for those whose values are all sent as they are, which is
//! nearly all of them. It calls no Ruby code and makes no error; what it does not take is lowered in
//! the other way, by [`crate::tracer_span`].

use crate::compaction;
use crate::instance_variables::{InstanceVariables, Layout};
use crate::numbers::simple_metric;
use crate::reading::Reading;
use crate::ruby::{Whole, address, fixnum};
use crate::seen::Seen;
use crate::text::Text;
use magnus::value::ReprValue;
use magnus::{Error, Float, RArray, RHash, Ruby, Time, Value};
use pipeline::block::Block;
use pipeline::columns::{Fields, Labels, Numbers};
use pipeline::text::Slice;

/// The instance variables of a span that are read, each under its name.
macro_rules! span_variables {
    ($($field:ident = $name:literal,)*) => {
        pub const SPAN_VARIABLES: [&str; SPAN_VARIABLES_COUNT] = [$($name),*];
        const SPAN_VARIABLES_COUNT: usize = [$($name),*].len();

        /// Their values.
        pub struct Variables {
            $(pub $field: Value,)*
        }

        impl From<[Value; SPAN_VARIABLES_COUNT]> for Variables {
            #[inline(always)]
            fn from([$($field),*]: [Value; SPAN_VARIABLES_COUNT]) -> Self {
                Self { $($field),* }
            }
        }
    };
}

span_variables! {
    name = "@name",
    service = "@service",
    resource = "@resource",
    r#type = "@type",
    id = "@id",
    parent_id = "@parent_id",
    trace_id = "@trace_id",
    meta = "@meta",
    metrics = "@metrics",
    metastruct = "@metastruct",
    status = "@status",
    start = "@start_time",
    end = "@end_time",
    duration = "@duration",
    links = "@links",
    events = "@events",
}

pub type SpanVariables = InstanceVariables<SPAN_VARIABLES_COUNT>;

/// What no value that can be read has for an address: all other numbers may be objects, and -1 is all
/// ones.
pub const NO_ADDRESS: usize = rb_sys::Qundef as usize;

/// Where spans and their structured tags have their variables.
#[derive(Default)]
pub struct Layouts {
    span: Layout<SPAN_VARIABLES_COUNT>,
    meta_struct: Layout<1>,
}

/// The part of a trace that is lowered without calling Ruby.
pub struct SimpleSpans<'a> {
    pub ruby: &'a Ruby,
    pub variables: &'a mut SpanVariables,
    pub meta_struct: &'a mut InstanceVariables<1>,
    pub layouts: Layouts,
    pub seen: &'a Seen,
    pub block: &'a mut Block,
    /// How often objects had been moved when this began.
    pub compactions: u64,
    /// The trace's id, and the address of the Integer that it was read from.
    pub trace_id: &'a mut Option<(usize, u128)>,
}

impl SimpleSpans<'_> {
    /// Lowers spans, from the one on that the block lacks, until there is one that is not simple. Whether there was
    /// none.
    ///
    /// # Errors
    /// What comes from outside, as from `Thread#kill`.
    pub fn lower(&mut self, spans: RArray) -> Result<bool, Error> {
        let mut all = true;
        let mut mark = self.block.columns.mark();
        self.compactions = compaction::count();
        if let Some((read_from, _)) = self.trace_id {
            *read_from = NO_ADDRESS;
        }
        // SAFETY: all that is called from here borrows what it works with, and owns numbers only.
        let read = unsafe {
            Reading::protect(|reading| {
                while all && self.block.pending() < spans.len() {
                    let span = spans.entry(self.block.pending() as isize);
                    all = span.is_ok_and(|span| self.span(reading, span).is_some());
                    if all {
                        mark = self.block.columns.mark();
                    }
                }
            })
        };
        self.block.columns.rewind(mark);
        let of_times = [
            self.ruby.exception_range_error(),
            self.ruby.exception_type_error(),
            self.ruby.exception_arg_error(),
        ];
        match read {
            // The other way will come upon the same error, and say where.
            Err(error) if of_times.iter().any(|class| error.is_kind_of(*class)) => Ok(false),
            read => read.map(|()| all),
        }
    }

    #[inline]
    fn span(&mut self, reading: &Reading, span: Value) -> Option<()> {
        let values = self.variables.read_alike(span, &mut self.layouts.span)?;
        let span = Variables::from(*values);
        self.trace_id(span.trace_id)?;
        let start = self.time(reading, span.start)?;
        let duration = if span.duration.is_nil() && !span.end.is_nil() {
            self.time(reading, span.end)?.checked_sub(start)?
        } else {
            self.seconds(span.duration)?
        };
        let has_extras = !is_empty(span.links)
            || !is_empty(span.events)
            || !self.is_empty_struct(span.metastruct);
        if has_extras {
            return None;
        }
        let numbers = Numbers {
            span_id: self.id(span.id).filter(|id| *id != 0)?,
            parent_id: if span.parent_id.is_nil() {
                0
            } else {
                self.id(span.parent_id)?
            },
            start,
            duration,
            error: if span.status.is_nil() {
                0
            } else {
                fixnum(span.status)?.try_into().ok()?
            },
        };
        let labels = Labels {
            name: self.label(span.name)?,
            service: self.label(span.service)?,
            resource: self.label(span.resource)?,
            r#type: self.label(span.r#type)?,
        };
        self.meta(reading, span.meta)?;
        self.metrics(reading, span.metrics)?;
        self.block.end_span(Fields {
            numbers,
            labels,
            ..Fields::default()
        });
        Some(())
    }

    #[inline]
    fn trace_id(&mut self, value: Value) -> Option<()> {
        match *self.trace_id {
            Some((read_from, _)) if read_from == address(value) => Some(()),
            known => {
                let id: u128 = Whole::from_value(value)?.fit()?;
                let fits = id as u64 != 0 && known.is_none_or(|(_, of_trace)| of_trace == id);
                fits.then(|| {
                    *self.trace_id = Some((address(value), id));
                    self.block.set_trace_id(id);
                })
            }
        }
    }

    #[inline]
    fn id(&self, value: Value) -> Option<u64> {
        match fixnum(value) {
            Some(id) => id.try_into().ok(),
            None => Whole::from_value(value)?.fit(),
        }
    }

    #[inline]
    fn time(&mut self, reading: &Reading, value: Value) -> Option<i64> {
        if value.is_nil() {
            return Some(0);
        }
        let nanoseconds = reading.nanoseconds(Time::from_value(value)?);
        // A Time that is a Rational inside makes objects, for which others may have been moved, those that were
        // read of this span among them.
        (compaction::count() == self.compactions).then_some(nanoseconds?)
    }

    #[inline]
    fn seconds(&self, value: Value) -> Option<i64> {
        const PER_SECOND: f64 = 1e9;
        /// Well below what 64 bits hold.
        const LONGEST: f64 = 9e9;
        if value.is_nil() {
            return Some(0);
        }
        let seconds = Float::from_value(value)?.to_f64();
        (seconds.abs() < LONGEST).then_some((seconds * PER_SECOND) as i64)
    }

    #[inline]
    fn is_empty_struct(&mut self, value: Value) -> bool {
        if value.is_nil() {
            return true;
        }
        let layout = &mut self.layouts.meta_struct;
        let read = self.meta_struct.read_alike(value, layout);
        let hash = read.map_or(value, |[hash]| *hash);
        hash.is_nil() || RHash::from_value(hash).is_some_and(|hash| hash.is_empty())
    }

    #[inline]
    fn label(&mut self, value: Value) -> Option<Slice> {
        if value.is_nil() {
            return Some(Slice::default());
        }
        self.text(value)
    }

    #[inline(always)]
    fn text(&mut self, value: Value) -> Option<Slice> {
        match self.seen.get(value) {
            Some(slice) => Some(slice),
            None => self.put(value, false),
        }
    }

    /// As [`SimpleSpans::text`], for a text that no other key of the Hash can have.
    #[inline(always)]
    fn key(&mut self, value: Value) -> Option<Slice> {
        match self.seen.get(value) {
            Some(slice) => Some(slice),
            None => self.put(value, true),
        }
    }

    /// Puts a text in, and remembers it where it can be had again.
    #[inline(never)]
    fn put(&mut self, value: Value, unique: bool) -> Option<Slice> {
        let text = Text::simple(self.ruby, value).filter(|text| text.unique || !unique)?;
        let (slice, repaired) = text.put_into(&mut self.block.columns.texts);
        if repaired {
            return None;
        }
        // It says the same whenever and as whatever it is read. (There may have been no room for it.)
        if text.unique && slice != Slice::default() {
            self.seen.put(value, slice);
        }
        Some(slice)
    }

    #[inline]
    fn meta(&mut self, reading: &Reading, hash: Value) -> Option<()> {
        let Some(hash) = RHash::from_value(hash) else {
            return hash.is_nil().then_some(());
        };
        let mut read = Some(());
        let each = |key, value| {
            read = self.key(key).and_then(|key| {
                let value = self.text(value)?;
                self.block.columns.meta.push((key, value));
                Some(())
            });
            read.is_some()
        };
        // SAFETY: reading Strings calls no Ruby, and nothing in it can panic.
        unsafe { reading.each_pair(hash, each) };
        read
    }

    #[inline]
    fn metrics(&mut self, reading: &Reading, hash: Value) -> Option<()> {
        let Some(hash) = RHash::from_value(hash) else {
            return hash.is_nil().then_some(());
        };
        let mut read = Some(());
        let each = |key, value| {
            read = self.key(key).and_then(|key| {
                let value = simple_metric(value)?;
                self.block.columns.metrics.push((key, value));
                Some(())
            });
            read.is_some()
        };
        // SAFETY: as above.
        unsafe { reading.each_pair(hash, each) };
        read
    }
}

fn is_empty(list: Value) -> bool {
    list.is_nil() || RArray::from_value(list).is_some_and(|array| array.is_empty())
}
