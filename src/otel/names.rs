//! What a span is called: `GetOTelOperationNameV2`, `GetOTelResourceV2` and `GetOTelSpanType` of the Go agent, which
//! normalizes names further when it receives them.

use super::Kind;
use std::borrow::Cow;

/// The tags of a span that say what it is called.
#[derive(Default)]
pub struct Names<'t> {
    http_method: Option<&'t str>,
    http_route: Option<&'t str>,
    url_template: Option<&'t str>,
    db_system_name: Option<&'t str>,
    db_system: Option<&'t str>,
    db_statement: Option<&'t str>,
    db_query_text: Option<&'t str>,
    messaging_system: Option<&'t str>,
    messaging_operation: Option<&'t str>,
    messaging_destination: Option<&'t str>,
    messaging_destination_name: Option<&'t str>,
    rpc_system: Option<&'t str>,
    rpc_service: Option<&'t str>,
    rpc_method: Option<&'t str>,
    faas_provider: Option<&'t str>,
    faas_name: Option<&'t str>,
    faas_trigger: Option<&'t str>,
    graphql_type: Option<&'t str>,
    graphql_name: Option<&'t str>,
    protocol: Option<&'t str>,
    is_gen_ai: bool,
}

impl<'t> Names<'t> {
    /// Finds them among the tags of a span, which have the names that [`super::datadog_key`] gives them.
    pub fn of(tags: impl Iterator<Item = (&'t str, &'t str)>) -> Self {
        let mut names = Self::default();
        for (key, value) in tags {
            names.is_gen_ai |= key.starts_with("gen_ai.");
            let name = match key {
                "http.method" => &mut names.http_method,
                "http.route" => &mut names.http_route,
                "url.template" => &mut names.url_template,
                "db.system.name" => &mut names.db_system_name,
                "db.system" => &mut names.db_system,
                "db.statement" => &mut names.db_statement,
                "db.query.text" => &mut names.db_query_text,
                "messaging.system" => &mut names.messaging_system,
                "messaging.operation" => &mut names.messaging_operation,
                "messaging.destination" => &mut names.messaging_destination,
                "messaging.destination.name" => &mut names.messaging_destination_name,
                "rpc.system" => &mut names.rpc_system,
                "rpc.service" => &mut names.rpc_service,
                "rpc.method" => &mut names.rpc_method,
                "faas.invoked_provider" => &mut names.faas_provider,
                "faas.invoked_name" => &mut names.faas_name,
                "faas.trigger" => &mut names.faas_trigger,
                "graphql.operation.type" => &mut names.graphql_type,
                "graphql.operation.name" => &mut names.graphql_name,
                "network.protocol.name" => &mut names.protocol,
                _ => continue,
            };
            *name = Some(value).filter(|value| !value.is_empty());
        }
        names
    }

    /// Returns what kind of operation the span is.
    pub fn operation(&self, kind: Kind) -> Cow<'static, str> {
        let named = match kind {
            Kind::Server => self.server_operation(),
            Kind::Client => self.client_operation(),
            Kind::Producer | Kind::Consumer => self.messaging(),
            Kind::Unspecified | Kind::Internal => None,
        };
        if let Some(name) = named {
            return name;
        }
        if self.graphql_type.is_some() {
            return "graphql.server.request".into();
        }
        match (kind, self.protocol) {
            (Kind::Server, Some(protocol)) => format!("{protocol}.server.request").into(),
            (Kind::Client, Some(protocol)) => format!("{protocol}.client.request").into(),
            _ => kind.operation().into(),
        }
    }

    fn server_operation(&self) -> Option<Cow<'static, str>> {
        if self.http_method.is_some() {
            return Some("http.server.request".into());
        }
        let rpc = || Some(format!("{}.server.request", self.rpc_system?).into());
        let faas = || Some(format!("{}.invoke", self.faas_trigger?).into());
        self.messaging().or_else(rpc).or_else(faas)
    }

    fn client_operation(&self) -> Option<Cow<'static, str>> {
        if self.http_method.is_some() {
            return Some("http.client.request".into());
        }
        if let Some(system) = self.database() {
            return Some(format!("{system}.query").into());
        }
        let rpc = || match (self.rpc_system?, self.rpc_service) {
            ("aws-api", Some(service)) => Some(format!("aws.{service}.request").into()),
            ("aws-api", None) => Some("aws.client.request".into()),
            (system, _) => Some(format!("{system}.client.request").into()),
        };
        let faas = || Some(format!("{}.{}.invoke", self.faas_provider?, self.faas_name?).into());
        self.messaging().or_else(rpc).or_else(faas)
    }

    fn messaging(&self) -> Option<Cow<'static, str>> {
        Some(format!("{}.{}", self.messaging_system?, self.messaging_operation?).into())
    }

    fn database(&self) -> Option<&'t str> {
        self.db_system_name.or(self.db_system)
    }

    /// Returns what the operation is done to; `None` when that is said by nothing but the span's own name.
    pub fn resource(&self, kind: Kind) -> Option<Cow<'t, str>> {
        if let Some(method) = self.http_method {
            let method = if method == "_OTHER" { "HTTP" } else { method };
            let target = match kind {
                Kind::Client => self.url_template,
                Kind::Server => self.http_route,
                _ => None,
            };
            return Some(joined(method, target));
        }
        if let Some(operation) = self.messaging_operation {
            let destination = self.messaging_destination;
            let destination = destination.or(self.messaging_destination_name);
            return Some(joined(operation, destination));
        }
        if let Some(method) = self.rpc_method {
            return Some(joined(method, self.rpc_service));
        }
        if let Some(operation) = self.graphql_type {
            return Some(joined(operation, self.graphql_name));
        }
        self.database()?;
        Some(self.db_statement.or(self.db_query_text)?.into())
    }

    /// Returns the type of the span.
    pub fn span_type(&self, kind: Kind) -> &'static str {
        if self.is_gen_ai {
            return "llm";
        }
        match kind {
            Kind::Server => "web",
            Kind::Client => self.database().map_or("http", database_type),
            _ => "custom",
        }
    }
}

fn joined<'t>(first: &'t str, second: Option<&str>) -> Cow<'t, str> {
    match second {
        Some(second) => format!("{first} {second}").into(),
        None => first.into(),
    }
}

/// Returns the type of a span that queries a database (`DBTypes`).
fn database_type(system: &str) -> &'static str {
    match system {
        "other_sql" | "mssql" | "mysql" | "oracle" | "db2" | "postgresql" | "redshift"
        | "cloudscape" | "hsqldb" | "maxdb" | "ingres" | "firstsql" | "edb" | "cache"
        | "firebird" | "derby" | "informix" | "mariadb" | "sqlite" | "sybase" | "teradata"
        | "vertica" | "h2" | "coldfusion" | "cockroachdb" | "progress" | "hanadb" | "adabas"
        | "filemaker" | "instantdb" | "interbase" | "netezza" | "pervasive" | "pointbase"
        | "clickhouse" => "sql",
        "cassandra" => "cassandra",
        "redis" => "redis",
        "memcached" => "memcached",
        "mongodb" => "mongodb",
        "elasticsearch" => "elasticsearch",
        "opensearch" => "opensearch",
        _ => "db",
    }
}

#[cfg(test)]
mod tests;
