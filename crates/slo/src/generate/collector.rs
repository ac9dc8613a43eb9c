//! The OpenTelemetry Collector's configuration: takes traces by OTLP, bounds its memory, hands them on.

pub(super) const FILE: &str = "\
# OpenTelemetry Collector for ShieldX's traces. Written by `shieldx slo generate`.
#
#   OTLP_BACKEND=http://tempo.example:4318 otelcol --config=config.yaml
#   OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 shieldx up
#
# Every part is in the core distribution. Without OTLP_BACKEND traces are handed to port 4319 of this
# machine. Metrics are scraped by Prometheus and do not pass here: it would lose their exemplars.
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: 127.0.0.1:4317
      http:
        endpoint: 127.0.0.1:4318

processors:
  # First, so that what is too much is refused and the sender knows, instead of being taken and lost.
  memory_limiter:
    check_interval: 1s
    limit_mib: 512
    spike_limit_mib: 128
  batch:
    send_batch_size: 512
    send_batch_max_size: 1024
    timeout: 2s

exporters:
  otlphttp:
    endpoint: ${env:OTLP_BACKEND:-http://127.0.0.1:4319}
    compression: gzip
    sending_queue:
      queue_size: 1000
    retry_on_failure:
      max_elapsed_time: 5m

service:
  telemetry:
    logs:
      level: warn
  pipelines:
    traces:
      receivers: [otlp]
      processors: [memory_limiter, batch]
      exporters: [otlphttp]
";
