//! `Datadog::NativeExport::Exporter`: waiting for the pipeline, and the options, which
//! `lib/datadog/native_export/configuration.rb` has checked for all but what the pipeline alone can tell.

use super::trace_chunks::TraceChunks;
use crate::errors::{Failure, MODULE, closed, configuration, error};
use crate::ruby::{SharedSlot, wait};
use magnus::gc::Marker;
use magnus::r_hash::ForEach;
use magnus::typed_data::Obj;
use magnus::value::ReprValue;
use magnus::{
    Class, DataTypeFunctions, Error, IntoValue, Module, Object, RArray, RHash, Ruby, TryConvert,
    TypedData, Value, function, method,
};
use pipeline::config::{
    AgentUrl, Application, Config, HeaderMap, HeaderText, Otlp, OtlpUrl, RuntimeId, Tracer,
    WhenFull, add_header,
};
use pipeline::queue::{PartOutcome, SendOutcome};
use pipeline::report::stats::Loss;
use pipeline::shutdown::{self, FinalFlush};
use std::sync::OnceLock;
use std::time::Duration;

#[derive(Default, TypedData)]
#[magnus(
    class = "Datadog::NativeExport::Exporter",
    free_immediately,
    frozen_shareable,
    mark,
    size
)]
pub struct Exporter {
    pipeline: OnceLock<pipeline::Exporter>,
    /// The latest rates that Ruby was given: a frozen Array of their version and the Hash, which are
    /// replaced together, so that no Ractor takes the Hash of one version for that of another.
    rates: SharedSlot,
}

impl DataTypeFunctions for Exporter {
    fn mark(&self, marker: &Marker) {
        self.rates.mark(marker);
    }

    fn size(&self) -> usize {
        let pipeline = self.pipeline.get();
        let queued = pipeline.map_or(0, |exporter| exporter.stats().queued.memory);
        size_of::<Self>() + queued
    }
}

impl Exporter {
    /// Takes the options as `lib` has checked them, seconds as Floats.
    fn configure(ruby: &Ruby, this: &Self, options: RHash) -> Result<(), Error> {
        let text = |name: &str| options.fetch::<_, String>(ruby.to_symbol(name));
        let seconds = |name: &str| seconds(ruby, options, name);
        let header = |name: &str| {
            HeaderText::parse(&text(name)?)
                .map_err(|problem| configuration(ruby, format!("{name}: {problem}")))
        };
        let token: Option<String> = options.fetch(ruby.to_symbol("test_session_token"))?;
        let config = Config {
            agent_url: AgentUrl::parse(&text("agent_url")?)
                .map_err(|problem| configuration(ruby, format!("agent_url: {problem}")))?,
            agent_timeout: seconds("agent_timeout")?,
            flush_interval: seconds("flush_interval")?,
            shutdown_timeout: seconds("shutdown_timeout")?,
            max_queue_spans: options.fetch(ruby.to_symbol("max_queue_spans"))?,
            max_queue_bytes: options.fetch(ruby.to_symbol("max_queue_bytes"))?,
            when_full: match options.fetch::<_, bool>(ruby.to_symbol("drop_oldest"))? {
                true => WhenFull::DropOldest,
                false => WhenFull::DropNewest,
            },
            max_payload_bytes: options.fetch(ruby.to_symbol("max_payload_bytes"))?,
            retry_deadline: seconds("retry_deadline")?,
            headers: headers(ruby, options, "headers")?,
            span_events: options.fetch(ruby.to_symbol("span_events"))?,
            client_computed_top_level: options
                .fetch(ruby.to_symbol("client_computed_top_level"))?,
            client_computed_stats: options.fetch(ruby.to_symbol("client_computed_stats"))?,
            stats: options.fetch(ruby.to_symbol("stats"))?,
            otlp: otlp(ruby, options)?,
            application: Application {
                service: text("service")?,
                env: text("env")?,
                version: text("version")?,
                hostname: text("hostname")?,
                git_commit_sha: text("git_commit_sha")?,
                runtime_id: RuntimeId::of_this_process(text("runtime_id")?),
            },
            test_session_token: token.map(|_| header("test_session_token")).transpose()?,
            tracer: Tracer {
                version: header("tracer_version")?,
                language: header("language")?,
                language_version: header("language_version")?,
                interpreter: header("interpreter")?,
                interpreter_vendor: header("interpreter_vendor")?,
            },
        };
        this.pipeline
            .set(pipeline::Exporter::new(config))
            .map_err(|_| error(ruby, "the exporter is initialized already"))
    }

