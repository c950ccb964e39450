import type { FastifyReply, FastifyRequest } from 'fastify';
import { textOf, treeOf, type Value, type Values } from '../protocol/php.js';
import { RestError, SYSTEM_ERRORS } from '../protocol/rest-error.js';

export const ERROR_KINDS = [
  ...(['500', '503', 'overload', 'operating', 'expired', 'unauthorized', 'denied', 'deleted'] as const),
  ...(['invalid', 'payment', 'wrong_client', 'unexpected', 'invalid_token', 'credentials'] as const),
  ...(['scope', 'user', 'https', 'connection', 'dismissed'] as const),
  ...(['batch_length', 'invalid_grant', 'invalid_client', 'error'] as const),
] as const;

/** Errors that a portal answers instead of running the method; inside a batch they stand in `result_error`. */
const ERRORS_BY_KIND: Record<ErrorKind, RestError> = {
  '500': SYSTEM_ERRORS.server,
  '503': SYSTEM_ERRORS.tooMany,
  overload: SYSTEM_ERRORS.overload,
  operating: SYSTEM_ERRORS.operating,
  expired: SYSTEM_ERRORS.expired,
  unauthorized: SYSTEM_ERRORS.noAuth,
  denied: SYSTEM_ERRORS.denied,
  deleted: SYSTEM_ERRORS.deleted,
  invalid: new RestError('ERROR_CORE', 'The field contains an invalid value'),
  payment: new RestError('PAYMENT_REQUIRED', 'Payment required', 402),
  // The OAuth server gives some of its errors with HTTP 200.
  wrong_client: new RestError('wrong_client', 'Wrong client', 200),
  unexpected: SYSTEM_ERRORS.unexpected,
  invalid_token: SYSTEM_ERRORS.unknownToken,
  credentials: SYSTEM_ERRORS.webhook,
  scope: SYSTEM_ERRORS.scope,
  user: SYSTEM_ERRORS.user,
  https: SYSTEM_ERRORS.https,
  connection: SYSTEM_ERRORS.connection,
  dismissed: SYSTEM_ERRORS.dismissed,
  batch_length: new RestError('ERROR_BATCH_LENGTH_EXCEEDED', 'Max batch length exceeded'),
  invalid_grant: new RestError('invalid_grant', 'Invalid refresh token'),
  invalid_client: new RestError('invalid_client', 'Invalid client data', 401),
  // With the code of the rule: what only some methods answer.
  error: new RestError('', 'As the test has ordered'),
};

/**
 * Faults of the HTTP response itself, sent by `sendNetworkFault`. `lost` runs the method and sends no response; `slow`
 * runs it and responds late.
 */
export const NETWORK_FAULT_KINDS = [
  'html',
  'empty',
  'cut',
  'garbled',
  'odd',
  'hang',
  'drop',
  'lost',
  'redirect',
  'slow',
] as const;
const ALWAYS_EXECUTED: readonly FaultKind[] = ['lost', 'slow'];
const DEFAULT_SLOW_MS = 1000;

type NetworkFaultKind = (typeof NETWORK_FAULT_KINDS)[number];
type ErrorKind = (typeof ERROR_KINDS)[number];
type FaultKind = NetworkFaultKind | ErrorKind;

export const FAULT_KINDS = [...ERROR_KINDS, ...NETWORK_FAULT_KINDS] as const;

export interface NetworkFault {
  kind: NetworkFaultKind;
  /** Whether the method runs before the response is broken. */
  executed: boolean;
  /** Delay before the fault. */
  ms: number;
  /** HTTP status of `html`, `empty`, `garbled` and `odd`; undefined for the default of the kind. */
  status: number | undefined;
}

interface FaultRule {
  /** A method name with `*` as wildcard: `crm.item.*`; `oauth.token` for the token endpoint. */
  match: string;
  kind: FaultKind;
  /** The error code of the kind `error`. */
  code?: string | undefined;
  times: number;
  /** Only calls with these parameters match; of a tree or a list, those that have the given entries. */
  where?: Values | undefined;
  ms?: number | undefined;
  status?: number | undefined;
  executed?: boolean | undefined;
}

/** The faults to inject at one portal; each is used up after `times` calls. */
export class Faults {
  private rules: FaultRule[] = [];

  add(rule: FaultRule): void {
    this.rules.push({ ...rule });
  }

  clear(): void {
    this.rules = [];
  }

  /** Consumes one matching fault. */
  take(method: string, params: Values): RestError | NetworkFault | undefined {
    const rule = this.consume(method, params, () => true);
    return (
      rule && (isNetworkFault(rule.kind) ? toNetworkFault(rule, rule.kind) : toRestError(rule, rule.kind))
    );
  }

  /** Consumes a rejection for one command of a batch. */
  takeError(method: string, params: Values): RestError | undefined {
    const rule = this.consume(method, params, (one) => !isNetworkFault(one));
    return rule === undefined || isNetworkFault(rule.kind) ? undefined : toRestError(rule, rule.kind);
  }

