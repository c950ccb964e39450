import { type EventCredentials, openEvent, parseEnvelope, type PortalEvent } from '../src/event.js';
import type { FormTree } from '../src/form-tree.js';

/** Parses an event without authentication. @param receivedAt in ms */
export function parseEvent(
  form: FormTree,
  receivedAt: number,
): { event: PortalEvent; credentials: EventCredentials } {
  const envelope = parseEnvelope(form);
  return { event: openEvent(form, envelope, receivedAt), credentials: envelope.credentials };
}
