use super::*;

#[test]
fn spans_are_called_what_the_agent_calls_them() {
    use Kind::*;
    type Tags = &'static [(&'static str, &'static str)];
    // Tags, kind, operation, resource and type.
    let cases: [(Tags, Kind, &str, Option<&str>, &str); 14] = [
        (&[], Internal, "Internal", None, "custom"),
        (&[], Unspecified, "Internal", None, "custom"),
        (&[], Server, "server.request", None, "web"),
        (&[], Consumer, "Consumer", None, "custom"),
        (
            &[("http.method", "GET"), ("http.route", "/a")],
            Server,
            "http.server.request",
            Some("GET /a"),
            "web",
        ),
        (
            &[("http.method", "_OTHER"), ("http.route", "/a")],
            Client,
            "http.client.request",
            Some("HTTP"),
            "http",
        ),
        (
            &[("db.system", "postgresql"), ("db.statement", "SELECT 1")],
            Client,
            "postgresql.query",
            Some("SELECT 1"),
            "sql",
        ),
        (
            &[("db.system", "redis")],
            Client,
            "redis.query",
            None,
            "redis",
        ),
        (&[("db.system", "x")], Client, "x.query", None, "db"),
        (
            &[
                ("messaging.system", "kafka"),
                ("messaging.operation", "publish"),
                ("messaging.destination", "t"),
            ],
            Producer,
            "kafka.publish",
            Some("publish t"),
            "custom",
        ),
        (
            &[
                ("rpc.system", "aws-api"),
                ("rpc.service", "S3"),
                ("rpc.method", "Get"),
            ],
            Client,
            "aws.S3.request",
            Some("Get S3"),
            "http",
        ),
        (
            &[("rpc.system", "grpc")],
            Server,
            "grpc.server.request",
            None,
            "web",
        ),
        (
            &[
                ("graphql.operation.type", "query"),
                ("graphql.operation.name", "q"),
            ],
            Internal,
            "graphql.server.request",
            Some("query q"),
            "custom",
        ),
        (
            &[("network.protocol.name", "amqp"), ("gen_ai.system", "x")],
            Client,
            "amqp.client.request",
            None,
            "llm",
        ),
    ];
    for (tags, kind, operation, resource, span_type) in cases {
        let names = Names::of(tags.iter().copied());
        assert_eq!(names.operation(kind), operation, "{tags:?}");
        assert_eq!(names.resource(kind).as_deref(), resource, "{tags:?}");
        assert_eq!(names.span_type(kind), span_type, "{tags:?}");
    }
}
