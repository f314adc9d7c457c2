//! `Datadog::NativeExport::Span`: one span of libdd, filled in by Ruby.

use super::{ReportedMemory, span_readers};
use crate::convert::events::Moment;
use crate::convert::links::Link;
use crate::convert::{Lowering, Policy, Tally, numbers};
use crate::errors::{self, Failure, MODULE, consumed};
use crate::scratch::Scratch;
use magnus::typed_data::Obj;
use magnus::value::ReprValue;
use magnus::{Class, DataTypeFunctions, Error, Module, Ruby, TypedData, Value, method};
use pipeline::span::{SpanBytes, span_memory, take_spans};
use std::cell::{RefCell, RefMut};

/// Bytes of replaced text that a span may be taken to hold before its text is measured.
const TOLERATED_WASTE: usize = 4_096;

#[derive(Default, TypedData)]
#[magnus(class = "Datadog::NativeExport::Span", free_immediately, size)]
pub struct Span {
    state: RefCell<State>,
    reported: ReportedMemory,
}

/// The cell is borrowed for moments in which Ruby is not called.
#[derive(Default)]
#[expect(
    clippy::large_enum_variant,
    reason = "a box is one allocation more for every span"
)]
enum State {
    /// Allocated by Ruby, before `initialize`.
    #[default]
    Unset,
    Open(OpenSpan),
    Consumed,
}

/// A span that can be filled in.
#[derive(Default)]
pub struct OpenSpan {
    pub span: SpanBytes,
    pub repaired: usize,
    pub left_out: usize,
    /// Bytes of text put in so far, replaced text included, since it was measured.
    text: usize,
    /// Bytes of memory when that was measured.
    measured: usize,
}

impl OpenSpan {
    /// Counts what was put in.
    fn add(&mut self, tally: &Tally, text: usize) {
        self.repaired += tally.repaired;
        self.left_out += tally.left_out;
        self.text += text;
        if self.text > TOLERATED_WASTE + self.measured {
            self.measured = span_memory(&self.span);
            self.text = 0;
        }
    }

    /// Returns the bytes of memory that the span takes, at the most.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.measured + self.text
    }
}

impl DataTypeFunctions for Span {
    fn size(&self) -> usize {
        let held = self.state.try_borrow().map_or(0, |state| match &*state {
            State::Open(span) => span_memory(&span.span),
            State::Unset | State::Consumed => 0,
        });
        size_of::<Self>() + held
    }
}

/// Lowers values by a function, and returns what was made of them with what has to be counted.
fn lowered<T>(
    ruby: &Ruby,
    lower: impl FnOnce(&mut Lowering) -> Result<T, Failure>,
) -> Result<(T, Tally, usize), Error> {
    let mut scratch = Scratch::take();
    let before = scratch.texts.arena.allocated();
    let mut lowering = Lowering::new(ruby, &mut scratch.texts, Policy::Explicit);
    let result = lower(&mut lowering);
    let tally = lowering.tally;
    let text = scratch.texts.arena.allocated() - before;
    scratch.put_back();
    match result {
        Ok(value) => Ok((value, tally, text)),
        Err(failure) => Err(failure.into_error(ruby)),
    }
}

impl Span {
    #[allow(clippy::too_many_arguments)]
    fn lower(
        ruby: &Ruby,
        this: Obj<Self>,
        name: Value,
        service: Value,
        resource: Value,
        r#type: Value,
        trace_id: Value,
        span_id: Value,
        parent_id: Value,
        start: Value,
        duration: Value,
        error: Value,
        meta: Value,
        metrics: Value,
    ) -> Result<(), Error> {
        this.check_unset(ruby)?;
        let (span, tally, text) = lowered(ruby, |lowering| {
            let mut span = Vec::with_capacity(1);
            take_spans(&mut span, 1);
            let mut span = span.pop().unwrap_or_default();
            span.trace_id = numbers::trace_id(trace_id)?;
            span.span_id = numbers::span_id(span_id)?;
            span.parent_id = numbers::parent_id(parent_id)?;
            span.start = numbers::moment(ruby, start, "start")?;
            span.duration = numbers::duration(duration)?;
            span.error = numbers::error(error)?;
            span.name = lowering.text(name, || "name".into())?.text;
            let mut label = |value, field: &str| lowering.optional_text(value, || field.into());
            span.service = label(service, "service")?.unwrap_or_default();
            span.resource = match label(resource, "resource")? {
                Some(resource) => resource,
                None => span.name.clone(),
            };
            span.r#type = label(r#type, "type")?.unwrap_or_default();
            lowering.meta(meta, &mut span.meta)?;
            lowering.metrics(metrics, &mut span.metrics)?;
            Ok(span)
        })?;
        // What the values ran may have been `initialize` again.
        this.check_unset(ruby)?;
        let mut open = OpenSpan {
            span,
            ..OpenSpan::default()
        };
        open.add(&tally, text);
        this.reported.update(open.memory());
        *this.state.borrow_mut() = State::Open(open);
        Ok(())
    }

