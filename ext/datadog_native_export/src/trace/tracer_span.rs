//! The objects of a tracer: what is read of `Datadog::Tracing::Span` and of its links and events.

use crate::ruby::InstanceVariables;
use crate::ruby::private::Slots;
use magnus::Value;

/// Declares the instance variables of a span that are read, each under its name.
macro_rules! span_variables {
    ($($field:ident = $name:literal,)*) => {
        const SPAN_VARIABLES: [&str; SPAN_VARIABLES_COUNT] = [$($name),*];
        const SPAN_VARIABLES_COUNT: usize = [$($name),*].len();

        /// Their values.
        pub struct TracerSpan {
            $(pub $field: Value,)*
        }

        impl From<[Value; SPAN_VARIABLES_COUNT]> for TracerSpan {
            #[inline]
            fn from([$($field),*]: [Value; SPAN_VARIABLES_COUNT]) -> Self {
                Self { $($field),* }
            }
        }

        #[expect(non_camel_case_types, reason = "the names of fields")]
        enum Index {
            $($field,)*
        }

        #[expect(dead_code, reason = "not all are prefetched")]
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
    start_time = "@start_time",
    end_time = "@end_time",
    duration = "@duration",
    links = "@links",
    events = "@events",
}

/// The variables of a span, where they are.
pub type SpanSlots<'s> = Slots<'s, SPAN_VARIABLES_COUNT>;

/// Reads the instance variables of each kind of object.
pub struct Readers {
    pub span: InstanceVariables<SPAN_VARIABLES_COUNT>,
    pub link: InstanceVariables<5>,
    pub event: InstanceVariables<3>,
    pub meta_struct: InstanceVariables<1>,
}

impl Default for Readers {
    fn default() -> Self {
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
        }
    }
}
