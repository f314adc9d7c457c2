//! `Datadog::NativeExport::TraceChunks`: a list of trace chunks on its way to the exporter.

use super::ReportedMemory;
use super::span::Span;
use crate::errors::{self, Failure, MODULE, consumed, describe};
use crate::otel::{self, Target};
use crate::ruby::RubyInteger;
use crate::trace;
use magnus::typed_data::Obj;
use magnus::value::ReprValue;
use magnus::{
    Class, DataTypeFunctions, Error, Module, RArray, Ruby, TryConvert, TypedData, Value, method,
};
use pipeline::span::TraceChunks as Chunks;
use std::cell::{RefCell, RefMut};

/// A capacity is advice: no more room than this is made for it.
const LARGEST_CAPACITY: usize = 1_000;

#[derive(TypedData)]
#[magnus(class = "Datadog::NativeExport::TraceChunks", free_immediately, size)]
pub struct TraceChunks {
    /// Borrowed for moments in which Ruby is not called.
    chunks: RefCell<Option<Chunks>>,
    reported: ReportedMemory,
}

impl Default for TraceChunks {
    fn default() -> Self {
        Self {
            chunks: RefCell::new(Some(Chunks::default())),
            reported: ReportedMemory::default(),
        }
    }
}

impl DataTypeFunctions for TraceChunks {
    fn size(&self) -> usize {
        let chunks = self.chunks.try_borrow();
        let held = chunks.map_or(0, |chunks| chunks.as_ref().map_or(0, |c| c.size().memory));
        size_of::<Self>() + held
    }
}

impl TraceChunks {
    fn reserve(ruby: &Ruby, this: &Self, chunks: Value) -> Result<(), Error> {
        let capacity = capacity(ruby, chunks)?;
        this.open(ruby)?.reserve(capacity);
        Ok(())
    }

    fn start_chunk(ruby: &Ruby, this: Obj<Self>, spans: Value) -> Result<Obj<Self>, Error> {
        this.check_frozen()?;
        let capacity = capacity(ruby, spans)?;
        this.open(ruby)?.begin_chunk(capacity);
        Ok(this)
    }

    fn push_span(ruby: &Ruby, this: Obj<Self>, span: Value) -> Result<Obj<Self>, Error> {
        this.check_frozen()?;
        let span = Obj::<Span>::try_convert(span)
            .map_err(|_| Failure::wrong_class("span", "Datadog::NativeExport::Span", span))
            .map_err(|failure| failure.into_error(ruby))?;
        span.check_frozen()?;
        let mut chunks = this.open(ruby)?;
        if chunks.is_empty() {
            return Err(errors::error(ruby, "call begin_chunk before push_span"));
        }
        let trace_id = span.open(ruby)?.span.trace_id;
        if let Some(of_chunk) = chunks.trace_id().filter(|of_chunk| *of_chunk != trace_id) {
            // An agent drops such a chunk and says nothing.
            let message = format!(
                "trace_id: a chunk holds the spans of one trace, got {trace_id:#x} in a chunk of {of_chunk:#x}"
            );
            return Err(Error::new(ruby.exception_arg_error(), message));
        }
        let span = span.consume(ruby)?;
        chunks.push_span(span.span, span.repaired, span.left_out);
        this.close(chunks);
        Ok(this)
    }

    /// Lowers the spans of a tracer into a chunk of their own. Returns whether they were taken.
    fn lower_trace(
        ruby: &Ruby,
        this: Obj<Self>,
        spans: Value,
        strict: bool,
    ) -> Result<bool, Error> {
        this.check_frozen()?;
        let spans = array(ruby, "spans", spans)?;
        drop(this.open(ruby)?);
        if spans.is_empty() {
            return Ok(true);
        }
        // The chunks aren't borrowed while Ruby code may run: what lowers a value, or says what an exception is.
        match trace::lower(ruby, spans, strict) {
            Ok((chunk, left_out)) => {
                let mut chunks = this.open(ruby)?;
                chunks.push(chunk);
                chunks.note_left_out(left_out);
                this.close(chunks);
                Ok(true)
            }
            Err(failure) if strict || !failure.is_about_value(ruby) => {
                Err(failure.into_error(ruby))
            }
            Err(failure) => {
                let problem = failure.message();
                this.open(ruby)?.refuse(spans.len(), problem);
                Ok(false)
            }
        }
    }

