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
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { packageFile } from '../environment/package-file.js';

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
  if (!register.getSingleMetric('process_cpu_user_seconds_total')) {
    collectDefaultMetrics();
    gauge({
      name: 'relay_build_info',
      help: 'Always 1; the labels say which version runs',
      labelNames: ['version', 'node_version'],
    }).set({ version: readVersion(), node_version: process.version }, 1);
  }
  return { contentType: register.contentType, body: await register.metrics() };
}

function readVersion(): string {
  const file: unknown = JSON.parse(readFileSync(packageFile('package.json'), 'utf8'));
  return z.object({ version: z.string() }).parse(file).version;
}
