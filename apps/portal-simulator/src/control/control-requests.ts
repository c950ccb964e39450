import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { OWNER_ID } from '../crm/users.js';
import { FAULT_KINDS } from '../faults/faults.js';
import { SUSPENSION_REASONS } from '../faults/suspension.js';
import { USER_FIELD_TYPES } from '../fields/field.js';
import { ControlError } from '../http/http-server.js';
import type { Tokens } from '../oauth/tokens.js';
import type { ApplicationFrame } from '../portal/application-frame.js';
import { INSTALL_KINDS, type ApplicationLifecycle } from '../portal/application-lifecycle.js';
import { MISSING_REFERENCES, type Portal } from '../portal/portal.js';
import type { Portals } from '../portal/portals.js';
import { integerOf } from '../protocol/php.js';

/** What the routes of the control API use. */
export interface ControlDependencies {
  portals: Portals;
  lifecycle: ApplicationLifecycle;
  frame: ApplicationFrame;
  tokens: Tokens;
  now: () => number;
  publicUrl: string | undefined;
}

export interface PortalRoute {
  Params: { name: string };
}

export function portalPath(action: string): string {
  return `/_sim/portals/:name${action}`;
}

/** By its present name or a former one. @throws ControlError 404 */
export function namedPortal(portals: Portals, { params }: FastifyRequest<PortalRoute>): Portal {
  const portal = portals.find(params.name) ?? portals.findMoved(params.name);
  if (!portal) throw new ControlError(`the portal ${params.name} does not exist`, 404);
  return portal;
}

/** @throws ControlError 400 */
export function parseNumber(text: string): number {
  const value = integerOf(text);
  if (value === undefined) throw new ControlError('the address must contain a number here', 400);
  return value;
}

const name = z.string().regex(/^[\w-]{1,64}$/, 'letters, digits, _ and - only');
const url = z.url({ protocol: /^https?$/ });
const fields = z.record(z.string(), z.json());
const count = z.number().int().positive();
const language = z.string().regex(/^[A-Za-z_-]{2,16}$/);
const option = { name: z.string().min(1).max(255), value: z.json() };

const settings = z.strictObject({
  rate: z.number().nonnegative().optional(),
  burst: z.number().nonnegative().optional(),
  language: language.optional(),
  scope: z.array(z.string().regex(/^[a-z_]{1,64}$/)).optional(),
  features: z.record(z.string().min(1), z.string().regex(/^([YN]|[a-z]{2}_selfhosted)$/)).optional(),
  suffixedEvents: z.boolean().optional(),
  latencyMs: z.number().nonnegative().optional(),
  methodMs: z.record(z.string().toLowerCase(), z.number().nonnegative()).optional(),
  accessTokenSeconds: z.number().positive().optional(),
  eventConcurrency: count.optional(),
  eventTimeoutMs: z.number().positive().optional(),
  operatingLimitSeconds: z.number().positive().nullable().optional(),
  operatingCosts: z.record(z.string().toLowerCase(), z.number().nonnegative()).optional(),
  batchLength: count.nullable().optional(),
  missingReference: z.enum(MISSING_REFERENCES).optional(),
  offlineOwnWrites: z.boolean().optional(),
});

const flag = z.enum(['Y', 'N']);
const chance = z.number().min(0).max(1);
const entityTypeId = z.number().int();
const seed = z.number().int().nonnegative().default(1);
const listItem = z.strictObject({ id: count.optional(), value: z.string().min(1) });
const fieldChange = z.strictObject({
  label: z.string().min(1).optional(),
  isMandatory: z.boolean().optional(),
  sort: count.optional(),
  settings: fields.optional(),
  items: z.array(listItem).optional(),
});
const newFields = z.union([
  z.literal('every'),
  z.array(
    fieldChange.extend({
      type: z.enum(USER_FIELD_TYPES),
      fieldName: z
        .string()
        .regex(/^UF_CRM_[A-Z\d_]{1,43}$/)
        .optional(),
      isMultiple: z.boolean().optional(),
    }),
  ),
]);
const typeChange = z
  .object({ title: z.string().min(1).optional(), code: z.string().optional() })
  .catchall(flag);
