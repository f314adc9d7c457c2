//! The objects of OpenTelemetry's SDK: what is read of a `SpanData` and of what it holds.

use super::Target;
use crate::convert::Lowering;
use crate::errors::{Failure, Kind};
use crate::ruby::{InstanceVariables, Members, RubyInteger, each_pair, exact_bytes};
use libdd_tinybytes::BytesString;
use magnus::value::ReprValue;
use magnus::{RHash, RString, Value};

/// Declares the members of the Struct that are read, each under its name.
macro_rules! members {
    ($($field:ident,)*) => {
        const MEMBERS: [&str; MEMBERS_COUNT] = [$(stringify!($field)),*];
        const MEMBERS_COUNT: usize = [$(stringify!($field)),*].len();

        /// Their values.
        pub struct SpanData {
            $(pub $field: Value,)*
        }

        impl From<[Value; MEMBERS_COUNT]> for SpanData {
            fn from([$($field),*]: [Value; MEMBERS_COUNT]) -> Self {
                Self { $($field),* }
            }
        }
    };
}

members! {
    name,
    kind,
    status,
    parent_span_id,
    start_timestamp,
    end_timestamp,
    total_recorded_attributes,
    total_recorded_events,
    total_recorded_links,
    attributes,
    links,
    events,
    resource,
    instrumentation_scope,
    span_id,
    trace_id,
    trace_flags,
    tracestate,
    parent_span_is_remote,
}

/// Reads the members of a `SpanData`, of an event and of a scope. Lives as long as a call.
pub struct Structs {
    span_data: Members<MEMBERS_COUNT>,
    pub event: Members<3>,
    pub scope: Members<3>,
}

impl Structs {
    pub fn new() -> Self {
        Self {
            span_data: Members::new(MEMBERS),
            event: Members::new(["name", "timestamp", "attributes"]),
            scope: Members::new(["name", "version", "attributes"]),
        }
    }

    /// Reads a `SpanData`.
    ///
    /// # Errors
    /// For anything else.
    pub fn span_data(&mut self, value: Value) -> Result<SpanData, Failure> {
        let values = self.span_data.read(value);
        values.map(SpanData::from).ok_or_else(|| {
            Failure::wrong_class("span", "OpenTelemetry::SDK::Trace::SpanData", value)
        })
    }
}

/// Reads the instance variables of each kind of object.
pub struct Readers {
    pub status: InstanceVariables<2>,
    pub resource: InstanceVariables<1>,
    link: InstanceVariables<2>,
    context: InstanceVariables<5>,
    trace_flags: InstanceVariables<1>,
    tracestate: InstanceVariables<1>,
}

impl Default for Readers {
    fn default() -> Self {
        Self {
            status: InstanceVariables::new(["@code", "@description"]),
            resource: InstanceVariables::new(["@attributes"]),
            link: InstanceVariables::new(["@span_context", "@attributes"]),
            context: InstanceVariables::new([
                "@trace_id",
                "@span_id",
                "@trace_flags",
                "@tracestate",
                "@remote",
            ]),
            trace_flags: InstanceVariables::new(["@flags"]),
            tracestate: InstanceVariables::new(["@hash"]),
        }
    }
}

impl Readers {
    /// Reads a `Link`: the variables of the context that it leads to, and its attributes.
    ///
    /// # Errors
    /// For anything else.
    pub fn link(&mut self, link: Value) -> Result<([Value; 5], Value), Failure> {
        let wrong = |class, value| Failure::wrong_class("link", class, value);
        let Some([context, attributes]) = self.link.read(link) else {
            return Err(wrong("OpenTelemetry::Trace::Link", link));
        };
        let Some(context) = self.context.read(context) else {
            return Err(wrong("OpenTelemetry::Trace::SpanContext", context));
        };
        Ok((context, attributes))
    }

    /// Reads a `TraceFlags`, or the Integer that it stands for; `None` for anything else.
    pub fn flags(&mut self, value: Value) -> Option<u32> {
        let byte = match self.trace_flags.read(value) {
            Some([byte]) => byte,
            None => value,
        };
        RubyInteger::from_value(byte)?.to::<u8>().map(u32::from)
    }

    /// Lowers a `Tracestate` to the form of the W3C's header, empty when there is none.
    ///
    /// # Errors
    /// For anything else, and for text that is too long.
    pub fn tracestate(
        &mut self,
        lowering: &mut Lowering<'_>,
        value: Value,
    ) -> Result<BytesString, Failure> {
        const FIELD: &str = "tracestate";
        if value.is_nil() {
            return Ok(BytesString::default());
        }
        let hash = self.tracestate.read(value).map(|[hash]| hash);
        let Some(hash) = hash.and_then(RHash::from_value) else {
            return Err(Failure::wrong_class(
                FIELD,
                "OpenTelemetry::Trace::Tracestate",
                value,
            ));
        };
        if hash.is_empty() {
            return Ok(BytesString::default());
        }
        let mut header = String::new();
        each_pair(hash, |_, key, value| {
            let key = lowering.text(key, || FIELD.into())?.text;
            let value = lowering.text(value, || FIELD.into())?.text;
            if !header.is_empty() {
                header.push(',');
            }
            header.push_str(key.as_str());
            header.push('=');
            header.push_str(value.as_str());
            Ok::<_, Failure>(())
        })?;
        lowering.made_text(&header, || FIELD.into())
    }
}

/// Reads the id of a trace: 16 bytes that aren't all 0, for an agent the lower 8 of them.
///
/// # Errors
/// For anything else.
pub fn trace_id(value: Value, target: Target) -> Result<u128, Failure> {
    let id = id::<16>(value, "trace_id").map(u128::from_be_bytes)?;
    if id == 0 {
        let problem = "expected an id that is not 0";
        return Err(Failure::new(Kind::Range, "trace_id", problem));
    }
    if id as u64 == 0 && target == Target::Agent {
        let problem = "expected an id whose lower 64 bits are not 0";
        return Err(Failure::new(Kind::Range, "trace_id", problem));
    }
    Ok(id)
}

/// Reads the id of a span: 8 bytes that aren't all 0.
///
/// # Errors
/// For anything else.
pub fn span_id(value: Value) -> Result<u64, Failure> {
    let id = id::<8>(value, "span_id").map(u64::from_be_bytes)?;
    if id == 0 {
        let problem = "expected an id that is not 0";
        return Err(Failure::new(Kind::Range, "span_id", problem));
    }
    Ok(id)
}

/// Reads the id of a parent: 8 bytes, or nil for none; 0 is none, too.
///
/// # Errors
/// For anything else.
pub fn parent_id(value: Value) -> Result<u64, Failure> {
    match value.is_nil() {
        true => Ok(0),
        false => id::<8>(value, "parent_span_id").map(u64::from_be_bytes),
    }
}

fn id<const N: usize>(value: Value, field: &str) -> Result<[u8; N], Failure> {
    let bytes = RString::from_value(value).and_then(exact_bytes);
    bytes.ok_or_else(|| Failure::wrong_class(field, &format!("a String of {N} bytes"), value))
}
