use super::*;
use crate::span::SpanLinkBytes;
use libdd_trace_utils::otlp_encoder::encode_otlp_protobuf;

fn scoped(span_id: u64, resource: &str, scope: &str) -> SpanBytes {
    let attribute = |text: &str| key_value(&"host".into(), any(Value::StringValue(text.into())));
    let resource = Resource {
        attributes: vec![attribute(resource)],
        ..Default::default()
    };
    let scope = InstrumentationScope {
        name: scope.into(),
        ..Default::default()
    };
    let rest = proto::Span {
        kind: 3,
        flags: 0x101,
        trace_state: "a=b".into(),
        attributes: vec![key_value(&"whole".into(), any(Value::DoubleValue(2.0)))],
        ..Default::default()
    };
    let mut span = SpanBytes {
        trace_id: 1 << 100,
        span_id,
        resource: "GET /".into(),
        start: 5,
        duration: 2,
        span_links: vec![SpanLinkBytes::default()],
        ..Default::default()
    };
    span.meta.insert("text".into(), "a".into());
    span.metrics.insert("integer".into(), 2.0);
    span.metrics.insert("float".into(), 2.5);
    let carried = Carried {
        resource: Encoded::new(&resource),
        scope: Encoded::new(&scope),
        rest: Encoded::new(&rest),
    };
    carried.put_into(&mut span);
    span
}

#[test]
fn spans_are_grouped_by_resource_and_scope() {
    let chunks = [
        vec![scoped(1, "a", "x"), scoped(2, "b", "x")],
        vec![scoped(3, "a", "y"), scoped(4, "a", "x")],
    ];
    assert!(are_carried(&chunks) && !are_carried(&[vec![SpanBytes::default()]]));
    let request = request(&chunks);
    let ids = |scope: &ScopeSpans| {
        let ids = scope.spans.iter().map(|span| span.span_id[7]);
        (
            scope.scope.clone().unwrap_or_default().name,
            ids.collect::<Vec<_>>(),
        )
    };
    let resources = request.resource_spans.iter();
    let groups: Vec<Vec<_>> = resources
        .map(|resource| resource.scope_spans.iter().map(ids).collect())
        .collect();
    let expected = [
        vec![("x".into(), vec![1, 4]), ("y".into(), vec![3])],
        vec![("x".into(), vec![2])],
    ];
    assert_eq!(groups, expected);
}

#[test]
fn what_is_carried_is_sent_with_the_rest() {
    let request = request(&[vec![scoped(1, "a", "x")]]);
    let decoded = ProtoExportTraceServiceRequest::decode(&*encode_otlp_protobuf(&request));
    let span = decoded.unwrap_or_default().resource_spans[0].scope_spans[0].spans[0].clone();
    assert_eq!(
        (span.kind, span.flags, &*span.trace_state),
        (3, 0x101, "a=b")
    );
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (5, 7));
    assert_eq!((&*span.name, span.parent_span_id.len()), ("GET /", 0));
    assert_eq!(span.trace_id, (1u128 << 100).to_be_bytes());
    let mut attributes = span.attributes;
    attributes.sort_by(|one, other| one.key.cmp(&other.key));
    let expected = [
        ("float", Value::DoubleValue(2.5)),
        ("integer", Value::IntValue(2)),
        ("text", Value::StringValue("a".into())),
        ("whole", Value::DoubleValue(2.0)),
    ];
    assert_eq!(
        attributes,
        expected.map(|(key, value)| key_value(&key.into(), any(value)))
    );
}

#[test]
fn what_spans_share_weighs_once() {
    let one = scoped(1, "a", "x");
    let shared = Carried::of(&one).unwrap_or_default();
    let both = shared.resource.0.len() + shared.scope.0.len();
    let (mut same, equal) = (scoped(2, "a", "x"), scoped(3, "a", "x"));
    shared.put_into(&mut same);
    let last = scoped(4, "b", "y");
    assert_eq!(shared_bytes(&[one, same, equal, last]), both);
}
