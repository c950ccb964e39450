import { z } from 'zod';

const contents = z.object({
  events: z.number(),
  /** Total size of their messages. */
  bytes: z.number(),
  /** When the journal stored its oldest event; null when it is empty. */
  oldestAt: z.string().nullable(),
  /** Events written by a newer version, not counted in `events`: they wait for the upgrade. */
  newer: z.number(),
  /** Events that no version can read, not counted in `events`. */
  unreadable: z.number(),
});
const slotContents = contents.extend({ slot: z.number() });

/** The journal of one gateway, as that gateway reports it. */
export const journalStatus = contents.extend({
  /** Null while none can be opened. */
  slot: z.number().nullable(),
  limits: z.object({ maxBytes: z.number(), maxAgeMs: z.number() }),
  /** The journal accepts events that the bus does not. */
  isOpen: z.boolean(),
  /** The bus is down, so events go to the journal. */
  isBusAway: z.boolean(),
  /** The other slots of its folder. */
  others: z.array(
    z.discriminatedUnion('state', [
      /** No process has it open; this gateway drains it as soon as the bus is available. */
      slotContents.extend({ state: z.literal('orphaned') }),
      /** Another process has it open. */
      z.object({ slot: z.number(), state: z.literal('held') }),
      z.object({ slot: z.number(), state: z.literal('unreadable') }),
    ]),
  ),
});
export type JournalStatus = z.output<typeof journalStatus>;

/** `GET /ops/api/journal` */
export const journalsResponse = z.object({
  gateways: z.array(
    journalStatus.extend({
      /** For display; in a container, the container id. */
      host: z.string(),
      pid: z.number(),
      reportedAt: z.string(),
    }),
  ),
});
export type JournalsResponse = z.output<typeof journalsResponse>;
export type ReportedJournal = JournalsResponse['gateways'][number];
