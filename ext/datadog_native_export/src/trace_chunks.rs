//! `Datadog::NativeExport::TraceChunks`. Documented for Ruby in
//! `lib/datadog/native_export/trace_chunks.rb`.

use crate::errors::{self, MODULE, consumed, describe, wrong_class};
use crate::known::Known;
use crate::ruby::{Whole, adjust_memory};
use crate::span::Span;
use crate::tools::Memory;
use crate::trace;
use magnus::gc::Marker;
use magnus::typed_data::Obj;
use magnus::value::ReprValue;
use magnus::{
    Class, DataTypeFunctions, Error, Module, RArray, Ruby, TryConvert, TypedData, Value, method,
};
use pipeline::chunks::TraceChunks as Chunks;
use std::cell::{Cell, RefCell, RefMut};

/// A capacity is advice: a larger one than this is not believed.
const LARGEST_CAPACITY: usize = 1_000;

#[derive(TypedData)]
#[magnus(
    class = "Datadog::NativeExport::TraceChunks",
    free_immediately,
    mark,
    size
)]
pub struct TraceChunks {
    chunks: RefCell<Option<Chunks>>,
    /// Of the Strings whose text stands in the block that is open, and of spans.
    known: RefCell<Option<Known>>,
    /// Bytes of memory that the garbage collector was told of.
    told: Cell<isize>,
}

impl Default for TraceChunks {
    fn default() -> Self {
        Self {
            chunks: RefCell::new(Some(Chunks::default())),
            known: RefCell::default(),
            told: Cell::new(0),
        }
    }
}

impl Drop for TraceChunks {
    fn drop(&mut self) {
        self.tell(0);
    }
}

impl DataTypeFunctions for TraceChunks {
    fn mark(&self, marker: &Marker) {
        // Nobody borrows it for writing while Ruby could collect.
        if let Ok(known) = self.known.try_borrow()
            && let Some(known) = known.as_ref()
        {
            known.mark(marker);
        }
    }

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
        this.ready(ruby)?.begin_chunk(capacity);
        Ok(this)
    }

    fn push_span(ruby: &Ruby, this: Obj<Self>, span: Value) -> Result<Obj<Self>, Error> {
        this.check_frozen()?;
        let span = Obj::<Span>::try_convert(span)
            .map_err(|_| wrong_class(ruby, "span", "Datadog::NativeExport::Span", span))?;
        span.check_frozen()?;
        let mut chunks = this.open(ruby)?;
        if chunks.is_empty() {
            return Err(errors::error(ruby, "call begin_chunk before push_span"));
        }
        let trace_id = span.open(ruby)?.trace_id();
        if let Some(of_chunk) = chunks.trace_id().filter(|of_chunk| *of_chunk != trace_id) {
            // An agent drops such a chunk and says nothing.
            let message = format!(
                "trace_id: a chunk holds the spans of one trace, got {trace_id:#x} in a chunk of {of_chunk:#x}"
            );
            return Err(Error::new(ruby.exception_arg_error(), message));
        }
        chunks.push(span.consume(ruby)?);
        let memory = chunks.size().memory;
        drop(chunks);
        this.tell(memory);
        Ok(this)
    }

    /// Lowers the spans of a tracer into a chunk of their own. Whether they were taken.
    fn lower_trace(
        ruby: &Ruby,
        this: Obj<Self>,
        spans: Value,
        strict: bool,
    ) -> Result<bool, Error> {
        this.check_frozen()?;
        let spans =
            RArray::from_value(spans).ok_or_else(|| wrong_class(ruby, "spans", "Array", spans))?;
        let mut chunks = this.ready(ruby)?;
        if spans.is_empty() {
            return Ok(true);
        }
        if !this.lower_simple(ruby, spans, &mut chunks)? {
            drop(chunks);
            let lowered = trace::lower(ruby, spans, strict);
            chunks = this.open(ruby)?;
            match lowered {
                Ok(lowered) => lowered.put_into(&mut chunks),
                Err(error) if strict || !error.is_kind_of(ruby.exception_standard_error()) => {
                    return Err(error);
                }
                Err(error) => {
                    chunks.refuse(spans.len(), errors::message(&error));
                    return Ok(false);
                }
            }
        }
        let memory = chunks.size().memory;
        drop(chunks);
        this.tell(memory);
        Ok(true)
    }

    fn lower_simple(&self, ruby: &Ruby, spans: RArray, chunks: &mut Chunks) -> Result<bool, Error> {
        match &*self.known.borrow() {
            Some(known) => trace::lower_simple(ruby, spans, chunks, known),
            None => Ok(false),
        }
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
        let chunks = self.chunks.try_borrow();
        chunks.is_ok_and(|chunks| chunks.is_none())
    }

    /// Takes the chunks over; nobody else can use them from then on.
    pub fn consume(&self, ruby: &Ruby) -> Result<Chunks, Error> {
        let chunks = self.lock(ruby)?.take();
        let mut chunks = chunks.ok_or_else(|| consumed(ruby, "TraceChunks"))?;
        self.tell(0);
        let block = chunks.close();
        if let Some(known) = self.known.take() {
            Memory { block, known }.put_back();
        }
        Ok(chunks)
    }

    /// Tells the garbage collector how much memory this holds.
    fn tell(&self, memory: usize) {
        let memory = memory as isize;
        adjust_memory(memory - self.told.replace(memory));
    }

    /// The chunks, with what the next one can be made in.
    fn ready(&self, ruby: &Ruby) -> Result<RefMut<'_, Chunks>, Error> {
        let mut chunks = self.open(ruby)?;
        if self.known.borrow().is_none() {
            let Memory { block, known } = Memory::take();
            chunks.lend(block);
            self.known.replace(Some(known));
        }
        Ok(chunks)
    }

    fn open(&self, ruby: &Ruby) -> Result<RefMut<'_, Chunks>, Error> {
        RefMut::filter_map(self.lock(ruby)?, Option::as_mut)
            .map_err(|_| consumed(ruby, "TraceChunks"))
    }

    /// Nobody else has it, but in a hook (`TracePoint`) that Ruby calls while spans are read.
    fn lock(&self, ruby: &Ruby) -> Result<RefMut<'_, Option<Chunks>>, Error> {
        self.chunks
            .try_borrow_mut()
            .map_err(|_| errors::error(ruby, "the TraceChunks is being filled"))
    }
}

fn capacity(ruby: &Ruby, value: Value) -> Result<usize, Error> {
    let whole =
        Whole::from_value(value).ok_or_else(|| wrong_class(ruby, "capacity", "Integer", value))?;
    if whole.negative {
        let message = format!("capacity: expected 0 or more, got {}", describe(value));
        return Err(Error::new(ruby.exception_arg_error(), message));
    }
    Ok(whole
        .fit()
        .unwrap_or(LARGEST_CAPACITY)
        .min(LARGEST_CAPACITY))
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
    class.define_method("<<", method!(TraceChunks::push_span, 1))?;
    class.define_method("size", method!(TraceChunks::length, 0))?;
    class.define_method("span_count", method!(TraceChunks::span_count, 0))?;
    class.define_method("empty?", method!(TraceChunks::is_empty, 0))?;
    class.define_method("consumed?", method!(TraceChunks::is_consumed, 0))?;
    Ok(())
}
