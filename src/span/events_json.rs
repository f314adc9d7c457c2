//! Span events for agents that don't know them: JSON in a tag, as dd-trace-rb writes it
//! (`Datadog::Tracing::Transport::SerializableTrace`).

use libdd_trace_utils::span::v04::{
    AttributeAnyValueBytes, AttributeArrayValueBytes, SpanEventBytes,
};
use serde_json::{Map, Value, json};

/// The tag that holds the events, in place of one that is there.
pub const TAG: &str = "events";

/// Returns the values of an Array as JSON.
pub fn json_array(values: &[AttributeArrayValueBytes]) -> String {
    values.iter().map(scalar).collect::<Value>().to_string()
}

/// The events as JSON; `None` where there are none.
pub fn json(events: &[SpanEventBytes]) -> Option<String> {
    (!events.is_empty()).then(|| Value::Array(events.iter().map(event).collect()).to_string())
}

fn event(event: &SpanEventBytes) -> Value {
    let mut fields = Map::new();
    fields.insert("name".into(), event.name.as_str().into());
    fields.insert("time_unix_nano".into(), event.time_unix_nano.into());
    if !event.attributes.is_empty() {
        let attributes = event.attributes.iter().map(|(key, value)| {
            let value = match value {
                AttributeAnyValueBytes::SingleValue(value) => scalar(value),
                AttributeAnyValueBytes::Array(values) => values.iter().map(scalar).collect(),
            };
            (key.as_str().to_owned(), value)
        });
        fields.insert("attributes".into(), Value::Object(attributes.collect()));
    }
    Value::Object(fields)
}

fn scalar(value: &AttributeArrayValueBytes) -> Value {
    match value {
        AttributeArrayValueBytes::String(text) => text.as_str().into(),
        AttributeArrayValueBytes::Boolean(boolean) => (*boolean).into(),
        AttributeArrayValueBytes::Integer(integer) => (*integer).into(),
        AttributeArrayValueBytes::Double(double) => json!(double),
    }
}
