import { z } from 'zod';
import { deliveryMode, portalState } from './portals.js';

/** The API of the page inside Bitrix24, under `/b24/app/api` of the gateway. */

/** What a step of the installation waits for. */
const step = z.object({
  step: z.enum(['connected', 'confirmed', 'events', 'mirror']),
  state: z.enum(['done', 'running', 'waiting', 'failed']),
  /** Of a step that is counted: how much of it is done. */
  done: z.int().optional(),
  of: z.int().optional(),
});

/** What somebody has to do: an administrator of the portal, unless it says `operator`. */
const nextAction = z.enum([
  'open-again',
  'renew-webhook',
  'let-confirm',
  'grant-permissions',
  'wait-for-portal',
  'operator-checks-address',
  'operator-starts-puller',
]);

/** `GET /b24/app/api/status` */
export const pageStatusResponse = z.object({
  state: portalState,
  installedAt: z.string(),
  lastEventAt: z.string().nullable(),
  mode: deliveryMode,
  steps: z.array(step),
  next: z.array(nextAction),
  corrections: z.object({ count: z.int(), days: z.int() }),
  /** Null where there is no mirror, or none is wanted yet. */
  mirror: z
    .object({
      state: z.enum(['waiting', 'running', 'done', 'failed']),
      items: z.int(),
      /** From 0 to 1. */
      part: z.number(),
      endedAt: z.string().nullable(),
    })
    .nullable(),
  user: z.object({ isAdministrator: z.boolean() }),
});
export type PageStatusResponse = z.output<typeof pageStatusResponse>;
export type NextAction = z.output<typeof nextAction>;
export type InstallStep = z.output<typeof step>;

const MAX_TYPES = 1_000;
const typeIds = z.array(z.int32().positive()).max(MAX_TYPES);

/** As `nameSettings` of libs/names, bounded. Null: not set. */
const pageNameSettings = z.strictObject({
  firstWord: z.enum(['asWritten', 'capital']).nullable(),
  particles: z.enum(['lower', 'capital']).nullable(),
  language: z
    .string()
    .regex(/^[a-z]{2,3}(?:[-_][a-z\d]{2,8}){0,3}$/i)
    .nullable(),
});
export type PageNameSettings = z.output<typeof pageNameSettings>;

/** Which smart processes are mirrored: these alone, or all but some. */
const pageTypeSettings = z.strictObject({ include: typeIds.nullable(), exclude: typeIds });

/** `GET /b24/app/api/settings` */
export const pageSettingsResponse = z.object({
  /** Of what is set; a change names the version that it was made from. */
  version: z.string(),
  canChange: z.boolean(),
  mode: deliveryMode,
  /** Whether offline queues are read; without that `offline` brings no events. */
  isQueueRead: z.boolean(),
  /** The language that applies where none is set. */
  portalLanguage: z.string().nullable(),
  /** Null where the consumer has not been started yet, and so its settings cannot be checked. */
  names: pageNameSettings.nullable(),
  types: pageTypeSettings.nullable(),
  /** Null if the portal did not name them. */
  offeredTypes: z.array(z.object({ entityTypeId: z.int(), title: z.string() })).nullable(),
});
export type PageSettingsResponse = z.output<typeof pageSettingsResponse>;

/** `PUT /b24/app/api/settings`. What is left out stays. */
export const pageSettingsRequest = z.strictObject({
  version: z.string().max(64),
  mode: deliveryMode.optional(),
  names: pageNameSettings.optional(),
  types: pageTypeSettings.optional(),
});
export type PageSettingsRequest = z.output<typeof pageSettingsRequest>;

/** In UTF-16 units; a name field of Bitrix24 holds fewer. */
export const MAX_PREVIEW_LENGTH = 100;
const MAX_PREVIEW_NAMES = 10;

/** `POST /b24/app/api/preview`: what the rules make of these texts, each the content of one name field. */
export const pagePreviewRequest = z.strictObject({
  names: z.array(z.string().max(MAX_PREVIEW_LENGTH)).max(MAX_PREVIEW_NAMES),
  settings: pageNameSettings,
});
export const pagePreviewResponse = z.object({ names: z.array(z.string()) });
export type PagePreviewResponse = z.output<typeof pagePreviewResponse>;