    fn export(ruby: &Ruby, this: Obj<Self>, chunks: Value) -> Result<bool, Error> {
        let exporter = this.get(ruby)?;
        let chunks = take(ruby, chunks)?;
        let taken = exporter.export(chunks);
        if exporter.has_lines() {
            this.funcall::<_, _, Value>("report", ())?;
        }
        Ok(taken)
    }

    /// Returns what `Response` is made of: nil when the time ran out, or else the reason of a loss, its description,
    /// the status and the body of the answer, and the number of chunks that were accepted and that were sampled out.
    fn send_and_wait(
        ruby: &Ruby,
        this: &Self,
        chunks: Value,
        limit: Option<f64>,
    ) -> Result<Option<RArray>, Error> {
        let exporter = this.get(ruby)?;
        if exporter.is_closed() {
            return Err(closed(ruby));
        }
        let waiter = exporter.send(take(ruby, chunks)?);
        wait(&waiter, duration(limit))?;
        let parts = |outcome: &SendOutcome| {
            let (loss, detail, status, body) = match &outcome.result {
                PartOutcome::Accepted { body, .. } => (None, None, Some(200), body.as_str()),
                PartOutcome::SampledOut(_) => (None, None, None, ""),
                PartOutcome::Lost {
                    loss,
                    detail,
                    status,
                    body,
                } => (Some(loss), Some(detail), *status, body.as_str()),
            };
            ruby.ary_new_from_values(&[
                loss.map(|loss| ruby.to_symbol(loss.name()))
                    .into_value_with(ruby),
                detail
                    .map(|detail| ruby.str_new(detail))
                    .into_value_with(ruby),
                status.into_value_with(ruby),
                ruby.str_new(body).as_value(),
                outcome.accepted.into_value_with(ruby),
                outcome.sampled_out.into_value_with(ruby),
            ])
        };
        Ok(waiter.reply().map(parts))
    }

    fn flush_and_wait(ruby: &Ruby, this: &Self, limit: Option<f64>) -> Result<bool, Error> {
        let exporter = this.get(ruby)?;
        if exporter.is_closed() {
            return Err(closed(ruby));
        }
        wait(&exporter.flush(), duration(limit))
    }

    fn shutdown_and_wait(ruby: &Ruby, this: &Self, limit: Option<f64>) -> Result<bool, Error> {
        wait(&this.get(ruby)?.shutdown(), duration(limit))
    }

    fn is_closed(ruby: &Ruby, this: &Self) -> Result<bool, Error> {
        Ok(this.get(ruby)?.is_closed())
    }

    fn agent_url(ruby: &Ruby, this: &Self) -> Result<String, Error> {
        Ok(this.get(ruby)?.config().agent_url.as_str().to_owned())
    }

    fn otlp_endpoint(ruby: &Ruby, this: &Self) -> Result<Option<String>, Error> {
        let otlp = this.get(ruby)?.config().otlp.as_ref();
        Ok(otlp.map(|otlp| otlp.url.as_str().to_owned()))
    }

    /// Returns the URL that spans are sent to, without what may be secret in it.
    fn address(ruby: &Ruby, this: &Self) -> Result<String, Error> {
        Ok(this.get(ruby)?.config().url().to_string())
    }

