import type { Item } from '@relay/bitrix24';
import { NAME_FIELDS } from './name-changes.js';

/** Whole names, as a person reads them. Personal data: for eyes, never for a log. */
export interface NameCorrection {
  memberId: string;
  before: string;
  after: string;
  /** Milliseconds: when the gateway received the event. */
  firstSeenAt: number;
}

/** Is told of every name that was corrected. Provided only where somebody watches, as in apps/standalone. */
export abstract class NameObserver {
  abstract corrected(correction: NameCorrection): void;
}

export function fullName(contact: Item): string {
  return NAME_FIELDS.map((field) => contact[field])
    .filter((part) => typeof part === 'string' && part !== '')
    .join(' ');
}
