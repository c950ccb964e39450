/** A replay or a drop of dead letters: page after page, and then what became of the events. */
import type {
  ConsumersResponse,
  DeadLetterDropResponse,
  DeadLetterReplayResponse,
  DeadLettersResponse,
} from '@relay/admin-contract';
import { grouped, plural } from '@relay/admin-contract/texts';
import { computed, onScopeDispose, ref } from 'vue';
import { announce } from '../shared/announce.js';
import { callApi, messageOf } from './api.js';

export interface Selection {
  consumer: string;
  error?: string | undefined;
  portal?: string | undefined;
  id?: string | undefined;
}

const FOLLOW_EVERY_MS = 2_000;
/** Reports of processes are a few seconds old: one quiet reading proves nothing. */
const QUIET_READINGS = 4;
const FOLLOW_MAX_MS = 10 * 60_000;
const MAX_LISTED = 1_000;

/** What became of replayed events, as far as it can be seen. */
export interface Outcome {
  replayed: number;
  /** Received before the replay, and dead since. */
  diedAgain: number;
  /** Of the whole consumer: waiting or in flight. */
  open: number;
  retrying: number;
  isSettled: boolean;
}

export function outcomeText({ replayed, diedAgain, open, retrying, isSettled }: Outcome): string {
  if (replayed === 0) return 'There was nothing to replay.';
  if (diedAgain >= replayed) {
    const all = replayed === 1 ? 'It died again' : `All ${grouped(replayed)} died again`;
    return `${all}: the cause is still there.`;
  }
  const left = replayed - diedAgain;
  const died = diedAgain === 0 ? 'none died again' : `${grouped(diedAgain)} died again`;
  if (isSettled) return `${grouped(left)} worked off, ${died}.`;
  const work = [
    ...(open > 0 ? [`${plural(open, 'event')} waiting or in work`] : []),
    ...(retrying > 0 ? [`${grouped(retrying)} waiting for their next attempt`] : []),
  ];
  return `So far ${died}${work.length > 0 ? `; the consumer has ${work.join(', ')}` : ''}.`;
}

function missedText(deadLetters: number): string {
  if (deadLetters === 0) return '';
  const were = deadLetters === 1 ? 'was' : 'were';
  return `${grouped(deadLetters)} ${were} no longer there: somebody else has replayed or dropped ${deadLetters === 1 ? 'it' : 'them'}.`;
}

