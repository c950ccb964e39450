const APP_FRAME = /^\s+at .*?\b(apps\/[\w./-]+:\d+:\d+)\)?$/m;
/** Some ten frames. */
const MAX_LENGTH = 10_000;

/**
 * Where in an app's source an error was thrown, `apps/deal-notifier/src/changes.ts:12:5`. Of a stack this is what has no data in it: its
 * first lines are the message, which may be a portal's and look like a frame.
 */
export function throwSiteOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const frames = (error.stack ?? '').replace(error.message, '').slice(0, MAX_LENGTH);
  return APP_FRAME.exec(frames)?.[1];
}
