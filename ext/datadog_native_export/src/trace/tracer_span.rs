//! The objects of a tracer: what is read of `Datadog::Tracing::Span` and of its links and events.

use crate::ruby::InstanceVariables;
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
