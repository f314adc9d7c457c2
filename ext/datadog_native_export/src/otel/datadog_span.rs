//! What an agent gets of a span: `OtelSpanToDDSpan` and `Status2Error` of the Go agent, which makes Datadog's spans of
//! OTLP (`pkg/trace/transform/transform.go` of DataDog/datadog-agent). Links and events stay what they are, since
//! Datadog's own format has both.

use super::agent::Scope;
use super::tags::Tags;
use super::{Header, StatusCode};
use crate::convert::Lowering;
use crate::errors::Failure;
use libdd_tinybytes::BytesString;
use pipeline::otel::{Kind, Names};
use pipeline::span::{AttributeAnyValueBytes, AttributeArrayValueBytes, SpanBytes, SpanEventBytes};
use std::borrow::Cow;

/// The events from which what is said about an error is taken, and the tags that it becomes (`status2Error` of
/// `pkg/trace/api/otlp.go`).
const EXCEPTION: &str = "exception";
const OF_EXCEPTION: [(&str, &str); 3] = [
    ("exception.message", "error.msg"),
    ("exception.type", "error.type"),
    ("exception.stacktrace", "error.stack"),
];
const PRIORITY: &str = "_sampling_priority_v1";

/// What is known of a span beside its attributes.
pub struct Context<'r> {
    pub header: Header,
    pub scope: Scope,
    pub resource: &'r Tags,
    pub tracestate: BytesString,
}

/// Fills in what depends on attributes.
///
/// # Errors
/// When there is no memory for it.
pub fn fill_in(
    lowering: &mut Lowering<'_>,
    span: &mut SpanBytes,
    mut tags: Tags,
    context: Context<'_>,
) -> Result<(), Failure> {
    let Context {
        header: Header { name, kind, status },
        scope,
        resource,
        tracestate,
    } = context;
    span.error = i32::from(status.code == StatusCode::Error);
    for (tag, attributes) in [
        (
            "env",
            ["deployment.environment.name", "deployment.environment"],
        ),
        ("version", ["service.version", "service.version"]),
        ("db.name", ["db.namespace", "db.namespace"]),
    ] {
        let mut values = attributes.into_iter().filter_map(|attribute| {
            let value = tags.get(attribute).or_else(|| resource.get(attribute));
            value.filter(|value| !value.as_str().is_empty())
        });
        if let Some(value) = values.next().cloned() {
            tags.set_if_absent(tag, &value);
        }
    }
    if status.code == StatusCode::Error {
        describe_error(&mut tags, &span.span_events, &status.description);
    }
    if span.span_events.iter().any(is_exception) {
        tags.set("_dd.span_events.has_exception", fixed("true"));
    }
    tags.add_all(resource);
    tags.add_all(&scope.attributes);
    tags.set("span.kind", fixed(kind.name()));
    for (keys, value) in [
        (["otel.scope.name", "otel.library.name"], &scope.name),
        (
            ["otel.scope.version", "otel.library.version"],
            &scope.version,
        ),
    ] {
        for key in keys {
            tags.set_text(key, value.clone());
        }
    }
    let code = match status.code {
        StatusCode::Unset => "Unset",
        StatusCode::Ok => "Ok",
        StatusCode::Error => "Error",
    };
    tags.set("otel.status_code", fixed(code));
    tags.set_text("otel.status_description", status.description);
    tags.set_text("w3c.tracestate", tracestate);
    let trace_id = format!("{:032x}", span.trace_id);
    tags.set(
        "otel.trace_id",
        lowering.made_text(&trace_id, || "trace_id".into())?,
    );
    call(lowering, span, &tags, kind, name, resource)?;
    tags.put_into(span);
    Ok(())
}

/// Has a trace kept, unless its spans say otherwise: whoever recorded it has sampled already (`PriorityAutoKeep`, which
/// `pkg/trace/api/otlp.go` gives every trace).
pub fn keep(spans: &mut [SpanBytes]) {
    let is_decided = |span: &SpanBytes| span.metrics.contains_key(PRIORITY);
    if spans.iter().any(is_decided) {
        return;
    }
    if let Some(first) = spans.first_mut() {
        let key = BytesString::from_static(PRIORITY);
        first.metrics.insert_or_replace(key, 1.0);
    }
}

/// Fills in name, resource, type and service.
fn call(
    lowering: &mut Lowering<'_>,
    span: &mut SpanBytes,
    tags: &Tags,
    kind: Kind,
    name: BytesString,
    resource: &Tags,
) -> Result<(), Failure> {
    let own = |field: fn(&Tags) -> &Option<BytesString>| {
        field(tags).as_ref().or(field(resource).as_ref()).cloned()
    };
    let texts = tags.meta.iter();
    let names = Names::of(texts.map(|(key, value)| (key.as_str(), value.as_str())));
    span.service = own(|tags| &tags.service).unwrap_or_default();
    span.r#type = own(|tags| &tags.span_type).unwrap_or_else(|| fixed(names.span_type(kind)));
    span.name = match own(|tags| &tags.operation) {
        Some(name) => name,
        None => match names.operation(kind) {
            Cow::Borrowed(name) => fixed(name),
            Cow::Owned(name) => lowering.made_text(&name, || "name".into())?,
        },
    };
    span.resource = match own(|tags| &tags.resource) {
        Some(resource) => resource,
        None => match names.resource(kind) {
            Some(resource) => lowering.made_text(&resource, || "resource".into())?,
            None => name,
        },
    };
    Ok(())
}

/// Says what was wrong, as far as no attribute does.
fn describe_error(tags: &mut Tags, events: &[SpanEventBytes], description: &BytesString) {
    for event in events.iter().rev().filter(|event| is_exception(event)) {
        for (attribute, tag) in OF_EXCEPTION {
            if let Some(text) = text_of(event, attribute) {
                tags.set_if_absent(tag, text);
            }
        }
    }
    if !description.as_str().is_empty() {
        tags.set_if_absent("error.msg", description);
    }
}

fn is_exception(event: &SpanEventBytes) -> bool {
    event.name == EXCEPTION
}

fn text_of<'e>(event: &'e SpanEventBytes, attribute: &str) -> Option<&'e BytesString> {
    match event.attributes.get(attribute)? {
        AttributeAnyValueBytes::SingleValue(AttributeArrayValueBytes::String(text)) => Some(text),
        _ => None,
    }
}

fn fixed(text: &'static str) -> BytesString {
    BytesString::from_static(text)
}
