//! `Datadog::NativeExport::Span`. Documented for Ruby in `lib/datadog/native_export/span.rb`.

use crate::errors::{self, MODULE, consumed, wrong_class};
use crate::numbers;
use crate::ruby::{adjust_memory, each_pair};
use crate::text::{Text, entry};
use crate::{events, links, meta_struct, simple_tags, span_reading};
use magnus::typed_data::Obj;
use magnus::value::ReprValue;
use magnus::{Class, DataTypeFunctions, Error, Module, RHash, Ruby, TypedData, Value, method};
use pipeline::columns::Numbers;
use pipeline::span::SpanDraft;
use pipeline::text::Slice;
use std::cell::{Cell, RefCell, RefMut};

#[derive(Default, TypedData)]
#[magnus(class = "Datadog::NativeExport::Span", free_immediately, size)]
pub struct Span {
    state: RefCell<State>,
    /// Bytes of memory that the garbage collector was told of.
    told: Cell<isize>,
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
    Open(SpanDraft),
    Consumed,
}

impl DataTypeFunctions for Span {
    fn size(&self) -> usize {
        let held = self.state.try_borrow().map_or(0, |state| match &*state {
            State::Open(draft) => draft.memory(),
            State::Unset | State::Consumed => 0,
        });
        size_of::<Self>() + held
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
        let trace_id = numbers::trace_id(ruby, trace_id)?;
        let numbers = Numbers {
            span_id: numbers::span_id(ruby, span_id)?,
            parent_id: numbers::parent_id(ruby, parent_id)?,
            start: numbers::start(ruby, start)?,
            duration: numbers::duration(ruby, duration)?,
            error: numbers::error(ruby, error)?,
        };
        let mut draft = SpanDraft::new(trace_id, numbers);
        let name = Text::required(ruby, name, || "name".into())?;
        let name = put(&mut draft, &name);
        draft.set_name(name);
        for (value, field, set) in [
            (service, "service", SpanDraft::set_service as fn(&mut _, _)),
            (resource, "resource", SpanDraft::set_resource),
            (r#type, "type", SpanDraft::set_type),
        ] {
            if let Some(text) = Text::optional(ruby, value, || field.into())? {
                let text = put(&mut draft, &text);
                set(&mut draft, text);
            }
        }
        let length = |hash| RHash::from_value(hash).map_or(0, RHash::len);
        draft.reserve(length(meta), length(metrics));
        let simple = simple_tags::append_meta;
        let meta_is_unique = append(ruby, &mut draft, meta, "meta", simple, append_meta)?;
        let simple = simple_tags::append_metrics;
        let metrics_are_unique =
            append(ruby, &mut draft, metrics, "metrics", simple, append_metric)?;
        if !meta_is_unique || !metrics_are_unique {
            draft.dedup();
        }
        // What the values ran may have been `initialize` again.
        this.check_unset(ruby)?;
        let memory = draft.memory();
        *this.state.borrow_mut() = State::Open(draft);
        this.tell(memory);
        Ok(())
    }

    fn set_meta(
        ruby: &Ruby,
        this: Obj<Self>,
        key: Value,
        value: Value,
    ) -> Result<Obj<Self>, Error> {
        this.check_frozen()?;
        let key = key_text(ruby, key, "meta")?;
        let value = Text::optional(ruby, value, || entry("meta", &key))?;
        let mut draft = this.open(ruby)?;
        let key = put(&mut draft, &key);
        match value {
            Some(value) => {
                let value = put(&mut draft, &value);
                draft.set_meta(key, value);
            }
            None => draft.remove_meta(key),
        }
        drop(draft);
        Ok(this)
    }

    fn set_metric(
        ruby: &Ruby,
        this: Obj<Self>,
        key: Value,
        value: Value,
    ) -> Result<Obj<Self>, Error> {
        this.check_frozen()?;
        let key = key_text(ruby, key, "metrics")?;
        let is_nil = value.is_nil();
        let number = match is_nil {
            true => None,
            false => numbers::metric(ruby, value, || entry("metrics", &key))?,
        };
        let mut draft = this.open(ruby)?;
        let key = put(&mut draft, &key);
        match number {
            Some(number) => draft.set_metric(key, number),
            None => {
                draft.remove_metric(key);
                if !is_nil {
                    draft.count_left_out(1);
                }
            }
        }
        drop(draft);
        Ok(this)
    }

    fn set_meta_struct(
        ruby: &Ruby,
        this: Obj<Self>,
        key: Value,
        value: Value,
    ) -> Result<Obj<Self>, Error> {
        this.check_frozen()?;
        let key = key_text(ruby, key, "meta_struct")?;
        let (bytes, repaired) = meta_struct::encode(ruby, &key, value)?;
        let mut draft = this.open(ruby)?;
        let (key, key_repaired) = key.to_owned();
        draft.set_meta_struct(key.into(), bytes);
        draft.count_repaired(usize::from(key_repaired) + repaired);
        let memory = draft.memory();
        drop(draft);
        this.tell(memory);
        Ok(this)
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
        this.check_frozen()?;
        let (link, repaired) =
            links::lower(ruby, trace_id, span_id, attributes, tracestate, flags)?;
        let mut draft = this.open(ruby)?;
        draft.add_link(link);
        draft.count_repaired(repaired);
        drop(draft);
        Ok(this)
    }

    fn append_event(
        ruby: &Ruby,
        this: Obj<Self>,
        name: Value,
        time: Value,
        attributes: Value,
    ) -> Result<Obj<Self>, Error> {
        this.check_frozen()?;
        let (event, tally) = events::lower(ruby, name, time, attributes)?;
        let mut draft = this.open(ruby)?;
        draft.add_event(event);
        draft.count_repaired(tally.repaired);
        draft.count_left_out(tally.left_out);
        drop(draft);
        Ok(this)
    }

    fn is_consumed(&self) -> bool {
        matches!(*self.state.borrow(), State::Consumed)
    }

    /// Tells the garbage collector how much memory this holds.
    fn tell(&self, memory: usize) {
        let memory = memory as isize;
        adjust_memory(memory - self.told.replace(memory));
    }

    fn check_unset(&self, ruby: &Ruby) -> Result<(), Error> {
        match *self.state.borrow() {
            State::Unset => Ok(()),
            _ => Err(errors::error(ruby, "the span is initialized already")),
        }
    }

    /// What is in the span, for those who take it over.
    pub fn open(&self, ruby: &Ruby) -> Result<RefMut<'_, SpanDraft>, Error> {
        let state = self.state.borrow_mut();
        let message = match &*state {
            State::Open(_) => return Ok(RefMut::map(state, State::draft)),
            State::Consumed => consumed(ruby, "span"),
            State::Unset => errors::error(ruby, "the span was not initialized"),
        };
        Err(message)
    }