const type = z
  .object({
    entityTypeId,
    title: z.string().min(1),
    code: z.string().default(''),
    fields: newFields.default([]),
  })
  .catchall(flag);

/** Schemas of the bodies of the control API. */
export const controlRequests = {
  settings,
  portal: settings.extend({
    name,
    memberId: z
      .string()
      .regex(/^[\da-f]{32}$/)
      .optional(),
    domain: z.string().min(1).optional(),
    webhook: name.optional(),
    types: z.array(type).default([]),
  }),
  install: z.strictObject({
    url: url.optional(),
    appUrl: url.optional(),
    kind: z.enum(INSTALL_KINDS).default('event'),
    userId: count.optional(),
    open: z.boolean().default(true),
    finish: z.boolean().default(true),
  }),
  open: z.strictObject({
    url,
    userId: z.number().int().positive().default(OWNER_ID),
    placement: z.string().min(1).default('DEFAULT'),
    options: fields.optional(),
  }),
  frame: z.strictObject({
    userId: count.default(OWNER_ID),
    language: language.optional(),
    placement: z.string().min(1).default('DEFAULT'),
    options: fields.optional(),
  }),
  frameCommand: z.discriminatedUnion('command', [
    z.strictObject({ command: z.literal('refreshAuth'), userId: count }),
    z.strictObject({ command: z.literal('setInstall'), userId: count, install: z.boolean() }),
    z.strictObject({ command: z.literal('setInstallFinish'), userId: count }),
    z.strictObject({ command: z.literal('setAppOption'), userId: count, ...option }),
    z.strictObject({ command: z.literal('setUserOption'), userId: count, ...option }),
  ]),
  uninstall: z.strictObject({
    url: url.optional(),
    clean: z.union([z.literal(0), z.literal(1)]).default(1),
  }),
  userReady: z.strictObject({ url }),
  events: z.strictObject({
    event: z.string().min(1),
    data: fields.default({}),
    by: z.enum(['user', 'robot']).default('user'),
  }),
  expireTokens: z.strictObject({ refresh: z.boolean().default(false) }),
  fault: z.strictObject({
    match: z.string().min(1),
    kind: z.enum(FAULT_KINDS),
    code: z.string().max(100).optional(),
    times: count.default(1),
    where: fields.optional(),
    ms: z.number().nonnegative().max(600_000).optional(),
    status: z.number().int().min(200).max(599).optional(),
    worked: z.boolean().optional(),
  }),
  suspend: z.strictObject({ reason: z.enum(SUSPENSION_REASONS).nullable() }),
  rename: z.strictObject({ to: name }),
  massUpdate: z.strictObject({ entityTypeId, count, fields }),
  handler: z.strictObject({ event: z.string().min(1), url: url.optional() }),
  outgoingWebhook: z.strictObject({ event: z.string().min(1), url }),
  item: z.strictObject({
    id: z.number().int().positive().optional(),
    fields,
    count: count.max(1_000_000).optional(),
    by: z.enum(['user', 'robot']).default('user'),
    silent: z.boolean().default(false),
    raw: z.boolean().default(false),
  }),
  itemValues: z.strictObject({ fields }),
  type,
  typeChange,
  newFields,
  fieldChange,
  generate: z.strictObject({ count: count.max(1_000_000), seed, tell: z.boolean().default(false) }),
  randomChanges: z.strictObject({
    entityTypeId,
    count: count.max(1_000_000),
    seed,
    adds: chance.default(0),
    deletes: chance.default(0),
    dropEvents: chance.default(0),
  }),
  backup: z.strictObject({ as: name }),
  restore: z.strictObject({ to: name }),
  rights: z.strictObject({
    userId: count.default(OWNER_ID),
    entityTypeId: entityTypeId.optional(),
    hidden: z.union([z.literal('all'), z.array(count)]).default([]),
    administrator: z.boolean().optional(),
  }),
} as const;

/** @throws ControlError 400 that names the invalid fields */
export function parseControl<S extends z.ZodType>(schema: S, body: string): z.output<S> {
  let given: unknown;
  try {
    given = body === '' ? {} : JSON.parse(body);
  } catch {
    throw new ControlError('the body is not JSON', 400);
  }
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  throw new ControlError(z.prettifyError(parsed.error), 400);
}
