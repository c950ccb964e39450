import type { Attributes } from '@opentelemetry/api';
import { type PortalAccess, secretsOf, type TokenStore } from './access.js';
import type { ErrorClass } from './classify.js';
import { Bitrix24Error } from './errors.js';
import { type HttpResult, post, type PostRequest } from '../http/http-request.js';
import type { Params } from './query.js';
import {
  type MethodUsage,
  type Priority,
  type RateLimiter,
  type RequestToAdmit,
  type Throttled,
  sleep,
  unlessAborted,
} from '../rate-limit/rate-limiter.js';
import { inRequestSpan, noteHttpStatus } from './request-span.js';
import { maxResponseBytes } from '../http/response-limits.js';
import { invalidResponse, parseResponse, type RequestContext, type RestResponse } from './response.js';
import { type Idempotency, isRetryable, MAX_RETRIES, MAX_THROTTLED, retryDelayMs } from './retryability.js';
import { throttledError, usageOfCall, usageOfError } from './usage.js';

/** Final outcome of one HTTP request including its retries. A batch is one request, whatever its commands return. */
export type RequestOutcome =
  | { readonly ok: true; readonly method: string }
  | { readonly ok: false; readonly method: string; readonly error: Bitrix24Error };

interface SenderOptions {
  readonly memberId: string;
  readonly tokens: TokenStore;
  readonly allowHosts: readonly string[];
  readonly timeoutMs: number;
  readonly maxResponseBytes?: number | undefined;
  readonly rateLimiter: RateLimiter | undefined;
  readonly priority: Priority;
  readonly repeatPauseMs?: ((repeat: number) => number) | undefined;
  readonly onOutcome?: ((outcome: RequestOutcome) => Promise<void>) | undefined;
  readonly userAgent?: string | undefined;
  readonly spanAttributes?: Attributes | undefined;
}

/** One HTTP request. */
export interface RestRequest<T> {
  readonly method: string;
  /** With this `auth_connector`, unless it is empty or nothing is changed. */
  readonly params: (connector: string) => Params;
  /** Instead of the one of the access; empty for none. */
  readonly connector?: string | undefined;
  /** The executed methods in lower case: the method, or the commands' methods and `batch`. */
  readonly methods: readonly string[];
  readonly kind: Idempotency;
  readonly maxResponseBytes?: number | undefined;
  /** Parses the response; its error counts as the request's error, so that a damaged response is retried. */
  readonly read: (
    answer: RestResponse,
    context: RequestContext,
    connector: string,
  ) => { readonly value: T; readonly usage: MethodUsage[] };
}

/** The rate limiter has admitted a request without these methods, to be sent with this access. */
export interface Admission {
  readonly access: PortalAccess;
  readonly throttled: Throttled;
}

/** Recovery steps already taken for a request. */
interface AttemptState {
  refreshed: boolean;
  reread: boolean;
  relocated: boolean;
  connectorRejected: boolean;
  throttled: number;
  retries: number;
}

/**
 * Sends requests to one portal and retries them where that is safe: when the request was not executed (an expired
 * token, a renamed portal, the rate limit, no connection), and after other errors according to its idempotency class.
 * The rate limiter admits each attempt.
 */
export class Sender {
  /** The plan check in flight, shared by all requests that fail meanwhile. */
  #planCheck: Promise<ErrorClass> | undefined;

  constructor(
    private readonly options: SenderOptions,
    private readonly postRequest: (request: PostRequest) => Promise<HttpResult> = post,
  ) {}

  /**
   * Gets the access, then waits until the request may be sent: it would arrive too late for its ticket otherwise.
   * @throws the error of the token store or the rate limiter; the signal's reason
   */
  async admit(request: Omit<RequestToAdmit, 'priority'>, signal?: AbortSignal): Promise<Admission> {
    const { tokens, rateLimiter, priority } = this.options;
    const access = await tokens.access(signal);
    return { access, throttled: (await rateLimiter?.admit({ ...request, priority }, signal)) ?? new Map() };
  }

  /** @throws Bitrix24Error; the error of the token store or the rate limiter; the signal's reason */
  async send<T>(request: RestRequest<T>, { access }: Admission, signal?: AbortSignal): Promise<T> {
    const { onOutcome } = this.options;
    const { method } = request;
    let value: T;
    try {
      value = await this.#sendWithRetries(request, access, signal);
    } catch (error) {
      if (error instanceof Bitrix24Error) await onOutcome?.({ ok: false, method, error });
      throw error;
    }
    await onOutcome?.({ ok: true, method });
    return value;
  }

