/** How fast each consumer works, and whether its backlog grows or shrinks, from what this tab has seen. */
import { duration, grouped } from '@relay/admin-contract/texts';

interface Reading {
  at: number;
  /** Waiting or in flight. */
  backlog: number;
  /** Handled since the tab looks at it. */
  done: number;
}

/** A consumer as one poll shows it. */
interface ConsumerSample {
  backlog: number;
  /** Of each process: its id, and the events that it has handled since its start. */
  processes: readonly { replica: string; done: number }[];
}

/** What is older says nothing about now. */
const WINDOW_MS = 30_000;
/** Processes report every five seconds: less shows their steps. */
const MIN_SPAN_MS = 8_000;
const CHART_MS = 10 * 60_000;
/** A chart is some hundred pixels wide. */
const CHART_STEP_MS = 5_000;

export class ConsumerTrends {
  private readonly seen = new Map<
    string,
    { readings: Reading[]; chart: Reading[]; byReplica: Map<string, number> }
  >();

  /** @param at in milliseconds of any clock that only goes forward */
  add(consumer: string, { backlog, processes }: ConsumerSample, at: number): void {
    const { readings, chart, byReplica } = this.seen.get(consumer) ?? {
      readings: [],
      chart: [],
      byReplica: new Map<string, number>(),
    };
    // A process that is new has handled all that it tells, except at the first poll.
    const isFirst = readings.length === 0;
    let done = readings.at(-1)?.done ?? 0;
    for (const process of processes)
      if (!isFirst) done += Math.max(0, process.done - (byReplica.get(process.replica) ?? 0));
    const reading = { at, backlog, done };
    const last = chart.at(-1);
    this.seen.set(consumer, {
      readings: [...readings.filter((one) => one.at > at - WINDOW_MS), reading],
      chart: [
        ...chart.filter((one) => one.at > at - CHART_MS),
        ...(!last || at - last.at >= CHART_STEP_MS ? [reading] : []),
      ],
      byReplica: new Map(processes.map((process) => [process.replica, process.done])),
    });
  }

  /** Events handled a second; undefined while too little was seen. */
  rateOf(consumer: string): number | undefined {
    const span = this.spanOf(consumer);
    return span && ((span.last.done - span.first.done) * 1_000) / (span.last.at - span.first.at);
  }

  /** Whether the backlog grows or shrinks. Empty while there is none, too little was seen, or it stays as it is. */
  textOf(consumer: string): string {
    const span = this.spanOf(consumer);
    if (!span || span.last.backlog === 0) return '';
    const { first, last } = span;
    const perSecond = ((last.backlog - first.backlog) * 1_000) / (last.at - first.at);
    if (Math.abs(perSecond) < 0.1) return '';
    if (perSecond > 0) return `grows by ${rateText(perSecond)} a second`;
    return `shrinks by ${rateText(-perSecond)} a second: empty in ${duration((last.backlog / -perSecond) * 1_000)}`;
  }

  /** Of the last ten minutes that the tab has seen, the oldest first: the backlog, and events handled a second. */
  chartOf(consumer: string): { backlog: number[]; rate: number[] } {
    const chart = this.seen.get(consumer)?.chart ?? [];
    return {
      backlog: chart.map(({ backlog }) => backlog),
      rate: chart.slice(1).map(({ at, done }, index) => {
        const before = chart[index];
        return before ? ((done - before.done) * 1_000) / (at - before.at) : 0;
      }),
    };
  }

  private spanOf(consumer: string): { first: Reading; last: Reading } | undefined {
    const readings = this.seen.get(consumer)?.readings ?? [];
    const [first, last] = [readings[0], readings.at(-1)];
    return first && last && last.at - first.at >= MIN_SPAN_MS ? { first, last } : undefined;
  }
}

export function rateText(perSecond: number): string {
  return perSecond < 10 ? perSecond.toFixed(1) : grouped(Math.round(perSecond));
}