  /** Consumes a network fault for a command; it strikes the response of the whole batch. */
  takeNetworkFault(method: string, params: Values): NetworkFault | undefined {
    const rule = this.consume(method, params, isNetworkFault);
    return rule && isNetworkFault(rule.kind) ? toNetworkFault(rule, rule.kind) : undefined;
  }

  private consume(
    method: string,
    params: Values,
    accepts: (kind: FaultKind) => boolean,
  ): FaultRule | undefined {
    const rule = this.rules.find(
      ({ match, kind, where }) =>
        accepts(kind) && matches(match, method) && hasParameters(params, where ?? {}),
    );
    if (!rule) return undefined;
    rule.times -= 1;
    if (rule.times <= 0) this.rules = this.rules.filter((one) => one !== rule);
    return rule;
  }
}

/** With the status of the rule, if it has one: portals differ in theirs. */
function toRestError({ status, code }: FaultRule, kind: ErrorKind): RestError {
  const standard = ERRORS_BY_KIND[kind];
  if (status === undefined && code === undefined) return standard;
  return new RestError(code ?? standard.code, standard.description, status ?? standard.status);
}

function toNetworkFault({ ms, status, executed }: FaultRule, kind: NetworkFaultKind): NetworkFault {
  return {
    kind,
    executed: executed === true || ALWAYS_EXECUTED.includes(kind),
    ms: ms ?? (kind === 'slow' ? DEFAULT_SLOW_MS : 0),
    status,
  };
}

function isNetworkFault(kind: FaultKind): kind is NetworkFaultKind {
  return NETWORK_FAULT_KINDS.some((one) => one === kind);
}

function matches(pattern: string, method: string): boolean {
  const parts = pattern.split('*').map((part) => part.replaceAll(/[$()+.?[\\\]^{|}]/g, String.raw`\$&`));
  return new RegExp(`^${parts.join('.*')}$`, 'i').test(method);
}

function hasParameters(params: Values, where: Values): boolean {
  return Object.entries(where).every(([key, value]) => isSame(params[key], value));
}

function isSame(one: Value | undefined, other: Value): boolean {
  if (typeof other === 'object' && other !== null) return hasParameters(treeOf(one), treeOf(other));
  return textOf(one) === textOf(other);
}

/**
 * Sends a response as the fault breaks it. `body` is what the method returned, `redirectTo` the target of a redirect.
 */
export async function sendNetworkFault(
  request: FastifyRequest,
  reply: FastifyReply,
  { kind, status }: NetworkFault,
  { body, redirectTo }: { body: object; redirectTo: string },
): Promise<void> {
  switch (kind) {
    case 'slow':
      await reply.send(body);
      return;
    case 'html':
      await sendHtml(reply, status ?? 502);
      return;
    case 'empty':
      await reply.code(status ?? 200).send('');
      return;
    case 'garbled':
      await sendText(reply, status ?? 200, '{"result":{"items":[{"id":1,"na');
      return;
    case 'odd':
      await sendText(reply, status ?? 200, '["an unexpected answer"]');
      return;
    case 'redirect':
      await sendRedirect(reply, redirectTo);
      return;
    case 'hang':
      reply.hijack();
      return;
    case 'cut':
      sendTruncated(request, reply);
      return;
    case 'drop':
    case 'lost':
      reply.hijack();
      request.raw.socket.destroy();
  }
}

/** 302 with an HTML page, as the server in front of a portal sends it. */
export async function sendRedirect(reply: FastifyReply, to: string): Promise<void> {
  await reply.header('location', to).code(302).type('text/html').send(htmlPage('302 Found'));
}

async function sendHtml(reply: FastifyReply, status: number): Promise<void> {
  await reply
    .code(status)
    .type('text/html')
    .send(htmlPage(`${status} ${STATUS_TEXTS[status] ?? 'Error'}`));
}

async function sendText(reply: FastifyReply, status: number, text: string): Promise<void> {
  await reply.code(status).type('application/json; charset=utf-8').send(text);
}

/** Sends fewer bytes than `content-length` says, then closes the connection. */
function sendTruncated(request: FastifyRequest, reply: FastifyReply): void {
  reply.hijack();
  reply.raw.writeHead(200, { 'content-type': 'application/json; charset=utf-8', 'content-length': '4096' });
  reply.raw.write('{"result":{"items":[{"id":1,"na', () => {
    request.raw.socket.destroy();
  });
}

const STATUS_TEXTS: Readonly<Record<number, string>> = {
  200: 'OK',
  403: 'Forbidden',
  404: 'Not Found',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Temporarily Unavailable',
  504: 'Gateway Time-out',
};

function htmlPage(title: string): string {
  return `<html>\r\n<head><title>${title}</title></head>\r\n<body>\r\n<center><h1>${title}</h1></center>\r\n</body>\r\n</html>\r\n`;
}