  async #sendWithRetries<T>(request: RestRequest<T>, access: PortalAccess, signal?: AbortSignal): Promise<T> {
    const tried: AttemptState = {
      refreshed: false,
      reread: false,
      relocated: false,
      connectorRejected: false,
      throttled: 0,
      retries: 0,
    };
    for (let by = access, isAdmitted = true; ; isAdmitted = false) {
      try {
        if (!isAdmitted) await this.#admitAgain(request, signal);
        return await this.#attempt(request, by, signal);
      } catch (error) {
        if (!(error instanceof Bitrix24Error)) throw error;
        by = await this.#prepareRetry(error, request, by, tried, signal);
      }
    }
  }

  async #admitAgain({ method, methods }: RestRequest<unknown>, signal?: AbortSignal): Promise<void> {
    const { memberId, rateLimiter, priority } = this.options;
    const throttled = await rateLimiter?.admit({ priority, methods }, signal);
    if (throttled && throttled.size > 0)
      throw throttledError(memberId, method, Math.max(...throttled.values()));
  }

  /**
   * @returns the credentials for the retry
   * @throws the error itself when a retry would not help or is not safe
   */
  async #prepareRetry(
    error: Bitrix24Error,
    request: RestRequest<unknown>,
    access: PortalAccess,
    tried: AttemptState,
    signal?: AbortSignal,
  ): Promise<PortalAccess> {
    const { method, kind } = request;
    const { tokens, rateLimiter } = this.options;
    if (error.code === 'WRONG_LICENSE' && 'auth_connector' in request.params(connectorOf(request, access))) {
      // The plan lacks a feature, not REST: the portal is not to be suspended. Nothing was executed.
      if (request.connector !== undefined || access.kind !== 'oauth' || tried.connectorRejected) {
        throw new Bitrix24Error(error.code, { ...detailsOf(error, method), errorClass: 'permanent' });
      }
      tried.connectorRejected = true;
      await tokens.connectorRejected?.();
      return { ...access, connector: undefined };
    }
    if (isExpiredToken(error) && access.kind === 'oauth' && !tried.refreshed) {
      tried.refreshed = true;
      return withConnectorOf(access, await tokens.refresh(access.accessToken, signal));
    }
    if (isOfToken(error) && access.kind === 'oauth' && !tried.reread) {
      tried.reread = true;
      const latest = await (tokens.latest?.(access.accessToken, signal) ?? tokens.access(signal));
      if (latest.kind !== 'oauth' || latest.accessToken !== access.accessToken) {
        return withConnectorOf(access, latest);
      }
    }
    if (error.code === 'REDIRECT' && tokens.relocate !== undefined && !tried.relocated) {
      tried.relocated = true;
      return withConnectorOf(access, await tokens.relocate(access.endpoint, signal));
    }
    if (error.code === 'QUERY_LIMIT_EXCEEDED' && rateLimiter !== undefined) {
      await rateLimiter.rejected();
      if (tried.throttled === MAX_THROTTLED) throw error;
      tried.throttled += 1;
      return access;
    }
    if (tried.retries < MAX_RETRIES && isRetryable(error, kind)) {
      tried.retries += 1;
      await sleep((this.options.repeatPauseMs ?? retryDelayMs)(tried.retries), signal);
      return access;
    }
    if (error.errorClass === 'plan') throw await this.#judgePlan(error, method, access, signal);
    throw error;
  }

  /**
   * Checks whether an error that may concern the portal's plan does, by one call that needs no rights. If it succeeds,
   * the plan includes REST, and the error was transient.
   */
  async #judgePlan(
    rejection: Bitrix24Error,
    method: string,
    access: PortalAccess,
    signal?: AbortSignal,
  ): Promise<Bitrix24Error> {
    const { memberId } = this.options;
    // `app.info` needs an application; a webhook is none.
    const probe = access.kind === 'oauth' ? 'app.info' : 'scope';
    if (method === probe) return rejection;
    this.#planCheck ??= this.#checkPlan(probe, access).finally(() => (this.#planCheck = undefined));
    const errorClass = await unlessAborted(this.#planCheck, signal);
    return new Bitrix24Error(rejection.code, { ...detailsOf(rejection, method), memberId, errorClass });
  }

  async #checkPlan(method: string, access: PortalAccess): Promise<ErrorClass> {
    const read = (answer: RestResponse) => ({ value: answer, usage: usageOfCall(method, answer) });
    const request: RestRequest<RestResponse> = {
      method,
      params: () => ({}),
      methods: [method],
      kind: 'read',
      read,
    };
    try {
      await this.#admitAgain(request);
      await this.#attempt(request, access);
      return 'transient';
    } catch (error) {
      if (!(error instanceof Bitrix24Error)) throw error;
      if (error.code === 'ACCESS_DENIED') return 'plan';
      // Another error of the method shows that REST works; otherwise the plan is unknown.
      return error.errorClass === 'permanent' ? 'transient' : 'unavailable';
    }
  }

  /** The token is in the body: URLs end up in logs. */
  async #attempt<T>(request: RestRequest<T>, access: PortalAccess, signal?: AbortSignal): Promise<T> {
    const { method, methods, read } = request;
    const connector = connectorOf(request, access);
    const params = request.params(connector);
    const {
      memberId,
      allowHosts,
      timeoutMs,
      maxResponseBytes: clientLimit = Infinity,
      userAgent,
      spanAttributes,
    } = this.options;
    const context: RequestContext = { memberId, method, secrets: secretsOf(access) };
    const address = `${access.endpoint}${method}`;
    // Checked first: the error of `new URL` quotes its argument.
    if (!URL.canParse(address)) throw new Bitrix24Error('BAD_ENDPOINT', { memberId, method });
    const url = new URL(address);
    return await inRequestSpan(
      { memberId, method, methods, url, attributes: spanAttributes },
      async (span) => {
        const result = await this.postRequest({
          url,
          contentType: 'application/json',
          headers: userAgent === undefined ? {} : { 'user-agent': userAgent },
          body: JSON.stringify(access.kind === 'oauth' ? { ...params, auth: access.accessToken } : params),
          timeoutMs,
          maxResponseBytes: Math.min(
            clientLimit,
            request.maxResponseBytes ?? Infinity,
            maxResponseBytes(methods),
          ),
          allowHosts,
          signal,
        });
        noteHttpStatus(span, result.httpStatus);
        return await this.#read(result, context, (answer, asked) => read(answer, asked, connector));
      },
    );
  }

  async #read<T>(
    result: HttpResult,
    context: RequestContext,
    read: (
      answer: RestResponse,
      context: RequestContext,
    ) => { readonly value: T; readonly usage: MethodUsage[] },
  ): Promise<T> {
    try {
      const { value, usage } = read(answerOf(result, context), context);
      await this.#observe(usage);
      return value;
    } catch (error) {
      if (error instanceof Bitrix24Error) await this.#observe(usageOfError(context.method, error));
      throw error;
    }
  }

  async #observe(usage: MethodUsage[]): Promise<void> {
    if (usage.length > 0) await this.options.rateLimiter?.observe(usage);
  }
}

