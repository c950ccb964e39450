import {
  Counter,
  Gauge,
  Histogram,
  collectDefaultMetrics,
  register,
  type CounterConfiguration,
  type GaugeConfiguration,
  type HistogramConfiguration,
} from 'prom-client';

/**
 * Metrics are constants of the file that counts them. Several apps may share a process, so an existing metric with this
 * name is reused. Never label a metric by portal: there are thousands.
 */
export function counter<L extends string>(configuration: CounterConfiguration<L>): Counter<L> {
  const known = register.getSingleMetric(configuration.name);
  return known instanceof Counter ? known : new Counter(configuration);
}

export function gauge<L extends string>(configuration: GaugeConfiguration<L>): Gauge<L> {
  const known = register.getSingleMetric(configuration.name);
  return known instanceof Gauge ? known : new Gauge(configuration);
}

export function histogram<L extends string>(configuration: HistogramConfiguration<L>): Histogram<L> {
  const known = register.getSingleMetric(configuration.name);
  return known instanceof Histogram ? known : new Histogram(configuration);
}

/** All metrics of this process in Prometheus' text format. */
export async function renderMetrics(): Promise<{ contentType: string; body: string }> {
  if (!register.getSingleMetric('process_cpu_user_seconds_total')) collectDefaultMetrics();
  return { contentType: register.contentType, body: await register.metrics() };
}
