/** Ends the wait when the signal aborts, with the signal's reason; the work goes on whether or not anybody waits. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const abandon = (): void => reject(signal.reason);
    if (signal.aborted) abandon();
    signal.addEventListener('abort', abandon, { once: true });
    work.finally(() => signal.removeEventListener('abort', abandon)).then(resolve, reject);
  });
}