    fn stats(ruby: &Ruby, this: &Self) -> Result<RHash, Error> {
        let stats = this.get(ruby)?.stats();
        let dropped = ruby.hash_new();
        for (loss, name) in Loss::ALL {
            dropped.aset(ruby.to_symbol(name), stats.dropped[loss as usize])?;
        }
        dropped.freeze();
        let count = |count: u64| count.into_value_with(ruby);
        let seconds =
            |time: Option<Duration>| time.map(|time| time.as_secs_f64()).into_value_with(ruby);
        let all = ruby.hash_new();
        let last_error = stats.last_error.map(|error| {
            let error = ruby.str_new(&error);
            error.freeze();
            error
        });
        for (name, value) in [
            ("spans_queued", count(stats.queued.spans as u64)),
            ("chunks_queued", count(stats.queued.chunks as u64)),
            ("bytes_queued", count(stats.queued.memory as u64)),
            ("spans_in_flight", count(stats.in_flight.spans as u64)),
            ("spans_exported", count(stats.spans_exported)),
            ("spans_sent", count(stats.spans_sent)),
            ("spans_sampled_out", count(stats.spans_sampled_out)),
            ("spans_dropped", count(stats.dropped.iter().sum())),
            ("dropped", dropped.as_value()),
            ("send_time_p50", seconds(stats.send_time_p50)),
            ("send_time_max", seconds(stats.send_time_max)),
            ("values_repaired", count(stats.values_repaired)),
            ("values_left_out", count(stats.values_left_out)),
            ("payloads_sent", count(stats.payloads_sent)),
            ("bytes_sent", count(stats.bytes_sent)),
            ("stats_payloads_sent", count(stats.stats_payloads_sent)),
            (
                "stats_payloads_dropped",
                count(stats.stats_payloads_dropped),
            ),
            ("retries", count(stats.retries)),
            ("last_error", last_error.into_value_with(ruby)),
        ] {
            all.aset(ruby.to_symbol(name), value)?;
        }
        all.freeze();
        Ok(all)
    }

    /// Two Ractors may both make the Hash of a new version, and the one that comes last may have the
    /// older: it is replaced at the next call.
    fn service_rates(ruby: &Ruby, this: &Self) -> Result<Option<Value>, Error> {
        let rates = this.get(ruby)?.rates();
        let Some(rates) = rates.filter(|rates| rates.version() > 0) else {
            return Ok(None);
        };
        let version = rates.version();
        if let Some(known) = this.rates.get().and_then(RArray::from_value)
            && known.entry::<u64>(0)? == version
        {
            return known.entry(1);
        }
        let hash = ruby.hash_new();
        for (service, rate) in rates.latest().iter() {
            let service = ruby.str_new(service);
            service.freeze();
            hash.aset(service, *rate)?;
        }
        hash.freeze();
        let known = ruby.ary_new_from_values(&[version.into_value_with(ruby), hash.as_value()]);
        known.freeze();
        this.rates.set(known.as_value());
        Ok(Some(hash.as_value()))
    }

    fn take_lines(ruby: &Ruby, this: &Self) -> Result<RArray, Error> {
        Ok(lines(ruby, this.get(ruby)?.take_lines()))
    }

    /// Returns a line that describes what of this exporter is lost if the process ends now, or nil.
    fn take_unsent_line(ruby: &Ruby, this: &Self) -> Result<Option<String>, Error> {
        Ok(this.get(ruby)?.take_unsent_line())
    }

    /// Returns the outcomes of requests since the last call: the status of the answer or nil, the reason for which it
    /// was no success or nil, and the number of chunks.
    fn take_requests(ruby: &Ruby, this: &Self) -> Result<RArray, Error> {
        let requests = this.get(ruby)?.take_requests();
        Ok(ruby.ary_from_iter(requests.into_iter().map(|outcome| {
            let loss = match outcome.status {
                None => Some(Loss::Unreachable),
                Some(200..300) => None,
                Some(413) => Some(Loss::TooLarge),
                Some(_) => Some(Loss::Refused),
            };
            (
                outcome.status,
                loss.map(|loss| ruby.to_symbol(loss.name())),
                outcome.chunks,
            )
        })))
    }

    fn get(&self, ruby: &Ruby) -> Result<&pipeline::Exporter, Error> {
        self.pipeline
            .get()
            .ok_or_else(|| error(ruby, "the exporter was not initialized"))
    }
}

fn seconds(ruby: &Ruby, options: RHash, name: &str) -> Result<Duration, Error> {
    let seconds = options.fetch::<_, f64>(ruby.to_symbol(name))?;
    Duration::try_from_secs_f64(seconds)
        .map_err(|error| configuration(ruby, format!("{name}: {error}, got {seconds}")))
}

