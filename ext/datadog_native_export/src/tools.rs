//! What a thread keeps from one trace to the next.

use crate::instance_variables::InstanceVariables;
use crate::known::Known;
use crate::simple_span::{SPAN_VARIABLES, SpanVariables};
use pipeline::block::Block;
use std::cell::Cell;

pub struct Tools {
    pub span: SpanVariables,
    pub link: InstanceVariables<5>,
    pub event: InstanceVariables<3>,
    pub meta_struct: InstanceVariables<1>,
    /// Whether the last trace had a span that is not simple. The next one mostly has, too.
    pub odd: bool,
    /// Where such a trace is put together, since the Ruby code that it may call is free to use, or to send, the
    /// list that it is meant for.
    pub scratch: Block,
    pub known: Known,
    /// For the next list that chunks are put into.
    spare: Option<Memory>,
}

/// What the chunks of a list are made in.
#[derive(Default)]
pub struct Memory {
    pub block: Block,
    pub known: Known,
}

impl Memory {
    /// One that was used before, if there is.
    pub fn take() -> Self {
        let mut tools = Tools::take();
        let memory = tools.spare.take().unwrap_or_default();
        tools.put_back();
        memory
    }

    /// For the next list that needs it.
    pub fn put_back(self) {
        self.known.forget();
        let mut tools = Tools::take();
        tools.spare = Some(self);
        tools.put_back();
    }
}

thread_local! {
    /// Empty while a trace is lowered: what that calls may lower another.
    static TOOLS: Cell<Option<Box<Tools>>> = const { Cell::new(None) };
}

impl Tools {
    fn new() -> Self {
        Self {
            span: InstanceVariables::new(SPAN_VARIABLES),
            link: InstanceVariables::new([
                "@trace_id",
                "@span_id",
                "@attributes",
                "@trace_state",
                "@trace_flags",
            ]),
            event: InstanceVariables::new(["@name", "@time_unix_nano", "@attributes"]),
            meta_struct: InstanceVariables::new(["@metastruct"]),
            odd: false,
            scratch: Block::default(),
            known: Known::default(),
            spare: None,
        }
    }

    // Between this and `put_back` Ruby may have moved its thread to another of the system, so that neither may use an
    // address that the caller has found before.
    #[inline(never)]
    pub fn take() -> Box<Self> {
        TOOLS.take().unwrap_or_else(|| Box::new(Self::new()))
    }

    #[inline(never)]
    pub fn put_back(self: Box<Self>) {
        TOOLS.set(Some(self));
    }
}