    /// Lowers spans of OpenTelemetry's SDK into chunks, one for each trace. Returns whether all were taken.
    fn lower_span_data(
        ruby: &Ruby,
        this: Obj<Self>,
        span_data: Value,
        otlp: bool,
    ) -> Result<bool, Error> {
        this.check_frozen()?;
        let spans = array(ruby, "span_data", span_data)?;
        drop(this.open(ruby)?);
        let target = match otlp {
            true => Target::Otlp,
            false => Target::Agent,
        };
        // The chunks aren't borrowed while Ruby code may run, as above.
        let lowered =
            otel::lower(ruby, spans, target).map_err(|failure| failure.into_error(ruby))?;
        let mut chunks = this.open(ruby)?;
        lowered
            .chunks
            .into_iter()
            .for_each(|chunk| chunks.push(chunk));
        chunks.note_left_out(lowered.left_out);
        let refused = lowered.refused.spans;
        if refused > 0 {
            chunks.refuse(refused, lowered.refused.problem);
        }
        this.close(chunks);
        Ok(refused == 0)
    }

    fn length(ruby: &Ruby, this: &Self) -> Result<usize, Error> {
        Ok(this.open(ruby)?.len())
    }

    fn span_count(ruby: &Ruby, this: &Self) -> Result<usize, Error> {
        Ok(this.open(ruby)?.size().spans)
    }

    fn is_empty(ruby: &Ruby, this: &Self) -> Result<bool, Error> {
        Ok(this.open(ruby)?.is_empty())
    }

    fn is_consumed(&self) -> bool {
        self.chunks.borrow().is_none()
    }

    /// Takes the chunks over; nobody else can use them from then on.
    ///
    /// # Errors
    /// When they were handed over.
    pub fn consume(&self, ruby: &Ruby) -> Result<Chunks, Error> {
        let chunks = self.chunks.take();
        let chunks = chunks.ok_or_else(|| consumed(ruby, "TraceChunks"))?;
        self.reported.update(0);
        Ok(chunks)
    }

    fn open(&self, ruby: &Ruby) -> Result<RefMut<'_, Chunks>, Error> {
        RefMut::filter_map(self.chunks.borrow_mut(), Option::as_mut)
            .map_err(|_| consumed(ruby, "TraceChunks"))
    }

    /// Ends the borrow of chunks that were added to, and tells the garbage collector what they hold.
    fn close(&self, chunks: RefMut<Chunks>) {
        let memory = chunks.size().memory;
        drop(chunks);
        self.reported.update(memory);
    }
}

/// Returns the Array that is passed as `name`.
fn array(ruby: &Ruby, name: &str, value: Value) -> Result<RArray, Error> {
    RArray::from_value(value)
        .ok_or_else(|| Failure::wrong_class(name, "Array", value).into_error(ruby))
}

fn capacity(ruby: &Ruby, value: Value) -> Result<usize, Error> {
    let whole = RubyInteger::from_value(value)
        .ok_or_else(|| Failure::wrong_class("capacity", "Integer", value).into_error(ruby))?;
    if whole.negative {
        let message = format!("capacity: expected 0 or more, got {}", describe(value));
        return Err(Error::new(ruby.exception_arg_error(), message));
    }
    let capacity = whole.to().unwrap_or(LARGEST_CAPACITY);
    Ok(capacity.min(LARGEST_CAPACITY))
}

pub fn init(ruby: &Ruby) -> Result<(), Error> {
    let class = ruby
        .get_inner(&MODULE)
        .define_class("TraceChunks", ruby.class_object())?;
    class.define_alloc_func::<TraceChunks>();
    class.define_private_method("reserve", method!(TraceChunks::reserve, 1))?;
    class.define_private_method("start_chunk", method!(TraceChunks::start_chunk, 1))?;
    class.define_method("push_span", method!(TraceChunks::push_span, 1))?;
    class.define_private_method("lower_trace", method!(TraceChunks::lower_trace, 2))?;
    class.define_private_method("lower_span_data", method!(TraceChunks::lower_span_data, 2))?;
    class.define_method("<<", method!(TraceChunks::push_span, 1))?;
    class.define_method("size", method!(TraceChunks::length, 0))?;
    class.define_method("span_count", method!(TraceChunks::span_count, 0))?;
    class.define_method("empty?", method!(TraceChunks::is_empty, 0))?;
    class.define_method("consumed?", method!(TraceChunks::is_consumed, 0))?;
    Ok(())
}
