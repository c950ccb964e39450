import { createHash, createHmac } from 'node:crypto';
import { post } from '@relay/bitrix24';

const TIMEOUT_MS = 10_000;
/** The answer is not looked at, only its status. */
const MAX_RESPONSE_BYTES = 64 * 1_024;
const MAX_MESSAGE_BYTES = 1_024 * 1_024;

/** The receiver did not take a message. It names neither the address, which may be a secret, nor the answer. */
export class WebhookError extends Error {
  override readonly name = 'WebhookError';

  constructor(
    readonly code: string,
    readonly recovery: 'retry' | 'never',
  ) {
    super(`the receiver did not take the message: ${code}`);
  }
}

export interface Message {
  type: string;
  /** When it happened, ISO 8601. */
  timestamp: string;
  data: object;
}

export interface Receiver {
  url: string;
  key: Buffer;
  allowHosts: readonly string[];
}

/**
 * Sends a message as Standard Webhooks says (github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md). Only to
 * https and public addresses, unless `allowHosts` has the host; redirects are not followed.
 * @throws WebhookError
 */
export async function sendWebhook(message: Message, { url, key, allowHosts }: Receiver): Promise<void> {
  const body = JSON.stringify(message);
  if (Buffer.byteLength(body) > MAX_MESSAGE_BYTES) throw new WebhookError('MESSAGE_TOO_LARGE', 'never');
  // Of the content: a repeat has the same id, and a retry that found the item changed has another, which is not to be left out.
  const id = `msg_${createHash('sha256').update(body).digest('base64url').slice(0, 32)}`;
  const timestamp = String(Math.floor(Date.now() / 1_000));
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
  const result = await post({
    url: new URL(url),
    contentType: 'application/json',
    body,
    headers: {
      'user-agent': 'b24-relay',
      'webhook-id': id,
      'webhook-timestamp': timestamp,
      'webhook-signature': `v1,${signature}`,
    },
    timeoutMs: TIMEOUT_MS,
    maxResponseBytes: MAX_RESPONSE_BYTES,
    allowHosts,
  });
  const { httpStatus } = result;
  // Also if the answer cannot be read, as it has nothing that is needed.
  if (httpStatus !== undefined && httpStatus >= 200 && httpStatus < 300) return;
  const code = result.ok || httpStatus !== undefined ? `HTTP_${httpStatus}` : result.code;
  throw new WebhookError(code, ['HTTP_410', 'BAD_ADDRESS'].includes(code) ? 'never' : 'retry');
}
