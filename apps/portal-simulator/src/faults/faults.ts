import type { FastifyReply, FastifyRequest } from 'fastify';
import { textOf, type Value, type Values } from '../protocol/php.js';
import { RestError, systemErrors } from '../protocol/rest-error.js';

export const REFUSAL_KINDS = [
  ...(['500', '503', 'overload', 'operating', 'expired', 'unauthorized', 'denied', 'deleted'] as const),
  ...(['invalid', 'payment', 'wrong_client', 'unexpected', 'invalid_token', 'credentials'] as const),
  ...(['scope', 'user', 'https', 'connection', 'dismissed'] as const),
  ...(['batch_length', 'invalid_grant', 'invalid_client'] as const),
] as const;

/** Answers that a portal gives instead of running the method; inside a batch they stand in `result_error`. */
const refusals: Record<RefusalKind, RestError> = {
  '500': systemErrors.server,
  '503': systemErrors.tooMany,
  overload: systemErrors.overload,
  operating: systemErrors.operating,
  expired: systemErrors.expired,
  unauthorized: systemErrors.noAuth,
  denied: systemErrors.denied,
  deleted: systemErrors.deleted,
  invalid: new RestError('ERROR_CORE', 'The field contains an invalid value'),
  payment: new RestError('PAYMENT_REQUIRED', 'Payment required', 402),
  // The OAuth server gives some of its errors with HTTP 200.
  wrong_client: new RestError('wrong_client', 'Wrong client', 200),
  unexpected: systemErrors.unexpected,
  invalid_token: systemErrors.unknownToken,
  credentials: systemErrors.webhook,
  scope: systemErrors.scope,
  user: systemErrors.user,
  https: systemErrors.https,
  connection: systemErrors.connection,
  dismissed: systemErrors.dismissed,
  batch_length: new RestError('ERROR_BATCH_LENGTH_EXCEEDED', 'Max batch length exceeded'),
  invalid_grant: new RestError('invalid_grant', 'Invalid refresh token'),
  invalid_client: new RestError('invalid_client', 'Invalid client data', 401),
};

/**
 * What happens to the HTTP answer itself; `wire.ts` says how each looks. `lost` runs the method first and then says
 * nothing; `slow` runs it and says so late.
 */
