import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose_gc');
const gc: unknown = runInNewContext('gc');

/** All of it, now. What was dereferenced in the same turn of the event loop stays. */
export function collectGarbage(): void {
  if (typeof gc !== 'function') throw new Error('V8 does not let this process collect its garbage');
  gc();
}
