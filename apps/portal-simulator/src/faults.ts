import { textOf, type Value, type Values } from './php.js';
import { RestError } from './rest/rest-error.js';

const refusalKinds = [
  ...(['500', '503', 'overload', 'operating', 'expired', 'unauthorized', 'denied', 'deleted'] as const),
  ...(['invalid', 'payment', 'wrong_client'] as const),
] as const;

/** Answers that a portal gives instead of running the method; inside a batch they stand in `result_error`. */
const refusals: Record<RefusalKind, RestError> = {
  '500': new RestError('INTERNAL_SERVER_ERROR', 'Internal server error', 500),
  '503': new RestError('QUERY_LIMIT_EXCEEDED', 'Too many requests', 503),
  overload: new RestError('OVERLOAD_LIMIT', 'REST API is blocked due to overload', 503),
  operating: new RestError('OPERATION_TIME_LIMIT', 'Method is blocked due to operation time limit', 429),
  expired: new RestError('expired_token', 'The access token provided has expired.', 401),
  unauthorized: new RestError('NO_AUTH_FOUND', 'Wrong authorization data', 401),
  denied: new RestError('ACCESS_DENIED', 'REST API is available only on commercial plans', 403),
  deleted: new RestError('PORTAL_DELETED', 'Portal was deleted', 500),
  invalid: new RestError('ERROR_CORE', 'The field contains an invalid value'),
  payment: new RestError('PAYMENT_REQUIRED', 'Payment required', 402),
  // The OAuth server gives some of its errors with HTTP 200.
  wrong_client: new RestError('wrong_client', 'Wrong client', 200),
};

/** What happens to the HTTP answer itself. `lost` runs the method first and then says nothing. */
const wireFaults = ['html', 'empty', 'cut', 'hang', 'drop', 'lost', 'redirect'] as const;

export type WireFault = (typeof wireFaults)[number];
export type RefusalKind = (typeof refusalKinds)[number];
export type FaultKind = WireFault | RefusalKind;

export const faultKinds = [...refusalKinds, ...wireFaults] as const;

export interface FaultRule {
  /** A method name, `*` standing for anything: `crm.item.*`; `oauth.token` for the token endpoint. */
  match: string;
  kind: FaultKind;
  times: number;
  /** Only for calls with these parameters. */
  where?: Values | undefined;
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
  take(method: string, params: Values): RestError | WireFault | undefined {
    const kind = this.use(method, params, () => true);
    if (kind === undefined) return undefined;
    return isWireFault(kind) ? kind : refusals[kind];
  }

  /** The same for a command of a batch, which can be refused on its own. */
  takeRefusal(method: string, params: Values): RestError | undefined {
    const kind = this.use(method, params, (one) => !isWireFault(one));
    return kind === undefined || isWireFault(kind) ? undefined : refusals[kind];
  }

  /** What happens to the answer of the batch that a command is in. */
  takeWireFault(method: string, params: Values): WireFault | undefined {
    const kind = this.use(method, params, isWireFault);
    return kind !== undefined && isWireFault(kind) ? kind : undefined;
  }

  private use(method: string, params: Values, isMeant: (kind: FaultKind) => boolean): FaultKind | undefined {
    const rule = this.rules.find(
      ({ match, kind, where }) => isMeant(kind) && matches(match, method) && holds(params, where ?? {}),
    );
    if (!rule) return undefined;
    rule.times -= 1;
    if (rule.times <= 0) this.rules = this.rules.filter((one) => one !== rule);
    return rule.kind;
  }
}

function isWireFault(kind: FaultKind): kind is WireFault {
  return wireFaults.some((one) => one === kind);
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