    /// Takes the span over; nobody else can use it from then on.
    pub fn consume(&self, ruby: &Ruby) -> Result<SpanDraft, Error> {
        let draft = std::mem::take(&mut *self.open(ruby)?);
        *self.state.borrow_mut() = State::Consumed;
        self.tell(0);
        Ok(draft)
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        self.tell(0);
    }
}

impl State {
    fn draft(&mut self) -> &mut SpanDraft {
        match self {
            Self::Open(draft) => draft,
            Self::Unset | Self::Consumed => unreachable!("looked at before"),
        }
    }
}

fn put(draft: &mut SpanDraft, text: &Text) -> Slice {
    let (slice, repaired) = text.put_into(draft.texts());
    draft.count_repaired(usize::from(repaired));
    slice
}

fn append_meta(ruby: &Ruby, draft: &mut SpanDraft, key: &Text, value: Value) -> Result<(), Error> {
    let Some(value) = Text::optional(ruby, value, || entry("meta", key))? else {
        return Ok(());
    };
    let (key, value) = (put(draft, key), put(draft, &value));
    draft.append_meta(key, value);
    Ok(())
}

fn append_metric(
    ruby: &Ruby,
    draft: &mut SpanDraft,
    key: &Text,
    value: Value,
) -> Result<(), Error> {
    if value.is_nil() {
        return Ok(());
    }
    match numbers::metric(ruby, value, || entry("metrics", key))? {
        Some(number) => {
            let key = put(draft, key);
            draft.append_metric(key, number);
        }
        None => draft.count_left_out(1),
    }
    Ok(())
}

/// Appends the entries of a Hash, or none for nil: all at once if they are simple, or else one by one. Whether it
/// is known that no two of its keys have the same text.
fn append(
    ruby: &Ruby,
    draft: &mut SpanDraft,
    hash: Value,
    field: &str,
    simple: fn(&Ruby, &mut SpanDraft, RHash) -> Result<Option<bool>, Error>,
    entry: fn(&Ruby, &mut SpanDraft, &Text, Value) -> Result<(), Error>,
) -> Result<bool, Error> {
    if hash.is_nil() {
        return Ok(true);
    }
    let hash = RHash::from_value(hash).ok_or_else(|| wrong_class(ruby, field, "Hash", hash))?;
    if let Some(unique) = simple(ruby, draft, hash)? {
        return Ok(unique);
    }
    let mut result = Ok(());
    each_pair(hash, |key, value| {
        result = key_text(ruby, key, field).and_then(|key| entry(ruby, draft, &key, value));
        result.is_ok()
    })?;
    result.map(|()| false)
}

fn key_text(ruby: &Ruby, key: Value, field: &str) -> Result<Text, Error> {
    Text::required(ruby, key, || format!("{field} key"))
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
    class.define_private_method("append_event", method!(Span::append_event, 3))?;
    class.define_method("consumed?", method!(Span::is_consumed, 0))?;
    span_reading::init(class)?;
    Ok(())
}
