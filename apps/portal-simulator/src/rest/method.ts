import type { Actor } from '../crm/users.js';
import type { FieldSet } from '../fields/field-set.js';
import type { Order } from '../items/item.js';
import type { AccessToken } from '../oauth/tokens.js';
import type { Portal } from '../portal/portal.js';
import {
  argument,
  emptyTree,
  integerOf,
  isTree,
  listOf,
  textOf,
  type Value,
  type Values,
} from '../protocol/php.js';
import { invalidArgument, missingParameter, RestError } from '../protocol/rest-error.js';

/** The caller: an application with an access token, or an incoming webhook. */
export type Caller =
  { kind: 'application'; access: AccessToken } | { kind: 'webhook'; secret: string; userId: number };

export interface Call {
  portal: Portal;
  caller: Caller;
  params: Values;
  clientId: string;
  /** When the HTTP request arrived. */
  nowMs: number;
  /** Identifies the HTTP request: the commands of one batch share it. */
  request: object;
}

export interface Outcome {
  result: Value;
  next?: number | undefined;
  total?: number | undefined;
}

export type Method = (call: Call) => Outcome;

export const PAGE_SIZE = 50;

export function userIdOf(caller: Caller): number {
  return caller.kind === 'application' ? caller.access.userId : caller.userId;
}

/** The right as it is now: a token keeps none that its user has lost. */
export function isAdministrator({ portal, caller }: Pick<Call, 'portal' | 'caller'>): boolean {
  return portal.crm.rights.isAdministrator(userIdOf(caller));
}

export function actorOf(call: Call): Actor {
  return { userId: userIdOf(call.caller), through: call.caller.kind, connector: connectorOf(call) };
}

/** `auth_connector`; empty without one. */
export function connectorOf({ params }: Pick<Call, 'params'>): string {
  return textOf(argument(params, 'auth_connector')) ?? '';
}

/** @throws RestError 100 */
export function requiredInteger(params: Values, name: string): number {
  const given = params[name];
  if (given === undefined || given === null) throw missingParameter(name);
  const value = integerOf(given);
  if (value === undefined)
    throw invalidArgument(`Invalid value {${JSON.stringify(given)}} to match with parameter {${name}}`);
  return value;
}

/** @throws RestError 100 */
export function requiredFields(params: Values): Values {
  const { fields } = params;
  if (isTree(fields)) return fields;
  if (Array.isArray(fields) && fields.length === 0) return emptyTree();
  throw missingParameter('fields');
}

/**
 * The access token of an application's call; a webhook gets the error of the `rest` module. @throws RestError
 * WRONG_AUTH_TYPE
 */
export function applicationOf({ caller }: Call): AccessToken {
  if (caller.kind === 'application') return caller.access;
  throw new RestError('WRONG_AUTH_TYPE', 'Current authorization type is denied for this method', 403);
}

export function parseOrder(order: Value | undefined, fields: FieldSet): Order[] {
  return Object.entries(isTree(order) ? order : {}).map(([field, value]) => {
    const name = fields.canonicalName(field);
    if (!fields.kindOf(name))
      throw invalidArgument(`Invalid order: field '${field}' is not allowed in order`);
    const direction = (textOf(value) ?? '').toUpperCase();
    if (direction !== 'ASC' && direction !== 'DESC') {
      throw invalidArgument(
        `Invalid order: allowed sort directions are \`ASC, DESC\`. But got '${textOf(value) ?? ''}' for field '${field}'`,
      );
    }
    return { field: name, descending: direction === 'DESC' };
  });
}

/** `start` is any offset within a page; -1 (or any negative number) means the first page without a count. */
export function parseStart(start: Value | undefined): { offset: number; count: boolean } {
  const from = integerOf(start) ?? 0;
  return from < 0
    ? { offset: 0, count: false }
    : { offset: Math.floor(from / PAGE_SIZE) * PAGE_SIZE, count: true };
}

export function nextStart(offset: number, total: number | undefined): number | undefined {
  return total !== undefined && total > offset + PAGE_SIZE ? offset + PAGE_SIZE : undefined;
}

export function parseSelect(select: Value | undefined): string[] | undefined {
  const names = listOf(select).flatMap((name) => textOf(name) ?? []);
  return names.length === 0 || names.includes('*') ? undefined : names;
}
