//! The fast way to lower a tracer's span: for those whose values are all sent as they are, which is
//! nearly all of them. It calls no Ruby code and makes no error; what it does not take is lowered in
//! the other way, by [`crate::tracer_span`].

use crate::ahead;
use crate::compaction;
use crate::instance_variables::{InstanceVariables, Slots};
use crate::known::Known;
use crate::numbers::simple_metric;
use crate::reading::Reading;
use crate::ruby::{self, Whole, address, fixnum};
use crate::seen::Glance;
use crate::text::Text;
use magnus::value::ReprValue;
use magnus::{Error, Float, RArray, RHash, Ruby, Value};
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
            fn from([$($field),*]: [Value; SPAN_VARIABLES_COUNT]) -> Self {
                Self { $($field),* }
            }
        }

        #[allow(non_camel_case_types)]
        enum Index {
            $($field,)*
        }

        impl Slots<'_, SPAN_VARIABLES_COUNT> {
            $(
                #[inline(always)]
                pub fn $field(&self) -> Value {
                    self.get(Index::$field as usize)
                }
            )*
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

/// The part of a trace that is lowered without calling Ruby.
pub struct SimpleSpans<'a> {
    pub ruby: &'a Ruby,
    pub meta_struct: &'a mut InstanceVariables<1>,
    pub known: &'a Known,
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
    pub fn lower(&mut self, variables: &mut SpanVariables, spans: RArray) -> Result<bool, Error> {
        let mut all = true;
        let mut mark = self.block.columns.mark();
        self.compactions = compaction::count();
        if let Some((read_from, _)) = self.trace_id {
            *read_from = NO_ADDRESS;
        }
        // SAFETY: all that is called from here borrows what it works with, and owns numbers only.
        let read = unsafe {
            Reading::protect(|reading| {
                let first = self.block.pending();
                while all && self.block.pending() < spans.len() {
                    let index = self.block.pending();
                    if (index - first).is_multiple_of(ahead::TOGETHER) {
                        ahead::look(spans, index, &self.known.layouts);
                    }
                    let span = spans.entry(index as isize);
                    all = span.is_ok_and(|span| self.span(reading, variables, span).is_some());
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
    fn span(
        &mut self,
        reading: &Reading,
        variables: &mut SpanVariables,
        span: Value,
    ) -> Option<()> {
        let span = variables.read_alike(span, &self.known.layouts.span)?;
        // To walk over an object's variables may be to wait for another Ractor.
        if self.were_moved() {
            return None;
        }
        self.trace_id(span.trace_id())?;
        let has_extras = !is_empty(span.links())
            || !is_empty(span.events())
            || !self.is_empty_struct(span.metastruct());
        // There was another walk.
        if has_extras || self.were_moved() {
            return None;
        }
        let labels = Labels {
            name: self.label(span.name())?,
            service: self.label(span.service())?,
            resource: self.label(span.resource())?,
            r#type: self.label(span.r#type())?,
        };
        self.meta(reading, span.meta())?;
        self.metrics(reading, span.metrics())?;
        let span_id = self.id(span.id()).filter(|id| *id != 0)?;
        let parent_id = match span.parent_id() {
            none if none.is_nil() => 0,
            id => self.id(id)?,
        };
        let error = match span.status() {
            none if none.is_nil() => 0,
            status => fixnum(status)?.try_into().ok()?,
        };
        // Last, because a Time that is a Rational inside calls methods of it, which might change the span.
        let (start, end, duration) = (span.start(), span.end(), span.duration());
        let start = self.time(reading, start)?;
        let duration = if duration.is_nil() && !end.is_nil() {
            self.time(reading, end)?.checked_sub(start)?
        } else {
            self.seconds(duration)?
        };
        self.block.end_span(Fields {
            numbers: Numbers {
                span_id,
                parent_id,
                start,
                duration,
                error,
            },
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
        let collections = ruby::collections();
        let nanoseconds = reading.nanoseconds(self.ruby, value);
        // A Time that is a Rational inside makes objects and calls methods of them, by which what is known may have
        // gone or been moved.
        let holds = collections == ruby::collections() && !self.were_moved();
        nanoseconds.filter(|_| holds)
    }

    /// Whether objects were moved since this began, those that were read among them.
    fn were_moved(&self) -> bool {
        compaction::count() != self.compactions
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
        let layout = &self.known.layouts.meta_struct;
        let read = self.meta_struct.read_alike(value, layout);
        let hash = read.map_or(value, |slots| slots.get(0));
        hash.is_nil() || RHash::from_value(hash).is_some_and(|hash| hash.is_empty())
    }

    #[inline]
    fn label(&mut self, value: Value) -> Option<Slice> {
        if value.is_nil() {
            return Some(Slice::default());
        }
        self.text(self.known.seen.glance(), value)
    }

    /// Puts a text in, and remembers it where it can be had again. `unique` ones alone, if that is asked for: no
    /// other key of a Hash can have their text.
    #[inline(never)]
    fn put(&mut self, value: Value, unique: bool) -> Option<Slice> {
        let text = Text::simple(self.ruby, value).filter(|text| text.unique || !unique)?;
        let (slice, repaired) = text.put_into(&mut self.block.columns.texts);
        if repaired {
            return None;
        }
        // It says the same whenever and as whatever it is read. (There may have been no room for it.)
        if text.unique && slice != Slice::default() {
            self.known.seen.put(value, slice);
        }
        Some(slice)
    }

    #[inline]
    fn meta(&mut self, reading: &Reading, hash: Value) -> Option<()> {
        let Some(hash) = RHash::from_value(hash) else {
            return hash.is_nil().then_some(());
        };
        let seen = self.known.seen.glance();
        let start = self.block.columns.meta.len();
        let mut is_simple = true;
        let each = |key, value| {
            let pair = self.pair(seen, key, |this| this.text(seen, value));
            match pair {
                Some(pair) => self.block.columns.meta.push(pair),
                None => is_simple = false,
            }
            pair.is_some()
        };
        // SAFETY: reading Strings calls no Ruby, and nothing in it can panic.
        if !unsafe { reading.each_pair(hash, each) } {
            self.block.columns.dedup_meta(start);
        }
        is_simple.then_some(())
    }

    #[inline]
    fn metrics(&mut self, reading: &Reading, hash: Value) -> Option<()> {
        let Some(hash) = RHash::from_value(hash) else {
            return hash.is_nil().then_some(());
        };
        let seen = self.known.seen.glance();
        let start = self.block.columns.metrics.len();
        let mut is_simple = true;
        let each = |key, value| {
            let pair = self.pair(seen, key, |_| simple_metric(value));
            match pair {
                Some(pair) => self.block.columns.metrics.push(pair),
                None => is_simple = false,
            }
            pair.is_some()
        };
        // SAFETY: as above.
        if !unsafe { reading.each_pair(hash, each) } {
            self.block.columns.dedup_metrics(start);
        }
        is_simple.then_some(())
    }

    /// An entry of a Hash.
    #[inline(always)]
    fn pair<V>(
        &mut self,
        seen: Glance,
        key: Value,
        value: impl FnOnce(&mut Self) -> Option<V>,
    ) -> Option<(Slice, V)> {
        let key = match seen.get(key) {
            Some(slice) => slice,
            None => self.put(key, true)?,
        };
        Some((key, value(self)?))
    }

    #[inline(always)]
    fn text(&mut self, seen: Glance, value: Value) -> Option<Slice> {
        match seen.get(value) {
            Some(slice) => Some(slice),
            None => self.put(value, false),
        }
    }
}

fn is_empty(list: Value) -> bool {
    list.is_nil() || RArray::from_value(list).is_some_and(|array| array.is_empty())
}