/** One at a time. Ends with the component that calls it: the server finishes the page that it has begun. */
export function useDeadLetterRun() {
  const kind = ref<'replay' | 'drop'>();
  const isRunning = ref(false);
  const handled = ref(0);
  const total = ref(0);
  const failure = ref('');
  const outcome = ref<Outcome>();
  const missed = ref(0);
  let stopping: AbortController | undefined;
  onScopeDispose(() => stopping?.abort());

  /** @param whenHandled called when the last page is done, and once more when it is known what became of the events */
  async function run(
    what: 'replay' | 'drop',
    selection: Selection,
    count: number,
    whenHandled: () => void,
  ): Promise<void> {
    stopping?.abort();
    const control = new AbortController();
    stopping = control;
    const { signal } = control;
    [kind.value, isRunning.value, handled.value, total.value] = [what, true, 0, count];
    [failure.value, outcome.value, missed.value] = ['', undefined, 0];
    let startedAt: string | undefined;
    const askedAt = performance.now();
    try {
      for (let isDone = false; !isDone && !signal.aborted;) {
        const page = await nextPage(what, { ...selection, ...(startedAt && { until: startedAt }) });
        startedAt = page.until;
        handled.value += page.deadLetters;
        isDone = page.done;
        // Two operators may have seen the same letters; each letter is taken by one of them.
        if (isDone) missed.value = Math.max(0, count - handled.value);
      }
      announce(
        `${grouped(handled.value)} ${what === 'replay' ? 'replayed' : 'dropped'}. ${missedText(missed.value)}`,
      );
    } catch (error) {
      failure.value = messageOf(error);
      announce(failure.value);
    } finally {
      isRunning.value = false;
      whenHandled();
    }
    if (what === 'replay' && startedAt !== undefined && handled.value > 0) {
      // Stopping ends the replay, not the look at what became of it.
      const following = new AbortController();
      stopping = following;
      // By the clock of the server, which began after it was asked: never before its time.
      const began = Date.parse(startedAt);
      const serverTime = (): Date => new Date(began + performance.now() - askedAt);
      await follow(selection, { startedAt, serverTime }, following.signal);
      // Those that have died again are there now.
      whenHandled();
    }
  }

  async function follow(
    { consumer, portal }: Selection,
    { startedAt, serverTime }: { startedAt: string; serverTime: () => Date },
    signal: AbortSignal,
  ): Promise<void> {
    const until = performance.now() + FOLLOW_MAX_MS;
    let quiet = 0;
    /** When it was quiet for the first time: many letters may have been counted before. */
    let quietSince: Date | undefined;
    while (!signal.aborted && performance.now() < until) {
      try {
        const { countedAt, ...seen } = await readOutcome(
          { consumer, portal, startedAt, asOf: quietSince, replayed: handled.value },
          signal,
        );
        if (seen.open + seen.retrying > 0) [quiet, quietSince] = [0, undefined];
        else quiet += 1;
        const isCounted =
          quietSince !== undefined && countedAt !== null && Date.parse(countedAt) >= quietSince.getTime();
        if (quiet > 0) quietSince ??= serverTime();
        const isQuiet = quiet >= QUIET_READINGS && isCounted;
        const isSettled = isQuiet || seen.diedAgain >= seen.replayed;
        outcome.value = { ...seen, isSettled };
        if (isSettled) {
          announce(outcomeText(outcome.value));
          return;
        }
      } catch (error) {
        if (signal.aborted) return;
        failure.value = messageOf(error);
      }
      await new Promise((resolve) => setTimeout(resolve, FOLLOW_EVERY_MS));
    }
  }

  return {
    kind,
    isRunning,
    handled,
    total,
    failure,
    /** Of those that were asked for, letters that were no longer there; empty if all were. */
    missed: computed(() => missedText(missed.value)),
    outcome: computed(() => outcome.value && { ...outcome.value, text: outcomeText(outcome.value) }),
    run,
    stop: () => stopping?.abort(),
  };
}

async function nextPage(what: 'replay' | 'drop', body: object) {
  if (what === 'replay') {
    const page = await callApi<DeadLetterReplayResponse>('/dead-letters/replay', { method: 'POST', body });
    return { ...page, deadLetters: page.replayed };
  }
  const page = await callApi<DeadLetterDropResponse>('/dead-letters/drop', { method: 'POST', body });
  return { ...page, deadLetters: page.dropped };
}

async function readOutcome(
  {
    consumer,
    portal,
    startedAt,
    asOf,
    replayed,
  }: {
    consumer: string;
    portal: string | undefined;
    startedAt: string;
    asOf: Date | undefined;
    replayed: number;
  },
  signal: AbortSignal,
): Promise<Omit<Outcome, 'isSettled'> & { countedAt: string | null }> {
  const query = new URLSearchParams({ consumer, since: startedAt, limit: String(MAX_LISTED) });
  if (portal !== undefined) query.set('portal', portal);
  if (asOf) query.set('asOf', asOf.toISOString());
  const [{ consumers }, { deadLetters, matching, countedAt }] = await Promise.all([
    callApi<ConsumersResponse>('/consumers', { signal }),
    callApi<DeadLettersResponse>(`/dead-letters?${query}`, { signal }),
  ]);
  const before = Date.parse(startedAt);
  const old = deadLetters.filter(({ receivedAt }) => receivedAt !== null && Date.parse(receivedAt) <= before);
  // Beyond what is listed, the same part of them.
  const part = deadLetters.length === 0 ? 0 : old.length / deadLetters.length;
  const status = consumers.find((one) => one.consumer === consumer);
  return {
    replayed,
    diedAgain: Math.min(replayed, Math.round(matching * part)),
    open: (status?.waiting ?? 0) + (status?.inHand ?? 0),
    retrying: status?.retrying ?? 0,
    countedAt,
  };
}
