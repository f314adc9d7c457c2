//! Kinds of spans.

/// OpenTelemetry's `SpanKind`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Kind {
    #[default]
    Unspecified,
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

impl Kind {
    /// Returns the kind of a name, as the tag `span.kind` has it.
    pub fn of_name(name: &str) -> Self {
        match name {
            "internal" => Self::Internal,
            "server" => Self::Server,
            "client" => Self::Client,
            "producer" => Self::Producer,
            "consumer" => Self::Consumer,
            _ => Self::Unspecified,
        }
    }

    /// Returns the name that the tag `span.kind` has (`OTelSpanKindName`).
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }

    /// Returns the name of operations of which nothing but the kind is known.
    pub(super) fn operation(self) -> &'static str {
        match self {
            Self::Unspecified | Self::Internal => "Internal",
            Self::Server => "server.request",
            Self::Client => "client.request",
            Self::Producer => "Producer",
            Self::Consumer => "Consumer",
        }
    }
}
