/** Resources of the API that are read again and again while somebody looks. */
import {
  computed,
  onScopeDispose,
  reactive,
  shallowRef,
  watch,
  type ComputedRef,
  type ShallowRef,
} from 'vue';
import { ApiError, callApi, messageOf } from './api.js';

const POLL_INTERVAL_MS = 2_000;
/** A slow resource, such as dead letters by the ten thousands, is read less often. */
const PAUSE_FACTOR = 5;
/** A request that lasted while the computer slept was not slow. */
const MAX_PAUSE_MS = 60_000;

export interface Poll<Answer> {
  /** The last answer; it stays when later requests fail. */
  readonly data: ShallowRef<Answer | undefined>;
  /** Why the last request failed; empty if it did not, or if the control plane did not answer at all. */
  readonly trouble: ComputedRef<string>;
  /** When `data` was read, if it can no longer be read. */
  readonly staleSince: ComputedRef<Date | undefined>;
  /** Instead of at the next time. */
  now(): void;
}

/** Paths that the control plane did not answer for. */
const unreachable = reactive(new Set<string>());

/** False: no request of the last ones got an answer. */
export const isReachable = computed(() => unreachable.size === 0);

/**
 * Ends with the component that calls it.
 * @param path may change: what the old one answered is forgotten. Undefined: nothing is asked.
 */
export function usePoll<Answer>(
  path: () => string | undefined,
  {
    everyMs = POLL_INTERVAL_MS,
    isRepeated = () => true,
  }: {
    /** Or a function, which is asked after each answer. */
    everyMs?: number | (() => number);
    /** False: it is read when its path changes, and by `now`. One that failed is read again. */
    isRepeated?: () => boolean;
  } = {},
): Poll<Answer> {
  const data = shallowRef<Answer>();
  const failure = shallowRef<ApiError>();
  const readAt = shallowRef<Date>();
  let running: AbortController | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const round = async (asked: string, signal: AbortSignal): Promise<void> => {
    const startedAt = performance.now();
    try {
      const answer = await callApi<Answer>(asked, { signal });
      if (signal.aborted) return;
      data.value = answer;
      failure.value = undefined;
      readAt.value = new Date();
      unreachable.delete(asked);
    } catch (error) {
      if (signal.aborted) return;
      failure.value = error instanceof ApiError ? error : new ApiError('failed', messageOf(error));
      if (failure.value.kind === 'unreachable') unreachable.add(asked);
      if (failure.value.kind === 'rejected') return;
    }
    if (!failure.value && !isRepeated()) return;
    const lastedMs = performance.now() - startedAt;
    const intervalMs = typeof everyMs === 'number' ? everyMs : everyMs();
    const pauseMs = Math.max(intervalMs, Math.min(PAUSE_FACTOR * lastedMs, MAX_PAUSE_MS));
    timer = setTimeout(() => void round(asked, signal), pauseMs);
  };
  const stop = (): void => {
    running?.abort();
    running = undefined;
    clearTimeout(timer);
  };
  const start = (): void => {
    const asked = path();
    if (running || asked === undefined || document.hidden) return;
    running = new AbortController();
    void round(asked, running.signal);
  };
  const now = (): void => {
    stop();
    start();
  };
  const follow = (): void => (document.hidden ? stop() : start());

  watch(
    path,
    (_, old) => {
      if (old !== undefined) unreachable.delete(old);
      stop();
      [data.value, failure.value, readAt.value] = [undefined, undefined, undefined];
      start();
    },
    { immediate: true },
  );
  document.addEventListener('visibilitychange', follow);
  addEventListener('online', now);
  onScopeDispose(() => {
    stop();
    unreachable.delete(path() ?? '');
    document.removeEventListener('visibilitychange', follow);
    removeEventListener('online', now);
  });
  return {
    data,
    trouble: computed(() => (failure.value?.kind === 'failed' ? failure.value.message : '')),
    staleSince: computed(() => (failure.value ? readAt.value : undefined)),
    now,
  };
}