export const networkFaultKinds = [
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
const DEFAULT_SLOWNESS_MS = 1000;

type NetworkFaultKind = (typeof networkFaultKinds)[number];
type RefusalKind = (typeof REFUSAL_KINDS)[number];
type FaultKind = NetworkFaultKind | RefusalKind;

export const FAULT_KINDS = [...REFUSAL_KINDS, ...networkFaultKinds] as const;

export interface NetworkFault {
  kind: NetworkFaultKind;
  /** Whether the method runs before the answer comes to grief. */
  executed: boolean;
  /** How long nothing happens first. */
  ms: number;
  /** HTTP status of `html`, `empty`, `garbled` and `odd`; each has its usual one. */
  status: number | undefined;
}

export interface FaultRule {
  /** A method name, `*` standing for anything: `crm.item.*`; `oauth.token` for the token endpoint. */
  match: string;
  kind: FaultKind;
  times: number;
  /** Only for calls with these parameters. */
  where?: Values | undefined;
  ms?: number | undefined;
  status?: number | undefined;
  worked?: boolean | undefined;
}

/** The faults that a test ordered for one portal; each is used up after `times` calls. */
export class Faults {
  private rules: FaultRule[] = [];

  order(rule: FaultRule): void {
    this.rules.push({ ...rule });
  }

  clear(): void {
    this.rules = [];
  }

  /** Uses up one fault for this call, if one was ordered. */
  take(method: string, params: Values): RestError | NetworkFault | undefined {
    const rule = this.use(method, params, () => true);
    return rule && (isNetworkFault(rule.kind) ? toNetworkFault(rule, rule.kind) : refusal(rule, rule.kind));
  }

  /** The same for a command of a batch, which can be refused on its own. */
  takeRefusal(method: string, params: Values): RestError | undefined {
    const rule = this.use(method, params, (one) => !isNetworkFault(one));
    return rule === undefined || isNetworkFault(rule.kind) ? undefined : refusal(rule, rule.kind);
  }

  /** What happens to the answer of the batch that a command is in. */
  takeNetworkFault(method: string, params: Values): NetworkFault | undefined {
    const rule = this.use(method, params, isNetworkFault);
    return rule && isNetworkFault(rule.kind) ? toNetworkFault(rule, rule.kind) : undefined;
  }

  private use(method: string, params: Values, isMeant: (kind: FaultKind) => boolean): FaultRule | undefined {
    const rule = this.rules.find(
      ({ match, kind, where }) => isMeant(kind) && matches(match, method) && holds(params, where ?? {}),
    );
    if (!rule) return undefined;
    rule.times -= 1;
    if (rule.times <= 0) this.rules = this.rules.filter((one) => one !== rule);
    return rule;
  }
}

/** With another status where one was ordered: portals differ in theirs. */
function refusal({ status }: FaultRule, kind: RefusalKind): RestError {
  const usual = refusals[kind];
  return status === undefined ? usual : new RestError(usual.code, usual.description, status);
}

function toNetworkFault({ ms, status, worked }: FaultRule, kind: NetworkFaultKind): NetworkFault {
  return {
    kind,
    executed: worked === true || ALWAYS_EXECUTED.includes(kind),
    ms: ms ?? (kind === 'slow' ? DEFAULT_SLOWNESS_MS : 0),
    status,
  };
}

function isNetworkFault(kind: FaultKind): kind is NetworkFaultKind {
  return networkFaultKinds.some((one) => one === kind);
}

function matches(pattern: string, method: string): boolean {
  const parts = pattern.split('*').map((part) => part.replaceAll(/[$()+.?[\\\]^{|}]/g, String.raw`\$&`));
  return new RegExp(`^${parts.join('.*')}$`, 'i').test(method);
}

function holds(params: Values, where: Values): boolean {
  return Object.entries(where).every(([key, value]) => isSame(params[key], value));
}

function isSame(one: Value | undefined, other: Value): boolean {
  return textOf(one) === textOf(other);
}

/** What a fault makes of an answer. `body` is what would have been sent, `elsewhere` where a redirect leads. */
export async function sendNetworkFault(
  request: FastifyRequest,
  reply: FastifyReply,
  { kind, status }: NetworkFault,
  { body, elsewhere }: { body: object; elsewhere: string },
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
      await sendText(reply, status ?? 200, '["an answer that nobody expects"]');
      return;
    case 'redirect':
      await sendRedirect(reply, elsewhere);
      return;
    case 'hang':
      reply.hijack();
      return;
    case 'cut':
      cut(request, reply);
      return;
    case 'drop':
    case 'lost':
      reply.hijack();
      request.raw.socket.destroy();
  }
}

/** 302 as the server in front of a portal writes it: with a page. */
export async function sendRedirect(reply: FastifyReply, to: string): Promise<void> {
  await reply.header('location', to).code(302).type('text/html').send(page('302 Found'));
}

async function sendHtml(reply: FastifyReply, status: number): Promise<void> {
  await reply
    .code(status)
    .type('text/html')
    .send(page(`${status} ${STATUS_TEXTS[status] ?? 'Error'}`));
}

async function sendText(reply: FastifyReply, status: number, text: string): Promise<void> {
  await reply.code(status).type('application/json; charset=utf-8').send(text);
}

/** The beginning of an answer that promised more. */
function cut(request: FastifyRequest, reply: FastifyReply): void {
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

function page(title: string): string {
  return `<html>\r\n<head><title>${title}</title></head>\r\n<body>\r\n<center><h1>${title}</h1></center>\r\n</body>\r\n</html>\r\n`;
}