function connectorOf({ connector }: RestRequest<unknown>, access: PortalAccess): string {
  if (access.kind !== 'oauth') return '';
  return connector ?? access.connector ?? '';
}

/** A new token, or address, says nothing about the plan. */
function withConnectorOf(former: PortalAccess, access: PortalAccess): PortalAccess {
  if (former.kind !== 'oauth' || access.kind !== 'oauth') return access;
  return { ...access, connector: former.connector };
}

function detailsOf({ httpStatus, memberId }: Bitrix24Error, method: string) {
  return { method, httpStatus, ...(memberId !== undefined && { memberId }) };
}

function answerOf(result: HttpResult, context: RequestContext): RestResponse {
  if (result.ok) return parseResponse(result.httpStatus, result.text, context);
  if (result.code === 'BAD_ANSWER') throw invalidResponse(context, result.httpStatus, result.detail);
  const { memberId, method } = context;
  const { code, httpStatus, delivered, cause } = result;
  throw new Bitrix24Error(code, { memberId, method, httpStatus, delivered, cause });
}

/**
 * Only this code: a refresh after other errors, or ahead of time, can get an application blocked
 * (`settings/oauth/auto-renewal.md`).
 */
function isExpiredToken({ code, httpStatus }: Bitrix24Error): boolean {
  return code === 'EXPIRED_TOKEN' && httpStatus === 401;
}

/** An error of a token that was replaced during the request says nothing about its successor. */
function isOfToken({ errorClass }: Bitrix24Error): boolean {
  return errorClass === 'authorization' || errorClass === 'expired';
}
