import type { BindingReport } from '@relay/portals';

const MAX_NAMED = 5;

const ERROR_SENTENCES = new Map([
  ['ERROR_WRONG_HANDLER_URL', 'the portal takes no handler at the host of PUBLIC_URL, which must have a dot'],
  ['ERROR_UNSUPPORTED_PROTOCOL', 'the portal takes no handler with the protocol of PUBLIC_URL'],
  ['INTERRUPTED', 'the control plane ended while it asked the portal'],
  ['FAILED', 'see the log of the control plane'],
  ['TIMEOUT', 'the portal does not answer (TIMEOUT)'],
  ['TRANSPORT', 'the portal cannot be reached (TRANSPORT)'],
]);

/** Why events are not bound, and who must act; undefined if all wanted events are bound, or will be soon. */
export function bindingNote({ bound, error, nextAttemptAt, notOffered }: BindingReport): string | undefined {
  const notes: string[] = [];
  if (error !== null) {
    const which = bound === 0 ? 'online events not bound' : 'some online events not bound';
    const next = nextAttemptAt ? `, next try ${nextAttemptAt.toISOString()}` : '';
    notes.push(`${which}: ${ERROR_SENTENCES.get(error) ?? `the portal answers ${error}`}${next}`);
  }
  const outOfScope = notOffered.filter(({ state }) => state === 'out-of-scope');
  for (const permission of new Set(outOfScope.map((each) => each.permission))) {
    const events = outOfScope.filter((each) => each.permission === permission).map(({ event }) => event);
    const which = permission === null ? 'a permission for them' : `the permission ${permission}`;
    notes.push(`${listed(events)} not bound: give the application ${which}`);
  }
  const unknown = notOffered.filter(({ state }) => state === 'unknown-event').map(({ event }) => event);
  if (unknown.length > 0) notes.push(`${listed(unknown)} not bound: the portal does not know it`);
  return notes.length > 0 ? notes.join('; ') : undefined;
}

function listed(events: readonly string[]): string {
  const rest = events.length - MAX_NAMED;
  return rest > 0
    ? `${events.slice(0, MAX_NAMED).join(', ')} and ${rest} more`
    : events.slice(0, MAX_NAMED).join(', ');
}