    fn set_meta(
        ruby: &Ruby,
        this: Obj<Self>,
        key: Value,
        value: Value,
    ) -> Result<Obj<Self>, Error> {
        Self::change(
            ruby,
            this,
            |lowering| {
                let key = lowering.text(key, || "meta key".into())?.text;
                let value = lowering.tag(&key, value)?;
                Ok((key, value))
            },
            |span, (key, value)| match value {
                Some(value) => drop(span.meta.insert_or_replace(key, value)),
                None => drop(span.meta.remove(key.as_str())),
            },
        )
    }

    fn set_metric(
        ruby: &Ruby,
        this: Obj<Self>,
        key: Value,
        value: Value,
    ) -> Result<Obj<Self>, Error> {
        Self::change(
            ruby,
            this,
            |lowering| {
                let key = lowering.text(key, || "metrics key".into())?.text;
                let value = lowering.metric(&key, value)?;
                Ok((key, value))
            },
            |span, (key, value)| match value {
                Some(value) => drop(span.metrics.insert_or_replace(key, value)),
                None => drop(span.metrics.remove(key.as_str())),
            },
        )
    }

    fn set_meta_struct(
        ruby: &Ruby,
        this: Obj<Self>,
        key: Value,
        value: Value,
    ) -> Result<Obj<Self>, Error> {
        Self::change(
            ruby,
            this,
            |lowering| {
                let key = lowering.text(key, || "meta_struct key".into())?.text;
                let value = lowering.meta_struct(&key, value)?;
                Ok((key, value))
            },
            |span, (key, value)| drop(span.meta_struct.insert_or_replace(key, value)),
        )
    }

    fn append_link(
        ruby: &Ruby,
        this: Obj<Self>,
        trace_id: Value,
        span_id: Value,
        attributes: Value,
        tracestate: Value,
        flags: Value,
    ) -> Result<Obj<Self>, Error> {
        let link = Link {
            trace_id,
            span_id,
            attributes,
            tracestate,
            flags,
        };
        Self::change(
            ruby,
            this,
            |lowering| lowering.link(&link),
            |span, link| span.span_links.push(link),
        )
    }

    /// Adds an event; one of `time` and `time_unix_nano` is nil.
    fn append_event(
        ruby: &Ruby,
        this: Obj<Self>,
        name: Value,
        time: Value,
        time_unix_nano: Value,
        attributes: Value,
    ) -> Result<Obj<Self>, Error> {
        let moment = match time.is_nil() {
            true => Moment::Nanoseconds(time_unix_nano),
            false => Moment::Time(time),
        };
        Self::change(
            ruby,
            this,
            |lowering| lowering.event(name, moment, attributes),
            |span, event| span.span_events.push(event),
        )
    }

    /// Changes the span by what values are lowered to. Nothing is changed when that fails.
    fn change<T>(
        ruby: &Ruby,
        this: Obj<Self>,
        lower: impl FnOnce(&mut Lowering) -> Result<T, Failure>,
        change: impl FnOnce(&mut SpanBytes, T),
    ) -> Result<Obj<Self>, Error> {
        this.check_frozen()?;
        let (value, tally, text) = lowered(ruby, lower)?;
        let mut open = this.open(ruby)?;
        change(&mut open.span, value);
        open.add(&tally, text);
        let memory = open.memory();
        drop(open);
        this.reported.update(memory);
        Ok(this)
    }

    fn is_consumed(&self) -> bool {
        matches!(*self.state.borrow(), State::Consumed)
    }

    fn check_unset(&self, ruby: &Ruby) -> Result<(), Error> {
        match *self.state.borrow() {
            State::Unset => Ok(()),
            _ => Err(errors::error(ruby, "the span is initialized already")),
        }
    }

    /// Returns what is in the span.
    ///
    /// # Errors
    /// When it was handed over, or not initialized.
    pub fn open(&self, ruby: &Ruby) -> Result<RefMut<'_, OpenSpan>, Error> {
        RefMut::filter_map(self.state.borrow_mut(), |state| match state {
            State::Open(span) => Some(span),
            State::Unset | State::Consumed => None,
        })
        .map_err(|state| match &*state {
            State::Consumed => consumed(ruby, "span"),
            _ => errors::error(ruby, "the span was not initialized"),
        })
    }

    /// Takes the span over; nobody else can use it from then on.
    ///
    /// # Errors
    /// As [`Span::open`].
    pub fn consume(&self, ruby: &Ruby) -> Result<OpenSpan, Error> {
        let span = std::mem::take(&mut *self.open(ruby)?);
        *self.state.borrow_mut() = State::Consumed;
        self.reported.update(0);
        Ok(span)
    }
}

pub fn init(ruby: &Ruby) -> Result<(), Error> {
    let class = ruby
        .get_inner(&MODULE)
        .define_class("Span", ruby.class_object())?;
    class.define_alloc_func::<Span>();
    class.define_private_method("lower", method!(Span::lower, 12))?;
    class.define_method("set_meta", method!(Span::set_meta, 2))?;
    class.define_method("set_metric", method!(Span::set_metric, 2))?;
    class.define_method("set_meta_struct", method!(Span::set_meta_struct, 2))?;
    class.define_private_method("append_link", method!(Span::append_link, 5))?;
    class.define_private_method("append_event", method!(Span::append_event, 4))?;
    class.define_method("consumed?", method!(Span::is_consumed, 0))?;
    span_readers::define(class)?;
    Ok(())
}
