/** The API of the gateway that served this page. The access token is in memory alone, and goes nowhere else. */
import type {
  PageNameSettings,
  PagePreviewResponse,
  PageSettingsRequest,
  PageSettingsResponse,
  PageStatusResponse,
} from '@relay/admin-contract';
import type { Frame } from './frame.js';
import type { TextKey } from './texts/en.js';

/** The gateway asks the portal who the user is, for ten seconds at most. */
const TIMEOUT_MS = 20_000;

/** `reason` as the gateway names it, or `unreachable`. */
export class PageApiError extends Error {
  constructor(
    readonly status: number,
    readonly reason: string,
  ) {
    super(reason);
  }
}

const TEXTS: Readonly<Record<string, TextKey>> = {
  unreachable: 'error.unreachable',
  'portal-unreachable': 'error.portal-unreachable',
  busy: 'error.portal-unreachable',
  'portal-suspended': 'state.suspended',
  'portal-needs-reauth': 'next.open-again',
  'not-an-administrator': 'error.not-an-administrator',
  'changed-meanwhile': 'error.changed-meanwhile',
  'queue-not-read': 'error.queue-not-read',
  'bad-settings': 'error.bad-settings',
};

/** What a failed request is called on the page. */
export function messageKeyOf(error: unknown): TextKey {
  if (!(error instanceof PageApiError)) return 'error.other';
  const known = Object.hasOwn(TEXTS, error.reason) ? TEXTS[error.reason] : undefined;
  if (known !== undefined) return known;
  if (error.status === 401) return 'error.not-confirmed';
  return error.status === 429 ? 'error.too-many' : 'error.other';
}

export interface PageApi {
  status(): Promise<PageStatusResponse>;
  settings(): Promise<PageSettingsResponse>;
  save(changes: PageSettingsRequest): Promise<void>;
  preview(names: string[], settings: PageNameSettings, signal: AbortSignal): Promise<PagePreviewResponse>;
}

export function apiOf(frame: Pick<Frame, 'credentials'>): PageApi {
  return {
    status: () => call(frame, 'GET', 'status'),
    settings: () => call(frame, 'GET', 'settings'),
    save: (changes) => call(frame, 'PUT', 'settings', changes),
    preview: (names, settings, signal) => call(frame, 'POST', 'preview', { names, settings }, signal),
  };
}

/** A token that the portal rejects is replaced once: it lives for an hour, and the page stays open for longer. */
async function call<Answer>(
  frame: Pick<Frame, 'credentials'>,
  method: string,
  path: string,
  body?: unknown,
  signal?: AbortSignal,
): Promise<Answer> {
  const answer = await send(frame, method, path, body, signal, false);
  if (answer.status !== 401) return read(answer);
  return read(await send(frame, method, path, body, signal, true));
}

async function send(
  frame: Pick<Frame, 'credentials'>,
  method: string,
  path: string,
  body: unknown,
  signal: AbortSignal | undefined,
  isRejected: boolean,
): Promise<Response> {
  try {
    const { accessToken, memberId } = await frame.credentials(isRejected);
    return await fetch(`/b24/app/api/${path}`, {
      method,
      headers: {
        authorization: `Bearer ${accessToken}`,
        'b24-member-id': memberId,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), ...(signal ? [signal] : [])]),
    });
  } catch {
    throw new PageApiError(0, 'unreachable');
  }
}

async function read<Answer>(answer: Response): Promise<Answer> {
  const said: unknown = answer.status === 204 ? undefined : await answer.json().catch(() => undefined);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the gateway of this build writes what the contract says
  if (answer.ok) return said as Answer;
  const reason = typeof said === 'object' && said !== null && 'error' in said ? String(said.error) : '';
  throw new PageApiError(answer.status, reason);
}