fn headers(ruby: &Ruby, options: RHash, option: &str) -> Result<HeaderMap, Error> {
    let headers: RHash = options.fetch(ruby.to_symbol(option))?;
    let mut header_map = HeaderMap::default();
    headers.foreach(|name: String, value: String| {
        add_header(&mut header_map, &name, &value)
            .map_err(|problem| configuration(ruby, format!("{option}: {problem}")))?;
        Ok(ForEach::Continue)
    })?;
    Ok(header_map)
}

fn otlp(ruby: &Ruby, options: RHash) -> Result<Option<Otlp>, Error> {
    let refuse =
        |option: &str, problem: String| configuration(ruby, format!("{option}: {problem}"));
    let endpoint: Option<String> = options.fetch(ruby.to_symbol("otlp_endpoint"))?;
    let Some(endpoint) = endpoint else {
        return Ok(None);
    };
    let protocol: String = options.fetch(ruby.to_symbol("otlp_protocol"))?;
    Ok(Some(Otlp {
        url: OtlpUrl::parse(&endpoint).map_err(|problem| refuse("otlp_endpoint", problem))?,
        protocol: protocol
            .parse()
            .map_err(|problem| refuse("otlp_protocol", problem))?,
        headers: headers(ruby, options, "otlp_headers")?,
        timeout: seconds(ruby, options, "otlp_timeout")?,
    }))
}

fn take(ruby: &Ruby, chunks: Value) -> Result<pipeline::span::TraceChunks, Error> {
    let chunks = Obj::<TraceChunks>::try_convert(chunks)
        .map_err(|_| Failure::wrong_class("chunks", "Datadog::NativeExport::TraceChunks", chunks))
        .map_err(|failure| failure.into_error(ruby))?;
    chunks.consume(ruby)
}

/// Returns a limit in seconds as a duration; `None`, and what no clock will reach, is no limit.
fn duration(limit: Option<f64>) -> Option<Duration> {
    limit.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

/// Sends what all exporters of this process have queued, and waits for it.
fn flush_all() -> Result<(), Error> {
    let flush = FinalFlush::begin();
    for waiter in flush.waiters() {
        wait(waiter, Some(flush.time_left()))?;
    }
    Ok(())
}

/// Returns lines that describe what is lost if the process ends now, except what was described before.
fn take_unsent_lines(ruby: &Ruby) -> RArray {
    lines(ruby, shutdown::take_unsent_lines())
}

fn lines(ruby: &Ruby, lines: impl IntoIterator<Item = String>) -> RArray {
    ruby.ary_from_iter(lines.into_iter().map(|line| ruby.str_new(&line)))
}

pub fn init(ruby: &Ruby) -> Result<(), Error> {
    let module = ruby.get_inner(&MODULE);
    let class = module.define_class("Exporter", ruby.class_object())?;
    class.define_alloc_func::<Exporter>();
    class.define_private_method("configure", method!(Exporter::configure, 1))?;
    class.define_private_method("send_and_wait", method!(Exporter::send_and_wait, 2))?;
    class.define_private_method("flush_and_wait", method!(Exporter::flush_and_wait, 1))?;
    class.define_private_method("shutdown_and_wait", method!(Exporter::shutdown_and_wait, 1))?;
    class.define_private_method("take_lines", method!(Exporter::take_lines, 0))?;
    class.define_private_method("take_unsent_line", method!(Exporter::take_unsent_line, 0))?;
    class.define_private_method("take_requests", method!(Exporter::take_requests, 0))?;
    class.define_method("export", method!(Exporter::export, 1))?;
    class.define_method("closed?", method!(Exporter::is_closed, 0))?;
    class.define_private_method("address", method!(Exporter::address, 0))?;
    class.define_method("agent_url", method!(Exporter::agent_url, 0))?;
    class.define_method("otlp_endpoint", method!(Exporter::otlp_endpoint, 0))?;
    class.define_method("service_rates", method!(Exporter::service_rates, 0))?;
    class.define_method("stats", method!(Exporter::stats, 0))?;
    module.define_singleton_method("flush_all", function!(flush_all, 0))?;
    module.define_singleton_method("take_unsent_lines", function!(take_unsent_lines, 0))?;
    Ok(())
}
